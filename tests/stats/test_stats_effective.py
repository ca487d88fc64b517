"""Effective robustness and rank correlation: against a slow fit, scipy, and by simulation."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from wsabench import stats
from wsabench.errors import ShapeError


def rng(seed):
    return np.random.default_rng(seed)


def agents(draws, num_agents=9, num_seeds=5, gain=0.0):
    """Agents near the line 0.1 + 0.5 clean; agent `a0` lies `gain` above it."""
    clean = draws.uniform(0.3, 2.0, num_agents)
    perturbed = 0.1 + 0.5 * clean + draws.normal(0.0, 0.1, num_agents)
    perturbed[0] = 0.1 + 0.5 * clean[0] + gain
    noise = draws.normal(0.0, 0.1, (num_agents, num_seeds, 2))
    means = np.stack([clean, perturbed], axis=-1)
    return {f"a{i}": means[i] + noise[i] for i in range(num_agents)}


@pytest.mark.oracle
@pytest.mark.parametrize("scale", ["linear", "asinh"])
def test_residuals_equal_a_slow_weighted_fit(scale):
    points = agents(rng(0))
    points["a3"] = points["a3"][:3]  # fewer train seeds, the same weight
    found = stats.effective_robustness(points, rng(1), scale=scale, repetitions=50)
    forward, back = (np.arcsinh, np.sinh) if scale == "asinh" else (lambda x: x, lambda x: x)
    for place, name in enumerate(points):
        others = [array for other, array in points.items() if other != name]
        x, y = forward(np.concatenate(others)).T
        weights = np.concatenate([np.full(len(array), 1 / len(array)) for array in others])
        line = np.polynomial.Polynomial.fit(x, y, 1, w=np.sqrt(weights))
        expected = (points[name][:, 1] - back(line(forward(points[name][:, 0])))).mean()
        assert found.value[place] == pytest.approx(expected, abs=1e-10)
    assert (found.agents, found.reason) == (tuple(points), "")
    assert np.all(found.low < found.value)
    assert np.all(found.value < found.high)


def test_the_line_through_all_agents_is_found():
    clean = np.linspace(0.2, 3.0, 8)
    points = {str(i): np.array([[x, 0.1 + 0.5 * x]] * 3) for i, x in enumerate(clean)}
    found = stats.effective_robustness(points, rng(0), repetitions=50)
    assert (found.slope, found.intercept) == (pytest.approx(0.5), pytest.approx(0.1))
    np.testing.assert_allclose([found.value, found.low, found.high], 0.0, atol=1e-12)


def test_intervals_of_effective_robustness_hold_the_truth():
    draws, runs = rng(2), 250
    found = [stats.effective_robustness(agents(draws, gain=0.3), draws, repetitions=200) for _ in range(runs)]
    held = np.mean([one.low[0] <= 0.3 <= one.high[0] for one in found])
    assert held > 0.95 - 3 * np.sqrt(0.95 * 0.05 / runs)
    assert np.mean([one.value[0] for one in found]) == pytest.approx(0.3, abs=0.02)


def test_an_agent_does_not_pull_the_line_to_itself():
    # Far to the right and far above: a fit that includes it has nearly no residual left.
    points = {
        str(i): np.array([[x, 0.0]] * 3) + rng(i).normal(0, 1e-3, (3, 2))
        for i, x in enumerate(np.linspace(0.1, 0.5, 8))
    }
    points["outlier"] = np.array([[3.0, 2.0]] * 3)
    assert stats.effective_robustness(points, rng(0), repetitions=20).value[-1] == pytest.approx(2.0, abs=0.05)


def test_too_few_agents_or_seeds_say_why():
    few = stats.effective_robustness(agents(rng(3), 7), rng(0))
    assert np.isnan([*few.value, few.slope]).all()
    assert few.reason == "7 agents: effective robustness needs 8"
    assert stats.effective_robustness({}, rng(0)).reason.startswith("0 agents")
    points = agents(rng(3))
    points["a4"] = points["a4"][:2]
    found = stats.effective_robustness(points, rng(0), repetitions=20)
    assert found.reason == "no interval below 3 train seeds: a4"
    assert np.isnan(found.low[4])
    assert not np.isnan(found.value[4])
    assert not np.isnan(np.delete(found.low, 4)).any()
    same = {name: np.array([[0.3, 0.1]] * 3) for name in points}
    assert "all clean scores are equal" in stats.effective_robustness(same, rng(0)).reason


@pytest.mark.oracle
def test_rank_correlation_is_scipys():
    for seed, count in enumerate([3, 5, 9, 20]):
        for decimals in (0, 6):  # 0 makes ties
            means = np.round(rng(seed).normal(size=(count, 2)) * 2, decimals)
            expected = scipy_stats.spearmanr(means[:, 0], means[:, 1]).statistic
            points = {str(i): mean[None] + np.array([[-0.5, 0.25], [0.5, -0.25]]) for i, mean in enumerate(means)}
            found = stats.rank_correlation(points, rng(0), repetitions=100)
            np.testing.assert_allclose(found.value, expected, atol=1e-12)
            assert np.isnan(found.low) == (count < 8 or np.isnan(expected))


@pytest.mark.parametrize(("count", "rho"), [(8, 0.0), (8, 0.9), (15, 0.5)])
def test_intervals_of_the_rank_correlation_hold_the_truth(count, rho):
    draws, runs = rng(4), 300
    truth = 6 / np.pi * np.arcsin(rho / 2)  # Spearman's correlation of a bivariate normal
    pairs = draws.multivariate_normal([0, 0], [[1, rho], [rho, 1]], (runs, count))
    found = [
        stats.rank_correlation({str(i): row[None] for i, row in enumerate(pair)}, draws, repetitions=300)
        for pair in pairs
    ]
    assert np.mean([one.low <= truth <= one.high for one in found]) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / runs)


def test_too_few_agents_have_no_rank_correlation_or_no_interval():
    assert stats.rank_correlation(agents(rng(5), 2), rng(0)).reason == "2 agents: a rank correlation needs 3"
    found = stats.rank_correlation(agents(rng(5), 7), rng(0))
    assert not np.isnan(found.value)
    assert np.isnan(found.low)
    assert found.reason == "7 agents: an interval of a rank correlation needs 8"
    flat = {str(i): np.array([[float(i), 0.0]]) for i in range(9)}
    assert "no order" in stats.rank_correlation(flat, rng(0)).reason


def test_checkpoints_that_do_not_fit_are_refused():
    for array in (np.zeros((0, 2)), np.zeros(2), np.zeros((3, 3)), np.array([[0.1, np.nan]])):
        with pytest.raises(ShapeError, match="The checkpoints of a have shape"):
            stats.rank_correlation({"a": array}, rng(0))
