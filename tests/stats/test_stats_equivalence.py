"""Equivalence tests and contrasts against scipy, formulas and simulation."""

import math

import numpy as np
import pytest
import scipy.stats

from wsabench import stats
from wsabench.errors import SpecError

pytestmark = pytest.mark.oracle


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("sizes", [(5, 5), (8, 3)])
def test_tost_is_scipys_two_one_sided_tests(sizes):
    x, y = rng(1).normal(0.02, 0.05, (sizes[0], 4)), rng(2).normal(0.0, 0.1, (sizes[1], 4))
    ours = stats.equivalence_test([x], [y], 0.1)
    below = scipy.stats.ttest_ind(x - 0.1, y, equal_var=False, alternative="less").pvalue
    above = scipy.stats.ttest_ind(x + 0.1, y, equal_var=False, alternative="greater").pvalue
    np.testing.assert_allclose(ours.p, np.maximum(below, above))
    np.testing.assert_allclose(ours.adjusted_p, stats.holm(ours.p))
    interval = scipy.stats.ttest_ind(x, y, equal_var=False).confidence_interval(0.9)
    np.testing.assert_allclose([ours.low, ours.high], [interval.low, interval.high])
    np.testing.assert_array_equal(ours.p < 0.05, (ours.low > -0.1) & (ours.high < 0.1))


def test_paired_tost_is_scipys():
    difference = rng(3).normal(0.01, 0.05, (6, 3))
    ours = stats.equivalence_test([difference], None, 0.06)
    below = scipy.stats.ttest_1samp(difference, 0.06, alternative="less").pvalue
    above = scipy.stats.ttest_1samp(difference, -0.06, alternative="greater").pvalue
    np.testing.assert_allclose(ours.p, np.maximum(below, above))


def test_a_contrast_over_games_worked_out():
    x, y = [rng(4).normal(size=(3, 1)), rng(5).normal(size=(6, 1))], [rng(6).normal(size=(4, 1))] * 2
    parts = [(block.var(ddof=1) / len(block) / 4, len(block) - 1) for block in (*x, *y)]
    variance = sum(part for part, _ in parts)
    found = stats.contrast(x, y)
    assert found.standard_error[0] == pytest.approx(math.sqrt(variance))
    assert found.freedom[0] == pytest.approx(variance**2 / sum(part**2 / below for part, below in parts))
    assert found.effect[0] == pytest.approx(np.mean([a.mean() - b.mean() for a, b in zip(x, y, strict=True)]))
    assert found.num_games[0] == 2


def test_equal_agents_without_spread_are_equivalent_and_far_ones_are_not():
    same = np.full((5, 2), 0.3)
    test = stats.equivalence_test([same], [same + np.array([0.01, 0.2])], 0.05)
    assert test.p[0] < 1e-6
    assert test.p[1] == pytest.approx(1.0)
    assert np.isnan(stats.equivalence_test([same * np.nan], [same], 0.05).p).all()


def test_false_equivalence_is_as_rare_as_promised():
    # Each of 5 agents' differences lies on the margin: any false claim in a family in at most 5 %, 3 standard errors.
    draws, false = rng(7), 0
    for _ in range(2_000):
        x, y = draws.normal(size=(2, 10, 5))
        false += np.any(stats.equivalence_test([x + 1.5], [y], 1.5).adjusted_p <= 0.05)
    assert false / 2_000 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2_000)
    assert false / 2_000 >= 0.02  # and not because nothing is ever claimed


@pytest.mark.parametrize(("margin", "alpha", "message"), [(0.0, 0.05, "margin is 0"), (0.1, 0.5, r"alpha is 0\.5")])
def test_what_is_not_allowed(margin, alpha, message):
    with pytest.raises(SpecError, match=message):
        stats.equivalence_test([np.zeros((3, 1))], None, margin, alpha)
