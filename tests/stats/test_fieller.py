"""Fieller's set against a t test of every ratio."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from wsabench import stats
from wsabench.errors import ShapeError, SpecError
from wsabench.stats.ratio.fieller import _solved

oracle = pytest.mark.oracle
prop = pytest.mark.property


def drawn(level, seed=0, num_seeds=6):
    """Return clean and perturbed scores whose clean mean is `level` standard deviations from 0."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=num_seeds)
    clean = level + common
    return clean, (0.5 * clean + 0.4 * rng.normal(size=num_seeds))[:, None]


def holds(found, ratio):
    """Say whether a set holds a ratio, from its ends and its shape."""
    low, high, region = (part[..., 0] for part in found)
    if region == stats.Region.COMPLEMENT:
        return ratio <= low or ratio >= high
    return low <= ratio <= high


@oracle
@pytest.mark.parametrize(
    ("level", "seed", "region"),
    [(3.0, 0, "bounded"), (1.5, 1, "bounded"), (0.3, 1, "whole line"), (0.3, 4, "complement"), (0.7, 7, "complement")],
)
def test_the_set_is_what_t_tests_of_all_ratios_keep(level, seed, region):
    clean, perturbed = drawn(level, seed)
    if region == "complement":
        perturbed = perturbed + 2.0
    found = stats.fieller_set(clean, perturbed)
    assert stats.Region(found.region[0]).words == region
    ratios = np.concatenate([np.linspace(-30, 30, 1201), [-1e6, 1e6]])
    kept = scipy.stats.ttest_1samp(perturbed - clean[:, None] * ratios, 0.0).pvalue > 0.05
    assert [holds(found, ratio) for ratio in ratios] == kept.tolist()


@oracle
def test_a_clean_score_without_spread_gives_the_t_interval():
    perturbed = np.array([[0.5], [0.7], [0.1], [0.4]])
    found = stats.fieller_set(np.full(4, 2.0), perturbed, confidence=0.9)
    expected = scipy.stats.ttest_1samp(perturbed[:, 0] / 2.0, 0.0).confidence_interval(0.9)
    assert (found.low[0], found.high[0]) == pytest.approx((expected.low, expected.high), rel=1e-12)


def test_cells_and_leading_axes_are_computed_as_if_alone():
    rng = np.random.default_rng(3)
    clean, perturbed = rng.normal(1.0, 1.0, (5, 7)), rng.normal(0.5, 1.0, (5, 7, 3))
    together = stats.fieller_set(clean, perturbed)
    for run in range(5):
        for cell in range(3):
            alone = stats.fieller_set(clean[run], perturbed[run, :, [cell]].T)
            for one, many in zip(alone, together, strict=True):
                assert one[0] == pytest.approx(many[run, cell], rel=1e-9)


@pytest.mark.parametrize(
    ("a", "b", "c", "expected"),
    [
        (0.0, 1.0, 4.0, (-np.inf, 2.0, stats.Region.COMPLEMENT)),  # -2 q + 4 <= 0
        (0.0, -1.0, 4.0, (-2.0, np.inf, stats.Region.COMPLEMENT)),  # 2 q + 4 <= 0
        (0.0, 0.0, -1.0, (-np.inf, np.inf, stats.Region.WHOLE_LINE)),
        (0.0, 0.0, 0.0, (-np.inf, np.inf, stats.Region.WHOLE_LINE)),
        (1.0, 0.0, 0.0, (0.0, 0.0, stats.Region.BOUNDED)),  # q^2 <= 0
        (1.0, 3.0, 8.0, (2.0, 4.0, stats.Region.BOUNDED)),
        (-1.0, 0.0, 4.0, (-2.0, 2.0, stats.Region.COMPLEMENT)),  # q^2 >= 4
        (-1.0, 0.0, -4.0, (-np.inf, np.inf, stats.Region.WHOLE_LINE)),
    ],
)
def test_parabolas_and_lines_are_solved(a, b, c, expected):
    found = _solved(*(np.array([value]) for value in (a, b, c)))
    assert tuple(part[0] for part in found) == expected


SCORES = st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=3, max_size=9)


@prop
@settings(max_examples=100, deadline=None)
@given(SCORES)
def test_the_ratio_of_means_is_in_the_set(pairs):
    clean, perturbed = np.array(pairs).T
    if abs(clean.mean()) < 1e-3:
        return
    low, high, region = (part[0] for part in stats.fieller_set(clean, perturbed[:, None]))
    ratio, slack = perturbed.mean() / clean.mean(), 1e-6 * (1.0 + abs(perturbed.mean() / clean.mean()))
    if region == stats.Region.COMPLEMENT:
        assert ratio <= low + slack or ratio >= high - slack
    else:
        assert low - slack <= ratio <= high + slack


def test_one_seed_and_bad_options_are_refused():
    with pytest.raises(ShapeError, match="one train seed"):
        stats.fieller_set(np.ones(1), np.ones((1, 2)))
    with pytest.raises(ShapeError, match=r"shape \(2,\), the perturbed ones \(3, 1\)"):
        stats.fieller_set(np.ones(2), np.ones((3, 1)))
    with pytest.raises(SpecError, match="confidence is 95"):
        stats.fieller_set(np.ones(2), np.ones((2, 1)), confidence=95)
