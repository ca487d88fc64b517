"""Tests over train seeds against scipy, plain enumeration, values worked out by hand and simulation."""

import itertools

import numpy as np
import pytest
import scipy.stats

from wsabench import stats
from wsabench.errors import ShapeError, SpecError
from wsabench.stats.claims import comparisons

pytestmark = pytest.mark.oracle


def rng(seed=0):
    return np.random.default_rng(seed)


def mean_difference(x, y, axis):
    return np.mean(x, axis=axis) - np.mean(y, axis=axis)


@pytest.mark.parametrize(("num_x", "num_y"), [(3, 3), (5, 5), (4, 6), (2, 7)])
@pytest.mark.parametrize("decimals", [0, 8])
def test_the_two_sample_test_is_scipys(num_x, num_y, decimals):
    x, y = rng(1).normal(0.8, 1.0, (num_x, 4)), rng(2).normal(0.0, 1.0, (num_y, 4))
    x, y = np.round(x, decimals), np.round(y, decimals)  # 0 makes ties
    ours = stats.two_sample_test([x], [y], rng())
    theirs = scipy.stats.permutation_test((x, y), mean_difference, vectorized=True, n_resamples=np.inf, axis=0)
    np.testing.assert_allclose(ours.p, theirs.pvalue, atol=1e-12)
    np.testing.assert_allclose(ours.effect, theirs.statistic, atol=1e-12)


@pytest.mark.parametrize("num_seeds", [2, 5, 8])
def test_the_sign_flip_test_is_scipys(num_seeds):
    clean, perturbed = rng(3).normal(0.5, 1.0, (num_seeds, 3)), rng(4).normal(0.0, 1.0, (num_seeds, 3))
    ours = stats.sign_flip_test([clean - perturbed], rng())
    options = {"permutation_type": "samples", "vectorized": True, "n_resamples": np.inf, "axis": 0}
    theirs = scipy.stats.permutation_test((clean, perturbed), mean_difference, **options)
    np.testing.assert_allclose(ours.p, theirs.pvalue, atol=1e-12)


def test_games_are_relabelled_independently():
    # Two games, 2 against 2 and 3 against 1: 6 x 4 relabellings, each weighed by a plain loop.
    x, y = (
        [rng(5).normal(size=(2, 1)), rng(6).normal(size=(3, 1))],
        [rng(7).normal(size=(2, 1)), rng(8).normal(size=(1, 1))],
    )
    pooled = [np.concatenate(pair).ravel() for pair in zip(x, y, strict=True)]

    def differences(values, size):
        for chosen in itertools.combinations(range(len(values)), size):
            rest = [value for place, value in enumerate(values) if place not in chosen]
            yield values[list(chosen)].mean() - np.mean(rest)

    sums = [(a + b) / 2 for a in differences(pooled[0], 2) for b in differences(pooled[1], 3)]
    observed = np.mean([a.mean() - b.mean() for a, b in zip(x, y, strict=True)])
    upper, lower = np.mean(np.array(sums) >= observed - 1e-12), np.mean(np.array(sums) <= observed + 1e-12)
    ours = stats.two_sample_test(x, y, rng())
    assert ours.effect[0] == pytest.approx(observed)
    assert ours.p[0] == pytest.approx(min(1.0, 2 * min(upper, lower)))
    assert ours.smallest_p == pytest.approx(2 / 24)


def test_drawn_relabellings_come_close_to_all(monkeypatch):
    x, y = [rng(9).normal(0.7, 1.0, (6, 3))], [rng(10).normal(0.0, 1.0, (6, 3))]
    exact = stats.two_sample_test(x, y, rng())
    flips = stats.sign_flip_test([x[0] - y[0]], rng())
    monkeypatch.setattr(comparisons, "MAX_ENUMERATED", 10)
    drawn = stats.two_sample_test(x, y, rng(11))
    drawn_flips = stats.sign_flip_test([x[0] - y[0]], rng(11))
    np.testing.assert_allclose(drawn.p, exact.p, atol=0.02)
    np.testing.assert_allclose(drawn_flips.p, flips.p, atol=0.02)
    assert drawn.smallest_p == pytest.approx(2 / 10_000)
    np.testing.assert_array_equal(drawn.p, stats.two_sample_test(x, y, rng(11)).p)


@pytest.mark.parametrize(("num_seeds", "smallest"), [(3, 0.1), (4, 2 / 70), (5, 2 / 252)])
def test_the_smallest_p_is_reached_by_seeds_that_do_not_overlap(num_seeds, smallest):
    low = np.arange(float(num_seeds))[:, None]
    test = stats.two_sample_test([low + 100.0], [low], rng())
    assert test.p[0] == pytest.approx(smallest)
    assert test.smallest_p == pytest.approx(smallest)


@pytest.mark.parametrize(("num_seeds", "smallest"), [(3, 0.25), (5, 0.0625)])
def test_the_smallest_p_of_sign_flips(num_seeds, smallest):
    test = stats.sign_flip_test([np.arange(1.0, num_seeds + 1)[:, None]], rng())
    assert (test.p[0], test.smallest_p) == pytest.approx((smallest, smallest))


def test_equal_scores_have_p_1():
    same = np.full((4, 1), 0.3)
    assert stats.two_sample_test([same], [same], rng()).p[0] == 1.0
    assert stats.sign_flip_test([0.0 * same], rng()).p[0] == 1.0


def test_undefined_values_have_an_undefined_p():
    x = np.array([[1.0, np.nan], [2.0, 1.0]])
    test = stats.two_sample_test([x], [x + 1.0], rng())
    assert np.isfinite(test.p[0])
    assert np.isnan(test.p[1])


def test_holm_worked_out():
    # Sorted 0.01, 0.02, 0.04 times 3, 2, 1: 0.03, 0.04, 0.04.
    np.testing.assert_allclose(stats.holm([0.04, 0.01, 0.02]), [0.04, 0.03, 0.04])
    # 0.03 x 2 = 0.06 may not be followed by 0.05 x 1.
    np.testing.assert_allclose(stats.holm([0.05, 0.03]), [0.06, 0.06])
    np.testing.assert_allclose(stats.holm([0.6, 0.9]), [1.0, 1.0])
    # A test that could not be made counts as a member all the same.
    np.testing.assert_allclose(stats.holm([np.nan, 0.02]), [np.nan, 0.04])
    with pytest.raises(SpecError, match=r"p values are \[1\.5\]"):
        stats.holm([1.5])


@pytest.mark.parametrize(
    ("num_pairs", "paired", "seeds"),
    [(1, False, 5), (2, False, 5), (6, False, 5), (7, False, 6), (1, True, 6), (2, True, 7)],
)
def test_how_many_seeds_can_decide_at_all(num_pairs, paired, seeds):
    # 2 / C(8, 4) = 0.029, but no report claims anything from four seeds. 2 / C(10, 5) = 0.0079, times 6 is 0.048,
    # times 7 0.056; 2 / 64 = 0.031, times 2 0.0625.
    assert stats.seeds_to_decide(num_pairs, paired=paired) == seeds


def test_false_claims_are_as_rare_as_promised():
    # Two equal agents, 5 seeds each, cells of a game moved together: 2,000 data sets, 3 standard errors.
    draws = rng(12)
    seeds, cells = draws.normal(size=(2, 5, 2_000)), 0.5 * draws.normal(size=(2, 5, 2_000))
    p = stats.two_sample_test([seeds[0] + cells[0]], [seeds[1] + cells[1]], rng()).p
    assert (p <= 0.05).mean() <= 0.065


def test_games_and_tests_must_fit():
    with pytest.raises(ShapeError, match="different games or tests"):
        stats.two_sample_test([np.zeros((3, 1))], [np.zeros((3, 2))], rng())
    with pytest.raises(ShapeError, match="games have different tests"):
        stats.sign_flip_test([np.zeros((3, 1)), np.zeros((3, 2))], rng())
