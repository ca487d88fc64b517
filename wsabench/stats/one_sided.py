"""Tests of whether one side's mean lies below another's: t tests, and permutations of the studentised difference.

Rows are draws from an unbounded population, or, where play is deterministic, different members of a finite one: then
the variance of a mean has the finite-population correction 1 - n/N, and with all members there is nothing to test.

References:
    Welch 1947; Cochran 1977, "Sampling techniques", section 2.6, for the finite population; Janssen 1997, "Studentized
    permutation tests for non-i.i.d. hypotheses"; Phipson & Smyth 2010, "Permutation p-values should never be zero";
    Besag & Clifford 1991, "Sequential Monte Carlo p-values".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from wsabench.types import FloatArray

TOLERANCE = 1e-9
"""Statistics closer than this count as equal: the same numbers in another order."""
TOLD_APART = 10
"""With so many draws at least as extreme as the observed statistic, its p is told from smaller ones."""
CERTAIN = 8.0
"""Where the shift is so many standard errors beyond the critical value, the power is 1 to all digits."""
_CHUNK_VALUES = 4_000_000
"""Most numbers of one array of draws: some 30 MB."""
_CHUNK_DRAWS = 20_000


class Limits(NamedTuple):
    """What is known of the rows of one side beyond their scores."""

    population: int | None = None
    """How many different rows there are at all, each as likely; the side has some of them. None: unboundedly many."""
    different: int | None = None
    """How many of the rows are known to be different, which bounds the degrees of freedom. None: no bound."""

    @property
    def is_deterministic(self) -> bool:
        """Whether play has no chance but its start, so that rows without spread are known exactly."""
        return self.population is not None or self.different is not None

    def share_left(self, num_rows: int) -> float:
        """Return the finite-population correction of a mean over so many rows."""
        return 1.0 if self.population is None else max(0.0, 1.0 - num_rows / self.population)

    def freedom(self, num_rows: int) -> int:
        """Return the degrees of freedom of the spread of so many rows."""
        return (num_rows if self.different is None else min(num_rows, self.different)) - 1


UNLIMITED = Limits()
"""Rows that are draws from an unbounded population."""


class Rows(NamedTuple):
    """Two sides whose means are compared, test by test."""

    run: FloatArray
    """Scores of the run, float64, shape (num_run, num_tests)."""
    reference: FloatArray
    """Scores of the reference, float64, shape (num_reference, num_tests)."""
    is_paired: bool
    """Whether equal rows of both sides belong together."""
    run_limits: Limits = UNLIMITED
    """What is known of the run's rows beyond their scores."""
    reference_limits: Limits = UNLIMITED
    """What is known of the reference's rows beyond their scores."""
    weight: float = 1.0
    """Weight of the difference of means in the sum over samples."""

    def of(self, tests: npt.NDArray[np.int64]) -> Rows:
        """Return some of the tests only, given their places."""
        return self._replace(run=self.run[:, tests], reference=self.reference[:, tests])

    @property
    def is_exhausted(self) -> bool:
        """Whether both sides hold all the rows there are."""
        sides = (self.run, self.run_limits), (self.reference, self.reference_limits)
        return all(limits.share_left(len(rows)) == 0.0 for rows, limits in sides)


class Part(NamedTuple):
    """One independent mean of a contrast."""

    variance: FloatArray
    """Squared standard error of its weighted share, shape (num_tests,)."""
    freedom: int
    """Degrees of freedom of that standard error."""


def difference(samples: Sequence[Rows]) -> FloatArray:
    """Return the weighted sum of the differences of means, run minus reference, shape (num_tests,)."""
    return np.array([s.weight * (s.run.mean(axis=0) - s.reference.mean(axis=0)) for s in samples]).sum(axis=0)


def parts(samples: Sequence[Rows]) -> list[Part]:
    """Return the independent means of a contrast: one for each paired sample, two for each that is not paired."""
    found: list[Part] = []
    for s in samples:
        if s.is_paired:
            sides = [(s.run - s.reference, s.run_limits)]
        else:
            sides = [(s.run, s.run_limits), (s.reference, s.reference_limits)]
        found += [_part(values, limits, s.weight) for values, limits in sides]
    return found


def variance(samples: Sequence[Rows]) -> FloatArray:
    """Return the squared standard error of the weighted sum of differences, shape (num_tests,)."""
    return np.array([part.variance for part in parts(samples)]).sum(axis=0)


def freedom(found: Sequence[Part]) -> FloatArray:
    """Return the degrees of freedom of the sum of parts, after Welch and Satterthwaite, shape (num_tests,).

    They are 1 where there is no spread.
    """
    total = np.array([part.variance for part in found]).sum(axis=0)
    squares = np.array([part.variance**2 / max(part.freedom, 1) for part in found]).sum(axis=0)
    return np.divide(total**2, squares, out=np.ones_like(total), where=squares > 0)


def power(shift: float, freedom: float, level: float) -> float:
    """Return the power of a one-sided t test at a level.

    Args:
        shift: The true shift, in standard errors.
        freedom: Degrees of freedom of the standard error.
        level: The test decides where its p is at most this.

    References:
        Cohen 1988, "Statistical power analysis for the behavioral sciences", chapter 2: noncentral t.
    """
    from scipy.stats import nct  # here: it takes most of a second to load

    critical = -float(special.stdtrit(freedom, level))
    # For large shifts scipy's function gives NaN or worse.
    return 1.0 if shift - critical > CERTAIN else float(nct.sf(critical, freedom, shift))


def t_test(samples: Sequence[Rows]) -> tuple[FloatArray, FloatArray]:
    """Return two one-sided p values of t tests, each of shape (num_tests,).

    The first is small where the run is shown to be below the reference, the second where it is shown to be above. The
    degrees of freedom are those of Welch and Satterthwaite.

    Where every side is known to be deterministic and nothing is left that could vary, the sides are compared exactly:
    p is 0 or 1.
    """
    found = parts(samples)
    total = np.array([part.variance for part in found]).sum(axis=0)
    apart = difference(samples)
    statistic = studentised(apart, total)
    below, above = special.stdtr(freedom(found), statistic), special.stdtr(freedom(found), -statistic)
    exact = is_exact(samples)
    return (
        np.where(exact, np.where(apart < -TOLERANCE, 0.0, 1.0), below),
        np.where(exact, np.where(apart > TOLERANCE, 0.0, 1.0), above),
    )


def is_exact(samples: Sequence[Rows]) -> npt.NDArray[np.bool_]:
    """Return where there is nothing to test: play is deterministic and no spread is left; shape (num_tests,)."""
    certain = all(s.run_limits.is_deterministic and s.reference_limits.is_deterministic for s in samples)
    total = variance(samples)
    return (total <= TOLERANCE**2) & certain  # NaN is not


def permutation_test(
    samples: Sequence[Rows], permutations: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return two one-sided p values of permutation tests, each of shape (num_tests,).

    The first is small where the run is shown to be below the reference, the second where it is shown to be above. Each
    sample is relabelled by itself.

    Args:
        samples: Independent samples with the same tests.
        permutations: How many are drawn.
        rng: Where they are drawn from.
    """
    observed = studentised(difference(samples), variance(samples))
    statistics = _relabelled(samples, permutations, rng)
    slack = TOLERANCE * (1.0 + np.abs(observed))
    lower = (1 + (statistics <= observed + slack).sum(axis=0)) / (1 + permutations)
    upper = (1 + (statistics >= observed - slack).sum(axis=0)) / (1 + permutations)
    unknown = np.isnan(observed)
    return np.where(unknown, np.nan, lower), np.where(unknown, np.nan, upper)


def refined(
    samples: Sequence[Rows],
    p_below: FloatArray,
    permutations: int,
    smallest: float,
    rng: np.random.Generator,
) -> FloatArray:
    """Draw more permutations for the tests whose first p is too small for what has been drawn.

    A test gets more draws until `TOLD_APART` of them are at least as extreme as its own statistic, or `TOLD_APART` /
    `smallest` are drawn. A p that is found so is valid as it is (Besag and Clifford 1991).

    Args:
        samples: As in `permutation_test`.
        p_below: The first p that `permutation_test` found, NaN for tests that need no more; shape (num_tests,).
        permutations: How many it drew.
        smallest: The level that p must reach.
        rng: Where permutations are drawn from.

    Returns:
        p of all tests, shape (num_tests,); NaN where `p_below` is.
    """
    counts = np.nan_to_num(p_below, nan=1.0) * (1 + permutations) - 1
    drawn = np.full(len(counts), permutations)
    needed = math.ceil(TOLD_APART / smallest)
    while (open_tests := np.flatnonzero((counts < TOLD_APART - 0.5) & (drawn < needed))).size:
        chosen = [sample.of(open_tests) for sample in samples]
        observed = studentised(difference(chosen), variance(chosen))
        count = min(_CHUNK_DRAWS, max(1, _CHUNK_VALUES // len(open_tests)), needed - int(drawn[open_tests[0]]))
        statistics = _relabelled(chosen, count, rng)
        counts[open_tests] += (statistics <= observed + TOLERANCE * (1.0 + np.abs(observed))).sum(axis=0)
        drawn[open_tests] += count
    return np.where(np.isnan(p_below), np.nan, (counts + 1) / (drawn + 1))


def smallest_attainable(samples: Sequence[Rows]) -> float:
    """Return the smallest p that relabelling can give, whatever the scores: 1 / the number of relabellings."""
    ways = 0.0
    for s in samples:
        if not s.is_exhausted:
            sizes = len(s.run), len(s.reference)
            ways += len(s.run) * math.log(2) if s.is_paired else math.log(math.comb(sum(sizes), sizes[0]))
    return math.exp(-ways) if ways else 0.0


def studentised(apart: FloatArray, squared_error: FloatArray) -> FloatArray:
    """Return difference / standard error; what is 0 but for rounding stays 0, and no spread gives a huge statistic."""
    exact = np.where(np.abs(apart) < TOLERANCE, 0.0, apart)
    return exact / np.sqrt(np.maximum(squared_error, TOLERANCE**2))


def _part(values: FloatArray, limits: Limits, weight: float) -> Part:
    """Return what the mean of some rows contributes to the variance."""
    count = len(values)
    spread = values.var(axis=0, ddof=1) if count > 1 else np.zeros(values.shape[1])
    return Part(weight**2 * limits.share_left(count) * spread / count, limits.freedom(count))


def _relabelled(samples: Sequence[Rows], permutations: int, rng: np.random.Generator) -> FloatArray:
    """Return the studentised statistic under random relabellings, shape (permutations, tests).

    They stand for what the observed statistic would be without a difference, so they have no finite-population
    correction: that belongs to the rows that were not played, and the observed statistic has it.
    """
    moments = [
        (sample.weight, *_moments(sample, _draws(sample, permutations, rng)))
        for sample in samples
        if not sample.is_exhausted  # without error, so it has no part in what chance does
    ]
    if not moments:
        return np.zeros((permutations, samples[0].run.shape[1]))
    apart = np.array([weight * part for weight, part, _ in moments]).sum(axis=0)
    return studentised(apart, np.array([weight**2 * part for weight, _, part in moments]).sum(axis=0))


def _draws(sample: Rows, permutations: int, rng: np.random.Generator) -> FloatArray:
    """Return relabellings.

    Paired: signs, +1 or -1, shape (permutations, num_pairs). Else 1 for rows that stand on the run's side and 0 for the
    others, shape (permutations, num_run + num_reference).
    """
    num_run, num_all = len(sample.run), len(sample.run) + len(sample.reference)
    if sample.is_paired:
        return np.asarray(1.0 - 2.0 * rng.integers(0, 2, (permutations, num_run)), np.float64)
    labels = np.zeros((permutations, num_all))
    chosen = rng.random((permutations, num_all)).argpartition(num_run - 1, axis=1)[:, :num_run]
    np.put_along_axis(labels, chosen, 1.0, axis=1)
    return labels


def _moments(sample: Rows, draws: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the difference of means and its squared standard error under each relabelling, (draws, tests)."""
    if sample.is_paired:
        pairs, count = sample.run - sample.reference, len(sample.run)
        mean = draws @ pairs / count
        return mean, np.asarray((np.square(pairs).mean(axis=0) - mean**2).clip(0.0) / max(count - 1, 1))
    pooled = np.concatenate([sample.run, sample.reference])
    pooled = pooled - pooled.mean(axis=0)
    squares = np.square(pooled)
    total = squares.sum(axis=0)
    counts = len(sample.run), len(sample.reference)
    run_sum, run_squares = draws @ pooled, draws @ squares
    means = run_sum / counts[0], -run_sum / counts[1]
    spreads = run_squares / counts[0] - means[0] ** 2, (total - run_squares) / counts[1] - means[1] ** 2
    found = sum(spread.clip(0.0) / max(count - 1, 1) for spread, count in zip(spreads, counts, strict=True))
    return means[0] - means[1], np.asarray(found)
