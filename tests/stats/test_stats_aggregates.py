"""Aggregates against rliable, scipy and values worked out by hand."""

import numpy as np
import pytest
import scipy.stats
from rliable import library, metrics

from wsabench import stats
from wsabench.errors import ShapeError

pytestmark = pytest.mark.oracle

SHAPES = [(1, 1), (2, 1), (1, 5), (2, 9), (3, 4), (5, 12), (8, 3), (10, 26)]


def data_sets():
    """Scores of many shapes: smooth, tied (rounded), negative, constant."""
    rng = np.random.default_rng(20)
    for shape in SHAPES:
        yield rng.normal(0.4, 1.0, shape)
        yield np.round(rng.normal(0.0, 1.0, shape))
        yield rng.normal(-3.0, 0.5, shape)
        yield np.full(shape, 0.7)


@pytest.mark.parametrize("name", ["mean", "median", "iqm", "optimality_gap"])
def test_aggregates_equal_rliable(name):
    theirs = getattr(metrics, f"aggregate_{name}")
    for scores in data_sets():
        assert getattr(stats, name)(scores) == pytest.approx(theirs(scores), abs=1e-12)


def test_probability_of_improvement_equals_rliable():
    rng = np.random.default_rng(21)
    for runs_x, runs_y, tasks in [(1, 1, 1), (2, 2, 9), (5, 3, 4), (10, 10, 12)]:
        for decimals in (0, 1, 8):  # 0 makes ties
            x = np.round(rng.normal(0.3, 1.0, (runs_x, tasks)), decimals)
            y = np.round(rng.normal(0.0, 1.0, (runs_y, tasks)), decimals)
            ours = stats.probability_of_improvement(x, y)
            assert ours == pytest.approx(metrics.probability_of_improvement(x, y), abs=1e-12)


def test_probability_of_improvement_of_equal_runs_is_a_half():
    scores = np.array([[1.0, 2.0], [1.0, 5.0]])
    assert stats.probability_of_improvement(scores, scores) == metrics.probability_of_improvement(scores, scores) == 0.5


def test_performance_profile_equals_rliable():
    thresholds = np.linspace(-2.0, 2.0, 41)
    for scores in data_sets():
        np.testing.assert_allclose(
            stats.performance_profile(scores, thresholds), library.score_distributions(scores, thresholds), atol=1e-12
        )


def test_iqm_equals_the_trimmed_mean():
    rng = np.random.default_rng(22)
    for count in range(1, 30):
        scores = rng.normal(size=(count, 1))
        assert stats.iqm(scores) == pytest.approx(scipy.stats.trim_mean(scores, 0.25, axis=None), abs=1e-12)


def test_values_worked_out_by_hand():
    scores = np.array([[0.0, 1.0, 2.0, 9.0], [2.0, 1.0, 0.0, 1.0]])
    # Task means 1, 1, 1, 5: their mean 8 / 4 = 2, their median 1.
    assert stats.mean(scores) == 2.0
    assert stats.median(scores) == 1.0
    # All eight sorted: 0 0 1 1 1 2 2 9; two cut off at either end: 1 1 1 2, mean 5 / 4.
    assert stats.iqm(scores) == 1.25
    # Clipped at 1: 0 1 1 1 1 1 0 1, mean 6 / 8.
    assert stats.optimality_gap(scores) == 0.25
    # Above 0: 6 of 8; above 1: 3 of 8 (a score equal to the threshold does not count); above 9: none.
    np.testing.assert_array_equal(stats.performance_profile(scores, [0.0, 1.0, 9.0]), [6 / 8, 3 / 8, 0.0])
    # Task 1: 0 against 1 loses, 2 against 1 wins: 1/2. Task 2: 1 ties with 1 twice: 1/2. Task 3: 2 > 1, 0 < 1: 1/2.
    # Task 4: both beat 0: 1. Mean 2.5 / 4.
    other = np.array([[1.0, 1.0, 1.0, 0.0]])
    assert stats.probability_of_improvement(scores, other) == 2.5 / 4


@pytest.mark.parametrize("name", ["mean", "median", "iqm", "optimality_gap"])
def test_leading_axes_are_repetitions(name):
    scores = np.random.default_rng(23).normal(size=(7, 2, 3, 4))
    function = getattr(stats, name)
    expected = [[function(scores[i, j]) for j in range(2)] for i in range(7)]
    np.testing.assert_allclose(function(scores), expected, atol=1e-14)


def test_shapes_are_checked():
    with pytest.raises(ShapeError, match=r"shape \(3,\).*num_runs, num_tasks"):
        stats.mean(np.zeros(3))
    with pytest.raises(ShapeError, match="at least one run"):
        stats.iqm(np.zeros((0, 3)))
    with pytest.raises(ShapeError, match="X has 3 tasks, Y has 2"):
        stats.probability_of_improvement(np.zeros((1, 3)), np.zeros((1, 2)))
