"""What several agents share: the games and cells that all of them played."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from wsabench.results.records import CLEAN
from wsabench.stats import normalised_score
from wsabench.summary.aggregates import by_agent, common_cells
from wsabench.summary.rows import grouped
from wsabench.summary.scores import GameScores
from wsabench.types import FloatArray


def shared_play(scores: Sequence[GameScores]) -> dict[str, list[GameScores]]:
    """Return, by agent, the games with reference scores and their cells that all agents played.

    Args:
        scores: Every agent and game.

    Returns:
        The games in one order for every agent, each with the same cells in the same order; no game where agents share
        none.
    """
    common = common_cells(scores)
    agents = by_agent(scores)
    shared: dict[str, list[GameScores]] = {agent: [] for agent in agents}
    for name, labels in common.items():
        for agent, games in agents.items():
            game = next((game for game in games if game.game == name), None)
            if game is not None and labels and not math.isnan(sum(game.reference)):
                shared[agent].append(_with_cells(game, labels))
    return shared


def mean_scores(game: GameScores) -> FloatArray:
    """Return the normalised mean return of each train seed in each cell, shape (num_seeds, num_cells).

    Args:
        game: The scores; episodes that a job lacks are NaN and left out.
    """
    return normalised_score(np.nanmean(game.returns, axis=2), *game.reference)


def perturbed_columns(game: GameScores) -> dict[str, list[int]]:
    """Return the columns of each perturbation's severities.

    Args:
        game: The scores.
    """
    columns = (column for column, cell in enumerate(game.cells) if cell.label != CLEAN)
    return grouped(columns, lambda column: game.cells[column].perturbation)


def perturbed_scores(values: FloatArray, columns: Sequence[Sequence[int]]) -> FloatArray:
    """Average cells of one game: the severities of a perturbation, then perturbations.

    Args:
        values: Shape (..., num_cells).
        columns: The severities of each perturbation, at least one.

    Returns:
        Shape (...).
    """
    return np.mean([values[..., list(severities)].mean(axis=-1) for severities in columns], axis=0)


def _with_cells(game: GameScores, labels: Sequence[str]) -> GameScores:
    columns = [game.labels.index(label) for label in labels]
    return replace(
        game,
        cells=tuple(game.cells[column] for column in columns),
        returns=game.returns[:, columns],
        distinct=game.distinct[:, columns],
    )
