"""The interval of the probability that a train seed of one agent beats one of another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from wsabench.errors import ShapeError
from wsabench.stats.bounds import Replicates, Stratum, corrected_bounds
from wsabench.stats.compiled.loading import pays
from wsabench.stats.intervals import DEFAULT_REPETITIONS, MIN_INTERVAL_SEEDS, Estimate, checked_options, seed_note
from wsabench.stats.resampling import Blocks, checked_blocks, count_draws, draw_seeds
from wsabench.types import FloatArray, IntArray

MOST_SEEDS_IN_A_TABLE = 5
"""Up to so many train seeds can be drawn in so few ways (126 for 5, without order) that a table holds all pairs."""
_DRAWING = 1e-8
"""Seconds for each resample by which compiled code draws sooner."""


def improvement_interval(
    x: Blocks,
    y: Blocks,
    rng: np.random.Generator,
    *,
    repetitions: int = DEFAULT_REPETITIONS,
    confidence: float = 0.95,
) -> Estimate:
    """Return `probability_of_improvement` over the cells of all games, with an interval over train seeds.

    It is what `seed_interval` gives for it. A resample's probability is a sum over pairs of drawn train seeds, so it
    follows from how often each was drawn, without a look at the cells again.

    Args:
        x: One array for each game, shape (num_seeds, num_cells), float64; all games have the same
            number of train seeds.
        y: The same games and cells of the other agent.
        rng: Where the draws come from; agents and games are resampled independently.
        repetitions: Bootstrap repetitions.
        confidence: The confidence level of the interval, between 0 and 1.

    Returns:
        The estimate, arrays of shape (). With fewer than three train seeds the bounds are NaN.

    Raises:
        ShapeError: A block has not two axes, there is none, or games, cells or train seeds differ.
        SpecError: `confidence` or `repetitions` is out of range.
    """
    every = [[range(np.shape(block)[-1]) for block in x]]
    found = improvement_intervals(x, y, every, rng, repetitions=repetitions, confidence=confidence)
    return found._replace(value=found.value[0], low=found.low[0], high=found.high[0])


def improvement_intervals(
    x: Blocks,
    y: Blocks,
    scopes: Sequence[Sequence[Sequence[int]]],
    rng: np.random.Generator,
    *,
    repetitions: int = DEFAULT_REPETITIONS,
    confidence: float = 0.95,
) -> Estimate:
    """Return `improvement_interval` over several choices of cells, which share their draws of train seeds.

    Args:
        x: As for `improvement_interval`.
        y: As for `improvement_interval`.
        scopes: For each choice of cells, and in it for each game, the columns of the cells; at least one cell in each
            choice.
        rng: As for `improvement_interval`.
        repetitions: As for `improvement_interval`.
        confidence: As for `improvement_interval`.

    Returns:
        The estimate, arrays of shape (num_scopes,).

    Raises:
        ShapeError: As for `improvement_interval`.
        SpecError: As for `improvement_interval`.
    """
    sides = [checked_blocks(x), checked_blocks(y)]
    shapes = [[block.shape[1] for block in side] for side in sides]
    if shapes[0] != shapes[1] or any(len({len(block) for block in side}) > 1 for side in sides):
        raise ShapeError(
            f"X has games of {shapes[0]} cells, Y of {shapes[1]}, or games differ in train seeds. Compare the two on "
            "the same games and cells, in the same order, with as many train seeds in each game."
        )
    checked_options(repetitions, confidence)
    wins = [_wins(of_x, of_y) for of_x, of_y in zip(*sides, strict=True)]
    value = _values(wins, scopes)
    num_seeds = min(len(side[0]) for side in sides)
    num_games = min(sum(len(columns) > 0 for columns in scope) for scope in scopes)
    drawn = [_Drawn.of(len(side[0]), len(side), rng, repetitions) for side in sides]
    if num_seeds < MIN_INTERVAL_SEEDS:
        return Estimate.without_interval(value, num_seeds)
    sums = np.zeros((len(scopes), repetitions))
    for place, of_game in enumerate(wins):
        of_scopes = np.stack([of_game[..., list(scope[place])].sum(axis=-1) for scope in scopes])
        sums += _sums(of_scopes, drawn[0], drawn[1], place)
    num_cells = [sum(map(len, scope)) for scope in scopes]
    sums /= len(sides[0][0]) * len(sides[1][0]) * np.array(num_cells)[:, None]
    strata = [Stratum(side.counts, side.counts.shape[1], way) for side in drawn for way in side.ways]
    low, high = corrected_bounds(Replicates(sums.T, strata), value, confidence)
    return Estimate(value, low, high, num_seeds, seed_note(num_seeds, num_games))


class _Drawn(NamedTuple):
    """Resamples of an agent's train seeds in several games."""

    counts: FloatArray
    """How often each seed is drawn, in every way to draw them, (num_ways, num_seeds)."""
    ways: IntArray
    """How they are drawn, (num_games, repetitions)."""

    @classmethod
    def of(cls, num_seeds: int, num_games: int, rng: np.random.Generator, repetitions: int) -> _Drawn:
        """Draw what `draw_seeds` draws for one game after the other."""
        size = num_games, repetitions
        if num_seeds > MOST_SEEDS_IN_A_TABLE:
            counts = count_draws(draw_seeds(num_seeds, rng, num_games * repetitions), num_seeds)
            return cls(counts, np.arange(len(counts)).reshape(size))
        counts, ways = _ways_to_draw(num_seeds)
        if num_seeds > 1 and pays(_DRAWING * num_games * repetitions):
            from wsabench.stats.compiled.seeds import compiled_ways

            found = compiled_ways(ways, num_seeds, rng, size)
            if found is not None:
                return cls(counts, found)
        rows = rng.integers(0, num_seeds, size=(*size, num_seeds))
        orders = rows[..., 0]
        for place in range(1, num_seeds):
            orders = num_seeds * orders + rows[..., place]
        return cls(counts, ways[orders])


@cache
def _ways_to_draw(num_seeds: int) -> tuple[FloatArray, IntArray]:
    """Return how often each seed is drawn in every way, whatever the order, and the way of each order."""
    every = np.indices((num_seeds,) * num_seeds).reshape(num_seeds, -1).T
    counts, ways = np.unique(count_draws(every, num_seeds), axis=0, return_inverse=True)
    return counts, ways.ravel()


def _sums(wins: FloatArray, x: _Drawn, y: _Drawn, place: int) -> FloatArray:
    """Return the wins of each scope over all pairs of drawn seeds of one game, shape (num_scopes, repetitions)."""
    if max(x.counts.shape[1], y.counts.shape[1]) <= MOST_SEEDS_IN_A_TABLE:
        of_ways = x.counts @ wins @ y.counts.T
        return of_ways.reshape(len(wins), -1)[:, x.ways[place] * len(y.counts) + y.ways[place]]
    of_x, of_y = x.counts[x.ways[place]], y.counts[y.ways[place]]
    return np.stack([np.einsum("ri,ri->r", of_x @ of_scope, of_y) for of_scope in wins])


def _wins(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return whether each train seed of x beats each of y, ties as halves, (num_seeds_x, num_seeds_y, num_cells)."""
    return (np.sign(x[:, None] - y[None]) + 1.0) / 2.0


def _values(wins: Sequence[FloatArray], scopes: Sequence[Sequence[Sequence[int]]]) -> FloatArray:
    """Return `probability_of_improvement` of each scope, shape (num_scopes,)."""
    of_cells = [of_game.mean(axis=(0, 1)) for of_game in wins]
    starts = np.cumsum([0, *map(len, of_cells)])
    every = np.concatenate(of_cells)
    found = np.empty(len(scopes))
    for place, scope in enumerate(scopes):
        columns = [start + column for start, of_game in zip(starts, scope, strict=False) for column in of_game]
        found[place] = every[columns].mean()
    return found
