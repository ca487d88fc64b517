"""The interval of the probability that a train seed of one agent beats one of another."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from wsabench.errors import ShapeError, SpecError
from wsabench.stats.aggregates import probability_of_improvement
from wsabench.stats.bounds import Replicates, Stratum, corrected_bounds
from wsabench.stats.compiled.loading import pays
from wsabench.stats.intervals import DEFAULT_REPETITIONS, MIN_INTERVAL_SEEDS, Estimate, seed_note
from wsabench.stats.resampling import Blocks, checked_blocks, count_draws, draw_seeds
from wsabench.types import FloatArray, IntArray

MOST_SEEDS_IN_A_TABLE = 5
"""So few train seeds can be drawn in so few ways (126, in whatever order) that all pairs of them fit into a table."""
_DRAWING = 1e-8
"""Seconds a resample by which compiled code draws sooner."""


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
        x: One array a game, shape (num_seeds, num_cells), float64; as many train seeds in each game.
        y: The same games and cells of the other agent.
        rng: Where the draws come from; agents and games are resampled independently.
        repetitions: Bootstrap repetitions.
        confidence: Between 0 and 1.

    Returns:
        The estimate, arrays of shape (). With fewer than three train seeds the bounds are NaN.

    Raises:
        ShapeError: A block has not two axes, there is none, or games, cells or train seeds differ.
        SpecError: `confidence` or `repetitions` is out of range.
    """
    sides = [checked_blocks(x), checked_blocks(y)]
    shapes = [[block.shape[1] for block in side] for side in sides]
    if shapes[0] != shapes[1] or any(len({len(block) for block in side}) > 1 for side in sides):
        raise ShapeError(
            f"X has games of {shapes[0]} cells, Y of {shapes[1]}, or games differ in train seeds. Compare the two on "
            "the same games and cells, in the same order, with as many train seeds in each game."
        )
    if not 0.0 < confidence < 1.0 or repetitions < 1:
        raise SpecError(
            f"The confidence is {confidence!r}, the repetitions are {repetitions}. Allowed: numbers between 0 and 1, "
            "and integers from 1; use 0.95 and 10000."
        )
    value = np.asarray(probability_of_improvement(*(np.concatenate(side, axis=1) for side in sides)))
    num_seeds = min(len(side[0]) for side in sides)
    drawn = [_Drawn.of(len(side[0]), len(side), rng, repetitions) for side in sides]
    if num_seeds < MIN_INTERVAL_SEEDS:
        nothing = np.full((), np.nan)
        return Estimate(value, nothing, nothing, num_seeds, seed_note(num_seeds))
    sums = np.zeros(repetitions)
    for place, (of_x, of_y) in enumerate(zip(*sides, strict=True)):
        sums += _sums(_wins(of_x, of_y), drawn[0], drawn[1], place)
    pairs = len(sides[0][0]) * len(sides[1][0]) * sum(shapes[0])
    strata = [Stratum(side.counts, side.counts.shape[1], way) for side in drawn for way in side.ways]
    low, high = corrected_bounds(Replicates(sums / pairs, strata), value, confidence)
    return Estimate(value, low, high, num_seeds, seed_note(num_seeds))


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
    """Return the wins over all pairs of drawn seeds of one game, shape (repetitions,)."""
    if max(x.counts.shape[1], y.counts.shape[1]) <= MOST_SEEDS_IN_A_TABLE:
        return (x.counts @ wins @ y.counts.T)[x.ways[place], y.ways[place]]
    return np.einsum("ri,ri->r", x.counts[x.ways[place]] @ wins, y.counts[y.ways[place]])


def _wins(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return in how many cells each train seed of x beats each of y, ties as halves, (num_seeds_x, num_seeds_y)."""
    return ((np.sign(x[:, None] - y[None]) + 1.0) / 2.0).sum(axis=-1)
