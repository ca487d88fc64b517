"""Attention weights under each perturbation: means over train seeds, and how far they move from clean play."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from wsabench.results.manifest import AgentId, JobEntry
from wsabench.results.recorded import SMOOTH_STEPS, moving_mean
from wsabench.results.records import CLEAN
from wsabench.results.result import STEPS_DIR, ResultSet, read_shard
from wsabench.results.tables import CONTEXT_FIELDS, WEIGHT_PREFIX, steps_schema, with_labels
from wsabench.summary.rows import AttentionRow

_CELL = ["agent", "game", "family", "perturbation", "severity", "label"]


def attention_table(attention: pd.DataFrame | None) -> tuple[AttentionRow, ...]:
    """Average attention weights over train seeds.

    Args:
        attention: The attention table of a result set; None or empty where no agent has attention.

    Returns:
        One row for each agent, game, cell and encoder; none without attention. `shift` is the share of the weight that
        stands with other encoders than under `clean`: half the sum of absolute differences, of each train seed with
        itself, then the mean over train seeds. `context_static_share` and `context_variance_share` are means over train
        seeds, the same for all encoders of a cell, NaN where no train seed has them.
    """
    if attention is None or attention.empty:
        return ()
    labelled = with_labels(attention)
    groups = labelled.groupby([*_CELL, "encoder"], sort=False, dropna=False)
    table = groups.agg(
        mean=("mean", "mean"),
        seed_min=("mean", "min"),
        seed_max=("mean", "max"),
        sd=("sd", lambda sd: float(np.sqrt(np.mean(np.square(sd))))),
        entropy=("entropy", "mean"),
        num_steps=("num_steps", "sum"),
        num_seeds=("train_seed", "nunique"),
        **{field.name: (field.name, "mean") for field in CONTEXT_FIELDS if field.name in labelled},
    ).reset_index()
    table = table.reindex(columns=list(dict.fromkeys([*table.columns, *(field.name for field in CONTEXT_FIELDS)])))
    whole = table.merge(_shifts(labelled), how="left", on=["agent", "game", "label"])
    records = whole.assign(severity=whole["severity"].astype(object)).to_dict("records")
    return tuple(
        AttentionRow(**{**row, "severity": None if pd.isna(row["severity"]) else int(row["severity"])})
        for row in records
    )


def _shifts(labelled: pd.DataFrame) -> pd.DataFrame:
    """Return agent, game, label, shift."""
    network = ["agent", "train_seed", "game"]
    clean = labelled.loc[labelled["label"] == CLEAN, [*network, "encoder", "mean"]]
    paired = labelled.merge(clean, how="left", on=[*network, "encoder"], suffixes=("", "_clean"))
    paired["shift"] = (paired["mean"] - paired["mean_clean"]).abs() / 2
    of_seeds = paired.groupby([*network, "label"], sort=False)["shift"].sum(min_count=1)
    return of_seeds.groupby(["agent", "game", "label"], sort=False).mean().reset_index()


_MOST_CELLS = 3


@dataclass(frozen=True, slots=True)
class ExampleEpisode:
    """The attention weights of E encoders over one episode of T steps."""

    id: AgentId
    """The agent, its train seed and the game."""
    label: str
    """The label of the cell, as in `hue-rotate@3`."""
    encoders: tuple[str, ...]
    """The names of the E encoders, in the order of the weights."""
    weights: npt.NDArray[np.float32]
    """The weights, float32, shape (T, E)."""
    smooth: npt.NDArray[np.float32]
    """Their moving mean over `SMOOTH_STEPS` steps, float32, shape (T, E)."""


def example_episodes(
    result: ResultSet, attention: Sequence[AttentionRow], directories: Sequence[Path] | None = None
) -> list[ExampleEpisode]:
    """Return the first episode of some cells: clean, and those under which the weights moved most.

    Args:
        result: A result set; without recorded steps there are no examples.
        attention: `Summary.attention`, which says in which cells the weights moved most.
        directories: The result sets that were put together; the steps of a job are read from the first that has them.
            None: the directory of the result itself.

    Returns:
        Up to three episodes for each agent and game, of its first train seed, clean first.

    Raises:
        ResultSetError: A shard is damaged.
    """
    plan = result.manifest.plan
    encoders = {entry.agent: entry.encoders for entry in plan.agents}
    shifts = {(row.agent, row.game, row.label): row.shift for row in attention if not math.isnan(row.shift)}
    found: dict[tuple[str, str], list[ExampleEpisode]] = {}
    for job in sorted(plan.jobs, key=lambda job: _order(job, shifts)):
        paths = [directory / STEPS_DIR / job.file for directory in directories or (result.path,)]
        path = next((path for path in paths if path.exists()), None)
        taken = found.setdefault((job.agent, job.game), [])
        is_other_seed = bool(taken) and taken[0].id.train_seed != job.train_seed
        if len(taken) >= _MOST_CELLS or is_other_seed or path is None:
            continue
        names = encoders[job.agent]
        table = read_shard(path, steps_schema(names)).to_pandas()
        first = table[table["episode"] == table["episode"].min()]
        weights = first[[f"{WEIGHT_PREFIX}{name}" for name in names]].to_numpy(dtype=np.float32)
        if len(weights):
            smooth = moving_mean(weights, SMOOTH_STEPS)
            taken.append(ExampleEpisode(job.id, job.perturbation, names, weights, smooth))
    return [example for examples in found.values() for example in examples]


def _order(job: JobEntry, shifts: Mapping[tuple[str, str, str], float]) -> tuple[int, bool, float]:
    """Return the order in which a job may serve as an example: train seed, clean, then the greatest shift."""
    shift = shifts.get((job.agent, job.game, job.perturbation), 0.0)
    return job.train_seed, job.perturbation != CLEAN, -shift
