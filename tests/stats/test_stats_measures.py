"""Normalisation and robustness measures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsabench import stats
from wsabench.errors import ShapeError, SpecError


def test_normalised_score_of_random_and_reference_play():
    # Breakout: random 1.7, human 30.5, so 16.1 is half way: (16.1 - 1.7) / 28.8 = 0.5.
    np.testing.assert_allclose(stats.normalised_score([1.7, 30.5, 16.1, 59.3], 1.7, 30.5), [0.0, 1.0, 0.5, 2.0])


def test_normalised_score_with_negative_references():
    # Pong: random -20.7, human 14.6; -21 is a little worse than random.
    assert stats.normalised_score(-21.0, -20.7, 14.6) == pytest.approx(-0.3 / 35.3)


def test_normalised_score_without_reference_is_undefined():
    assert np.isnan(stats.normalised_score(3.0, 1.0, float("nan")))


@pytest.mark.parametrize("reference", [1.7, 1.0])
def test_reference_at_or_below_random_is_refused(reference):
    with pytest.raises(SpecError, match=r"not above the random score 1\.7"):
        stats.normalised_score(3.0, 1.7, reference)


def test_retention():
    clean = np.array([[0.5, 2.0, 0.5]])
    np.testing.assert_allclose(stats.retention(clean, np.array([[0.25, 2.0, -0.1]])), [[0.5, 1.0, -0.2]])


@pytest.mark.parametrize("clean", [0.0, -0.3, float("nan")])
def test_retention_of_an_agent_that_fails_clean_is_undefined(clean):
    with np.errstate(all="raise"):
        assert np.isnan(stats.retention(np.array([clean]), np.array([0.2]))).all()
    assert not stats.retention_is_defined(np.array([clean])).any()


def test_retention_is_defined_just_above_zero():
    tiny = np.array([1e-9])
    assert stats.retention_is_defined(tiny).all()
    assert stats.retention(tiny, tiny) == 1.0


def test_robustness_gap_is_defined_for_agents_that_fail_clean():
    np.testing.assert_allclose(stats.robustness_gap(np.array([0.5, -0.1]), np.array([0.2, 0.1])), [0.3, -0.2])


@pytest.mark.parametrize("measure", [stats.retention, stats.robustness_gap])
def test_shapes_must_match(measure):
    with pytest.raises(ShapeError, match=r"shape \(2,\), the perturbed ones \(3,\)"):
        measure(np.zeros(2), np.zeros(3))


def test_a_total_of_random_play_is_exactly_random_play():
    # 17 points in 10 episodes of Breakout, random 1.7: normalised one by one the mean is a little above 0.
    returns = np.array([1, 2, 3, 1, 0, 5, 1, 2, 1, 1], dtype=np.float64)
    assert returns.sum() == 17
    assert stats.normalised_mean(returns, 1.7, 30.5) == 0.0
    assert stats.normalised_score(returns, 1.7, 30.5).mean() != 0.0
    assert not stats.retention_is_defined(stats.normalised_mean(returns, 1.7, 30.5)).any()


@pytest.mark.property
@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(-21, 900), min_size=2, max_size=40), st.randoms(use_true_random=False))
def test_equal_totals_are_ties(returns, random):
    total, count = sum(returns), len(returns)
    spread = [total // count + (place < total % count) for place in range(count)]
    shuffled = random.sample(returns, count)
    for other in (spread, shuffled):
        assert stats.normalised_mean(other, -20.7, 14.6) == stats.normalised_mean(returns, -20.7, 14.6)


def test_means_of_several_axes_and_random_play_of_the_perturbed_game():
    returns = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_allclose(stats.normalised_mean(returns, 2.0, 12.0), (returns.mean(axis=2) - 2.0) / 10.0)
    np.testing.assert_allclose(stats.normalised_mean(returns, 2.0, 12.0, axis=(0, 2)), [0.55, 0.95, 1.35])
    # Random play scores 3, 2 and 7 points in the three cells; the span of the unchanged game is 10.
    found = stats.normalised_mean(returns, 2.0, 12.0, perturbed_random=[3.0, 2.0, 7.0], axis=(0, 2))
    np.testing.assert_allclose(found, [0.45, 0.95, 0.85])
    with pytest.raises(SpecError, match="not above the random score"):
        stats.normalised_mean(returns, 2.0, 1.0, perturbed_random=3.0)


def test_shares_of_cells_kept_and_lost():
    # First game: 2 of 4 kept, 1 lost (0.1 counts); second: 1 of 2 kept (0.8 counts), none lost.
    found = stats.kept_shares([np.array([0.9, 1.4, 0.5, 0.1]), np.array([0.8, 0.11])])
    assert found == (0.5, 0.125)
    assert np.isnan(stats.kept_shares([np.array([np.nan, 0.5])])).all()
    with pytest.raises(ShapeError, match="at least one game"):
        stats.kept_shares([])


@pytest.mark.oracle
def test_seed_retention_is_beales_estimator():
    rng = np.random.default_rng(0)
    clean, perturbed = rng.exponential(1.0, (3, 10)), rng.exponential(0.5, (3, 2, 10))
    found = stats.seed_retention(clean, perturbed)
    for seed in range(3):
        for cell in range(2):
            x, y = clean[seed], perturbed[seed, cell]
            covariance = np.cov(x, y) / 10  # of the two means
            top, bottom = x.mean() * y.mean() + covariance[0, 1], x.mean() ** 2 + covariance[0, 0]
            assert found[seed, cell] == pytest.approx(top / bottom)


def test_seed_retention_is_less_biased_and_undefined_at_random_play():
    rng = np.random.default_rng(1)
    clean, perturbed = rng.exponential(1.0, (4_000, 5)), 0.6 * rng.exponential(1.0, (4_000, 1, 5))
    plain = stats.retention(clean.mean(axis=1), perturbed[:, 0].mean(axis=1)).mean()
    assert plain > 0.6 * 1.15  # exactly 1.25: the mean of 1 / gamma(5, 1 / 5)
    assert abs(stats.seed_retention(clean, perturbed).mean() - 0.6) < 0.4 * (plain - 0.6)
    assert np.isnan(stats.seed_retention(np.zeros((1, 3)), np.ones((1, 2, 3)))).all()
    assert stats.seed_retention(np.full((1, 1), 0.5), np.full((1, 1, 1), 0.2)) == pytest.approx(0.4)
    with pytest.raises(ShapeError, match="num_seeds, num_cells, num_episodes"):
        stats.seed_retention(np.zeros((1, 3)), np.ones((1, 2, 4)))
