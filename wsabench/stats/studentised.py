"""Bootstrap-t over train seeds: intervals of means and gaps whose train seeds are skewed.

A bootstrap of the mean divided by its own standard error. Where a few train seeds are far above (or below) the others,
a resample that misses them has too small a mean and too small an error; dividing by it lengthens the right arm. The
arms of Student's t are equal, those of a percentile interval are long on the wrong side.

References:
    Efron & Tibshirani 1993, "An introduction to the bootstrap", section 12.5; Hall 1988, "Theoretical comparison of
    bootstrap confidence intervals"; Hesterberg 2015, "What teachers should know about the bootstrap", section 5.
"""

from __future__ import annotations

import numpy as np

from wsabench.errors import SpecError
from wsabench.stats.intervals import DEFAULT_REPETITIONS, Estimate, seed_note
from wsabench.stats.resampling import Blocks, checked_blocks, count_draws, draw_seeds
from wsabench.types import FloatArray

MIN_STUDENTISED_SEEDS = 5
"""With fewer train seeds in each of the games too many resamples have no spread, and there are no bounds."""


def studentised_interval(
    blocks: Blocks,
    rng: np.random.Generator,
    *,
    repetitions: int = DEFAULT_REPETITIONS,
    confidence: float = 0.95,
) -> Estimate:
    """Return the mean over games of the means over train seeds, with a studentised (bootstrap-t) interval.

    Args:
        blocks: One array a game, shape (num_seeds, num_values), float64: for each train seed the quantities to
            average, such as its scores in some cells, their mean, or clean minus perturbed. The same quantities in
            every game; one draw of seeds serves all of them. Games may differ in train seeds.
        rng: Where the draws come from; games are resampled independently.
        repetitions: Bootstrap repetitions.
        confidence: Between 0 and 1.

    Returns:
        The estimate, arrays of shape (num_values,). NaN bounds with fewer than five train seeds, and where a value is
        NaN. Without any spread the bounds are the estimate.

    Raises:
        ShapeError: A block has not two axes, or there is none.
        SpecError: `confidence` or `repetitions` is out of range, or the games have different numbers of quantities.
    """
    arrays = checked_blocks(blocks)
    if not 0.0 < confidence < 1.0 or repetitions < 1:
        raise SpecError(
            f"The confidence is {confidence!r}, the repetitions are {repetitions}. Allowed: numbers between 0 and 1, "
            "and integers from 1; use 0.95 and 10000."
        )
    if len({block.shape[1] for block in arrays}) > 1:
        raise SpecError(
            f"The games have {[block.shape[1] for block in arrays]} quantities. Allowed: the same ones in each; "
            "average over cells first where games have different cells."
        )
    num_seeds = min(len(block) for block in arrays)
    means = [block.mean(axis=0) for block in arrays]
    value = np.mean(means, axis=0)
    if num_seeds < MIN_STUDENTISED_SEEDS:
        nothing = np.full(value.shape, np.nan)
        note = seed_note(num_seeds) or f"fewer than {MIN_STUDENTISED_SEEDS} train seeds: no interval"
        return Estimate(value, nothing, nothing, num_seeds, note)
    shifts, variances = (np.zeros((repetitions, len(value))) for _ in range(2))
    for block, mean in zip(arrays, means, strict=True):
        weights = count_draws(draw_seeds(len(block), rng, repetitions), len(block)) / len(block)
        shift, variance = _resampled(block - mean, weights)
        shifts += shift / len(arrays)
        variances += variance / len(arrays) ** 2
    error = np.sqrt(np.sum([block.var(axis=0, ddof=1) / len(block) for block in arrays], axis=0)) / len(arrays)
    low, high = _bounds(shifts, np.sqrt(variances), confidence)
    is_spread = error > 0.0
    low, high = (np.where(is_spread, value - np.where(is_spread, end, 0.0) * error, value) for end in (high, low))
    is_unknown = np.isnan(value) | ~np.isfinite(low + high)
    return Estimate(
        value, np.where(is_unknown, np.nan, low), np.where(is_unknown, np.nan, high), num_seeds, seed_note(num_seeds)
    )


def _resampled(centred: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the mean of each resample and the squared standard error that it would report, (repetitions, values)."""
    shift = weights @ centred
    spread = np.maximum(weights @ centred**2 - shift**2, 0.0)
    # Of a resample of one seed only rounding is left.
    spread = np.where(spread > 1e-12 * (centred**2).max(axis=0), spread, 0.0)
    return shift, spread / (len(centred) - 1)


def _bounds(shifts: FloatArray, errors: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Return the quantiles of the studentised resamples; those without spread count as infinitely far out."""
    with np.errstate(divide="ignore", invalid="ignore"):
        t = shifts / errors
    t = np.where(np.isnan(t), 0.0, t)
    tail = (1.0 - confidence) / 2.0
    # Order statistics: between an infinite and a finite value nothing can be interpolated.
    low = np.quantile(t, tail, axis=0, method="lower")
    return low, np.quantile(t, 1.0 - tail, axis=0, method="higher")
