"""Retention as a ratio of means: estimate, bias, and intervals over train seeds.

The target is E[perturbed] / E[clean] of a game, the expectations over train seeds. The unit is the train seed: one
network plays every cell, so a seed's clean score and its scores in all cells move together. Scores of a game are
`clean`, shape (..., num_seeds), and `perturbed`, shape (..., num_seeds, num_cells): means over episodes, normalised
after averaging (`normalised_mean`). Leading axes are independent data sets, for simulations; usually there are none.

References:
    Fieller 1954, "Some problems in interval estimation"; Quenouille 1956, "Notes on bias in estimation", and Durbin
    1959, "A note on the application of Quenouille's method of bias reduction to the estimation of ratios", for leaving
    out one unit at a time; Tukey 1958, "Bias and confidence in not quite large samples", for its variance;
    Satterthwaite 1946, "An approximate distribution of estimates of variance components".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsabench.errors import ShapeError
from wsabench.stats.bounds import t_quantile
from wsabench.stats.intervals import MIN_INTERVAL_SEEDS, seed_note
from wsabench.stats.ratio.fieller import GameSeeds, Region, checked_game, fieller_set
from wsabench.types import FloatArray

MIN_RATIO_SEEDS = MIN_INTERVAL_SEEDS
"""With fewer train seeds a ratio has no interval, and its bias is not corrected."""
WIDEST_TAIL = 0.2
"""Fieller's bounds are cut to a delete-one interval whose tails are this share of the interval's: 99% for 95%."""
CUT_CLEARANCE = 0.5
"""A ratio must exceed the cap by so many standard errors before its own noise leaves the error of a capped mean."""


class RatioEstimate(NamedTuple):
    """A retention, or an average of retentions, with its interval over train seeds."""

    value: FloatArray
    """The ratio of means, corrected for bias; NaN where a clean mean is not above 0."""
    plain: FloatArray
    """The ratio of means as it is, or the mean of such ratios; too high on average, by 10% with 5 very noisy seeds."""
    low: FloatArray
    """Lower bound; NaN where there is none, -inf where the data give no bound."""
    high: FloatArray
    """Upper bound; NaN where there is none, inf where the data give no bound."""
    region: npt.NDArray[np.int8]
    """The `Region` of Fieller's set, int8; the worst of its games for an average."""
    num_seeds: int
    """The number of train seeds: the fewest of any game."""
    note: str
    """Why there is no interval, or how little it says; empty when nothing is to be said."""


class RetentionAverages(NamedTuple):
    """What a report says of the retention in some cells of some games."""

    mean: RatioEstimate
    """What `mean_retention` gives."""
    capped: RatioEstimate
    """What `capped_mean_retention` gives."""
    cells: list[FloatArray]
    """The `value` of `retention_interval`, one array for each game, shape (..., num_cells)."""


class _Parts(NamedTuple):
    """One game's ratios and how they follow its train seeds; arrays of shape (..., num_cells), unless said."""

    plain: FloatArray
    value: FloatArray
    without_one: FloatArray
    """The ratio without each train seed, shape (..., num_seeds, num_cells)."""
    is_usable: npt.NDArray[np.bool_]
    """Whether the clean mean is above 0 without any one train seed, shape (...)."""


class _Stratum(NamedTuple):
    """What one game of one agent brings to an average."""

    replicates: FloatArray
    """Its average over cells without each train seed, shape (..., num_seeds)."""
    is_usable: npt.NDArray[np.bool_]
    """As in `_Parts`."""


class _Average(NamedTuple):
    """An average before it has an interval, arrays of shape (...)."""

    value: FloatArray
    plain: FloatArray
    region: npt.NDArray[np.int8]


def retention_interval(clean: FloatArray, perturbed: FloatArray, *, confidence: float = 0.95) -> RatioEstimate:
    """Return the retention of every cell of one game, with an interval over train seeds.

    The bounds are Fieller's, kept between two delete-one (jackknife) intervals around the ratio: at least as wide as
    the one of `confidence`, at most as that of 99% (for 95%: a fifth of the tails). Where Fieller's set is not bounded,
    `region` says so and the bounds are those of the wider one. Fieller alone gives no bounds in a quarter of runs with
    5 very noisy seeds, and misses too often where one seed in ten collapses under perturbations only; the delete-one
    interval alone misses too often with 5 seeds.

    Args:
        clean: Clean scores of train seeds, shape (..., num_seeds), float64.
        perturbed: Scores of the same seeds in some cells, shape (..., num_seeds, num_cells), float64. Under changed
            dynamics: above random play of the same changed game (see `normalised_mean`).
        confidence: The confidence level of the interval, between 0 and 1.

    Returns:
        The estimates, arrays of shape (..., num_cells). With fewer than three train seeds the bounds are NaN.

    Raises:
        ShapeError: The shapes do not match.
        SpecError: The confidence is out of range.
    """
    clean, perturbed = checked_game(clean, perturbed, confidence)
    parts = _parts(clean, perturbed)
    return _of_one_game(clean, perturbed, parts.value, parts, confidence)


def mean_retention(games: Sequence[GameSeeds], *, confidence: float = 0.95) -> RatioEstimate:
    """Return the mean retention over the cells of each game, then over games, with an interval over train seeds.

    With several games the interval is value +- t * standard error: each game's squared error is its delete-one
    variance (the linearised ratio, as what each train seed does to it), all cells of a seed jointly; games are
    independent strata, and t has Satterthwaite's degrees of freedom. In one game it is that of `retention_interval`.

    Args:
        games: Scores of each game; games may differ in train seeds and in cells. Leave out games where retention is
            not defined (`clean_bound`).
        confidence: The confidence level of the interval, between 0 and 1.

    Returns:
        The estimate, arrays of shape (...). Its value is the mean of the values that `retention_interval` gives. NaN
        bounds where a game has fewer than three train seeds, or a clean mean that one train seed alone holds above 0.

    Raises:
        ShapeError: There is no game, or shapes do not match.
        SpecError: The confidence is out of range.
    """
    arrays = _checked_games(games, confidence)
    return _mean_of(arrays, [_parts(*game) for game in arrays], confidence)


def capped_mean_retention(games: Sequence[GameSeeds], *, cap: float = 1.0, confidence: float = 0.95) -> RatioEstimate:
    """Return the mean over cells, then games, of retention cut at `cap`: gains do not pay for a collapse.

    Each cell's retention is cut, not its average. Cutting noisy ratios makes their mean too low, dividing by noisy
    means too high: `plain` has both, `value` is corrected for both by deleting one train seed at a time. The interval
    reaches t * standard error beyond the two, with Satterthwaite's degrees of freedom. In that error a cell counts cut
    only where it clearly exceeds the cap (`CUT_CLEARANCE`): one that is cut by chance would seem to have no noise.

    Args:
        games: As for `mean_retention`.
        cap: The most that one cell counts.
        confidence: The confidence level of the interval, between 0 and 1.

    Returns:
        The estimate, arrays of shape (...); never above `cap`, nor above the value of `mean_retention`, which it equals
        where no cell comes near the cap. Still too low where many cells lie at the cap.

    Raises:
        ShapeError: There is no game, or shapes do not match.
        SpecError: The confidence is out of range.

    References:
        The cut at the clean score follows the relative measures of Hendrycks & Dietterich 2019, section 4; that each
        cell is cut, and not the average, is this project's. Quenouille 1956 for the correction.
    """
    arrays = _checked_games(games, confidence)
    parts = [_parts(*game) for game in arrays]
    return _capped_of(parts, _worst_region(arrays, confidence), cap, confidence)


def retention_averages(games: Sequence[GameSeeds], *, cap: float = 1.0, confidence: float = 0.95) -> RetentionAverages:
    """Return `mean_retention`, `capped_mean_retention` and each cell's retention, computed together.

    Args:
        games: As for `mean_retention`.
        cap: As for `capped_mean_retention`.
        confidence: The confidence level of the intervals, between 0 and 1.

    Returns:
        The three. A note is about all data sets on the leading axes together, and may not hold for each.

    Raises:
        ShapeError: There is no game, or shapes do not match.
        SpecError: The confidence is out of range.
    """
    arrays = _checked_games(games, confidence)
    parts = [_parts(*game) for game in arrays]
    region = _worst_region(arrays, confidence)
    return RetentionAverages(
        _mean_of(arrays, parts, confidence, region),
        _capped_of(parts, region, cap, confidence),
        [part.value for part in parts],
    )


def retention_difference(
    games_x: Sequence[GameSeeds], games_y: Sequence[GameSeeds], *, confidence: float = 0.95
) -> RatioEstimate:
    """Return the mean retention of one agent minus that of another over the same games, with an interval.

    Args:
        games_x: The first agent's games, as for `mean_retention`.
        games_y: The second agent's: the same games in one order, the same cells in each; train seeds of its own.
        confidence: The confidence level of the interval, between 0 and 1.

    Returns:
        The estimate; games and agents are independent strata (Welch 1947 for one game).

    Raises:
        ShapeError: The numbers of games or cells differ, there is no game, or shapes do not match.
        SpecError: The confidence is out of range.
    """
    arrays_x, arrays_y = _checked_games(games_x, confidence), _checked_games(games_y, confidence)
    cells = [[game[1].shape[-1] for game in arrays] for arrays in (arrays_x, arrays_y)]
    if cells[0] != cells[1]:
        raise ShapeError(
            f"The agents' games have {cells[0]} and {cells[1]} cells. A comparison needs the same games and cells for "
            "both; leave out what not both have."
        )
    both = [[_parts(*game) for game in arrays] for arrays in (arrays_x, arrays_y)]
    values = [np.mean([part.value.mean(axis=-1) for part in parts], axis=0) for parts in both]
    plain = [np.mean([part.plain.mean(axis=-1) for part in parts], axis=0) for parts in both]
    region = _worst_region([*arrays_x, *arrays_y], confidence)
    average = _Average(values[0] - values[1], plain[0] - plain[1], region)
    strata = [_Stratum(part.without_one.mean(axis=-1), part.is_usable) for parts in both for part in parts]
    return _with_interval(average, strata, len(arrays_x), confidence)


def retention_shares(clean: FloatArray, perturbed: FloatArray) -> FloatArray:
    """Return a number for each train seed of one game whose mean is the retention: what a test over train seeds takes.

    These are delete-one pseudo-values: the ratio, and how far it moves when a seed is left out. Their spread is that of
    the ratio, noise of the clean score included, and differences of their means are differences of retentions.

    Args:
        clean: Clean scores of train seeds, shape (..., num_seeds), float64.
        perturbed: Scores of the same seeds in some cells, shape (..., num_seeds, num_cells), float64.

    Returns:
        Shape (..., num_seeds, num_cells); the mean over seeds is `value` of `retention_interval`. With fewer than three
        seeds the linearised ratio, whose mean is `plain`. NaN where a clean mean is not above 0, without any one seed
        too: there the retention rests on one seed.

    Raises:
        ShapeError: The shapes do not match.

    References:
        Tukey 1958, and Miller 1974, "The jackknife: a review", for pseudo-values of a ratio in a t test.
    """
    clean, perturbed = checked_game(clean, perturbed, 0.95)
    parts = _parts(clean, perturbed)
    if clean.shape[-1] < MIN_RATIO_SEEDS:
        residuals = perturbed - parts.plain[..., None, :] * clean[..., None]
        return parts.plain[..., None, :] + _ratio(residuals, clean.mean(axis=-1)[..., None, None])
    moves = (clean.shape[-1] - 1) * (parts.without_one.mean(axis=-2, keepdims=True) - parts.without_one)
    return np.where(parts.is_usable[..., None, None], parts.value[..., None, :] + moves, np.nan)


def _checked_games(games: Sequence[GameSeeds], confidence: float) -> list[GameSeeds]:
    if not games:
        raise ShapeError("There is no game to average over. Give at least one in which retention is defined.")
    return [checked_game(*game, confidence) for game in games]


def _mean_of(
    arrays: Sequence[GameSeeds],
    parts: Sequence[_Parts],
    confidence: float,
    region: npt.NDArray[np.int8] | None = None,
) -> RatioEstimate:
    """Return `mean_retention` of games with these parts; the worst region of several games is computed if not known."""
    if len(arrays) == 1:
        clean, perturbed = arrays[0]
        value = parts[0].value.mean(axis=-1, keepdims=True)
        averaged = perturbed.mean(axis=-1, keepdims=True)
        found = _of_one_game(clean, averaged, value, _parts(clean, averaged), confidence)
        return found._replace(
            **{name: getattr(found, name)[..., 0] for name in ("value", "plain", "low", "high", "region")}
        )
    average = _Average(
        np.mean([part.value.mean(axis=-1) for part in parts], axis=0),
        np.mean([part.plain.mean(axis=-1) for part in parts], axis=0),
        _worst_region(arrays, confidence) if region is None else region,
    )
    strata = [_Stratum(part.without_one.mean(axis=-1), part.is_usable) for part in parts]
    return _with_interval(average, strata, len(parts), confidence)


def _capped_of(parts: Sequence[_Parts], region: npt.NDArray[np.int8], cap: float, confidence: float) -> RatioEstimate:
    """Return `capped_mean_retention` of games with these parts and this worst region."""
    plain = np.mean([np.minimum(part.plain, cap).mean(axis=-1) for part in parts], axis=0)
    strata = [_Stratum(np.minimum(part.without_one, cap).mean(axis=-1), part.is_usable) for part in parts]
    noisy = [_Stratum(_cut_if_clear(part, cap).mean(axis=-1), part.is_usable) for part in parts]
    found = _with_interval(_Average(plain, plain, region), noisy, len(parts), confidence)
    if np.isnan(found.low).all():
        return found
    uncapped = np.mean([part.value.mean(axis=-1) for part in parts], axis=0)
    value = np.minimum(np.minimum(plain - _bias(parts, strata, cap), cap), uncapped)
    half = found.high - plain
    low, high = np.minimum(value, plain) - half, np.minimum(np.maximum(value, plain) + half, cap)
    return found._replace(value=value, low=low, high=high)


def _cut_if_clear(part: _Parts, cap: float) -> FloatArray:
    """Return the ratios without each train seed; the cap in their place where the ratio clearly exceeds it."""
    num_seeds = part.without_one.shape[-2]
    error = np.sqrt((num_seeds - 1) * part.without_one.var(axis=-2))
    is_clear = part.plain - CUT_CLEARANCE * error > cap
    return np.where(is_clear[..., None, :], cap, part.without_one)


def _parts(clean: FloatArray, perturbed: FloatArray) -> _Parts:
    num_seeds = clean.shape[-1]
    x_mean, y_mean = clean.mean(axis=-1), perturbed.mean(axis=-2)
    plain = _ratio(y_mean, x_mean[..., None])
    if num_seeds < MIN_RATIO_SEEDS:
        nothing = np.full(perturbed.shape, np.nan)
        return _Parts(plain, plain, nothing, np.zeros(x_mean.shape, dtype=np.bool_))
    x_rest = (num_seeds * x_mean[..., None] - clean) / (num_seeds - 1)
    y_rest = (num_seeds * y_mean[..., None, :] - perturbed) / (num_seeds - 1)
    without_one = _ratio(y_rest, x_rest[..., None])
    is_usable = (x_rest > 0.0).all(axis=-1) & (x_mean > 0.0)
    bias = (num_seeds - 1) * (without_one.mean(axis=-2) - plain)
    # A correction above one standard error is noise itself.
    residuals = perturbed - plain[..., None, :] * clean[..., None]
    most = _ratio(residuals.std(axis=-2, ddof=1) / np.sqrt(num_seeds), x_mean[..., None])
    value = plain - np.where(is_usable[..., None], np.clip(bias, -most, most), 0.0)
    return _Parts(plain, value, without_one, is_usable)


def _ratio(top: FloatArray, bottom: FloatArray) -> FloatArray:
    """Divide; NaN where the denominator is not above 0."""
    bottom = np.broadcast_to(bottom, top.shape)
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0.0)


def _delete_one_variance(replicates: FloatArray, is_usable: npt.NDArray[np.bool_], axis: int) -> FloatArray:
    """Return the delete-one variance of replicates along `axis`; infinite where it is not usable."""
    num_seeds = replicates.shape[axis]
    variance = (num_seeds - 1) * replicates.var(axis=axis)
    return np.where(is_usable, variance, np.inf)


def _of_one_game(
    clean: FloatArray, perturbed: FloatArray, value: FloatArray, parts: _Parts, confidence: float
) -> RatioEstimate:
    num_seeds = clean.shape[-1]
    if num_seeds < MIN_RATIO_SEEDS:
        return _without_interval(value, parts.plain, num_seeds)
    low, high, region = fieller_set(clean, perturbed, confidence=confidence)
    low, high = (np.where(region == Region.BOUNDED, end, far) for end, far in ((low, -np.inf), (high, np.inf)))
    error = np.sqrt(_delete_one_variance(parts.without_one, parts.is_usable[..., None], axis=-2))
    least, most = (
        error * t_quantile((1.0 + level) / 2.0, num_seeds - 1)
        for level in (confidence, 1.0 - WIDEST_TAIL * (1.0 - confidence))
    )
    # Where delete-one says nothing (an infinite error), Fieller's bounds stand alone.
    least = np.where(np.isinf(least), 0.0, least)
    low = np.clip(low, parts.plain - most, parts.plain - least)
    high = np.clip(high, parts.plain + least, parts.plain + most)
    return RatioEstimate(value, parts.plain, low, high, region, num_seeds, seed_note(num_seeds))


def _worst_region(games: Sequence[GameSeeds], confidence: float) -> npt.NDArray[np.int8]:
    """Return the worst region of any game's average over cells, shape (...)."""
    regions: list[npt.NDArray[np.int8]] = []
    for clean, perturbed in games:
        if clean.shape[-1] < MIN_RATIO_SEEDS:
            return np.full(clean.shape[:-1], Region.WHOLE_LINE, dtype=np.int8)
        averaged = perturbed.mean(axis=-1, keepdims=True)
        regions.append(fieller_set(clean, averaged, confidence=confidence).region[..., 0])
    return np.max(regions, axis=0)


def _bias(parts: Sequence[_Parts], strata: Sequence[_Stratum], cap: float) -> FloatArray:
    """Return the delete-one bias of a capped mean, each game's at most one standard error; 0 where not usable."""
    biases: list[FloatArray] = []
    for part, stratum in zip(parts, strata, strict=True):
        num_seeds = stratum.replicates.shape[-1]
        bias = (num_seeds - 1) * (stratum.replicates.mean(axis=-1) - np.minimum(part.plain, cap).mean(axis=-1))
        most = np.sqrt((num_seeds - 1) * stratum.replicates.var(axis=-1))
        biases.append(np.where(stratum.is_usable, np.clip(bias, -most, most), 0.0))
    return np.mean(biases, axis=0)


def _with_interval(average: _Average, strata: Sequence[_Stratum], num_games: int, confidence: float) -> RatioEstimate:
    """Return value +- t * standard error, the value being a sum over strata divided by `num_games`."""
    counts = [stratum.replicates.shape[-1] for stratum in strata]
    if min(counts) < MIN_RATIO_SEEDS:
        return _without_interval(average.value, average.plain, min(counts))
    variances = [_delete_one_variance(*stratum, axis=-1) / num_games**2 for stratum in strata]
    total = np.sum(variances, axis=0)
    squares = np.sum([variance**2 / (count - 1) for variance, count in zip(variances, counts, strict=True)], axis=0)
    is_spread = np.isfinite(total) & (squares > 0.0)
    freedom = np.divide(total**2, squares, out=np.full(np.shape(total), np.inf), where=is_spread)
    half = t_quantile((1.0 + confidence) / 2.0, freedom) * np.sqrt(total)
    half = np.where(np.isfinite(total), half, np.nan)
    low, high = average.value - half, average.value + half
    note = "a clean mean rests on one train seed: no interval"
    if np.isfinite(total).all():
        note = seed_note(min(counts), num_games)
    return RatioEstimate(*average[:2], low, high, average.region, min(counts), note)


def _without_interval(value: FloatArray, plain: FloatArray, num_seeds: int) -> RatioEstimate:
    nothing, region = np.full(np.shape(value), np.nan), np.full(np.shape(value), Region.WHOLE_LINE, dtype=np.int8)
    return RatioEstimate(value, plain, nothing, nothing, region, num_seeds, seed_note(num_seeds))
