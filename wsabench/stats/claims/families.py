"""Families of comparisons: step-down max-T over the perturbations of a pair of agents, Holm over pairs, a whole page.

Within a pair whole train seeds are relabelled within each game, the same relabelling for all perturbations of that game
and games independently. Perturbations that move together then cost little, where Holm's correction pays for each, and
the smallest p that so many seeds can give is that of a single test. Statistics are studentised in every relabelling,
which keeps the false claims of unequal spreads near alpha; what is reported is the larger of this p and that of Welch's
t tests after Holm.

References:
    Westfall & Young 1993, "Resampling-based multiple testing", algorithm 2.8 and section 4; Romano & Wolf 2005, "Exact
    and approximate stepdown methods for multiple hypothesis testing"; Janssen 1997, "Studentized permutation tests for
    non-i.i.d. hypotheses"; Phipson & Smyth 2010, "Permutation p-values should never be zero"; Holm 1979.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from wsabench.errors import SpecError
from wsabench.stats.claims.comparisons import DRAWN, MAX_ENUMERATED, holm
from wsabench.stats.claims.contrasts import Samples, checked_samples, contrast_of
from wsabench.stats.power import detectable_effect
from wsabench.stats.resampling import Blocks
from wsabench.types import FloatArray, IntArray

_TOLERANCE = 1e-9
"""Statistics closer than this share of their size are equal: the same numbers in another order."""
_FEW_SEEDS = 10
"""So few train seeds of a game can be relabelled in so few ways (252 of two agents, 1,024 signs) that each is looked at
once."""


class FamilyTest(NamedTuple):
    """The tests of one pair of agents; arrays have shape (num_tests,), NaN where a test could not be made."""

    effect: FloatArray
    """Mean x minus mean y, or the mean paired difference, averaged over the games that have the perturbation."""
    standard_error: FloatArray
    """Standard error of the effect, over train seeds."""
    freedom: FloatArray
    """Degrees of freedom of the standard error."""
    num_games: FloatArray
    """Number of games that have the perturbation."""
    single_p: FloatArray
    """Two-sided p of the studentised relabelling test by itself, as if it were the only one."""
    max_t_p: FloatArray
    """p adjusted for the family by step-down max-T."""
    welch_p: FloatArray
    """Two-sided p of the t test by itself (Welch's, or paired)."""
    adjusted_p: FloatArray
    """The larger of `max_t_p` and the t tests' p after Holm: what a claim rests on."""
    smallest_p: float
    """The smallest `max_t_p` that so many train seeds can give, whatever the scores."""
    critical: FloatArray
    """How many standard errors an effect must exceed at the family's first step: the larger of the critical values of
    max-T and of the t tests after Bonferroni; that of the t tests alone where relabelling so few seeds cannot reach
    alpha."""
    low: FloatArray
    """Lower bounds of simultaneous intervals, which hold all effects of the family together."""
    high: FloatArray
    """Upper bounds of these intervals."""


class Detectable(NamedTuple):
    """The smallest effects that a run's own seeds can be expected to find, each of shape (num_tests,)."""

    single: FloatArray
    """The smallest effect that a single test finds; infinite where so few seeds cannot decide at all."""
    family: FloatArray
    """The smallest effect that a test of the family finds, at the family's first step."""


class ClaimFamily(NamedTuple):
    """Some tests of a page that share one alpha."""

    num_tests: int
    alpha: float = 0.05
    """Probability of any false claim in the family or, if it is not corrected, of a false claim by each test."""
    is_corrected: bool = True
    """Whether p values are corrected for the number of tests in the family."""


class PageError(NamedTuple):
    """How often a page as a whole may claim something false."""

    num_families: int
    num_tests: int
    bound: float
    """The probability of any false claim is at most this, however the families depend on each other (Boole)."""
    independent: float
    """The same bound if the families were independent of each other."""


class Relabelling(NamedTuple):
    """Ways to relabel whole train seeds; the first is the observed one."""

    tables: list[FloatArray]
    """For each game an array with one row for each different relabelling: 1 for seeds that count as x and 0 for those
    of y, shape (num_different, num_seeds_x + num_seeds_y); paired, signs of shape (num_different, num_seeds)."""
    rows: list[IntArray]
    """For each game the row of each relabelling, shape (num_relabellings,)."""
    smallest_p: float
    """The smallest p that the relabellings can give."""

    @property
    def games(self) -> list[FloatArray]:
        """For each game the rows of `tables`, one for every relabelling, shape (num_relabellings, ...)."""
        return [table[row] for table, row in zip(self.tables, self.rows, strict=True)]


def family_test(
    x: Blocks, y: Blocks | None, rng: np.random.Generator, alpha: float = 0.05, relabellings: int = DRAWN
) -> FamilyTest:
    """Test all perturbations of a pair of agents together, with any false claim in at most a share alpha of families.

    Args:
        x: One array for each game, shape (num_seeds_x, num_tests), float64. A game without some perturbation has NaN
            in its whole column there; the test is over the games that have it.
        y: The same games and tests of the other agent, shape (num_seeds_y, num_tests). None where x holds paired
            differences of train seeds, whose signs are flipped.
        rng: Where relabellings are drawn from, if there are too many to try all.
        alpha: The level of critical values and intervals; divide it by the number of pairs.
        relabellings: How many are drawn, if there are more than 20,000.

    Returns:
        The tests. All are two-sided. Drawn relabellings count the observed one, so p is never 0.

    Raises:
        ShapeError: Games or tests differ, or a block has not two axes.
        SpecError: alpha is not between 0 and 1.
    """
    samples = checked_samples(x, y)
    return relabelled_test(x, y, relabel(samples.sizes, rng, relabellings), alpha)


def relabelled_test(x: Blocks, y: Blocks | None, drawn: Relabelling, alpha: float = 0.05) -> FamilyTest:
    """Return `family_test` by given relabellings, which several pairs of agents may share.

    Each pair's p is what it would be with relabellings of its own, and the correction over pairs (`adjust_over_pairs`)
    and the bound of a page (`page_error`) hold however the pairs depend on each other.

    Args:
        x: As for `family_test`.
        y: As for `family_test`.
        drawn: As `relabel` gives them for these numbers of train seeds.
        alpha: As for `family_test`.

    Returns:
        As for `family_test`.

    Raises:
        ShapeError: As for `family_test`.
        SpecError: As for `family_test`.
    """
    if not 0 < alpha < 1:
        raise SpecError(f"alpha is {alpha:g}. Allowed: numbers above 0 and below 1, for example 0.05.")
    samples = checked_samples(x, y)
    estimate = contrast_of(samples)
    defined = np.flatnonzero(np.isfinite(estimate.standard_error))
    num_tests = len(estimate.effect)
    single, stepped = np.full(num_tests, np.nan), np.full(num_tests, np.nan)
    welch = 2.0 * np.minimum(*estimate.p())
    critical = special.stdtrit(estimate.freedom, 1.0 - alpha / num_tests / 2.0)
    if len(defined):
        found = studentised(samples, drawn)[:, defined]
        single[defined] = (found >= _without_rounding(found[0])).mean(axis=0)
        stepped[defined] = step_down(found)
        aligned = studentised(_aligned(samples), drawn)[:, defined]
        critical = np.maximum(critical, _critical_value(aligned.max(axis=1), alpha))
    width = critical * estimate.standard_error
    return FamilyTest(
        *estimate,
        single_p=single,
        max_t_p=stepped,
        welch_p=welch,
        adjusted_p=np.maximum(stepped, holm(welch)),
        smallest_p=drawn.smallest_p,
        critical=np.where(np.isnan(width), np.nan, critical),
        low=estimate.effect - width,
        high=estimate.effect + width,
    )


def step_down(statistics: FloatArray) -> FloatArray:
    """Return p values adjusted for a family by step-down max-T.

    Args:
        statistics: Sizes of the statistics (larger speaks against the hypothesis) under every relabelling, the observed
            one first, float64, shape (num_relabellings, ..., num_tests).

    Returns:
        Adjusted p, shape (..., num_tests): for the largest statistic the share of relabellings whose largest is no
        smaller, for the next one that among the tests which are left, and so on, never smaller than the one before.

    References:
        Westfall & Young 1993, algorithm 2.8; Ge, Dudoit & Speed 2003, "Resampling-based multiple testing for microarray
        data analysis", box 2.
    """
    observed = statistics[0]
    order = np.argsort(observed, axis=-1)  # the smallest first, so that maxima run over the tests that are left
    left = np.take_along_axis(statistics, order[None], axis=-1)
    np.maximum.accumulate(left, axis=-1, out=left)
    ascending = np.take_along_axis(observed, order, axis=-1)
    p = (left >= _without_rounding(ascending)).mean(axis=0)
    p = np.maximum.accumulate(p[..., ::-1], axis=-1)[..., ::-1]
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, p, axis=-1)
    return adjusted


def adjust_over_pairs(p: Sequence[npt.ArrayLike]) -> list[FloatArray]:
    """Correct p values for the number of pairs of agents: Holm's method with families in the place of tests.

    Every pair begins with an equal share of alpha. A pair passes its share on to the others only when all its tests are
    claimed: until then one of them may be a false claim. (Holm over the pairs' smallest p would pass it on after the
    first claim and is wrong wherever a pair has a real effect beside tests without.) With one test in each pair this is
    Holm's method.

    Args:
        p: For each pair its p values, which control false claims within the pair; NaN for a test that could not be
            made, so that the pair keeps its share.

    Returns:
        Adjusted values in the same shapes, at most 1; NaN stays NaN.

    Raises:
        SpecError: A value is outside 0 to 1.

    References:
        Holm 1979; Bretz, Maurer, Brannath & Posch 2009, "A graphical approach to sequentially rejective multiple test
        procedures". At the first false claim no pair with a true hypothesis has passed its share on. If there are m
        such pairs, each has at most alpha / m, and their sum is at most alpha.
    """
    families = [np.asarray(values, dtype=np.float64) for values in p]
    if any(np.any((values < 0) | (values > 1)) for values in families):
        raise SpecError("A p value lies outside 0 to 1. Allowed: 0 to 1, or NaN for a test that was not made.")
    count = len(families)
    last = np.array([np.where(np.isnan(values), 1.0, values).max(initial=0.0) for values in families])
    order = np.argsort(last, kind="stable")
    # What alpha must be for the first 0, 1, 2, ... pairs to have passed their shares on.
    passed = np.concatenate([[0.0], np.maximum.accumulate(last[order] * np.arange(count, 0, -1))])
    adjusted: list[FloatArray] = [np.empty(0)] * count
    for rank, place in enumerate(order):
        factors = count - np.arange(rank + 1)
        ways = np.maximum(passed[: rank + 1, None], factors[:, None] * families[place].ravel())
        adjusted[place] = np.minimum(1.0, ways.min(axis=0)).reshape(families[place].shape)
    return adjusted


def detectable_effects(test: FamilyTest, alpha: float = 0.05, power: float = 0.8) -> Detectable:
    """Return the smallest effects that this very run could be expected to find, from its seeds' spread and number.

    Args:
        test: The tests of a pair, made with the same alpha.
        alpha: Share of false claims, of a single test and of the family.
        power: Probability with which the effect would be found.

    Returns:
        Effects in the scores' unit. They are estimates: few seeds tell little about their spread.

    Raises:
        SpecError: The power is not between 0 and 1, and the seeds can decide something.
    """
    family = detectable_in_family(test, alpha, power)
    if test.smallest_p > alpha:
        return Detectable(family, family)
    alone = special.stdtrit(test.freedom, 1.0 - alpha / 2.0)
    return Detectable(detectable_effect(test.standard_error, test.freedom, alone, power), family)


def detectable_in_family(test: FamilyTest, alpha: float = 0.05, power: float = 0.8) -> FloatArray:
    """Return `family` of `detectable_effects`, in half the time.

    Args:
        test: As for `detectable_effects`.
        alpha: As for `detectable_effects`.
        power: As for `detectable_effects`.

    Raises:
        SpecError: As for `detectable_effects`.
    """
    if test.smallest_p > alpha:
        return np.where(np.isnan(test.standard_error), np.nan, np.inf)
    return detectable_effect(test.standard_error, test.freedom, test.critical, power)


def page_error(families: Sequence[ClaimFamily]) -> PageError:
    """Bound the probability that a page with several families of tests makes any false claim.

    Args:
        families: Every family of the page whose tests may become claims.

    Raises:
        SpecError: An alpha is not between 0 and 1, or a family has no test.
    """
    for family in families:
        if not 0 < family.alpha < 1 or family.num_tests < 1:
            raise SpecError(
                f"A family has {family.num_tests} tests and alpha {family.alpha:g}. Allowed: at least one test, and "
                "alpha above 0 and below 1."
            )
    shares = [min(1.0, one.alpha * (1 if one.is_corrected else one.num_tests)) for one in families]
    return PageError(
        num_families=len(families),
        num_tests=sum(family.num_tests for family in families),
        bound=min(1.0, sum(shares)),
        independent=1.0 - math.prod(1.0 - share for share in shares),
    )


def relabel(sizes: Sequence[tuple[int, int]], rng: np.random.Generator, relabellings: int = DRAWN) -> Relabelling:
    """Return ways to relabel the train seeds of all games: all of them up to 20,000, else a number that is drawn.

    Args:
        sizes: Train seeds of x and of y in each game; 0 of y where signs are flipped.
        rng: Where relabellings are drawn from.
        relabellings: How many are drawn, beside the observed one.
    """
    count = math.prod(math.comb(x + y, x) if y else 2**x for x, y in sizes)
    # Exchanging the two agents everywhere gives the same size of every statistic: half the relabellings say it all.
    is_mirrored = all(x == y or not y for x, y in sizes)
    if count > MAX_ENUMERATED:
        found = [_different(_drawn(*size, relabellings, rng)) for size in sizes]
        return Relabelling([table for table, _ in found], [rows for _, rows in found], 1.0 / (relabellings + 1))
    tables = [_every(*size) for size in sizes]
    half = [len(table) // (2 if place == 0 and is_mirrored else 1) for place, table in enumerate(tables)]
    rows = np.unravel_index(np.arange(math.prod(half)), half)
    return Relabelling(tables, list(rows), 1.0 / len(rows[0]))


def _different(labels: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return the different relabellings among those of a game, and which each is; all of them of many train seeds."""
    if labels.shape[1] > _FEW_SEEDS:
        return labels, np.arange(len(labels))
    codes = (labels > 0) @ (1 << np.arange(labels.shape[1]))
    _, first, rows = np.unique(codes, return_index=True, return_inverse=True)
    return labels[first], rows.ravel()


def studentised(samples: Samples, relabelling: Relabelling) -> FloatArray:
    """Return the sizes of the studentised differences under every relabelling.

    Args:
        samples: Checked scores.
        relabelling: Ways to relabel their train seeds.

    Returns:
        |difference / its standard error|, both computed from the relabelled seeds, float64, shape (num_relabellings,
        num_tests).
    """
    difference = np.zeros((len(relabelling.rows[0]), samples.weights.shape[1]))
    variance = np.zeros_like(difference)
    for place, (labels, rows, weight) in enumerate(
        zip(relabelling.tables, relabelling.rows, samples.weights, strict=True)
    ):
        if samples.y is None:
            mean, error = _flipped(samples.x[place], labels)
        else:
            mean, error = _exchanged(samples.x[place], samples.y[place], labels)
        difference += np.take(mean * weight, rows, axis=0)
        variance += np.take(error * weight**2, rows, axis=0)
    np.sqrt(variance, out=variance)
    return np.abs(difference, out=difference) / np.maximum(variance, samples.floor, out=variance)


def _flipped(values: FloatArray, signs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the mean difference and its squared standard error under each relabelling of signs."""
    count = len(values)
    mean = signs @ values / count
    return mean, (np.square(values).mean(axis=0) - mean**2).clip(0.0) / max(count - 1, 1)


def _exchanged(x: FloatArray, y: FloatArray, labels: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the difference of means and its squared standard error under each relabelling of seeds."""
    pooled = np.concatenate([x, y])
    pooled = pooled - pooled.mean(axis=0)
    of_x, of_y = (len(x) * max(len(x) - 1, 1)), (len(y) * max(len(y) - 1, 1))
    sums = labels @ pooled
    squares = np.square(pooled)
    # Sums of squares about each side's mean; the sums of both sides add up to 0.
    variance = squares.sum(axis=0) / of_y - sums**2 * (1.0 / (len(x) * of_x) + 1.0 / (len(y) * of_y))
    if len(x) != len(y):
        variance += labels @ squares * (1.0 / of_x - 1.0 / of_y)
    return sums * (1.0 / len(x) + 1.0 / len(y)), variance.clip(0.0)


def _aligned(samples: Samples) -> Samples:
    """Return the scores without any effect: every game's and agent's seeds about their own mean."""
    sides = [[block - block.mean(axis=0) for block in side] for side in samples.sides]
    return samples._replace(x=sides[0], y=None if samples.y is None else sides[1])


def _critical_value(largest: FloatArray, alpha: float) -> float:
    """Return what the largest statistic exceeds in at most a share alpha of relabellings; 0 where none is so rare."""
    allowed = math.floor(alpha * len(largest) + _TOLERANCE)
    return float(np.partition(largest, len(largest) - allowed - 1)[len(largest) - allowed - 1]) if allowed else 0.0


def _without_rounding(observed: FloatArray) -> FloatArray:
    return observed - _TOLERANCE * (1.0 + observed)


def _every(num_x: int, num_y: int) -> FloatArray:
    """Return every relabelling of a game, the observed one first, mirrored ones in the second half."""
    if not num_y:
        return np.array(list(itertools.product([1.0, -1.0], repeat=num_x)))
    chosen = np.array(list(itertools.combinations(range(num_x + num_y), num_x)))
    labels = np.zeros((len(chosen), num_x + num_y))
    np.put_along_axis(labels, chosen, 1.0, axis=1)
    return labels


def _drawn(num_x: int, num_y: int, relabellings: int, rng: np.random.Generator) -> FloatArray:
    """Return the observed relabelling of a game and some that are drawn."""
    if not num_y:
        labels = np.ones((1 + relabellings, num_x))
        labels[1:] -= 2.0 * rng.integers(0, 2, (relabellings, num_x))
        return labels
    labels = np.zeros((1 + relabellings, num_x + num_y))
    labels[0, :num_x] = 1.0
    chosen = rng.random((relabellings, num_x + num_y)).argpartition(num_x - 1, axis=1)[:, :num_x]
    np.put_along_axis(labels[1:], chosen, 1.0, axis=1)
    return labels
