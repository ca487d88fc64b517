"""Numbers for other programs: tidy CSV files, and score matrices as rliable takes them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from wsabench.resources import atomic_path, make_dir, write_text
from wsabench.results.records import CLEAN, with_labels
from wsabench.results.result import RunResult
from wsabench.summary.summarise import Summary
from wsabench.summary.tables import groups_of, rows_except, rows_of, rows_where
from wsabench.types import FloatArray

SCORE_MEASURES = ("normalised_score", "retention")


class ScoreMatrices(NamedTuple):
    """One measure as rliable takes it."""

    tasks: tuple[str, ...]
    """The columns: `game/perturbation`."""
    train_seeds: dict[str, tuple[int, ...]]
    """The rows of each agent."""
    scores: dict[str, FloatArray]
    """By agent, float64, shape (num_runs, num_tasks)."""


def score_matrices(summary: Summary, measure: str = "normalised_score") -> ScoreMatrices:
    """Return the scores of every agent as matrices without holes.

    Args:
        summary: The numbers.
        measure: `normalised_score` or `retention` (without clean, where it is 1 by definition).

    Returns:
        Means over episodes. Tasks are the cells that every agent played with every train seed in the result; a train
        seed that lacks one of an agent's games is left out. Cells without a value for some train seed are left out.
    """
    table = summary.seeds.assign(task=summary.seeds["game"] + "/" + summary.seeds["label"])
    if measure == "retention":
        table = rows_except(table, label=CLEAN)
    wide: dict[str, pd.DataFrame] = {}
    for agent in summary.agents:
        played = rows_where(table, agent=agent)
        games = {int(seed): part["game"].nunique() for (seed,), part in groups_of(played, "train_seed")}
        matrix = played.pivot(index="train_seed", columns="task", values=measure)
        wide[agent] = matrix.loc[[seed for seed, count in sorted(games.items()) if count == max(games.values())]]
    whole = [set(matrix.columns[matrix.notna().to_numpy().all(axis=0)]) for matrix in wide.values()]
    tasks = tuple(task for task in dict.fromkeys(table["task"]) if all(task in of_agent for of_agent in whole))
    return ScoreMatrices(
        tasks=tasks,
        train_seeds={agent: tuple(int(seed) for seed in matrix.index) for agent, matrix in wide.items()},
        scores={agent: matrix[list(tasks)].to_numpy(dtype=np.float64) for agent, matrix in wide.items()},
    )


def write_rliable(summary: Summary, directory: Path) -> tuple[Path, ...]:
    """Write `MEASURE.npz` (one array an agent, as `dict(numpy.load(...))` gives rliable) and `MEASURE.json`.

    Args:
        summary: The numbers.
        directory: Where; it is created. The JSON file has the tasks' names, the train seeds and the same scores.

    Raises:
        StorageError: A file cannot be written.
    """
    make_dir(directory)
    written: list[Path] = []
    for measure in SCORE_MEASURES:
        matrices = score_matrices(summary, measure)
        if not matrices.tasks:
            continue
        arrays, words = (directory / f"{measure.replace('_', '-')}.{ending}" for ending in ("npz", "json"))
        with atomic_path(arrays) as temporary:
            temporary.write_bytes(_npz(matrices.scores))
        content = {
            "measure": measure,
            "tasks": matrices.tasks,
            "train_seeds": matrices.train_seeds,
            "scores": {agent: matrix.tolist() for agent, matrix in matrices.scores.items()},
        }
        write_text(words, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        written += [arrays, words]
    return tuple(written)


def write_csv(
    result: RunResult, summary: Summary, directory: Path, more: Mapping[str, pd.DataFrame] | None = None
) -> tuple[Path, ...]:
    """Write `episodes.csv`, one row an episode with its normalised score, and one file for each table of the summary.

    Where the run has privileged agents, rows about one agent say in the column `privileged` whether it is one.

    Args:
        result: The result set.
        summary: Its numbers.
        directory: Where; it is created.
        more: Further tables, by the names of their files; empty ones are left out.

    Raises:
        StorageError: A file cannot be written.
    """
    make_dir(directory)
    tables = {"episodes": tidy_episodes(result, summary)}
    named = {field.name: getattr(summary, field.name) for field in fields(summary)} | dict(more or {})
    tables |= {name: table for name, table in named.items() if isinstance(table, pd.DataFrame) and not table.empty}
    written: list[Path] = []
    for name, table in tables.items():
        if summary.privileged and "agent" in table:
            is_privileged = [agent in summary.privileged for agent in table["agent"]]
            table = table.assign(privileged=is_privileged)
        path = directory / f"{name}.csv"
        with atomic_path(path) as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n")
        written.append(path)
    return tuple(written)


def tidy_episodes(result: RunResult, summary: Summary) -> pd.DataFrame:
    """Return the episodes with the columns label (the cell's written name) and normalised_score.

    Args:
        result: The result set.
        summary: Its numbers, for the reference scores.
    """
    table = with_labels(result.episodes)
    known = {row["game"]: row for row in rows_of(summary.references)}
    random, human = (
        np.array([known[game][name] for game in table["game"]], dtype=np.float64) for name in ("random", "human")
    )
    returns = table["return"].to_numpy(dtype=np.float64)
    table = table.assign(normalised_score=(returns - random) / (human - random))
    first = ["agent", "train_seed", "game", "family", "label"]
    return table.reindex(columns=[*first, *(name for name in table.columns if name not in first)])


def _npz(arrays: dict[str, FloatArray]) -> bytes:
    """Return an NPZ archive; unlike `numpy.savez`, any name will do and equal arrays give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())
    return buffer.getvalue()
