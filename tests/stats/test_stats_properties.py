"""What must hold for any scores."""

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsabench import stats

pytestmark = pytest.mark.property

AGGREGATES = [stats.mean, stats.median, stats.iqm, stats.optimality_gap]
VALUES = st.floats(-1e3, 1e3, allow_subnormal=False)
SCORES = arrays.arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=VALUES)
fast = settings(max_examples=60, deadline=None)


@fast
@given(SCORES, st.randoms(use_true_random=False))
def test_the_order_of_runs_does_not_matter(scores, random):
    order = random.sample(range(len(scores)), len(scores))
    for aggregate in AGGREGATES:
        assert aggregate(scores[order]) == pytest.approx(aggregate(scores), abs=1e-9)
    np.testing.assert_array_equal(
        stats.performance_profile(scores[order], [0.0]), stats.performance_profile(scores, [0.0])
    )


@given(st.integers(0, 50), st.integers(1, 50))
def test_more_train_seeds_or_games_are_never_too_few_where_fewer_are_enough(num_seeds, num_games):
    is_enough = stats.are_enough(num_seeds, num_games)
    assert is_enough <= stats.are_enough(num_seeds + 1, num_games)
    assert is_enough <= stats.are_enough(num_seeds, num_games + 1)
    assert stats.are_enough(num_seeds) == (num_seeds >= stats.MIN_TRAIN_SEEDS)
    assert is_enough == (not stats.seed_note(num_seeds, num_games))


@fast
@given(SCORES)
def test_iqm_lies_between_the_extremes(scores):
    assert scores.min() - 1e-9 <= stats.iqm(scores) <= scores.max() + 1e-9


@fast
@given(SCORES, st.floats(0.01, 100.0), VALUES)
def test_location_measures_follow_a_change_of_scale(scores, factor, shift):
    for aggregate in (stats.mean, stats.median, stats.iqm):
        expected = factor * aggregate(scores) + shift
        assert aggregate(factor * scores + shift) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@fast
@given(st.data(), st.integers(1, 5), st.integers(1, 5), st.integers(1, 5))
def test_probabilities_of_improvement_of_two_agents_sum_to_one(data, runs_x, runs_y, tasks):
    whole = st.integers(-3, 3).map(float)  # few values, many ties
    x = data.draw(arrays.arrays(np.float64, (runs_x, tasks), elements=whole))
    y = data.draw(arrays.arrays(np.float64, (runs_y, tasks), elements=whole))
    forward, backward = stats.probability_of_improvement(x, y), stats.probability_of_improvement(y, x)
    assert forward + backward == pytest.approx(1.0, abs=1e-12)
    assert 0.0 <= forward <= 1.0


@fast
@given(SCORES)
def test_a_profile_falls_from_one_to_zero(scores):
    thresholds = np.concatenate([[scores.min() - 1.0], np.sort(scores.ravel()), [scores.max()]])
    profile = stats.performance_profile(scores, thresholds)
    assert profile[0] == 1.0
    assert profile[-1] == 0.0
    assert np.all(np.diff(profile) <= 0.0)


@fast
@given(arrays.arrays(np.float64, st.tuples(st.integers(3, 6), st.integers(1, 4)), elements=VALUES))
def test_an_interval_of_means_lies_within_the_seeds(block):
    estimate, corrected, bca = (
        stats.seed_interval(
            lambda blocks: blocks[0].mean(axis=-2), [[block]], np.random.default_rng(0), method=method, repetitions=200
        )
        for method in ("percentile", "corrected", "bca")
    )
    assert np.all(estimate.low <= estimate.high)
    assert np.all(bca.low <= bca.high)
    # The correction for few seeds only widens, and keeps the estimate inside.
    assert np.all(corrected.low <= np.minimum(estimate.low, estimate.value) + 1e-9)
    assert np.all(corrected.high >= np.maximum(estimate.high, estimate.value) - 1e-9)
    assert np.all(estimate.low >= block.min(axis=0) - 1e-9)
    assert np.all(estimate.high <= block.max(axis=0) + 1e-9)
