"""From bootstrap replicates to the bounds of an interval: percentile, corrected for few seeds, BCa.

A bootstrap draws units (train seeds, games, episodes) within strata (a game of an agent). How often each unit was drawn
says how much it moves the statistic, so the variance of each stratum is read from the replicates themselves, whatever
the statistic is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special as scipy_special

from wsabench.stats.compiled.loading import pays
from wsabench.types import FloatArray, IntArray

_SELECTING = 9e-9
"""Seconds for each number by which compiled code finds percentiles sooner."""
_FEWEST_TO_SELECT = 1_000
_UNITS_AT_ONCE = 300
"""Units of several strata whose counts are held beside each other (24 MB for 10,000 repetitions)."""


class Stratum(NamedTuple):
    """What was drawn independently of everything else: the train seeds of one game of one agent, for example."""

    counts: npt.NDArray[Any]
    """How often each unit was drawn, shape (repetitions, num_units); with `ways`, in each way to draw them."""
    num_draws: int
    """Units drawn in each repetition, at most `num_units`; the stratum has one degree of freedom fewer."""
    ways: npt.NDArray[np.int64] | None = None
    """Which row of `counts` each repetition has, shape (repetitions,); None: `counts` has one row per repetition."""


class Replicates(NamedTuple):
    """A statistic on every resample."""

    values: FloatArray
    """The statistic of each resample, float64, shape (repetitions, ...)."""
    strata: Sequence[Stratum]
    """What the resamples were made of."""


BoundsFunction = Callable[[Replicates, FloatArray, float], tuple[FloatArray, FloatArray]]
"""A function of the replicates, the statistic on the data, shape (...), and the confidence level. It returns lower and
upper bounds, each of shape (...)."""


def percentile_bounds(replicates: Replicates, value: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Return the percentiles of the replicates that hold `confidence` between them.

    Args:
        replicates: The replicates of the statistic.
        value: Shape (...), the statistic on the data; not used by this method.
        confidence: The confidence level of the interval, between 0 and 1.

    Returns:
        Lower and upper bound, each of shape (...); NaN where any replicate is NaN. Too narrow for few units: about
        0.63 of the t interval with 3, 0.82 with 10.

    References:
        Efron & Tibshirani 1993, "An introduction to the bootstrap", chapter 13.
    """
    return _percentiles(_rows(replicates.values), np.shape(replicates.values)[1:], confidence)


def t_quantile(probability: float, freedom: npt.ArrayLike) -> FloatArray:
    """Return quantiles of Student's t, those of `scipy.stats.t.ppf` to the bit and much sooner for few of them.

    Args:
        probability: The probability of the quantile, between 0 and 1.
        freedom: Degrees of freedom above 0, of any shape; infinite for the normal distribution.

    Returns:
        Of the shape of `freedom`, float64; NaN where that is not above 0.
    """
    return scipy_special.stdtrit(np.asarray(freedom, dtype=np.float64), probability)


def corrected_bounds(replicates: Replicates, value: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Return percentile bounds, moved away from the estimate by what few units hide.

    A resample of n units varies by (n - 1) / n of what a new sample would, and its percentiles are those of a normal
    where Student's t would be right. Both are made up for: distances from the estimate are multiplied by
    sqrt(n / (n - 1)) * t(df) / z, for several strata with the mean of n / (n - 1), weighted by variance, and with
    Welch's degrees of freedom. For one stratum of normal scores this is the t interval.

    Args:
        replicates: The replicates of the statistic.
        value: Shape (...), the statistic on the data.
        confidence: The confidence level of the interval, between 0 and 1.

    Returns:
        Lower and upper bound, each of shape (...), the estimate between them; NaN where any replicate is NaN. They may
        lie outside the statistic's range, which the caller knows.

    References:
        Hesterberg 2015, "What teachers should know about the bootstrap", section 4.4 (narrowness bias); Welch 1947,
        "The generalization of Student's problem", for the degrees of freedom; Efron 2014, "Estimation and accuracy
        after model selection", for variances from counts.
    """
    rows, shape = _rows(replicates.values), np.shape(replicates.values)[1:]
    found = corrected_rows(rows, _influences(rows, replicates.strata), np.ravel(value), confidence)
    return found[0].reshape(shape), found[1].reshape(shape)


def corrected_rows(
    rows: FloatArray, influences: Iterable[tuple[FloatArray, Sequence[Stratum]]], value: FloatArray, confidence: float
) -> tuple[FloatArray, FloatArray]:
    """Return `corrected_bounds` of many numbers, from influences that are known already.

    Args:
        rows: The replicates of each number, shape (num_values, repetitions), C order; they are put into another order.
        influences: The influence of each unit on each number: the covariance of how often the unit was drawn with the
            replicates, shape (num_values, num_units). With each array the strata that its units belong to, in order.
        value: The numbers on the data, shape (num_values,).
        confidence: The confidence level of the interval, between 0 and 1.

    Returns:
        Lower and upper bounds, (num_values,) each.
    """
    inflation, freedom = _inflation_and_freedom(influences, len(rows))
    low, high = _percentiles(rows, (len(rows),), confidence)
    normal = scipy_special.ndtri((1.0 + confidence) / 2.0)
    factor = np.sqrt(inflation) * t_quantile((1.0 + confidence) / 2.0, freedom) / normal
    # A biased statistic (a worst case) may leave the estimate outside the percentiles; it must not be moved further.
    centre = np.clip(value, low, high)
    return np.minimum(value, centre + factor * (low - centre)), np.maximum(value, centre + factor * (high - centre))


def bca_bounds(replicates: Replicates, value: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Return percentiles shifted for bias and skewness (bias-corrected and accelerated).

    Args:
        replicates: The replicates of the statistic.
        value: Shape (...), the statistic on the data.
        confidence: The confidence level of the interval, between 0 and 1.

    Returns:
        Lower and upper bound, each of shape (...); NaN where any replicate is NaN. No help against few units.

    References:
        Efron 1987, "Better bootstrap confidence intervals", with acceleration over strata as in Davison & Hinkley
        1997, "Bootstrap methods and their application", section 5.3.2.
    """
    values = np.asarray(replicates.values, dtype=np.float64)
    flat, estimates = values.reshape(len(values), -1), np.ravel(value)
    below = (flat < estimates).mean(axis=0) + 0.5 * (flat == estimates).mean(axis=0)
    edge = 0.5 / len(flat)
    bias = scipy_special.ndtri(np.clip(below, edge, 1.0 - edge))
    rows = _rows(values)
    influences = np.concatenate([found.T for found, _ in _influences(rows, replicates.strata)])
    spread = (influences**2).sum(axis=0) ** 1.5
    cubes = (influences**3).sum(axis=0)
    acceleration = np.divide(cubes, 6.0 * spread, out=np.zeros_like(cubes), where=spread > 0)
    ends: list[FloatArray] = []
    for normal in scipy_special.ndtri([(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0]):
        shifted = bias + normal
        levels = scipy_special.ndtr(bias + shifted / (1.0 - acceleration * shifted))
        ends.append(_column_quantiles(flat, levels).reshape(np.shape(value)))
    return ends[0], ends[1]


METHODS: dict[str, BoundsFunction] = {
    "corrected": corrected_bounds,
    "percentile": percentile_bounds,
    "bca": bca_bounds,
}
"""How replicates become bounds, by name."""


def _rows(values: FloatArray) -> FloatArray:
    """Return a copy of the replicates, each number's one after another in memory, shape (num_values, repetitions)."""
    return np.array(np.moveaxis(values, 0, -1), dtype=np.float64, order="C").reshape(-1, len(values))


def _percentiles(rows: FloatArray, shape: tuple[int, ...], confidence: float) -> tuple[FloatArray, FloatArray]:
    """Return what `numpy.quantile` gives at both ends, to the bit; the rows are put into another order."""
    tail = (1.0 - confidence) / 2.0
    places = (rows.shape[1] - 1) * np.array([tail, 1.0 - tail])
    before = np.floor(places).astype(np.int64)
    after = np.minimum(before + 1, rows.shape[1] - 1)
    share = (places - before)[:, None]
    first, second = _at_places(rows, before, after)
    rise = second - first
    ends = np.where(share >= 0.5, second - rise * (1.0 - share), first + rise * share)
    return ends[0].reshape(shape), ends[1].reshape(shape)


def _at_places(rows: FloatArray, before: IntArray, after: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return each row's sorted numbers at two places and those after them, each (2, num_values); NaN for any NaN."""
    if rows.shape[1] >= _FEWEST_TO_SELECT and pays(_SELECTING * rows.size):
        from wsabench.stats.compiled.selection import tails

        found = tails(rows, *map(int, before))
        return found[:, [0, 2]].T, found[:, [1, 3]].T
    rows.partition(np.unique([*before, *after, rows.shape[1] - 1]), axis=1)
    first, second = rows[:, before].T, rows[:, after].T
    first[:, np.isnan(rows[:, -1])] = np.nan  # what is unknown stands last
    return first, second


def _inflation_and_freedom(
    influences: Iterable[tuple[FloatArray, Sequence[Stratum]]], num_values: int
) -> tuple[FloatArray, FloatArray]:
    """Return by what the bootstrap's variance is too small, and Welch's degrees of freedom; each (num_values,)."""
    fewest = np.inf
    plain, scaled, squares = (np.zeros(num_values) for _ in range(3))
    for of_units, some in influences:
        fewest = min(fewest, *(stratum.num_draws for stratum in some))
        units = np.array([stratum.counts.shape[1] for stratum in some])
        draws = np.array([stratum.num_draws for stratum in some])
        starts = np.concatenate([[0], np.cumsum(units)[:-1]])
        variance = np.add.reduceat(of_units**2, starts, axis=1) * units / draws
        unbiased = variance * draws / (draws - 1)
        plain += variance.sum(axis=1)
        scaled += unbiased.sum(axis=1)
        squares += (unbiased**2 / (draws + 1)).sum(axis=1)
    smallest = fewest - 1.0
    # Without any variance the bounds are the estimate, whatever they are multiplied by.
    inflation = np.divide(scaled, plain, out=np.ones_like(plain), where=plain > 0)
    freedom = np.divide(scaled**2, squares, out=np.full_like(plain, smallest + 2.0), where=squares > 0) - 2.0
    return inflation, np.maximum(freedom, smallest)


def _influences(rows: FloatArray, strata: Sequence[Stratum]) -> Iterator[tuple[FloatArray, Sequence[Stratum]]]:
    """Return the influence of each unit, the covariance of its count with the statistic: (num_values, num_units).

    Strata come several at a time, so that one product of matrices serves them.
    """
    repetitions, means = rows.shape[1], rows.mean(axis=1, keepdims=True)
    width = max(stratum.counts.shape[1] for stratum in strata)
    step = max(1, _UNITS_AT_ONCE // width)
    for start in range(0, len(strata), step):
        some = strata[start : start + step]
        ways = [(stratum.counts, stratum.ways) for stratum in some if stratum.ways is not None]
        if len(rows) == 1 and len(ways) == len(some):
            away = rows[0] - means[0]
            yield np.concatenate([_of_ways(away, *one) for one in ways])[None], some
            continue
        every = [stratum.counts if stratum.ways is None else stratum.counts[stratum.ways] for stratum in some]
        counts = np.concatenate(every, axis=1, dtype=np.float64)
        counts -= counts.mean(axis=0)
        yield rows @ counts / repetitions - counts.mean(axis=0) * means, some


def _of_ways(away: FloatArray, counts: npt.NDArray[Any], ways: npt.NDArray[np.int64]) -> FloatArray:
    """Return the influences on one number, less its mean, from its sum over each way's repetitions, (num_units,)."""
    return np.bincount(ways, weights=away, minlength=len(counts)) @ counts / len(away)


def _column_quantiles(flat: FloatArray, levels: FloatArray) -> FloatArray:
    """Return a quantile of its own level for every column; NaN where the level or a value is NaN."""
    ends = np.full(len(levels), np.nan)
    for column in np.flatnonzero(~np.isnan(levels) & ~np.isnan(flat).any(axis=0)):
        ends[column] = np.quantile(flat[:, column], levels[column])
    return ends
