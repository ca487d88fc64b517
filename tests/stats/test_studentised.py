"""The studentised bootstrap against all resamples one by one, and its symmetries."""

import itertools

import numpy as np
import pytest
import scipy.stats

from wsabench import stats
from wsabench.errors import SpecError

oracle = pytest.mark.oracle


def rng(seed=0):
    return np.random.default_rng(seed)


def slow_t(games):
    """Return t of every combination of resamples, each resample drawn with equal probability."""

    def moments(values):
        rows = np.array(list(itertools.product(range(len(values)), repeat=len(values))))
        drawn = values[rows]
        return drawn.mean(axis=1) - values.mean(), drawn.var(axis=1, ddof=1) / len(values)

    shift, variance = moments(games[0])
    for values in games[1:]:
        more = moments(values)
        shift, variance = (np.add.outer(old, new).ravel() for old, new in zip((shift, variance), more, strict=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.isclose(variance, 0.0), np.sign(np.round(shift, 12)) * np.inf, shift / np.sqrt(variance))


@oracle
def test_bounds_are_those_of_all_resamples():
    values = np.array([0.1, 0.2, 0.3, 0.5, 1.9])
    found = stats.studentised_interval([values[:, None]], rng(), repetitions=60_000, widest_tail=None)
    t = np.sort(slow_t([values]))
    error = values.std(ddof=1) / np.sqrt(5)
    # Levels 4 Monte-Carlo standard errors apart: 4 * sqrt(0.025 * 0.975 / 60000) = 0.0026.
    for end, level in ((found.high[0], 0.025), (found.low[0], 0.975)):
        bounds = [values.mean() - t[int(np.ceil(part * len(t))) - 1] * error for part in (level + 0.003, level - 0.003)]
        assert bounds[0] - 1e-9 <= end <= bounds[1] + 1e-9
    assert found.high[0] - found.value[0] > 2 * (found.value[0] - found.low[0])  # the long tail's side


@oracle
def test_normal_scores_have_nearly_students_interval():
    values = scipy.stats.norm.ppf((np.arange(30) + 0.5) / 30)
    found = stats.studentised_interval([values[:, None]], rng(1), repetitions=40_000)
    half = scipy.stats.t.ppf(0.975, 29) * values.std(ddof=1) / np.sqrt(30)
    assert (found.low[0], found.high[0]) == pytest.approx((-half, half), rel=0.06)


def test_games_count_alike_and_their_errors_add():
    first, second = rng(2).normal(0.2, 1.0, (20, 1)), rng(3).normal(0.8, 1.0, (30, 1))
    found = stats.studentised_interval([first, second], rng(4), repetitions=20_000)
    welch = scipy.stats.ttest_ind(first[:, 0], -second[:, 0], equal_var=False).confidence_interval()
    assert found.value[0] == pytest.approx((first.mean() + second.mean()) / 2)
    assert (found.low[0], found.high[0]) == pytest.approx((welch.low / 2, welch.high / 2), abs=0.03)
    assert found.num_seeds == 20


def test_bounds_follow_scale_and_shift_and_do_not_depend_on_other_columns():
    block = rng(5).exponential(1.0, (8, 1))
    both = np.column_stack([block, 4.0 * block - 2.0, -block])
    found, alone = (stats.studentised_interval([b], rng(6), repetitions=999) for b in (both, block))
    assert (found.low[0], found.high[0]) == pytest.approx((alone.low[0], alone.high[0]))
    assert (found.low[1], found.high[1]) == pytest.approx((4 * alone.low[0] - 2, 4 * alone.high[0] - 2))
    assert (found.low[2], found.high[2]) == pytest.approx((-alone.high[0], -alone.low[0]))


def test_no_spread_and_unknown_values():
    block = np.column_stack([np.full(6, 0.3), rng(7).normal(size=6)])
    block[2, 1] = np.nan
    found = stats.studentised_interval([block], rng(8), repetitions=499)
    assert (found.low[0], found.high[0]) == pytest.approx((0.3, 0.3))
    assert np.isnan([found.value[1], found.low[1], found.high[1]]).all()


@oracle
def test_bounds_lie_between_two_intervals_of_student():
    # A long right tail: the left arm is Student's, the right one cut at 99.8%; of a mirrored one the other way.
    values = np.array([0.1, 0.2, 0.3, 0.5, 1.9])
    found = stats.studentised_interval([np.column_stack([values, -values])], rng(), repetitions=2_000)
    error = values.std(ddof=1) / np.sqrt(5)
    least, most = (scipy.stats.t.ppf(level, 4) * error for level in (0.975, 0.999))
    assert (found.low[0], found.high[0]) == pytest.approx((0.6 - least, 0.6 + most))
    assert (found.low[1], found.high[1]) == pytest.approx((-0.6 - most, -0.6 + least))


@oracle
@pytest.mark.parametrize("num_seeds", [1, 2, 3, 4])
def test_few_seeds_have_students_interval_or_none(num_seeds):
    block = rng(9).normal(size=(num_seeds, 1))
    few = stats.studentised_interval([block], rng(9))
    if num_seeds < 3:
        assert np.isnan([few.low, few.high]).all()
        assert "no interval" in few.note
    else:
        expected = scipy.stats.ttest_1samp(block[:, 0], 0.0).confidence_interval()
        assert (few.low[0], few.high[0]) == pytest.approx((expected.low, expected.high))
        assert few.note == f"too few train seeds ({num_seeds})"


def test_options_are_checked():
    with pytest.raises(SpecError, match=r"\[2, 3\] quantities"):
        stats.studentised_interval([np.ones((5, 2)), np.ones((5, 3))], rng())
    with pytest.raises(SpecError, match="repetitions is 0"):
        stats.studentised_interval([np.ones((5, 2))], rng(), repetitions=0)


def test_ten_skewed_seeds_are_covered_better_than_by_students_t():
    # Lognormal seeds (sd 1), 1,500 runs as columns: t covers 84%, bootstrap-t about 91%.
    block = np.exp(rng(10).normal(size=(10, 1_500)) - 0.5)
    found = stats.studentised_interval([block], rng(11), repetitions=999)
    half = scipy.stats.t.ppf(0.975, 9) * block.std(axis=0, ddof=1) / np.sqrt(10)
    student = np.mean(np.abs(block.mean(axis=0) - 1.0) <= half)
    assert np.mean((found.low <= 1.0) & (found.high >= 1.0)) > student + 0.03
