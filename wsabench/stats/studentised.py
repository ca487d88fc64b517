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
from wsabench.stats.bounds import t_quantile
from wsabench.stats.intervals import DEFAULT_REPETITIONS, MIN_INTERVAL_SEEDS, Estimate, checked_options, seed_note
from wsabench.stats.resampling import Blocks, checked_blocks, count_draws, draw_seeds
from wsabench.types import FloatArray

MIN_STUDENTISED_SEEDS = 5
"""With fewer train seeds too many resamples have no spread, and the interval is Student's."""
WIDEST_TAIL = 0.04
"""Bounds are cut to the Student interval whose tails are this share of the interval's: 99.8% for 95%."""


def studentised_interval(
    blocks: Blocks,
    rng: np.random.Generator,
    *,
    repetitions: int = DEFAULT_REPETITIONS,
    confidence: float = 0.95,
    widest_tail: float | None = WIDEST_TAIL,
) -> Estimate:
    """Return the mean over games of the means over train seeds, with an interval for skewed train seeds.

    The bounds are those of the studentised bootstrap, kept between two Student intervals: at least as wide as that of
    `confidence`, at most as that of 99.8% for 95%. Alone, bootstrap-t has bounds without end with few seeds, and is too
    short where the odd seed out lies below the others.

    Args:
        blocks: One array for each game, shape (num_seeds, num_values), float64: for each train seed the quantities to
            average, such as its scores in some cells, their mean, or clean minus perturbed. The same quantities in
            every game; one draw of seeds serves all of them. Games may differ in train seeds.
        rng: Where the draws come from; games are resampled independently.
        repetitions: Bootstrap repetitions.
        confidence: The confidence level of the interval, between 0 and 1.
        widest_tail: What `WIDEST_TAIL` says; None for bootstrap-t as it is, whose bounds may be infinite.

    Returns:
        The estimate, arrays of shape (num_values,). With fewer than three train seeds, and where a value is NaN, the
        bounds are NaN. With three or four seeds the interval is Student's (with Satterthwaite's degrees of freedom over
        games).

    Raises:
        ShapeError: A block has not two axes, or there is no block.
        SpecError: `confidence` or `repetitions` is out of range, or the games have different numbers of quantities.
    """
    arrays = checked_blocks(blocks)
    checked_options(repetitions, confidence)
    if len({block.shape[1] for block in arrays}) > 1:
        raise SpecError(
            f"The games have {[block.shape[1] for block in arrays]} quantities. Allowed: the same ones in each; "
            "average over cells first where games have different cells."
        )
    num_seeds = min(len(block) for block in arrays)
    value = np.mean([block.mean(axis=0) for block in arrays], axis=0)
    if num_seeds < MIN_INTERVAL_SEEDS:
        return Estimate.without_interval(value, num_seeds)
    error, freedom = _error_and_freedom(arrays)
    least = t_quantile((1.0 + confidence) / 2.0, freedom)
    lower, upper = -least, least
    if num_seeds >= MIN_STUDENTISED_SEEDS:
        lower, upper = _quantiles(arrays, rng, repetitions, confidence)
        if widest_tail is not None:
            most = t_quantile(1.0 - widest_tail * (1.0 - confidence) / 2.0, freedom)
            lower, upper = np.clip(lower, -most, -least), np.clip(upper, least, most)
    # Without spread there is nothing to multiply, whatever the quantiles are.
    low, high = (value - np.where(error > 0.0, end, 0.0) * error for end in (upper, lower))
    is_known = ~np.isnan(value)
    low, high = np.where(is_known, low, np.nan), np.where(is_known, high, np.nan)
    return Estimate(value, low, high, num_seeds, seed_note(num_seeds, len(arrays)))


def _error_and_freedom(arrays: Blocks) -> tuple[FloatArray, FloatArray]:
    """Return the standard error of the mean over games, and Satterthwaite's degrees of freedom; (num_values,)."""
    variances = [block.var(axis=0, ddof=1) / len(block) / len(arrays) ** 2 for block in arrays]
    total = np.sum(variances, axis=0)
    squares = np.sum([part**2 / (len(block) - 1) for part, block in zip(variances, arrays, strict=True)], axis=0)
    return np.sqrt(total), np.divide(total**2, squares, out=np.full(total.shape, np.inf), where=squares > 0.0)


def _quantiles(
    arrays: Blocks, rng: np.random.Generator, repetitions: int, confidence: float
) -> tuple[FloatArray, FloatArray]:
    """Return the quantiles of the studentised resamples; those without spread count as infinitely far out."""
    shifts, variances = (np.zeros((repetitions, arrays[0].shape[1])) for _ in range(2))
    for block in arrays:
        weights = count_draws(draw_seeds(len(block), rng, repetitions), len(block)) / len(block)
        shift, variance = _resampled(block - block.mean(axis=0), weights)
        shifts += shift / len(arrays)
        variances += variance / len(arrays) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        t = shifts / np.sqrt(variances)
    t = np.where(np.isnan(t), 0.0, t)
    tail = (1.0 - confidence) / 2.0
    # Order statistics: between an infinite and a finite value nothing can be interpolated.
    return np.quantile(t, tail, axis=0, method="lower"), np.quantile(t, 1.0 - tail, axis=0, method="higher")


def _resampled(centred: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the mean of each resample and the squared standard error that it would report, (repetitions, values)."""
    shift = weights @ centred
    spread = np.maximum(weights @ centred**2 - shift**2, 0.0)
    # Of a resample of one seed only rounding is left.
    spread = np.where(spread > 1e-12 * (centred**2).max(axis=0), spread, 0.0)
    return shift, spread / (len(centred) - 1)
