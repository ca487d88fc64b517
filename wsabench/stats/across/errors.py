"""Intervals of an agent's errors relative to a baseline's, over the severities and games of a perturbation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from wsabench.stats.bounds import Replicates, Stratum, corrected_bounds
from wsabench.stats.intervals import (
    DEFAULT_REPETITIONS,
    MIN_INTERVAL_SEEDS,
    Estimate,
    checked_options,
    different_means,
    seed_note,
)
from wsabench.stats.resampling import Blocks, checked_blocks, count_draws, draw_seeds
from wsabench.stats.severity import (
    corruption_error,
    error_ceiling,
    error_difference,
    loss_difference,
    relative_corruption_error,
)
from wsabench.types import FloatArray, IntArray

Places = Mapping[int, tuple[Sequence[int], Sequence[int]]]
"""Where the severities of a perturbation stand: by the place of each game, the agent's columns and the baseline's."""


def error_interval(
    ours: Blocks,
    theirs: Blocks,
    perturbations: Sequence[Places],
    rng: np.random.Generator,
    *,
    repetitions: int = DEFAULT_REPETITIONS,
    confidence: float = 0.95,
) -> Estimate:
    """Return four errors of an agent relative to a baseline, by perturbation and on average, with intervals.

    They are `corruption_error`, `relative_corruption_error`, `error_difference` and `loss_difference`, the severities
    of all games taken together. Resamples add up what each game brings, which is what `seed_interval` gives to the
    rounding of a float.

    Args:
        ours: One array for each game, shape (num_seeds, 1 + num_cells), float64: clean (NaN where it was not
            played), then cells.
        theirs: The same games of the baseline; its cells may stand in other columns.
        perturbations: Where the cells of each perturbation stand, at least one game in each.
        rng: Where the draws come from; agents and games are resampled independently.
        repetitions: Bootstrap repetitions.
        confidence: The confidence level of the interval, between 0 and 1.

    Returns:
        The estimate, arrays of shape (num_perturbations + 1, 4), the mean over perturbations last. The intervals are
        over train seeds.

    Raises:
        ShapeError: A block has not two axes, or there is no block.
        SpecError: `confidence` or `repetitions` is out of range.
    """
    checked_options(repetitions, confidence)
    sides = [checked_blocks(ours), checked_blocks(theirs)]
    value = _with_mean(np.stack([_on_data(sides, places) for places in perturbations]))
    num_seeds = min(len(block) for side in sides for block in side)
    if num_seeds < MIN_INTERVAL_SEEDS:
        return Estimate.without_interval(value, num_seeds)
    drawn = [[draw_seeds(len(block), rng, repetitions) for block in side] for side in sides]
    strata = [Stratum(count_draws(rows, rows.shape[1]), rows.shape[1]) for side in drawn for rows in side]
    values = _with_mean(_resampled(sides, drawn, perturbations))
    low, high = corrected_bounds(Replicates(np.moveaxis(values, -1, 0), strata), value, confidence)
    return Estimate(value, low, high, num_seeds, seed_note(num_seeds, min(map(len, perturbations))))


def _with_mean(values: FloatArray) -> FloatArray:
    """Put the mean over perturbations, the first axis, behind them."""
    return np.concatenate([values, values.mean(axis=0, keepdims=True)])


def _on_data(sides: Sequence[Blocks], places: Places) -> FloatArray:
    """Return the errors of one perturbation on the data themselves, (4,)."""
    scores, cleans = [], []
    for side, blocks in enumerate(sides):
        means = [blocks[game][None][..., columns[side]].mean(axis=-2) for game, columns in places.items()]
        starts = [blocks[game][None][..., :1].mean(axis=-2) for game in places]
        scores.append(np.concatenate(means, axis=-1)[0])
        # The clean score of each game, once for each of its severities.
        cleans.append(np.concatenate([start + 0.0 * m for start, m in zip(starts, means, strict=True)], axis=-1)[0])
    (ours, theirs), (clean, their_clean) = scores, cleans
    ceiling = _ceiling(clean, their_clean)
    return np.stack(
        [
            corruption_error(ours, theirs),
            relative_corruption_error(clean.mean(axis=-1), ours, their_clean.mean(axis=-1), theirs),
            error_difference(ours, theirs, ceiling),
            loss_difference(clean - ours, their_clean - theirs, ceiling),
        ]
    )


def _ceiling(clean: FloatArray, their_clean: FloatArray) -> FloatArray:
    # Where clean was not played human play alone is the ceiling: the difference stays defined.
    return error_ceiling(np.nan_to_num(clean), np.nan_to_num(their_clean))


class _Sums(NamedTuple):
    """Sums over the severities of each perturbation in one game and side, (num_perturbations, ways); 0 without any."""

    scores: FloatArray
    shortfalls: FloatArray
    losses: FloatArray
    clean: FloatArray
    """Shape (ways,)."""
    ways: IntArray | slice
    """The way of each repetition."""

    @classmethod
    def of(cls, block: FloatArray, rows: IntArray, columns: Sequence[Sequence[int]]) -> _Sums:
        """Add up, with the columns of each perturbation, maybe none."""
        means, ways = different_means(block, rows)
        clean = np.ascontiguousarray(means[:, 0, 0])
        scores, shortfalls, losses = (np.zeros((len(columns), len(clean))) for _ in range(3))
        for place, some in enumerate(columns):
            if some:
                cells = means[:, 0][:, list(some)]
                scores[place] = cells.sum(axis=1)
                shortfalls[place] = np.maximum(0.0, 1.0 - cells).sum(axis=1)
                losses[place] = (clean[:, None] - cells).sum(axis=1)
        return cls(scores, shortfalls, losses, clean, ways)


def _resampled(
    sides: Sequence[Blocks], drawn: Sequence[Sequence[IntArray]], perturbations: Sequence[Places]
) -> FloatArray:
    """Return the errors of all resamples, (num_perturbations, 4, repetitions)."""
    shape = len(perturbations), len(drawn[0][0])
    top, bottom = np.zeros((2, *shape)), np.zeros((2, *shape))
    differences = np.zeros((2, *shape))
    for game, (blocks, rows) in enumerate(zip(zip(*sides, strict=True), zip(*drawn, strict=True), strict=True)):
        columns = [[places[game][side] if game in places else () for places in perturbations] for side in range(2)]
        ours, theirs = (_Sums.of(*one) for one in zip(blocks, rows, columns, strict=True))
        ceiling = _ceiling(ours.clean[ours.ways], theirs.clean[theirs.ways])
        for place, (our_sums, their_sums) in enumerate(zip(ours[1:3], theirs[1:3], strict=True)):
            top[place] += our_sums[:, ours.ways]
            bottom[place] += their_sums[:, theirs.ways]
        for place, (larger, smaller) in enumerate(((theirs[0], ours[0]), (ours.losses, theirs.losses))):
            ways = (theirs.ways, ours.ways) if place == 0 else (ours.ways, theirs.ways)
            differences[place] += (larger[:, ways[0]] - smaller[:, ways[1]]) / ceiling
    num_cells = np.array([sum(len(columns) for columns, _ in places.values()) for places in perturbations])
    ratios = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
    return np.moveaxis(np.concatenate([ratios, differences / num_cells[:, None]]), 0, 1)
