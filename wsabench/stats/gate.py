"""The gate: has an agent lost more of its score than a margin, in some cell or on the average?

Normalised scores of a run are compared with those of a reference, which is another run. With several train seeds a row
is a train seed (its mean over episodes), with one checkpoint a row is an episode. Both can be paired.

The margin of a cell is a share of the reference's score there, and never less than that share of `MARGIN_FLOOR_SCORE`.
As a share it is estimated with the reference and shares its error, so what is tested is a contrast: run - (1 - margin)
x reference, or run - reference + floor where the reference's mean is below `MARGIN_FLOOR_SCORE`.

The rows of deterministic play are the starts: see `Limits`.

References:
    Wellek 2010, "Testing statistical hypotheses of equivalence and noninferiority", for ratio margins; Janssen 1997,
    "Studentized permutation tests for non-i.i.d. hypotheses", and Chung & Romano 2013, "Exact and asymptotically robust
    permutation tests"; Holm 1979.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from wsabench.errors import ShapeError, SpecError
from wsabench.stats import one_sided
from wsabench.stats.claims.comparisons import holm
from wsabench.stats.one_sided import UNLIMITED, Limits, Rows
from wsabench.types import FloatArray

MARGIN_FLOOR_SCORE = 0.1
"""Normalised score below which the margin shrinks no further: a share of almost nothing is within chance."""
DEFAULT_MARGIN = 0.2
"""Share of the reference's score that may be lost."""
DEFAULT_ALPHA = 0.05
"""Probability of any false alarm in a whole check, at most."""
DEFAULT_PERMUTATIONS = 9_999
"""Permutations drawn for every test; tests whose p they cannot resolve get more."""
MIN_EPISODE_PAIRS = 12
"""Fewer pairs have fewer than 4,096 sign flips: too few for the small p that a correction over cells asks for."""
COLLAPSE = 0.8
"""Share of the reference's score whose loss a check must be able to find."""
MIN_POWER = 0.8
"""Where a check finds a loss of `COLLAPSE` with a smaller probability, it has too few episodes."""

Unit = Literal["train seeds", "episodes"]
"""What a row of scores is; episodes are those of one checkpoint."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one agent scored in one game, for some tests; each looks at the mean over its cells."""

    run: FloatArray
    """Normalised scores, float64, shape (num_run, num_tests, num_cells); a row is a train seed, an episode or, where
    play is deterministic, a start."""
    reference: FloatArray
    """The same cells of the reference, shape (num_reference, num_tests, num_cells)."""
    is_paired: bool
    """Whether equal rows of both belong together: the same train seed, episode seed or start."""
    run_limits: Limits = UNLIMITED
    """What is known of the run's rows beyond their scores."""
    reference_limits: Limits = UNLIMITED
    """What is known of the reference's rows beyond their scores."""
    weight: float = 1.0
    """The sample's weight in the mean over samples, relative to the others."""

    def __post_init__(self) -> None:
        """Check shapes and sizes.

        Raises:
            ShapeError: The shapes do not fit each other.
            SpecError: A side has too few rows for a test.
        """
        shapes = f"{self.run.shape} for the run, {self.reference.shape} for the reference"
        if self.run.ndim != 3 or self.reference.ndim != 3 or self.run.shape[1:] != self.reference.shape[1:]:
            raise ShapeError(
                f"Scores have the shapes {shapes}. Allowed: (rows, tests, cells), tests and cells the same."
            )
        if self.is_paired and len(self.run) != len(self.reference):
            raise ShapeError(f"Paired scores have the shapes {shapes}. Allowed: the same number of rows.")
        sides = (self.run, self.run_limits), (self.reference, self.reference_limits)
        if any(len(rows) < 2 and (not len(rows) or limits.share_left(len(rows))) for rows, limits in sides):
            raise SpecError(
                f"A test rests on {len(self.run)} of the run's train seeds or episodes and {len(self.reference)} of "
                "the reference's. Allowed: at least 2 train seeds or, with one checkpoint, 2 different episodes. Play "
                "more episodes."
            )


class Comparison(NamedTuple):
    """A run against a reference; all arrays float64, shape (num_tests,), in units of the normalised score."""

    reference: FloatArray
    """Mean score of the reference."""
    run: FloatArray
    """Mean score of the run."""
    drop: FloatArray
    """Reference minus run; negative: the run scored more."""
    margin: FloatArray
    """The largest drop that is allowed, the mean of the cells' margins."""
    standard_error: FloatArray
    """Standard error of the drop."""
    p_worse: FloatArray
    """One-sided p of the hypothesis that the drop is at most the margin: small where it is shown to be larger."""
    p_within: FloatArray
    """One-sided p of the hypothesis that the drop is at least the margin: small where non-inferiority is shown."""


class Adjusted(NamedTuple):
    """p values corrected for the number of tests, so that one false alarm in all has probability alpha at most."""

    cells: FloatArray
    """Those of the cells, shape (..., num_cells)."""
    overall: FloatArray
    """Those of the averages over cells, shape (..., num_averages)."""


def compare(
    samples: Sequence[Sample],
    unit: Unit,
    rng: np.random.Generator,
    margin: float = DEFAULT_MARGIN,
    permutations: int = DEFAULT_PERMUTATIONS,
    smallest: float | None = None,
) -> Comparison:
    """Compare a run with a reference, each test by itself.

    Train seeds are compared by t tests (paired, or Welch's); their rows are means over episodes. Single episodes are
    skewed and discrete, and the two sides may differ in number, where t tests alarm too often. So episodes are compared
    by a permutation of the studentised difference too, and the larger p counts. It is exact where the run's scores are
    the reference's times (1 - margin), but for few episodes and slightly different steps of the score alarms too often
    itself, where the t test does not. Where play is deterministic and no spread is left, because all starts were played
    or all scored the same, the sides are compared exactly, and p is 0 or 1.

    Args:
        samples: Independent samples with the same tests, for example one for each game; their weighted mean is tested.
        unit: What a row is.
        rng: Where permutations are drawn from.
        margin: Share of the reference's score that may be lost, above 0 and below 1.
        permutations: How many are drawn.
        smallest: The level that p must reach (`smallest_p`): tests whose p is too small for the permutations to tell it
            from this level get more of them until they can. None draws no more.

    Returns:
        Estimates and p values of each test. NaN where a score is NaN.

    Raises:
        SpecError: The margin is out of range, or there are no samples.
    """
    if not 0 < margin < 1:
        raise SpecError(f"The margin is {margin:g}. Allowed: numbers above 0 and below 1, as in 0.2 for 20 %.")
    if not samples:
        raise SpecError("There is nothing to compare. Give at least one game.")
    contrast = _contrasts(samples, margin)
    p_worse, p_within = one_sided.t_test(contrast)
    if unit == "episodes":
        drawn = one_sided.permutation_test(contrast, permutations, rng)
        exact = one_sided.is_exact(contrast)
        below = drawn[0]
        if smallest is not None:  # the larger p counts, so only where that of the t test is the smaller one
            more = one_sided.refined(
                contrast, np.where(exact | (below <= p_worse), np.nan, below), permutations, smallest, rng
            )
            below = np.where(np.isnan(more), below, more)
        p_worse = np.where(exact, p_worse, np.maximum(p_worse, below))
        p_within = np.where(exact, p_within, np.maximum(p_within, drawn[1]))
    shares = _shares(samples)
    plain = [_rows(one, one.run, one.reference, share) for one, share in zip(samples, shares, strict=True)]
    run, reference = (
        np.array([rows.weight * side.mean(axis=0) for rows, side in zip(plain, sides, strict=True)]).sum(axis=0)
        for sides in ([rows.run for rows in plain], [rows.reference for rows in plain])
    )
    floors = [np.maximum(one.reference.mean(axis=0), MARGIN_FLOOR_SCORE).mean(axis=1) for one in samples]
    return Comparison(
        reference=reference,
        run=run,
        drop=reference - run,
        margin=margin * np.array([share * floor for share, floor in zip(shares, floors, strict=True)]).sum(axis=0),
        standard_error=np.sqrt(one_sided.variance(plain)),
        p_worse=p_worse,
        p_within=p_within,
    )


def adjust(cells: FloatArray, overall: FloatArray) -> Adjusted:
    """Correct p values: half of alpha for the cells, half for the averages over cells, Holm's method in each half.

    Args:
        cells: p values of all cells, shape (..., num_cells).
        overall: p values of the averages, shape (..., num_averages); none where an average has one cell only.

    Returns:
        The corrected p values in the same shapes, to be compared with alpha. Without averages the cells have all of it.

    Raises:
        SpecError: A p value is outside 0 to 1.
    """
    halves = 2.0 if overall.shape[-1] else 1.0
    return Adjusted(np.minimum(1.0, halves * holm(cells)), np.minimum(1.0, halves * holm(overall)))


def smallest_p(num_tests: int, alpha: float, *, halved: bool = True) -> float:
    """Return the level of the first step of Holm's method: with no p at or below it a family of tests shows nothing.

    Args:
        num_tests: The number of tests in the family: the cells, or the averages, of the whole check.
        alpha: The probability of any false alarm in the whole check.
        halved: Whether there are averages beside the cells, each with half of alpha.
    """
    return alpha / (2.0 if halved else 1.0) / max(num_tests, 1)


def power_to_find(
    samples: Sequence[Sample], unit: Unit, level: float, margin: float = DEFAULT_MARGIN, drop: float = COLLAPSE
) -> float:
    """Return the probability that a test finds a drop, from the reference's spread and both numbers of rows.

    Nothing of how the run scored enters but the number of its rows. With episodes, a drop is that many of them scoring
    nothing above random play, in each cell by itself, as a collapse does; the others are spread as the reference's.
    With train seeds, the run's are spread as the reference's. Pairing is not counted on: what has collapsed
    plays its episodes differently.

    Args:
        samples: As for `compare`, with one test.
        unit: What a row is.
        level: The test alarms where its p is at most this; from `smallest_p` where several tests are corrected.
        margin: Share of the reference's score that may be lost.
        drop: Share of the reference's score that is lost; of `MARGIN_FLOOR_SCORE` where the reference's is lower.

    Returns:
        0 to 1; 0 where so few rows cannot get p to the level, whatever the scores.
    """
    rows = _contrasts(samples, margin)
    if unit == "episodes" and one_sided.smallest_attainable(rows) > level * (1.0 + one_sided.TOLERANCE):
        return 0.0
    shift, found = 0.0, []
    for sample, share, one in zip(samples, _shares(samples), rows, strict=True):
        means = sample.reference.mean(axis=0)
        shift += share * (drop - margin) * float(np.maximum(means, MARGIN_FLOOR_SCORE).mean())
        unpaired = one_sided.parts([one._replace(run=sample.reference.mean(axis=2), is_paired=False)])[1]
        spread = sample.reference.mean(axis=2).var(axis=0, ddof=1) if len(sample.reference) > 1 else np.zeros(1)
        if unit == "episodes":
            between = np.square(means.clip(0.0)).sum(axis=1) / means.shape[1] ** 2
            spread = (1.0 - drop) * spread + drop * (1.0 - drop) * between
        left = sample.run_limits.share_left(len(sample.run))
        collapsed = share**2 * left * spread / len(sample.run)
        found += [unpaired, one_sided.Part(collapsed, sample.run_limits.freedom(len(sample.run)))]
    error = math.sqrt(float(sum(part.variance[0] for part in found)))
    if error <= one_sided.TOLERANCE:
        return 1.0
    return one_sided.power(shift / error, float(one_sided.freedom(found)[0]), level)


def _shares(samples: Sequence[Sample]) -> list[float]:
    """Return each sample's part of the mean."""
    total = sum(sample.weight for sample in samples)
    return [sample.weight / total for sample in samples]


def _contrasts(samples: Sequence[Sample], margin: float) -> list[Rows]:
    """Return rows whose means are equal where the drop equals the margin, the mean over each test's cells."""
    found = []
    for sample, share in zip(samples, _shares(samples), strict=True):
        is_share = sample.reference.mean(axis=0) >= MARGIN_FLOOR_SCORE
        run = sample.run + np.where(is_share, 0.0, margin * MARGIN_FLOOR_SCORE)
        reference = sample.reference * np.where(is_share, 1.0 - margin, 1.0)
        found.append(_rows(sample, run, reference, share))
    return found


def _rows(sample: Sample, run: FloatArray, reference: FloatArray, weight: float) -> Rows:
    """Return the means over cells, with what else is known of the sample."""
    limits = sample.run_limits, sample.reference_limits
    return Rows(run.mean(axis=2), reference.mean(axis=2), sample.is_paired, *limits, weight)
