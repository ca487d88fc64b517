"""Intervals of aggregates over the cells of all games, from how often each train seed was drawn."""

from __future__ import annotations

import numpy as np

from wsabench.stats import aggregates
from wsabench.stats.bounds import Replicates, Stratum, corrected_bounds
from wsabench.stats.compiled.loading import pays
from wsabench.stats.intervals import (
    DEFAULT_REPETITIONS,
    MIN_INTERVAL_SEEDS,
    Estimate,
    checked_options,
    resamples_of,
    seed_note,
)
from wsabench.stats.resampling import Blocks, checked_blocks, count_draws, draw_seeds
from wsabench.stats.statistics import over_matrix
from wsabench.types import FloatArray, IntArray

_AGGREGATES = (aggregates.mean, aggregates.median, aggregates.iqm, aggregates.optimality_gap)
_SORTING = 1e-8
"""Seconds for each score by which compiled code is sooner."""
_CHUNK_ELEMENTS = 500_000
"""Resampled scores that are held at once (4 MB)."""


def aggregate_interval(
    blocks: Blocks,
    rng: np.random.Generator,
    *,
    repetitions: int = DEFAULT_REPETITIONS,
    confidence: float = 0.95,
) -> Estimate:
    """Return mean, median, interquartile mean and optimality gap over the cells of all games, with intervals.

    It is what `seed_interval` gives for these aggregates of one matrix of scores. A resample's scores are those of the
    data, each as often as its train seed was drawn, so that they are sorted once.

    Args:
        blocks: One array for each game, shape (num_seeds, num_cells), float64; all have the same number of train seeds.
        rng: Where the draws come from; games are resampled independently.
        repetitions: Bootstrap repetitions.
        confidence: The confidence level of the interval, between 0 and 1.

    Returns:
        The estimate, arrays of shape (4,) in the order of the first sentence. With fewer than three train seeds, or
        where a score is NaN, the bounds are NaN.

    Raises:
        ShapeError: A block has not two axes, there is no block, or games differ in the number of train seeds.
        SpecError: `confidence` or `repetitions` is out of range.
    """
    checked_options(repetitions, confidence)
    arrays = checked_blocks(blocks)
    rows = [draw_seeds(len(block), rng, repetitions) for block in arrays]
    of_all = over_matrix(lambda matrix: np.stack([aggregate(matrix) for aggregate in _AGGREGATES], axis=-1))
    value, num_seeds = of_all(arrays), len(arrays[0])
    note = seed_note(num_seeds, len(arrays))
    if num_seeds < MIN_INTERVAL_SEEDS or np.isnan(value).any():
        return Estimate.without_interval(value, num_seeds, note)
    strata = [Stratum(count_draws(index, num_seeds), num_seeds) for index in rows]
    counts = np.concatenate([stratum.counts for stratum in strata], axis=1)
    size = sum(block.size for block in arrays)
    sums = [counts @ np.concatenate([kept.sum(axis=1) for kept in side]) for side in (arrays, _capped(arrays))]
    values = np.stack(
        [sums[0] / size, _medians(arrays, rows), _interquartile_means(arrays, counts), 1.0 - sums[1] / size], axis=-1
    )
    low, high = corrected_bounds(Replicates(values, strata), value, confidence)
    return Estimate(value, low, high, num_seeds, note)


def _capped(arrays: Blocks) -> list[FloatArray]:
    return [np.minimum(block, 1.0) for block in arrays]


def _medians(arrays: Blocks, rows: list[IntArray]) -> FloatArray:
    """Return the median over cells of the mean over train seeds, shape (repetitions,)."""
    drawn = [resamples_of(block, index, of_means=True) for block, index in zip(arrays, rows, strict=True)]
    repetitions, num_cells = len(rows[0]), sum(block.shape[1] for block in arrays)
    is_worth_it = pays(_SORTING * repetitions * num_cells)
    step = max(1, _CHUNK_ELEMENTS // num_cells)
    found: list[FloatArray] = []
    for start in range(0, repetitions, step):
        means = np.concatenate([of_game(slice(start, start + step))[:, 0] for of_game in drawn], axis=1)
        if is_worth_it:
            from wsabench.stats.compiled.trimming import medians

            found.append(medians(means))
        else:
            found.append(np.median(means, axis=1))
    return np.concatenate(found)


def _interquartile_means(arrays: Blocks, counts: FloatArray) -> FloatArray:
    """Return the mean of the middle half of all scores, each as often as its train seed is drawn: (repetitions,)."""
    scores = np.concatenate([block.ravel() for block in arrays])
    units = np.repeat(np.arange(counts.shape[1]), np.repeat([block.shape[1] for block in arrays], len(arrays[0])))
    order = np.argsort(scores, kind="stable")
    values, units, often = scores[order], units[order], counts.astype(np.int64)
    first, last = len(scores) // 4, len(scores) - len(scores) // 4
    if pays(_SORTING * len(counts) * len(scores)):
        from wsabench.stats.compiled.trimming import trimmed_sums

        return trimmed_sums(values, units, often, first, last) / (last - first)
    step = max(1, _CHUNK_ELEMENTS // len(scores))
    sums: list[FloatArray] = []
    for start in range(0, len(counts), step):
        up_to = np.cumsum(often[start : start + step, units], axis=1).clip(first, last)
        parts = np.diff(up_to, axis=1, prepend=first) * values
        sums.append(np.cumsum(parts, axis=1)[:, -1])  # one after the other, as compiled code adds them
    return np.concatenate(sums) / (last - first)
