"""Numbers for other programs: tidy CSV files, and score matrices as rliable takes them."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from wsabench.resources import atomic_path, make_dir, write_text
from wsabench.results.records import CLEAN
from wsabench.results.result import ResultSet
from wsabench.results.tables import with_labels
from wsabench.summary.rows import Measure, Row, frame_of, grouped, is_table
from wsabench.summary.summarise import Summary
from wsabench.types import FloatArray
from wsabench.words import MINUS

_WORDS = {"sentence", "note"}
"""Columns of text that may hold numbers: for programs, with the minus of ASCII."""
SCORE_MEASURES: tuple[Measure, ...] = ("normalised_score", "retention")
"""The measures that have score matrices."""


class ScoreMatrices(NamedTuple):
    """One measure as score matrices without holes, as rliable takes them."""

    tasks: tuple[str, ...]
    """The columns: cells as `GAME/LABEL`, for example `breakout/hue-rotate@3`."""
    train_seeds: dict[str, tuple[int, ...]]
    """The rows of each agent: its train seeds."""
    scores: dict[str, FloatArray]
    """The values of each agent, float64, shape (num_runs, num_tasks); a run is a train seed."""


def score_matrices(summary: Summary, measure: Measure = "normalised_score") -> ScoreMatrices:
    """Return the scores of every agent as matrices without holes.

    Args:
        summary: The numbers.
        measure: `normalised_score` or `retention` (without clean, where it is 1 by definition).

    Returns:
        The matrices; their values are means over episodes. Tasks are the cells that every agent played with every train
        seed in the result; a train seed that lacks one of an agent's games is left out. Cells without a value for some
        train seed are left out.
    """
    rows = [row for row in summary.seeds if measure != "retention" or row.label != CLEAN]
    values = {(row.id.agent, row.id.train_seed, f"{row.id.game}/{row.label}"): row.value(measure) for row in rows}
    train_seeds: dict[str, tuple[int, ...]] = {}
    for agent in summary.agents:
        of_agent = grouped((row for row in rows if row.id.agent == agent), lambda row: row.id.train_seed)
        games = {seed: len({row.id.game for row in of_seed}) for seed, of_seed in of_agent.items()}
        most = max(games.values(), default=0)
        train_seeds[agent] = tuple(seed for seed, count in sorted(games.items()) if count == most)
    agents_seeds = [(agent, seed) for agent, seeds in train_seeds.items() for seed in seeds]
    tasks = tuple(
        task
        for task in dict.fromkeys(task for _, _, task in values)
        if not any(math.isnan(values.get((*run, task), math.nan)) for run in agents_seeds)
    )
    return ScoreMatrices(
        tasks=tasks,
        train_seeds=train_seeds,
        scores={
            agent: np.array([values[agent, seed, task] for seed in seeds for task in tasks]).reshape(
                len(seeds), len(tasks)
            )
            for agent, seeds in train_seeds.items()
        },
    )


def write_rliable(summary: Summary, directory: Path) -> tuple[Path, ...]:
    """Write `MEASURE.npz` (one array for each agent, as `dict(numpy.load(...))` gives rliable) and `MEASURE.json`.

    Args:
        summary: The numbers.
        directory: The folder to write to; it is created. The JSON file has the tasks' names, the train seeds and the
            same scores.

    Returns:
        The files; a measure without any task has none.

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
    result: ResultSet, summary: Summary, directory: Path, more: Mapping[str, Sequence[Row]] | None = None
) -> tuple[Path, ...]:
    """Write `episodes.csv`, one row for each episode with its normalised score, and one file for each table.

    Where the run has privileged agents, rows about one agent say in the column `privileged` whether it is one.

    Args:
        result: The result set.
        summary: Its numbers.
        directory: The folder to write to; it is created.
        more: Tables beside those of the summary, by the names of their files; empty ones are left out.

    Returns:
        The files.

    Raises:
        StorageError: A file cannot be written.
    """
    make_dir(directory)
    tables = {"episodes": tidy_episodes(result, summary)}
    named = {field.name: getattr(summary, field.name) for field in fields(summary)}
    named |= summary.insight.tables() | dict(more or {})
    tables |= {name: frame_of(rows) for name, rows in named.items() if is_table(rows)}
    written: list[Path] = []
    for name, table in tables.items():
        if summary.privileged and "agent" in table:
            is_privileged = [agent in summary.privileged for agent in table["agent"]]
            table = table.assign(privileged=is_privileged)
        table = as_written(table)
        path = directory / f"{name}.csv"
        with atomic_path(path) as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n")
        written.append(path)
    return tuple(written)


def as_written(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose sentences have the ASCII minus sign, as the files for machines have it."""
    return table.assign(
        **{column: [text.replace(MINUS, "-") for text in table[column]] for column in _WORDS & set(table)}
    )


def tidy_episodes(result: ResultSet, summary: Summary) -> pd.DataFrame:
    """Return the episodes with the columns label (the cell's written name) and normalised_score.

    Args:
        result: The result set.
        summary: Its numbers, for the reference scores.
    """
    table = with_labels(result.episodes)
    known = {row.game: (row.random, row.human) for row in summary.references}
    random, human = np.array([known[game] for game in table["game"]], dtype=np.float64).T
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
