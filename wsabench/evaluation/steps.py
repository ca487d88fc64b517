"""Reading recorded steps: what the attention did over some episodes of a result set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from wsabench.evaluation.records import WEIGHT_PREFIX, steps_schema
from wsabench.evaluation.result import STEPS_DIR, RunResult, read_shard
from wsabench.evaluation.summary_scores import CLEAN
from wsabench.evaluation.summary_tables import rows_of, rows_where

SMOOTH_STEPS = 15
"""Window of the moving mean of weights; one second of play."""
_MOST_CELLS = 3


@dataclass(frozen=True, slots=True)
class ExampleEpisode:
    """The weights over one episode of T steps; E encoders."""

    agent: str
    game: str
    train_seed: int
    label: str
    """Canonical name of the perturbation."""
    encoders: tuple[str, ...]
    weights: npt.NDArray[np.float32]
    """Shape (T, E)."""
    smooth: npt.NDArray[np.float32]
    """Their moving mean over `SMOOTH_STEPS`, shape (T, E)."""


def example_episodes(
    result: RunResult, attention: pd.DataFrame, directories: Sequence[Path] | None = None
) -> list[ExampleEpisode]:
    """Return the first episode of some cells: clean, and those under which the weights moved most.

    Args:
        result: A result set; without recorded steps there are no examples.
        attention: `Summary.attention`; says which cells moved most.
        directories: The result sets that were put together; a job's steps are read from the first that has them.
            None: the result's own.

    Returns:
        Up to three episodes for each agent and game, of its first train seed, clean first.

    Raises:
        ResultSetError: A shard is damaged.
    """
    encoders = {entry["name"]: tuple(entry.get("encoders", ())) for entry in result.manifest["agents"]}
    found: dict[tuple[str, str], list[ExampleEpisode]] = {}
    for job in sorted(result.manifest["jobs"], key=lambda job: _rank(job, attention)):
        paths = [directory / STEPS_DIR / job["file"] for directory in directories or (result.path,)]
        path = next((path for path in paths if path.exists()), None)
        taken = found.setdefault((job["agent"], job["game"]), [])
        is_other_seed = bool(taken) and taken[0].train_seed != job["train_seed"]
        if len(taken) >= _MOST_CELLS or is_other_seed or path is None:
            continue
        names = encoders[job["agent"]]
        table = read_shard(path, steps_schema(names)).to_pandas()
        first = table[table["episode"] == table["episode"].min()]
        weights = first[[f"{WEIGHT_PREFIX}{name}" for name in names]].to_numpy(dtype=np.float32)
        if len(weights):
            smooth = moving_mean(weights, SMOOTH_STEPS)
            identity = (job["agent"], job["game"], job["train_seed"], job["perturbation"])
            taken.append(ExampleEpisode(*identity, names, weights, smooth))
    return [example for examples in found.values() for example in examples]


def moving_mean(values: npt.NDArray[np.float32], width: int) -> npt.NDArray[np.float32]:
    """Return the mean over a window around each row, shorter at both ends.

    Args:
        values: Shape (T, E).
        width: Rows of the window, odd.

    Returns:
        float32, shape (T, E).
    """
    sums = np.concatenate([np.zeros((1, values.shape[1])), values.cumsum(axis=0, dtype=np.float64)])
    places = np.arange(len(values))
    first, last = np.maximum(places - width // 2, 0), np.minimum(places + width // 2 + 1, len(values))
    return ((sums[last] - sums[first]) / (last - first)[:, None]).astype(np.float32)


def _rank(job: Mapping[str, Any], attention: pd.DataFrame) -> tuple[int, bool, float]:
    """Return the order in which a job may serve as an example: train seed, clean, then the greatest shift."""
    cell = {"agent": job["agent"], "game": job["game"], "label": job["perturbation"]}
    shifts = [float(row["shift"]) for row in rows_of(rows_where(attention, **cell))]
    shift = next((value for value in shifts if not math.isnan(value)), 0.0)
    return job["train_seed"], job["perturbation"] != CLEAN, -shift
