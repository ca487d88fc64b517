"""Point estimates and intervals that rliable itself computes: against rliable called directly, and simulation."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from rliable import library, metrics

from wsabench import stats
from wsabench.errors import ShapeError, SpecError, UnknownNameError

pytestmark = pytest.mark.oracle

ONE_SAMPLE = ("mean", "median", "iqm", "optimality_gap")


def rng(seed):
    return np.random.default_rng(seed)


def directly(scores, function, seed, repetitions):
    """Return rliable's bounds with NumPy's global generator seeded, as its users have to."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    _, bounds = library.get_interval_estimates({"a": scores}, function, reps=repetitions)
    np.random.set_state(state)  # noqa: NPY002
    return bounds["a"]


def test_point_estimates_are_rliables_to_the_bit_and_the_fast_ones_equal_them():
    for seed, shape in enumerate([(1, 1), (3, 4), (5, 12), (10, 26)]):
        for scores in (rng(seed).normal(0.4, 1.0, shape), np.round(rng(seed).normal(0.0, 2.0, shape))):
            for name in ONE_SAMPLE:
                theirs = getattr(metrics, f"aggregate_{name}")(scores)
                assert stats.point_estimate(name, scores) == theirs
                assert stats.FAST_METRICS[name](scores) == pytest.approx(theirs, abs=1e-12)
            other = np.round(rng(seed + 100).normal(0.0, 2.0, (4, shape[1])))
            theirs = metrics.probability_of_improvement(scores, other)
            assert stats.point_estimate("probability_of_improvement", scores, other) == theirs
            assert stats.FAST_METRICS["probability_of_improvement"](scores, other) == pytest.approx(theirs, abs=1e-12)
            levels = np.linspace(-2, 2, 17)
            np.testing.assert_array_equal(
                stats.point_profile(scores, levels), library.score_distributions(scores, levels)
            )


def test_an_unknown_score_makes_the_value_unknown():
    # Sorted, the NaNs fall into the quarter that the IQM cuts off; rliable's profile takes them for low scores.
    scores = np.array([[0.1, 0.2, 0.3, np.nan]] * 4)
    assert np.isnan(stats.point_estimate("iqm", scores))
    assert np.isnan(stats.iqm(scores))
    assert np.isnan(stats.point_profile(scores, [0.1, 0.2])).all()
    found = stats.rliable_interval(["iqm"], [scores], rng(0), repetitions=20)
    assert np.isnan(found.low).all()
    assert "unknown" in found.note


def test_intervals_are_rliables_to_the_bit():
    x, y = rng(1).normal(0.5, 0.4, (6, 5)), rng(2).normal(0.3, 0.4, (4, 5))
    seed = int(rng(3).integers(2**32))
    found = stats.rliable_interval(ONE_SAMPLE, [x], rng(3), repetitions=300)
    theirs = directly(
        x, lambda s: np.array([getattr(metrics, f"aggregate_{name}")(s) for name in ONE_SAMPLE]), seed, 300
    )
    np.testing.assert_allclose([found.low, found.high], theirs, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(found.value, [getattr(metrics, f"aggregate_{name}")(x) for name in ONE_SAMPLE])
    pair = stats.rliable_interval(["probability_of_improvement"], [x, y], rng(3), repetitions=100)
    theirs = directly([x, y], lambda a, b: np.array([metrics.probability_of_improvement(a, b)]), seed, 100)
    np.testing.assert_allclose([pair.low, pair.high], theirs, rtol=0, atol=1e-12)
    assert pair.num_seeds == 4
    levels = np.linspace(0, 1, 9)
    profile = stats.rliable_profile(x, levels, rng(3), repetitions=100)
    theirs = directly(x, lambda s: library.score_distributions(s, levels), seed, 100)
    np.testing.assert_allclose([profile.low, profile.high], theirs, rtol=0, atol=1e-12)
    assert profile.note == ""


def test_the_same_generator_gives_the_same_interval_and_the_global_one_is_left_as_it_was():
    scores = rng(4).normal(size=(5, 3))
    np.random.seed(11)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(11)  # noqa: NPY002
    first, second = (stats.rliable_interval(["iqm"], [scores], rng(5), repetitions=50) for _ in range(2))
    assert np.random.random() == expected  # noqa: NPY002
    np.testing.assert_array_equal([first.low, first.high], [second.low, second.high])
    other = stats.rliable_interval(["iqm"], [scores], rng(6), repetitions=50)
    assert not np.array_equal(first.low, other.low)


def test_the_global_generator_is_left_as_it_was_when_a_statistic_fails(monkeypatch):
    def fails(*_):
        raise RuntimeError("stop")

    monkeypatch.setitem(stats.aggregates.FAST_METRICS, "mean", fails)
    np.random.seed(12)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(12)  # noqa: NPY002
    with pytest.raises(RuntimeError, match="stop"):
        stats.rliable_interval(["mean"], [np.ones((4, 2))], rng(0), repetitions=5)
    assert np.random.random() == expected  # noqa: NPY002


def test_rliable_still_ignores_its_random_state():
    # The reason why its draws are seeded through the global generator. When this fails, pass `random_state` instead.
    scores = rng(7).normal(size=(5, 6))
    bounds = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            state = np.random.RandomState(7)
            _, found = library.get_interval_estimates(
                {"a": scores}, lambda s: np.array([s.mean()]), reps=50, random_state=state
            )
            bounds.append(found["a"])
    assert not np.array_equal(*bounds)


def test_where_a_seeds_luck_is_shared_by_cells_rliable_covers_too_seldom_and_joint_resampling_does_not():
    # 10 seeds, 12 cells of one game, a seed effect as large as the cells' noise; the true mean is 0.
    draws, runs, repetitions = rng(8), 150, 200
    hits = np.zeros(2)
    for _ in range(runs):
        scores = draws.normal(size=(10, 1)) + draws.normal(size=(10, 12))
        joint = stats.seed_interval(stats.over_matrix(stats.mean), [[scores]], draws, repetitions=repetitions)
        alone = stats.rliable_interval(["mean"], [scores], draws, repetitions=repetitions)
        hits += [joint.low <= 0 <= joint.high, alone.low[0] <= 0 <= alone.high[0]]
    joint_share, alone_share = hits / runs
    assert joint_share > 0.88
    assert alone_share < 0.65


def test_few_seeds_have_no_interval():
    found = stats.rliable_interval(["mean"], [np.ones((2, 3))], rng(0))
    assert found.value[0] == 1.0
    assert np.isnan([found.low, found.high]).all()
    assert found.note == "fewer than 3 train seeds: no interval"
    assert "too few" in stats.rliable_interval(["mean"], [np.ones((3, 3))], rng(0), repetitions=5).note


def test_what_does_not_fit_is_refused():
    with pytest.raises(UnknownNameError, match="aggregate metric"):
        stats.point_estimate("iqr", np.ones((2, 2)))
    with pytest.raises(SpecError, match="got 1 samples of scores"):
        stats.rliable_interval(["probability_of_improvement"], [np.ones((5, 2))], rng(0))
    with pytest.raises(SpecError, match="got 2 samples of scores"):
        stats.rliable_interval(["probability_of_improvement", "mean"], [np.ones((5, 2))] * 2, rng(0))
    with pytest.raises(SpecError, match="No metric is named"):
        stats.rliable_interval([], [np.ones((5, 2))], rng(0))
    with pytest.raises(ShapeError, match="the same tasks in each"):
        stats.point_estimate("probability_of_improvement", np.ones((2, 2)), np.ones((2, 3)))
    with pytest.raises(ShapeError, match=r"\(1, 2, 2\)"):
        stats.point_estimate("mean", np.ones((1, 2, 2)))
    for options, allowed in (({"confidence": 1.0}, "numbers between 0 and 1"), ({"repetitions": 0}, "integers from 1")):
        with pytest.raises(SpecError, match=allowed):
            stats.rliable_interval(["mean"], [np.ones((5, 2))], rng(0), **options)


def test_importing_the_statistics_does_not_load_rliable():
    heavy = ("rliable", "arch", "statsmodels", "pandas")
    code = f"import sys, wsabench.stats; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"
