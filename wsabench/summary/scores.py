"""From the episodes of a result set to arrays of scores, one array for each agent and game."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from wsabench.errors import SpecError, StorageError
from wsabench.protocol import Protocol
from wsabench.resources import data_dir
from wsabench.results.manifest import RecordedPlan
from wsabench.results.records import CLEAN, episode_keys
from wsabench.stats import normalised_score
from wsabench.summary.rows import Cell, PublishedRow
from wsabench.types import FloatArray


class Reference(NamedTuple):
    """Raw scores that the normalised score is measured against; NaN where unknown."""

    random: float
    human: float


@dataclass(frozen=True, slots=True)
class GameScores:
    """Everything one agent played in one game: complete rows and columns, episodes paired by seed."""

    agent: str
    game: str
    train_seeds: tuple[int, ...]
    cells: tuple[Cell, ...]
    """In the order of the run."""
    returns: FloatArray
    """Undiscounted, unclipped returns, shape (num_seeds, num_cells, num_episodes)."""
    distinct: npt.NDArray[np.int64]
    """Different episodes, shape (num_seeds, num_cells)."""
    reference: Reference

    @property
    def scores(self) -> FloatArray:
        """Normalised scores, shape (num_seeds, num_cells, num_episodes); NaN where the game has no reference."""
        return normalised_score(self.returns, self.reference.random, self.reference.human)

    @property
    def labels(self) -> list[str]:
        """The written name of each cell, in order."""
        return [cell.label for cell in self.cells]

    def index(self, label: str) -> int | None:
        """Return the column of a cell, None where it was not played."""
        labels = self.labels
        return labels.index(label) if label in labels else None

    def with_seeds(self, train_seeds: Sequence[int]) -> GameScores:
        """Return the same with the rows of some of its train seeds only."""
        rows = [self.train_seeds.index(seed) for seed in train_seeds]
        return replace(self, train_seeds=tuple(train_seeds), returns=self.returns[rows], distinct=self.distinct[rows])


def collect_scores(
    episodes: pd.DataFrame, plan: RecordedPlan, references: Mapping[str, Reference]
) -> tuple[list[GameScores], list[str]]:
    """Arrange episodes by agent and game.

    Args:
        episodes: The result set's episodes with the column `label`.
        plan: What was planned: the order of agents and perturbations, and the protocol.
        references: Reference scores by game.

    Returns:
        One entry for each agent and game, and sentences about what had to be left out.
    """
    collected: list[GameScores] = []
    notes: list[str] = []
    order = agent_order(episodes, plan)
    games = [*plan.games, *sorted(set(episodes["game"]))]
    parts = {cast("tuple[str, str]", key): part for key, part in episodes.groupby(["agent", "game"], sort=False)}
    for agent, game in sorted(parts, key=lambda key: (order.index(key[0]), games.index(key[1]))):
        scores, left_out = _arrange(parts[agent, game], plan, references[game])
        if scores is not None:
            collected.append(scores)
        if left_out:
            listed = ", ".join(left_out[:4]) + (", ..." if len(left_out) > 4 else "")
            cells = "1 cell is" if len(left_out) == 1 else f"{len(left_out)} cells are"
            notes.append(f"{agent} on {game}: {cells} left out, because not every train seed has finished: {listed}.")
    return collected, notes


def agent_order(episodes: pd.DataFrame, plan: RecordedPlan) -> list[str]:
    """Return the agents that have episodes, in the order the user named them."""
    played = list(dict.fromkeys(episodes["agent"]))
    named = list(dict.fromkeys(entry.agent for entry in plan.agents))
    return [name for name in named if name in played] + [name for name in played if name not in named]


def may_repeat_episodes(protocol: Protocol) -> bool:
    """Whether episodes of one checkpoint can be the same: greedy choice and no sticky actions."""
    return protocol.action_selection == "greedy" and not protocol.sticky_probability


def _arrange(part: pd.DataFrame, plan: RecordedPlan, reference: Reference) -> tuple[GameScores | None, list[str]]:
    """Return one agent and game as arrays, and the labels of cells that not all train seeds finished."""
    columns = part.drop_duplicates("label")[["family", "perturbation", "severity", "label"]]
    order = {name: place for place, name in enumerate([CLEAN, *plan.perturbations])}
    found = (
        Cell(family, perturbation, None if pd.isna(severity) else int(severity), label)
        for family, perturbation, severity, label in columns.itertuples(index=False)
    )
    cells = sorted(found, key=lambda cell: order.get(cell.label, len(order)))
    returns = part.pivot(index=["train_seed", "label"], columns="episode_seed", values="return")
    returns = returns.dropna(axis="columns")
    seeds = tuple(sorted(int(seed) for seed in part["train_seed"].unique()))
    finished = [cell.label for cell in cells if all((seed, cell.label) in returns.index for seed in seeds)]
    left_out = [cell.label for cell in cells if cell.label not in finished]
    if not finished or returns.shape[1] == 0:
        return None, left_out
    rows = pd.MultiIndex.from_product([seeds, finished])
    shape = (len(seeds), len(finished))
    if may_repeat_episodes(plan.protocol):
        different = part.assign(key=episode_keys(part)).drop_duplicates(["train_seed", "label", "key"])
        distinct = different.groupby(["train_seed", "label"]).size().reindex(rows).to_numpy(dtype=np.int64)
    else:
        distinct = np.full(len(rows), returns.shape[1], dtype=np.int64)
    scores = GameScores(
        agent=str(part["agent"].iloc[0]),
        game=str(part["game"].iloc[0]),
        train_seeds=seeds,
        cells=tuple(cell for cell in cells if cell.label in finished),
        returns=returns.loc[rows].to_numpy(dtype=np.float64).reshape(*shape, -1),
        distinct=distinct.reshape(shape),
        reference=reference,
    )
    return scores, left_out


def reference_scores(games: Sequence[str], plan: RecordedPlan) -> dict[str, Reference]:
    """Return the random and the human score of each game: those that were recorded, else the catalogue's.

    Args:
        games: Game ids.
        plan: What was planned; its reference scores may lack a game.
    """
    recorded = plan.reference_scores
    return {
        game: _reference(recorded[game].random, recorded[game].human) if game in recorded else _of_catalogue(game)
        for game in games
    }


def _reference(random: float | None, human: float | None) -> Reference:
    return Reference(*(math.nan if value is None else float(value) for value in (random, human)))


def _of_catalogue(game: str) -> Reference:
    from wsabench.games import load_game

    entry = load_game(game)
    return _reference(entry.random_score, entry.human_score)


COLUMNS = ("game", "agent", "algorithm", "mean", "sd", "source")


def published_table(references: Mapping[str, Reference]) -> tuple[PublishedRow, ...]:
    """Return the published scores of some games, from `baselines/published_scores.csv`.

    Args:
        references: Random and human score by game.

    Returns:
        The scores by game, normalised where there are references. They come from other protocols and training
        budgets: they are for orientation, not for tests.

    Raises:
        SpecError: The table lacks a column.
        StorageError: It cannot be read.
    """
    path = data_dir("baselines") / "published_scores.csv"
    try:
        table = pd.read_csv(path)
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror}. Reinstall wsabench.") from error
    if tuple(table.columns) != COLUMNS:
        raise SpecError(f"{path}: columns are {', '.join(table.columns)}. Allowed: {', '.join(COLUMNS)}.")
    # By game in the order of the run; within a game in the order of the file.
    rows = ((game, row) for game in references for row in table[table["game"] == game].itertuples(index=False))
    return tuple(
        PublishedRow(
            **dict(zip(COLUMNS, row, strict=True)),
            normalised_score=float(normalised_score(row[COLUMNS.index("mean")], *references[game])),
        )
        for game, row in rows
    )
