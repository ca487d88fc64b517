"""Claims that two agents are equal but for a margin, by two one-sided t tests.

References:
    Schuirmann 1987, "A comparison of the two one-sided tests procedure and the power approach for assessing the
    equivalence of average bioavailability"; Wellek 2010, "Testing statistical hypotheses of equivalence and
    noninferiority"; Holm 1979.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special

from wsabench.errors import SpecError
from wsabench.stats.claims.comparisons import holm
from wsabench.stats.claims.contrasts import contrast
from wsabench.stats.resampling import Blocks
from wsabench.types import FloatArray


class EquivalenceTest(NamedTuple):
    """Tests against a difference of at least the margin; arrays of shape (num_tests,), NaN where scores are NaN."""

    effect: FloatArray
    """Mean x minus mean y, or the mean paired difference, averaged over the games that have the perturbation."""
    p: FloatArray
    """The larger of the two one-sided p values: small where the difference is shown to be within the margin."""
    adjusted_p: FloatArray
    """`p` corrected for the family by Holm's method."""
    low: FloatArray
    """Lower bounds of intervals with confidence 1 - 2 alpha, which lie within the margin exactly where p < alpha."""
    high: FloatArray
    """Upper bounds of these intervals."""


def equivalence_test(x: Blocks, y: Blocks | None, margin: float, alpha: float = 0.05) -> EquivalenceTest:
    """Test whether two agents' means differ by less than a margin, for all perturbations of a family.

    Args:
        x: One array for each game, shape (num_seeds_x, num_tests), float64. A game without some perturbation has NaN
            in its whole column there; the test is over the games that have it.
        y: The same games and tests of the other agent, shape (num_seeds_y, num_tests): Welch's t tests. None where x
            holds paired differences of train seeds: t tests of one sample.
        margin: Largest difference that does not matter, in the scores' unit; chosen before looking.
        alpha: The level of each one-sided test; the intervals have the confidence 1 - 2 alpha.

    Returns:
        The tests.

    Raises:
        ShapeError: Games or tests differ, or a block has not two axes.
        SpecError: The margin is not above 0, or alpha is not between 0 and 0.5.
    """
    if not (np.isfinite(margin) and margin > 0):
        raise SpecError(
            f"The equivalence margin is {margin:g}. Allowed: numbers above 0 in the scores' unit, such as 0.05."
        )
    if not 0 < alpha < 0.5:
        raise SpecError(f"alpha is {alpha:g}. Allowed: numbers above 0 and below 0.5, for example 0.05.")
    estimate = contrast(x, y)
    p = np.maximum(estimate.p(margin)[0], estimate.p(-margin)[1])
    width = special.stdtrit(estimate.freedom, 1.0 - alpha) * estimate.standard_error
    return EquivalenceTest(estimate.effect, p, holm(p), estimate.effect - width, estimate.effect + width)
