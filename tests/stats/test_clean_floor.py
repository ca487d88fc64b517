"""The lower bound of clean scores against scipy's t intervals, and simulation."""

import numpy as np
import pytest
import scipy.stats

from wsabench import stats
from wsabench.errors import ShapeError, SpecError
from wsabench.stats.ratio.clean_floor import ALL_STARTS, NO_BOUND, OVER_EPISODES, OVER_SEEDS

oracle = pytest.mark.oracle


def episodes(num_seeds=2, num_episodes=8, seed=0):
    rng = np.random.default_rng(seed)
    return rng.exponential(0.5, (num_seeds, num_episodes)) * np.arange(1, num_seeds + 1)[:, None]


@oracle
def test_one_seed_has_the_one_sided_t_bound_of_its_episodes():
    scores = episodes(1)
    expected = scipy.stats.ttest_1samp(scores[0], 0.0, alternative="greater").confidence_interval(0.95).low
    found = stats.clean_bound(scores)
    assert found.low == pytest.approx(expected, rel=1e-12)
    assert (found.value, found.method) == (pytest.approx(scores.mean()), OVER_EPISODES)


@oracle
def test_two_seeds_have_welchs():
    scores = episodes(2)
    welch = scipy.stats.ttest_ind(scores[0], -scores[1], equal_var=False, alternative="greater")
    assert stats.clean_bound(scores).low == pytest.approx(welch.confidence_interval(0.95).low / 2, rel=1e-12)


@oracle
def test_repeated_episodes_carry_no_news():
    scores = episodes(1, 8)
    few = stats.clean_bound(scores, [3])
    half = scipy.stats.t.ppf(0.95, 2) * scores.std(ddof=1) / np.sqrt(3)
    assert few.low == pytest.approx(scores.mean() - half)
    assert few.low < stats.clean_bound(scores).low


@oracle
def test_single_episodes_leave_the_spread_of_seeds():
    scores = episodes(6, 1)
    expected = scipy.stats.ttest_1samp(scores[:, 0], 0.0, alternative="greater").confidence_interval(0.95).low
    found = stats.clean_bound(scores)
    assert (found.low, found.method) == (pytest.approx(expected), OVER_SEEDS)
    repeated = stats.clean_bound(np.repeat(scores, 4, axis=1), np.ones(6, dtype=int))
    assert (repeated.low, repeated.method) == (pytest.approx(expected), OVER_SEEDS)


def test_one_episode_of_one_seed_says_nothing():
    found = stats.clean_bound(np.array([[3.0]]))
    assert np.isnan(found.low)
    assert (found.value, found.is_defined, found.method) == (3.0, False, NO_BOUND)


def test_what_is_exact_adds_no_doubt():
    scores = episodes(2)
    exact = stats.clean_bound(scores, is_exact=[True, True])
    assert (exact.low, exact.is_defined, exact.method) == (exact.value, True, ALL_STARTS)
    single = stats.clean_bound(np.array([[0.09]]), is_exact=[True])
    assert (single.low, single.is_defined) == (0.09, False)
    # Only the other seed's episodes are uncertain, whose mean is half of the value.
    own = stats.clean_bound(scores[1:])
    half = stats.clean_bound(scores, [1, 8], is_exact=[True, False])
    assert half.value - half.low == pytest.approx((own.value - own.low) / 2)
    assert stats.clean_bound(scores, [1, 8], is_exact=[False, False]).method == OVER_SEEDS


def test_the_floor_decides():
    scores = episodes(2)
    low = stats.clean_bound(scores).low
    assert stats.clean_bound(scores, floor=low - 1e-9).is_defined
    assert not stats.clean_bound(scores, floor=low).is_defined
    assert stats.clean_bound(np.full((2, 5), 0.11)).low == pytest.approx(0.11)  # all alike: no spread
    assert stats.clean_bound(np.full((2, 5), 0.11)).is_defined
    assert not stats.clean_bound(np.full((2, 5), 0.1)).is_defined
    assert stats.CLEAN_FLOOR == 0.1


def test_an_agent_of_almost_random_play_has_no_retention():
    rng = np.random.default_rng(1)
    assert not stats.clean_bound(0.05 * rng.exponential(1.0, (6, 10))).is_defined
    assert stats.clean_bound(0.81 * rng.exponential(1.0, (6, 10))).is_defined


def test_shapes_and_options_are_checked():
    with pytest.raises(ShapeError, match=r"shape \(3,\)"):
        stats.clean_bound(np.zeros(3))
    with pytest.raises(ShapeError, match=r"\[0, 5\].*1 to 8"):
        stats.clean_bound(episodes(), [0, 5])
    with pytest.raises(SpecError, match=r"confidence is 0\.05"):
        stats.clean_bound(episodes(), confidence=0.05)


def test_long_tails_make_the_bound_safe():
    # 10 lognormal episodes a seed, 5 seeds: at most 5% lie above the true mean, and far from all below.
    rng = np.random.default_rng(2)
    found = [stats.clean_bound(np.exp(rng.normal(size=(5, 10)) - 0.5)).low for _ in range(2_000)]
    assert np.mean(np.array(found) > 1.0) < 0.05
    assert np.mean(found) > 0.6
