"""Scores, retention and robustness gap of every cell, with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from msgspec import structs

from wsabench import stats
from wsabench.results.manifest import AgentId
from wsabench.results.records import CLEAN
from wsabench.stats import Blocks
from wsabench.summary.averages import (
    Averages,
    averages,
    columns_by_perturbation,
    over_cells,
)
from wsabench.summary.rows import (
    MEASURES,
    Bounded,
    BoundedTwice,
    CellRow,
    CheckpointsRow,
    Measure,
    PerturbationRow,
    SeedRow,
    grouped,
)
from wsabench.summary.scores import GameScores
from wsabench.types import BoolArray, FloatArray, IntArray

_UNKNOWN = BoundedTwice(math.nan)
_OVER_EPISODES: tuple[Measure, ...] = ("normalised_score", "robustness_gap", "retention")
"""What has bounds over episodes, in the order of their columns."""


class Ends(NamedTuple):
    """How the episodes of a cell ended, of all train seeds together."""

    num_stalled: int = 0
    """Number of episodes that were ended as stalled."""
    num_time_limit: int = 0
    """Number of episodes that were ended at the frame limit."""
    num_as_clean: int = 0
    """Number of episodes whose return, length and end are those of the clean episode of the same network and seed."""


def cell_table(
    scores: Sequence[GameScores], bootstrap_seed: int, ends: Mapping[tuple[str, str, str], Ends]
) -> tuple[CellRow, ...]:
    """Return one row for each agent, game and cell.

    Args:
        scores: Every agent and game.
        bootstrap_seed: Seed of the resampling.
        ends: How episodes ended, by agent, game and label.
    """
    rows: list[CellRow] = []
    for game in scores:
        measured = _measured([game], {cell.label: (0,) for cell in game.cells}, bootstrap_seed)
        rows += [
            CellRow(
                agent=game.agent,
                game=game.game,
                **structs.asdict(cell),
                num_seeds=len(game.train_seeds),
                num_episodes=int(game.num_episodes[:, column].sum()),
                num_distinct_episodes=int(game.distinct[:, column].sum()),
                mean_return=float(game.mean_returns[:, column].mean()),
                random_return=float(game.random_returns[column]),
                **_fields(CellRow, measured[cell.label]),
                **ends.get((game.agent, game.game, cell.label), Ends())._asdict(),
            )
            for column, cell in enumerate(game.cells)
        ]
    return tuple(rows)


def perturbation_table(scores: Sequence[GameScores], bootstrap_seed: int) -> tuple[PerturbationRow, ...]:
    """Return one row for each agent and perturbation with severity, averaged over the games that have it.

    Args:
        scores: Every agent and game.
        bootstrap_seed: Seed of the resampling.
    """
    rows: list[PerturbationRow] = []
    for agent, games in grouped(scores, lambda game: game.agent).items():
        by_label = grouped((cell for game in games for cell in game.cells), lambda cell: cell.label)
        places = {label: _places_with(games, label) for label in by_label}
        measured = _measured(games, places, bootstrap_seed)
        rows += [
            PerturbationRow(
                agent=agent,
                **structs.asdict(cell),
                num_games=measured[label].averages.num_games or len(places[label]),
                num_seeds=measured[label].averages.num_seeds,
                **_fields(PerturbationRow, measured[label]),
            )
            for label, (cell, *_) in by_label.items()
        ]
    return tuple(rows)


def seed_table(scores: Sequence[GameScores]) -> tuple[SeedRow, ...]:
    """Return one row for each agent, train seed, game and cell: the means over its episodes.

    Retention is the seed's own ratio, corrected for the noise of its clean score; NaN where that is not above 0, and in
    games where retention is undefined.

    Args:
        scores: Every agent and game.
    """
    rows: list[SeedRow] = []
    for game in scores:
        values, returns, clean = game.means, game.mean_returns, game.clean_column
        retained = seed_ratios(game)
        gaps = np.full_like(values, np.nan) if clean is None else values[:, [clean]] - game.above_random
        rows += [
            SeedRow(
                id=AgentId(game.agent, train_seed, game.game),
                **structs.asdict(cell),
                mean_return=float(returns[row, column]),
                normalised_score=float(values[row, column]),
                retention=float(retained[row, column]),
                robustness_gap=float(gaps[row, column]),
            )
            for row, train_seed in enumerate(game.train_seeds)
            for column, cell in enumerate(game.cells)
        ]
    return tuple(rows)


def checkpoints_table(scores: Sequence[GameScores], bootstrap_seed: int) -> tuple[CheckpointsRow, ...]:
    """Return the clean and the kept score of agents with too few train seeds for an interval over them.

    Args:
        scores: The games of each agent, with the cells that averages are over.
        bootstrap_seed: Seed of the resampling.

    Returns:
        One row for each such agent that was played under some perturbation. Retention is over the games in which it is
        defined, scores are over those with clean play and reference scores.
    """
    rows: list[CheckpointsRow] = []
    for agent, played in grouped(scores, lambda game: game.agent).items():
        games = [game for game in played if columns_by_perturbation(game)]
        num_seeds = min((len(game.train_seeds) for game in games), default=0)
        if not 0 < num_seeds < stats.MIN_INTERVAL_SEEDS:
            continue
        known = [game for game in games if game.is_known and game.clean_column is not None]
        clean, kept = _whole_over_episodes(known, bootstrap_seed, _clean_and_kept) if known else (_UNKNOWN, _UNKNOWN)
        defined = [game for game in known if game.has_retention]
        (retention,) = _whole_over_episodes(defined, bootstrap_seed, _retained) if defined else (_UNKNOWN,)
        returns = _whole_returns(games[0]) if len(games) == 1 else (math.nan, math.nan)
        rows.append(
            CheckpointsRow(
                agent=agent,
                clean=clean,
                kept=kept,
                retention=retention,
                clean_return=returns[0],
                kept_return=returns[1],
                num_seeds=num_seeds,
                num_games=len(games),
            )
        )
    return tuple(rows)


def _episode_streams(bootstrap_seed: int, games: Sequence[GameScores]) -> list[tuple[int, str, str, str]]:
    """Return the streams of draws of episodes, one for each game.

    Named by the game alone: another agent, game or perturbation in the suite moves no interval of this one, and a cell
    has one interval, whether it stands alone or with others. All agents share the draws.
    """
    return [(bootstrap_seed, "bootstrap", "episodes", game.game) for game in games]


def _whole_over_episodes(
    games: Sequence[GameScores], bootstrap_seed: int, statistic: Callable[[FloatArray], FloatArray]
) -> list[BoundedTwice]:
    """Return averages over games of what a statistic makes of clean, kept, and kept above random play.

    Args:
        games: Games with clean play and reference scores.
        bootstrap_seed: Seed of the resampling.
        statistic: Takes means over train seeds of these three, shape (repetitions, 3); gives (repetitions, num_values).
    """
    parts = [list(columns_by_perturbation(game).values()) for game in games]

    def averaged(blocks: Blocks) -> FloatArray:
        values: list[FloatArray] = []
        for block, columns in zip(blocks, parts, strict=True):
            means = stats.over_seeds(block)
            clean, cells = means[:, 0], means[:, 1:]
            size = cells.shape[1] // 2
            whole = [over_cells(half, columns) for half in (cells[:, :size], cells[:, size:])]
            values.append(statistic(np.stack([clean, *whole], axis=-1)))
        return stats.mean_over(values)

    samples = [(_clean_and(game, game.labels, is_moved=True), game.drawn_episodes) for game in games]
    found = stats.shared_episode_interval(averaged, samples, _episode_streams(bootstrap_seed, games))
    numbers = zip(found.value, found.low, found.high, strict=True)
    return [BoundedTwice(float(one), episode_low=float(low), episode_high=float(high)) for one, low, high in numbers]


def _clean_and_kept(whole: FloatArray) -> FloatArray:
    return whole[:, :2]


def _retained(whole: FloatArray) -> FloatArray:
    clean = np.where(stats.retention_is_defined(whole[:, 0]), whole[:, 0], np.nan)
    return (whole[:, 2] / clean)[:, None]


def _whole_returns(game: GameScores) -> tuple[float, float]:
    """Return the mean return of clean play, NaN without it, and over all perturbations."""
    means, clean = game.mean_returns.mean(axis=0), game.clean_column
    kept = float(over_cells(means, list(columns_by_perturbation(game).values())))
    return (math.nan if clean is None else float(means[clean])), kept


def seed_ratios(game: GameScores) -> FloatArray:
    """Return each train seed's own retention, corrected for the noise of its clean score.

    Args:
        game: One agent in one game.

    Returns:
        Float64, shape (num_seeds, num_cells); NaN where a seed's clean score is not above 0, or retention is undefined.
    """
    clean = game.clean_column
    if clean is None or not game.has_retention:
        return np.full(game.means.shape, np.nan)
    return stats.seed_retention(game.uncertain_scores[:, clean], _above_random_episodes(game))


def severity_table(perturbations: Sequence[PerturbationRow]) -> tuple[PerturbationRow, ...]:
    """Return the curves over severity, each starting at severity 0, which is clean.

    Args:
        perturbations: As `perturbation_table` gives it.

    Returns:
        The rows by agent, perturbation and severity; perturbations without a scale are left out.
    """
    curves: list[PerturbationRow] = []
    scaled = [row for row in perturbations if row.severity is not None]
    clean = {row.agent: row for row in perturbations if row.label == CLEAN}
    for (agent, family, name), curve in grouped(scaled, lambda row: (row.agent, row.family, row.perturbation)).items():
        if agent in clean:
            curves.append(structs.replace(clean[agent], perturbation=name, family=family, severity=0))
        curves += sorted(curve, key=lambda row: row.severity or 0)
    return tuple(curves)


class _Measured(NamedTuple):
    """Averages of one cell, and their bounds over episodes of these checkpoints."""

    averages: Averages
    measures: dict[Measure, BoundedTwice]


def _fields(row: type[CellRow] | type[PerturbationRow], measured: _Measured) -> dict[str, Any]:
    """Return the fields of a row that come from averages, those with bounds over episodes among them."""
    found = measured.averages._asdict() | measured.measures
    named = set(row.__struct_fields__) - {"num_games", "num_seeds"}
    return {name: value for name, value in found.items() if name in named}


def _measured(
    games: Sequence[GameScores], places: Mapping[str, tuple[int, ...]], bootstrap_seed: int
) -> dict[str, _Measured]:
    """Return, by label, the measures of cells over the games at these places, which have them."""
    scopes = {label: {place: [[games[place].columns[label]]] for place in of} for label, of in places.items()}
    averaged = averages(games, scopes, bootstrap_seed)
    bounds: dict[str, dict[Measure, tuple[float, float]]] = {}
    alike: dict[tuple[tuple[int, ...], bytes], list[str]] = {}
    draws = [_draws(game) for game in games]
    for label, of in places.items():
        known = tuple(place for place in of if games[place].is_known)
        if known:
            of_label = [draws[place].of_cell(games[place].columns[label]) for place in known]
            alike.setdefault((known, b"".join(part.tobytes() for one in of_label for part in one)), []).append(label)
    for (known, _), labels in alike.items():
        of_games = [(games[place], draws[place].of_cell(games[place].columns[labels[0]])) for place in known]
        bounds |= _episode_bounds(of_games, labels, bootstrap_seed)
    return {label: _Measured(one, _bounded(one, bounds.get(label, {}), label)) for label, one in averaged.items()}


def _bounded(
    averaged: Averages, bounds: Mapping[Measure, tuple[float, float]], label: str
) -> dict[Measure, BoundedTwice]:
    measured: dict[Measure, BoundedTwice] = {}
    for measure in MEASURES:
        one: Bounded = getattr(averaged, measure)
        # Clean against itself is 1 and 0 by definition: there is nothing to be uncertain about.
        is_given = label == CLEAN and measure != "normalised_score"
        ends = () if is_given else bounds.get(measure, ())
        measured[measure] = BoundedTwice(one.value, one.low, one.high, *ends)
    return measured


def _episode_bounds(
    drawn: Sequence[tuple[GameScores, _Draws]], labels: Sequence[str], bootstrap_seed: int
) -> dict[str, dict[Measure, tuple[float, float]]]:
    """Return, by label, the bounds over episodes of cells that all these games have, which share their draws."""
    games = [game for game, _ in drawn]
    is_moved = any(np.nan_to_num(game.random_shift).any() for game in games)
    streams = _episode_streams(bootstrap_seed, games)
    found = stats.measures_over_episodes(
        [
            stats.CheckpointEpisodes(
                _clean_and(game, labels, is_moved=is_moved)[..., draws.episodes],
                draws.numbers,
                stream,
                game.has_retention,
                draws.units,
            )
            for (game, draws), stream in zip(drawn, streams, strict=True)
        ],
        len(labels),
    )
    ends = np.stack([found.low, found.high], axis=-1)
    return {
        label: {measure: (low, high) for measure, (low, high) in zip(_OVER_EPISODES, of_label, strict=True)}
        for label, of_label in zip(labels, ends.tolist(), strict=True)
    }


def _clean_and(game: GameScores, labels: Sequence[str], *, is_moved: bool) -> FloatArray:
    """Return the episodes of clean, of some cells, and of these above random play of the changed game, if it moved.

    Shape (num_seeds, 1 + num_cells or 1 + 2 num_cells, num_episodes); clean is NaN where it was not played.
    """
    columns = [game.columns[label] for label in labels]
    scores, clean = game.uncertain_scores, game.clean_column
    first = np.full_like(scores[:, :1], np.nan) if clean is None else scores[:, [clean]]
    above = [_above_random_episodes(game)[:, columns]] if is_moved else []
    return np.concatenate([first, scores[:, columns], *above], axis=1)


def _above_random_episodes(game: GameScores) -> FloatArray:
    """Return the episodes as they are set against clean ones: above random play of the same changed game."""
    return game.uncertain_scores - np.nan_to_num(game.random_shift)[:, None]


class _Draws(NamedTuple):
    """How episodes are drawn for each cell of a game beside clean, or for one: the first axis of each array."""

    episodes: BoolArray
    """Which episodes are drawn, shape (num_cells, num_episodes): those that clean or the cell has."""
    numbers: IntArray
    """How many are drawn for each train seed, shape (num_cells, num_seeds)."""
    units: IntArray
    """How many different ones clean or the cell has, whichever has fewer, shape (num_cells, num_seeds)."""

    def of_cell(self, column: int) -> _Draws:
        """Return those of one cell."""
        return _Draws(*(part[column] for part in self))


def _draws(game: GameScores) -> _Draws:
    """Return how episodes are drawn for each cell.

    Of clean and the cell, as many as differ in the worse one. A draw is one of all episode seeds that either has, so
    the one with fewer episodes gets as few of them as it has. What other cells have makes no difference.
    """
    distinct, share = game.distinct, game.distinct / game.num_episodes
    episodes: BoolArray = np.asarray((~np.isnan(game.returns)).any(axis=0))
    if game.clean_column is not None:
        distinct = np.minimum(distinct, distinct[:, [game.clean_column]])
        share = np.minimum(share, share[:, [game.clean_column]])
        episodes = episodes | episodes[game.clean_column]
    drawn = np.maximum(np.round(episodes.sum(axis=1) * share).astype(np.int64), 1)
    return _Draws(episodes, np.where(distinct < 2, 1, drawn).T, np.minimum(distinct, drawn).T)


def _places_with(games: Sequence[GameScores], label: str) -> tuple[int, ...]:
    return tuple(place for place, game in enumerate(games) if game.index(label) is not None)
