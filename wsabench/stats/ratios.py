"""Retention as a ratio of means: estimate, bias, and intervals over train seeds.

The target is E[perturbed] / E[clean] of a game, the expectations over train seeds. The unit is the train seed: one
network plays every cell, so a seed's clean score and its scores in all cells move together. Scores of a game are
`clean`, shape (..., num_seeds), and `perturbed`, shape (..., num_seeds, num_cells): means over episodes, normalised
after averaging (`normalised_mean`). Leading axes are independent data sets, for simulations; usually there are none.

References:
    Fieller 1954, "Some problems in interval estimation"; von Luxburg & Franz 2009, "A geometric approach to confidence
    sets for ratios", for sets that are not bounded; Quenouille 1956, "Notes on bias in estimation", and Durbin 1959, "A
    note on the application of Quenouille's method of bias reduction to the estimation of ratios"; Satterthwaite 1946,
    "An approximate distribution of estimates of variance components".
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats as scipy_stats

from wsabench.errors import ShapeError, SpecError
from wsabench.stats.intervals import seed_note
from wsabench.types import FloatArray

MIN_RATIO_SEEDS = 3
"""With fewer train seeds a ratio has no interval, and its bias is not corrected."""
WIDEST_CONFIDENCE = 0.99
"""Fieller's bounds are cut to the delete-one interval of this confidence (more than that of the interval itself)."""

GameSeeds = tuple[FloatArray, FloatArray]
"""Scores of one game: clean, shape (..., num_seeds), and perturbed, shape (..., num_seeds, num_cells)."""


class Region(IntEnum):
    """What shape Fieller's set has."""

    BOUNDED = 0
    """All values from `low` to `high`."""
    COMPLEMENT = 1
    """All values up to `low` and all from `high`: the clean mean is not surely above 0, so there is no bound."""
    WHOLE_LINE = 2
    """Every value: the data say nothing about the ratio."""

    @property
    def words(self) -> str:
        """The shape as a report writes it."""
        return ("bounded", "complement", "whole line")[self]


class FiellerSet(NamedTuple):
    """All ratios that a t test over train seeds does not reject, by cell."""

    low: FloatArray
    """Shape (..., num_cells). Of a complement: where the excluded values begin (-inf: no lower branch). Of the whole
    line: -inf."""
    high: FloatArray
    """Shape (..., num_cells). Of a complement: where the excluded values end (inf: no upper branch)."""
    region: npt.NDArray[np.int8]
    """A `Region`, shape (..., num_cells), int8."""


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
    """Train seeds, the fewest of any game."""
    note: str
    """Why there is no interval, or how little it says; empty when nothing is to be said."""


class _Parts(NamedTuple):
    """One game's ratios and how they follow its train seeds; arrays of shape (..., num_cells), unless said."""

    plain: FloatArray
    value: FloatArray
    without_one: FloatArray
    """The ratio without each train seed, shape (..., num_seeds, num_cells)."""
    is_usable: npt.NDArray[np.bool_]
    """Whether the clean mean is above 0 without any one train seed, shape (...)."""


def fieller_set(clean: FloatArray, perturbed: FloatArray, *, confidence: float = 0.95) -> FiellerSet:
    """Return the ratios of means that a t test over train seeds does not reject.

    A ratio q is kept where the mean over train seeds of (perturbed - q clean) is not significantly different from 0, so
    clean and perturbed are paired within a seed and the whole covariance enters. The set is bounded only where the
    clean mean differs significantly from 0.

    Args:
        clean: Clean scores of train seeds, shape (..., num_seeds), float64, at least two seeds.
        perturbed: Scores of the same seeds in some cells, shape (..., num_seeds, num_cells), float64.
        confidence: Between 0 and 1.

    Returns:
        The set of each cell. It always holds the ratio of means.

    Raises:
        ShapeError: The shapes do not match, or there are fewer than two train seeds.
        SpecError: The confidence is out of range.

    References:
        Fieller 1954, section 3; von Luxburg & Franz 2009, definition 1.
    """
    clean, perturbed = _checked(clean, perturbed, confidence)
    num_seeds = clean.shape[-1]
    if num_seeds < 2:
        raise ShapeError("There is one train seed. Fieller's set needs two or more: it rests on their spread.")
    scale = scipy_stats.t.ppf((1.0 + confidence) / 2.0, num_seeds - 1) ** 2 / num_seeds / (num_seeds - 1)
    x, y = clean[..., None], perturbed
    x_mean, y_mean = x.mean(axis=-2), y.mean(axis=-2)
    x, y = x - x_mean[..., None, :], y - y_mean[..., None, :]
    # Kept are the q with a q^2 - 2 b q + c <= 0.
    a = x_mean**2 - scale * (x**2).sum(axis=-2)
    b = x_mean * y_mean - scale * (x * y).sum(axis=-2)
    c = y_mean**2 - scale * (y**2).sum(axis=-2)
    a = np.broadcast_to(a, b.shape)
    return _solved(a, b, c)


def retention_interval(clean: FloatArray, perturbed: FloatArray, *, confidence: float = 0.95) -> RatioEstimate:
    """Return the retention of every cell of one game, with an interval over train seeds.

    The bounds are Fieller's, kept between two delete-one (jackknife) intervals around the ratio: not narrower than the
    one of `confidence`, not wider than that of 99%. Where Fieller's set is not bounded, `region` says so and the bounds
    are the latter's. Fieller alone gives no bounds in a quarter of runs with 5 very noisy seeds, and misses too often
    where one seed in ten collapses; the delete-one interval alone misses too often with 5 seeds.

    Args:
        clean: Clean scores of train seeds, shape (..., num_seeds), float64.
        perturbed: Scores of the same seeds in some cells, shape (..., num_seeds, num_cells), float64. Under changed
            dynamics: above random play of the same changed game (see `normalised_mean`).
        confidence: Between 0 and 1.

    Returns:
        The estimates, arrays of shape (..., num_cells). NaN bounds with fewer than three train seeds.

    Raises:
        ShapeError: The shapes do not match.
        SpecError: The confidence is out of range.
    """
    clean, perturbed = _checked(clean, perturbed, confidence)
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
        confidence: Between 0 and 1.

    Returns:
        The estimate, arrays of shape (...). Its value is the mean of the values that `retention_interval` gives. NaN
        bounds where a game has fewer than three train seeds, or a clean mean that one train seed alone holds above 0.

    Raises:
        ShapeError: There is no game, or shapes do not match.
        SpecError: The confidence is out of range.
    """
    arrays = _checked_games(games, confidence)
    parts = [_parts(*game) for game in arrays]
    if len(arrays) == 1:
        clean, perturbed = arrays[0]
        value = parts[0].value.mean(axis=-1, keepdims=True)
        averaged = perturbed.mean(axis=-1, keepdims=True)
        found = _of_one_game(clean, averaged, value, _parts(clean, averaged), confidence)
        return found._replace(
            **{name: getattr(found, name)[..., 0] for name in ("value", "plain", "low", "high", "region")}
        )
    value = np.mean([part.value.mean(axis=-1) for part in parts], axis=0)
    plain = np.mean([part.plain.mean(axis=-1) for part in parts], axis=0)
    replicates = [part.without_one.mean(axis=-1) for part in parts]
    regions = [_region_of_mean(*game, confidence) for game in arrays]
    return _over_strata(value, plain, parts, replicates, [1.0] * len(parts), np.max(regions, axis=0), confidence)


def capped_mean_retention(games: Sequence[GameSeeds], *, cap: float = 1.0, confidence: float = 0.95) -> RatioEstimate:
    """Return the mean over cells, then games, of retention cut at `cap`: gains do not pay for a collapse.

    Each cell's retention is cut, not its average. The interval is value +- t * standard error, as for several games in
    `mean_retention`, also in one game. Noise around the cap makes the value slightly too low.

    Args:
        games: As for `mean_retention`.
        cap: The most that one cell counts.
        confidence: Between 0 and 1.

    Returns:
        The estimate; value and plain coincide up to the correction of each cell's ratio. At most `cap`.

    Raises:
        ShapeError: There is no game, or shapes do not match.
        SpecError: The confidence is out of range.

    References:
        The cut at the clean score follows the relative measures of Hendrycks & Dietterich 2019, section 4, where an
        error below the clean one is no gain; the cut of each cell is this project's.
    """
    arrays = _checked_games(games, confidence)
    parts = [_parts(*game) for game in arrays]
    value = np.mean([np.minimum(part.value, cap).mean(axis=-1) for part in parts], axis=0)
    plain = np.mean([np.minimum(part.plain, cap).mean(axis=-1) for part in parts], axis=0)
    replicates = [np.minimum(part.without_one, cap).mean(axis=-1) for part in parts]
    regions = [_region_of_mean(*game, confidence) for game in arrays]
    found = _over_strata(value, plain, parts, replicates, [1.0] * len(parts), np.max(regions, axis=0), confidence)
    return found._replace(high=np.minimum(found.high, cap))


def retention_difference(
    games_x: Sequence[GameSeeds], games_y: Sequence[GameSeeds], *, confidence: float = 0.95
) -> RatioEstimate:
    """Return the mean retention of one agent minus that of another over the same games, with an interval.

    Args:
        games_x: The first agent's games, as for `mean_retention`.
        games_y: The second agent's, the same games in the same order and the same cells in each; train seeds of its own.
        confidence: Between 0 and 1.

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
    parts = [_parts(*game) for game in (*arrays_x, *arrays_y)]
    signs = [1.0] * len(arrays_x) + [-1.0] * len(arrays_y)
    value, plain = (
        np.sum([sign * getattr(part, name).mean(axis=-1) for sign, part in zip(signs, parts, strict=True)], axis=0)
        / len(arrays_x)
        for name in ("value", "plain")
    )
    replicates = [part.without_one.mean(axis=-1) for part in parts]
    regions = [_region_of_mean(*game, confidence) for game in (*arrays_x, *arrays_y)]
    return _over_strata(value, plain, parts, replicates, signs, np.max(regions, axis=0), confidence)


def seed_retention(clean_episodes: FloatArray, perturbed_episodes: FloatArray) -> FloatArray:
    """Return each train seed's own ratio of means over its episodes, corrected for the noise of the denominator.

    A noisy clean mean makes the plain ratio too high. Beale's estimator (x y + cov) / (x^2 + var), with the means x and
    y and the variance and covariance of these means, is free of bias up to the second order and never divides by
    nearly nothing.

    Args:
        clean_episodes: Normalised scores of clean episodes, shape (num_seeds, num_episodes), float64.
        perturbed_episodes: Normalised scores, shape (num_seeds, num_cells, num_episodes), paired with the clean ones by
            episode seed.

    Returns:
        Shape (num_seeds, num_cells). NaN where a seed's clean mean is not above 0. One episode: not corrected.

    Raises:
        ShapeError: The shapes do not match.

    References:
        Beale 1962, "Some uses of computers in operational research"; Tin 1965, "Comparison of some ratio estimators".
    """
    x, y = np.asarray(clean_episodes, dtype=np.float64), np.asarray(perturbed_episodes, dtype=np.float64)
    if x.ndim != 2 or y.ndim != 3 or (y.shape[0], y.shape[2]) != x.shape or 0 in y.shape:
        raise ShapeError(
            f"The clean episodes have shape {x.shape}, the perturbed ones {y.shape}. "
            "Allowed: (num_seeds, num_episodes) and (num_seeds, num_cells, num_episodes), none of them 0."
        )
    num_episodes = x.shape[1]
    x_mean, y_mean = x.mean(axis=1)[:, None], y.mean(axis=2)
    scale = 1.0 / (num_episodes * max(1, num_episodes - 1))
    variance = ((x - x_mean) ** 2).sum(axis=1)[:, None] * scale
    covariance = ((x - x_mean)[:, None] * (y - y_mean[..., None])).sum(axis=2) * scale
    defined = np.broadcast_to(x_mean > 0.0, y_mean.shape)
    top, bottom = x_mean * y_mean + covariance, np.broadcast_to(x_mean**2 + variance, y_mean.shape)
    return np.divide(top, bottom, out=np.full(y_mean.shape, np.nan), where=defined)


class KeptShares(NamedTuple):
    """In how many cells a score survives, and in how many it is lost."""

    kept: float
    """Share of cells whose retention is at least `kept_at`, averaged over games."""
    lost: float
    """Share of cells whose retention is at most `lost_at`, averaged over games."""


def kept_shares(retentions: Sequence[FloatArray], *, kept_at: float = 0.8, lost_at: float = 0.1) -> KeptShares:
    """Return the share of cells that keep at least 0.8 of the clean score, and of those that keep at most 0.1.

    Args:
        retentions: Retention of each cell, one array (num_cells,) a game.
        kept_at: From where a cell counts as kept.
        lost_at: Up to where a cell counts as lost.

    Returns:
        The two shares, each averaged over cells, then games. NaN where a retention is NaN. They count estimates, so
        noise moves them towards each other; they have no interval.

    Raises:
        ShapeError: There is no game, or a game has no cell.
    """
    arrays = [np.asarray(values, dtype=np.float64) for values in retentions]
    if not arrays or any(values.ndim != 1 or not values.size for values in arrays):
        raise ShapeError("Shares of cells need one array (num_cells,) a game, at least one game and one cell in each.")
    if any(np.isnan(values).any() for values in arrays):
        return KeptShares(np.nan, np.nan)
    return KeptShares(
        float(np.mean([(values >= kept_at).mean() for values in arrays])),
        float(np.mean([(values <= lost_at).mean() for values in arrays])),
    )


def _checked(clean: FloatArray, perturbed: FloatArray, confidence: float) -> GameSeeds:
    x, y = np.asarray(clean, dtype=np.float64), np.asarray(perturbed, dtype=np.float64)
    if x.ndim < 1 or y.shape[:-1] != x.shape or 0 in y.shape:
        raise ShapeError(
            f"The clean scores have shape {x.shape}, the perturbed ones {y.shape}. "
            "Allowed: (..., num_seeds) and (..., num_seeds, num_cells), with the same train seeds, none of them 0."
        )
    if not 0.0 < confidence < WIDEST_CONFIDENCE:
        raise SpecError(
            f"The confidence is {confidence!r}. Allowed: numbers above 0 and below {WIDEST_CONFIDENCE}, 0.95 for a "
            "95% interval."
        )
    return x, y


def _checked_games(games: Sequence[GameSeeds], confidence: float) -> list[GameSeeds]:
    if not games:
        raise ShapeError("There is no game to average over. Give at least one in which retention is defined.")
    return [_checked(*game, confidence) for game in games]


def _solved(a: FloatArray, b: FloatArray, c: FloatArray) -> FiellerSet:
    """Solve a q^2 - 2 b q + c <= 0."""
    discriminant = b**2 - a * c
    is_whole = (a <= 0.0) & ((discriminant < 0.0) | ((a == 0.0) & (b == 0.0)))
    root = np.sqrt(np.maximum(discriminant, 0.0))
    # Of the two roots, the one further from 0 and the other from their product: nothing cancels.
    far = b + np.where(b < 0.0, -root, root)
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = far / a, np.where(far == 0.0, 0.0, c / far)
    low, high = np.minimum(first, second), np.maximum(first, second)
    # A line instead of a parabola: one branch of the complement is gone.
    is_line = (a == 0.0) & ~is_whole
    low = np.where(is_line, np.where(b > 0.0, -np.inf, second), low)
    high = np.where(is_line, np.where(b > 0.0, second, np.inf), high)
    region = np.where(is_whole, Region.WHOLE_LINE, np.where(a > 0.0, Region.BOUNDED, Region.COMPLEMENT))
    low, high = np.where(is_whole, -np.inf, low), np.where(is_whole, np.inf, high)
    return FiellerSet(low, high, region.astype(np.int8))


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
        error * scipy_stats.t.ppf((1.0 + level) / 2.0, num_seeds - 1) for level in (confidence, WIDEST_CONFIDENCE)
    )
    # Where delete-one says nothing (an infinite error), Fieller's bounds stand alone.
    least = np.where(np.isinf(least), 0.0, least)
    low = np.clip(low, parts.plain - most, parts.plain - least)
    high = np.clip(high, parts.plain + least, parts.plain + most)
    return RatioEstimate(value, parts.plain, low, high, region, num_seeds, seed_note(num_seeds))


def _region_of_mean(clean: FloatArray, perturbed: FloatArray, confidence: float) -> npt.NDArray[np.int8]:
    """Return the region of one game's average over cells, bounded or not by its clean scores."""
    if clean.shape[-1] < 2:
        return np.full(clean.shape[:-1], Region.WHOLE_LINE, dtype=np.int8)
    return fieller_set(clean, perturbed.mean(axis=-1, keepdims=True), confidence=confidence).region[..., 0]


def _over_strata(
    value: FloatArray,
    plain: FloatArray,
    parts: Sequence[_Parts],
    replicates: Sequence[FloatArray],
    signs: Sequence[float],
    region: npt.NDArray[np.int8],
    confidence: float,
) -> RatioEstimate:
    """Return value +- t * standard error; `replicates`, shape (..., num_seeds), are each stratum's without one seed."""
    counts = [part.without_one.shape[-2] for part in parts]
    if min(counts) < MIN_RATIO_SEEDS:
        return _without_interval(value, plain, min(counts))
    num_games = sum(sign > 0 for sign in signs)
    pairs = zip(replicates, parts, strict=True)
    variances = [_delete_one_variance(values, part.is_usable, axis=-1) / num_games**2 for values, part in pairs]
    total = np.sum(variances, axis=0)
    squares = np.sum([variance**2 / (count - 1) for variance, count in zip(variances, counts, strict=True)], axis=0)
    is_spread = np.isfinite(total) & (squares > 0.0)
    freedom = np.divide(total**2, squares, out=np.full(np.shape(total), np.inf), where=is_spread)
    half = scipy_stats.t.ppf((1.0 + confidence) / 2.0, freedom) * np.sqrt(total)
    half = np.where(np.isfinite(total), half, np.nan)
    return RatioEstimate(value, plain, value - half, value + half, region, min(counts), seed_note(min(counts)))


def _without_interval(value: FloatArray, plain: FloatArray, num_seeds: int) -> RatioEstimate:
    nothing, region = np.full(np.shape(value), np.nan), np.full(np.shape(value), Region.WHOLE_LINE, dtype=np.int8)
    note = seed_note(num_seeds) if num_seeds < 2 else f"fewer than {MIN_RATIO_SEEDS} train seeds: no interval"
    return RatioEstimate(value, plain, nothing, nothing, region, num_seeds, note)
