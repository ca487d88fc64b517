"""Bounds from replicates against enumeration, Student's t, scipy, rliable and simulation."""

import itertools

import numpy as np
import pytest
import scipy.stats
from rliable import library, metrics

from wsabench import stats
from wsabench.stats.bounds import METHODS, Replicates, Stratum, t_quantile

pytestmark = pytest.mark.oracle


def rng(seed=0):
    return np.random.default_rng(seed)


def cell_means(blocks):
    """The mean over train seeds of every cell."""
    return np.concatenate([block.mean(axis=-2) for block in blocks], axis=-1)


def every_resample(values):
    """Return the means of all n^n resamples and how often each value was drawn in them."""
    rows = np.array(list(itertools.product(range(len(values)), repeat=len(values))))
    counts = np.stack([(rows == unit).sum(axis=1) for unit in range(len(values))], axis=1).astype(float)
    return values[rows].mean(axis=1), counts


def test_the_correction_of_one_stratum_is_worked_out():
    values = np.array([0.0, 1.0, 5.0])
    means, counts = every_resample(values)
    replicates = Replicates(means, [Stratum(counts, 3)])
    value = np.array(values.mean())
    low, high = METHODS["percentile"](replicates, value, 0.95)
    factor = np.sqrt(3 / 2) * 4.30265273 / 1.95996398  # n / (n - 1), and t with 2 degrees of freedom over z, of tables
    ours = METHODS["corrected"](replicates, value, 0.95)
    assert ours == pytest.approx((2.0 + factor * (low - 2.0), 2.0 + factor * (high - 2.0)), rel=1e-6)


def test_two_strata_get_welchs_degrees_of_freedom():
    # All 27 x 27 resamples of two games, the statistic their mean: each game's variance is exactly known.
    first, second = np.array([0.0, 1.0, 5.0]), np.array([0.0, 3.0, 1.0])
    (means, counts), (others, other_counts) = every_resample(first), every_resample(second)
    values = ((means[:, None] + others[None, :]) / 2).ravel()
    strata = [Stratum(np.repeat(counts, 27, axis=0), 3), Stratum(np.tile(other_counts, (27, 1)), 3)]
    value = np.array((first.mean() + second.mean()) / 2)
    v = [np.var(x, ddof=1) / 3 / 4 for x in (first, second)]  # variance of the mean of 3, weighted by one half squared
    freedom = sum(v) ** 2 / sum(part**2 / (2 + 2) for part in v) - 2
    factor = np.sqrt(3 / 2) * scipy.stats.t.ppf(0.975, freedom) / scipy.stats.norm.ppf(0.975)
    low, _ = METHODS["percentile"](Replicates(values, strata), value, 0.95)
    ours, _ = METHODS["corrected"](Replicates(values, strata), value, 0.95)
    assert ours == pytest.approx(float(value + factor * (low - value)), rel=1e-9)


def test_the_corrected_interval_of_normal_scores_is_the_t_interval():
    scores = scipy.stats.norm.ppf((np.arange(10) + 0.5) / 10)[:, None]
    estimate = stats.seed_interval(cell_means, [[scores]], rng(1), repetitions=40_000)
    half = scipy.stats.t.ppf(0.975, 9) * scores.std(ddof=1) / np.sqrt(10)
    assert (estimate.low[0], estimate.high[0]) == pytest.approx((-half, half), rel=0.03)
    plain = stats.seed_interval(cell_means, [[scores]], rng(1), method="percentile", repetitions=40_000)
    assert plain.high[0] < 0.85 * half


def test_bca_is_scipys():
    scores = rng(2).exponential(1.0, (14, 1))
    ours = stats.seed_interval(cell_means, [[scores]], rng(3), method="bca", repetitions=40_000)
    options = {"n_resamples": 40_000, "method": "BCa", "rng": rng(4)}
    theirs = scipy.stats.bootstrap((scores[:, 0],), np.mean, **options).confidence_interval
    width = theirs.high - theirs.low
    assert (ours.low[0], ours.high[0]) == pytest.approx((theirs.low, theirs.high), abs=0.03 * width)
    plain = stats.seed_interval(cell_means, [[scores]], rng(3), method="percentile", repetitions=40_000)
    assert ours.high[0] > plain.high[0] + 0.03 * width  # skewness moves it, so the comparison can fail


def test_scores_without_spread_have_an_interval_without_width():
    for method in METHODS:
        estimate = stats.seed_interval(cell_means, [[np.full((4, 2), 0.3)]], rng(), method=method)
        np.testing.assert_allclose([estimate.low, estimate.high], 0.3)


def test_undefined_values_have_undefined_bounds_and_leave_others_alone():
    block = np.column_stack([rng(5).normal(size=6), np.full(6, np.nan)])
    for method in METHODS:
        estimate = stats.seed_interval(cell_means, [[block]], rng(6), method=method)
        alone = stats.seed_interval(cell_means, [[block[:, :1]]], rng(6), method=method)
        assert np.isnan([estimate.low[1], estimate.high[1]]).all()
        assert (estimate.low[0], estimate.high[0]) == pytest.approx((alone.low[0], alone.high[0]))


def test_a_curve_over_training_time_is_the_aggregate_at_each_point():
    # 4 seeds, 3 games, 6 points: against rliable's way, one matrix (runs, games) a point.
    curves = rng(11).normal(size=(4, 3, 6)).cumsum(axis=2)
    blocks = [curves[:, game] for game in range(3)]
    ours = stats.seed_interval(stats.sample_efficiency(stats.iqm), [blocks], rng(12), repetitions=2_000)
    expected = [metrics.aggregate_iqm(curves[:, :, point]) for point in range(6)]
    np.testing.assert_allclose(ours.value, expected, atol=1e-12)
    assert np.all(ours.low < ours.value)
    assert np.all(ours.high > ours.value)


DATA_SETS = [
    (shape, kind)
    for shape in [(3, 4), (3, 26), (4, 1), (5, 2), (5, 10), (6, 3), (7, 5), (8, 12), (10, 1), (10, 6)]
    for kind in ("normal", "ties", "negative", "skewed", "far apart")
]
FAST_DATA_SETS = [((3, 4), "normal"), ((5, 2), "ties"), ((4, 1), "negative"), ((6, 3), "skewed")]


def data_set(shape, kind):
    """Return two score matrices."""
    draws = rng([*shape, len(kind)])
    x, y = draws.normal(0.3, 1.0, shape), draws.normal(0.0, 1.0, shape)
    if kind == "ties":
        return np.round(x), np.round(y)
    if kind == "negative":
        return x - 20.0, y - 20.0
    if kind == "skewed":
        return np.exp(x), np.exp(y)
    return (x + 10.0 * np.arange(shape[1]), y) if kind == "far apart" else (x, y)


def rliables(scores, function, seed, repetitions):
    """Return rliable's bounds; it draws from numpy's global generator."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    _, bounds = library.get_interval_estimates({"a": scores}, function, reps=repetitions)
    np.random.set_state(state)  # noqa: NPY002
    return bounds["a"]


def around_quantiles(statistic, samples, peer_repetitions):
    """Return what 2.5% and 97.5% quantiles of so many repetitions may be: ours at levels 4 standard errors apart.

    A level needs no model of the distribution, which with three train seeds has few different values.
    """
    error = 4.0 * np.sqrt(0.025 * 0.975 * (1 / peer_repetitions + 1 / 20_000))
    outer, inner = (
        stats.seed_interval(
            statistic, samples, rng(1), method="percentile", repetitions=20_000, confidence=1.0 - 2.0 * level
        )
        for level in (max(0.025 - error, 1e-9), 0.025 + error)
    )
    return outer, inner


def check_parity(shape, kind, repetitions):
    """Compare values and bounds of all aggregates and of the probability of improvement."""
    x, y = data_set(shape, kind)
    names = ("mean", "median", "iqm", "optimality_gap")

    def of_ours(matrix):
        return np.stack([getattr(stats, name)(matrix) for name in names], axis=-1)

    def of_theirs(scores):
        return np.array([getattr(metrics, f"aggregate_{name}")(scores) for name in names])

    def improvement(*matrices):
        return stats.probability_of_improvement(*matrices)[..., None]

    def their_improvement(a, b):
        return np.array([metrics.probability_of_improvement(a, b)])

    few = max(250, repetitions // 8)
    for statistic, samples, function, scores, count in (
        (of_ours, [x], of_theirs, x, repetitions),
        (improvement, [x, y], their_improvement, (x, y), few),
    ):
        theirs = rliables(scores, function, 3, count)
        blocks = [stats.per_task(matrix) for matrix in samples]
        outer, inner = around_quantiles(stats.over_matrix(statistic), blocks, count)
        assert outer.value == pytest.approx(function(*samples), abs=1e-12)
        slack = 1e-9 * (1.0 + np.abs(outer.value))
        assert np.all((outer.low - slack <= theirs[0]) & (theirs[0] <= inner.low + slack)), (shape, kind)
        assert np.all((inner.high - slack <= theirs[1]) & (theirs[1] <= outer.high + slack)), (shape, kind)


@pytest.mark.parametrize(("shape", "kind"), FAST_DATA_SETS)
def test_intervals_of_a_few_data_sets_are_rliables(shape, kind):
    check_parity(shape, kind, 500)


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "kind"), DATA_SETS)
def test_intervals_of_fifty_data_sets_are_rliables(shape, kind):
    check_parity(shape, kind, 2_000)


def coverage(num_seeds, num_games, seed_sd, data_sets):
    """Return the share of 95% intervals of the mean and the IQM that hold the truth, five cells a game."""
    draws = rng([num_seeds, num_games, seed_sd])

    def played(runs):
        return [seed_sd * draws.normal(size=(runs, 1)) + draws.normal(size=(runs, 5)) for _ in range(num_games)]

    both = stats.over_matrix(lambda m: np.stack([stats.mean(m), stats.iqm(m)], axis=-1))
    found = [stats.seed_interval(both, [played(num_seeds)], draws, repetitions=400) for _ in range(data_sets)]
    return np.mean([(one.low <= 0.0) & (one.high >= 0.0) for one in found], axis=0)  # symmetric: both are 0 in truth


def test_ten_seeds_cover_what_they_promise():
    # 250 data sets: two standard errors are 2.8%.
    assert np.all(np.abs(coverage(10, 1, 1, 250) - 0.95) < 0.045)


@pytest.mark.slow
@pytest.mark.parametrize("num_games", [1, 3, 12])
@pytest.mark.parametrize("seed_sd", [0, 1])
def test_ten_seeds_cover_92_to_98_per_cent(num_games, seed_sd):
    assert np.all(np.abs(coverage(10, num_games, seed_sd, 2_000) - 0.95) < 0.03)


def test_quantiles_of_t_are_scipys_to_the_bit():
    freedom = np.concatenate([np.geomspace(0.2, 1e6, 500), [np.inf, np.nan, 0.0, -1.0]])
    for probability in (0.5, 0.95, 0.975, 0.995):
        np.testing.assert_array_equal(t_quantile(probability, freedom), scipy.stats.t.ppf(probability, freedom))
    assert t_quantile(0.975, 2) == scipy.stats.t.ppf(0.975, 2)
