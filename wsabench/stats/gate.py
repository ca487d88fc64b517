"""The gate: has an agent lost more of its score than a margin, in some cell or on the average?

Scores of a run are held against those of a reference. With several train seeds a row is a train seed (its mean over
episodes), with one checkpoint a row is an episode. Both can be paired.

The margin of a cell is a share of the reference's score there, and never less than that share of `MARGIN_FLOOR_SCORE`.
As a share it is estimated with the reference and shares its error, so what is tested is a contrast: run - (1 - margin)
x reference, or run - reference + floor where the reference's mean is below `MARGIN_FLOOR_SCORE`.

References:
    Wellek 2010, "Testing statistical hypotheses of equivalence and noninferiority", for ratio margins; Janssen 1997,
    "Studentized permutation tests for non-i.i.d. hypotheses", and Chung & Romano 2013, "Exact and asymptotically robust
    permutation tests"; Phipson & Smyth 2010, "Permutation p-values should never be zero"; Welch 1947; Holm 1979.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy import special

from wsabench.errors import ShapeError, SpecError
from wsabench.types import FloatArray

MARGIN_FLOOR_SCORE = 0.1
"""Normalised score below which the margin shrinks no further: a share of almost nothing is within chance."""
DEFAULT_MARGIN = 0.2
DEFAULT_ALPHA = 0.05
DEFAULT_PERMUTATIONS = 9_999
MIN_EPISODE_PAIRS = 12
"""Fewer pairs have fewer than 4,096 sign flips: too few for the small p that a correction over cells asks for."""

Unit = Literal["train seeds", "episodes"]

_TOLERANCE = 1e-9
"""Statistics closer than this count as equal: the same numbers in another order."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one agent scored in one game, for some tests; each looks at the mean over its cells."""

    run: FloatArray
    """Normalised scores, float64, shape (num_run, num_tests, num_cells); a row is a train seed or an episode."""
    reference: FloatArray
    """The same cells of the reference, shape (num_reference, num_tests, num_cells)."""
    is_paired: bool
    """Whether equal rows of both belong together: the same train seed, or the same episode seed."""

    def __post_init__(self) -> None:
        """Check shapes and sizes."""
        shapes = f"{self.run.shape} for the run, {self.reference.shape} for the reference"
        if self.run.ndim != 3 or self.reference.ndim != 3 or self.run.shape[1:] != self.reference.shape[1:]:
            raise ShapeError(
                f"Scores have the shapes {shapes}. Allowed: (rows, tests, cells), tests and cells the same."
            )
        if self.is_paired and len(self.run) != len(self.reference):
            raise ShapeError(f"Paired scores have the shapes {shapes}. Allowed: the same number of rows.")
        if min(len(self.run), len(self.reference)) < 2:
            raise SpecError(
                f"A test has {len(self.run)} rows of the run and {len(self.reference)} of the reference. Allowed: at "
                "least 2 train seeds or, with one checkpoint, 2 different episodes. Play more episodes."
            )


class Comparison(NamedTuple):
    """A run against a reference; all arrays float64, shape (num_tests,), in units of the normalised score."""

    reference: FloatArray
    run: FloatArray
    drop: FloatArray
    """Reference minus run; negative: the run scored more."""
    margin: FloatArray
    """The largest drop that is allowed, the mean of the cells' margins."""
    standard_error: FloatArray
    """Of the drop."""
    p_worse: FloatArray
    """One-sided p of 'the drop is at most the margin': small where it is larger."""
    p_within: FloatArray
    """One-sided p of 'the drop is at least the margin': small where non-inferiority is shown."""


class _Rows(NamedTuple):
    """Two sides whose means are compared, shapes (rows, tests)."""

    run: FloatArray
    reference: FloatArray
    is_paired: bool


class Adjusted(NamedTuple):
    """p values corrected for the number of tests, so that one false alarm in all has probability alpha at most."""

    cells: FloatArray
    overall: FloatArray


def compare(
    samples: Sequence[Sample],
    unit: Unit,
    rng: np.random.Generator,
    margin: float = DEFAULT_MARGIN,
    permutations: int = DEFAULT_PERMUTATIONS,
) -> Comparison:
    """Compare a run with a reference, each test by itself.

    Train seeds are compared by t tests (paired, or Welch's); their rows are means over episodes. Single episodes are
    skewed and discrete, and the two sides may differ in number, where t tests alarm too often. So episodes are compared
    by a permutation of the studentised difference too, and the larger p counts. It is exact where the run's scores are
    the reference's times (1 - margin), but for few episodes and slightly different steps of the score alarms too often
    itself, where the t test does not.

    Args:
        samples: One entry a game, with the same tests; the mean over games is tested, games being independent.
        unit: What a row is.
        rng: Where permutations are drawn from.
        margin: Share of the reference's score that may be lost, above 0 and below 1.
        permutations: How many are drawn.

    Returns:
        Estimates and p values of each test. NaN where a score is NaN.

    Raises:
        SpecError: The margin is out of range, or there are no samples.
    """
    if not 0 < margin < 1:
        raise SpecError(f"The margin is {margin:g}. Allowed: numbers above 0 and below 1, as in 0.2 for 20 %.")
    if not samples:
        raise SpecError("There is nothing to compare. Give at least one game.")
    contrasts = [_contrast(sample, margin) for sample in samples]
    p_worse, p_within = _t_test(contrasts)
    if unit == "episodes":
        drawn = _permutation_test(contrasts, permutations, rng)
        p_worse, p_within = np.maximum(p_worse, drawn[0]), np.maximum(p_within, drawn[1])
    plain = [_Rows(s.run.mean(axis=2), s.reference.mean(axis=2), s.is_paired) for s in samples]
    run = np.mean([rows.run.mean(axis=0) for rows in plain], axis=0)
    reference = np.mean([rows.reference.mean(axis=0) for rows in plain], axis=0)
    margins = [np.maximum(s.reference.mean(axis=0), MARGIN_FLOOR_SCORE).mean(axis=1) for s in samples]
    return Comparison(
        reference=reference,
        run=run,
        drop=reference - run,
        margin=margin * np.mean(margins, axis=0),
        standard_error=np.sqrt(_variance(plain)) / len(samples),
        p_worse=p_worse,
        p_within=p_within,
    )


def adjust(cells: FloatArray, overall: FloatArray) -> Adjusted:
    """Correct p values: half of alpha for the cells, half for the averages over cells, Holm's method in each half.

    Args:
        cells: p values of all cells, shape (..., num_cells).
        overall: p values of the averages, shape (..., num_averages); none where an average has one cell only.

    Returns:
        The same shapes, to be held against alpha. Without averages the cells have all of it.
    """
    halves = 2.0 if overall.shape[-1] else 1.0
    return Adjusted(np.minimum(1.0, halves * _holm(cells)), np.minimum(1.0, halves * _holm(overall)))


def _holm(p: FloatArray) -> FloatArray:
    """Return p values adjusted by Holm's step-down method along the last axis."""
    count = p.shape[-1]
    order = np.argsort(p, axis=-1)
    ascending = np.take_along_axis(p, order, axis=-1) * np.arange(count, 0, -1)
    adjusted = np.empty_like(ascending)
    np.put_along_axis(adjusted, order, np.maximum.accumulate(ascending, axis=-1), axis=-1)
    return np.minimum(1.0, adjusted)


def _contrast(sample: Sample, margin: float) -> _Rows:
    """Return rows whose means are equal where the drop equals the margin, the mean over each test's cells."""
    is_share = sample.reference.mean(axis=0) >= MARGIN_FLOOR_SCORE
    run = sample.run + np.where(is_share, 0.0, margin * MARGIN_FLOOR_SCORE)
    reference = sample.reference * np.where(is_share, 1.0 - margin, 1.0)
    return _Rows(run.mean(axis=2), reference.mean(axis=2), sample.is_paired)


def _parts(samples: Sequence[_Rows]) -> list[tuple[FloatArray, int]]:
    """Return the squared standard error of each independent mean, by test, and its degrees of freedom."""
    sides = [side for s in samples for side in ([s.run - s.reference] if s.is_paired else [s.run, s.reference])]
    return [(side.var(axis=0, ddof=1) / len(side), len(side) - 1) for side in sides]


def _variance(samples: Sequence[_Rows]) -> FloatArray:
    """Return the squared standard error of the sum of differences, by test."""
    return np.array([part for part, _ in _parts(samples)]).sum(axis=0)


def _t_test(samples: Sequence[_Rows]) -> tuple[FloatArray, FloatArray]:
    """Return p of 'run is below' and of 'run is above', by test: degrees of freedom after Welch and Satterthwaite."""
    difference = np.array([s.run.mean(axis=0) - s.reference.mean(axis=0) for s in samples]).sum(axis=0)
    variance = _variance(samples)
    squares = np.array([part**2 / freedom for part, freedom in _parts(samples)]).sum(axis=0)
    statistic = _studentised(difference, variance)
    # Without any spread the statistic is 0 or huge; the degrees of freedom then only keep the formula defined.
    freedom = np.divide(variance**2, squares, out=np.ones_like(variance), where=squares > 0)
    return special.stdtr(freedom, statistic), special.stdtr(freedom, -statistic)


def _draws(sample: _Rows, permutations: int, rng: np.random.Generator) -> FloatArray:
    """Return relabellings, the observed one first.

    Paired: signs, +1 or -1, shape (1 + permutations, num_pairs). Else 1 for rows that stand on the run's side and 0 for
    the others, shape (1 + permutations, num_run + num_reference).
    """
    num_run, num_all = len(sample.run), len(sample.run) + len(sample.reference)
    if sample.is_paired:
        signs = 1.0 - 2.0 * rng.integers(0, 2, (permutations, num_run))
        return np.asarray(np.concatenate([np.ones((1, num_run)), signs]), np.float64)
    labels = np.zeros((1 + permutations, num_all))
    labels[0, :num_run] = 1.0
    chosen = rng.random((permutations, num_all)).argpartition(num_run - 1, axis=1)[:, :num_run]
    np.put_along_axis(labels[1:], chosen, 1.0, axis=1)
    return labels


def _permutation_test(
    samples: Sequence[_Rows], permutations: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return p of 'run is below' and of 'run is above', by test; each game is relabelled by itself."""
    moments = [_moments(sample, _draws(sample, permutations, rng)) for sample in samples]
    difference = np.array([part for part, _ in moments]).sum(axis=0)
    statistics = _studentised(difference, np.array([part for _, part in moments]).sum(axis=0))
    slack = _TOLERANCE * (1.0 + np.abs(statistics[0]))
    lower = (statistics <= statistics[0] + slack).mean(axis=0)
    upper = (statistics >= statistics[0] - slack).mean(axis=0)
    unknown = np.isnan(statistics[0])
    return np.where(unknown, np.nan, lower), np.where(unknown, np.nan, upper)


def _moments(sample: _Rows, draws: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the difference of means and its squared standard error under each relabelling, (draws, tests)."""
    if sample.is_paired:
        pairs, count = sample.run - sample.reference, len(sample.run)
        mean = draws @ pairs / count
        return mean, np.asarray((np.square(pairs).mean(axis=0) - mean**2).clip(0.0) / (count - 1))
    pooled = np.concatenate([sample.run, sample.reference])
    pooled = pooled - pooled.mean(axis=0)
    squares = np.square(pooled)
    total = squares.sum(axis=0)
    counts = len(sample.run), len(sample.reference)
    run_sum, run_squares = draws @ pooled, draws @ squares
    means = run_sum / counts[0], -run_sum / counts[1]
    spreads = run_squares / counts[0] - means[0] ** 2, (total - run_squares) / counts[1] - means[1] ** 2
    variance = sum(spread.clip(0.0) / (count - 1) for spread, count in zip(spreads, counts, strict=True))
    return means[0] - means[1], np.asarray(variance)


def _studentised(difference: FloatArray, variance: FloatArray) -> FloatArray:
    """Return difference / standard error; what is 0 but for rounding stays 0, and no spread gives a huge statistic."""
    exact = np.where(np.abs(difference) < _TOLERANCE, 0.0, difference)
    return exact / np.sqrt(np.maximum(variance, _TOLERANCE**2))
