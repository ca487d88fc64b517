"""The gate's statistics against scipy, full enumeration, hand-worked values and simulated levels."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from wsabench.errors import ShapeError, SpecError
from wsabench.stats.gate import MARGIN_FLOOR_SCORE, Comparison, Sample, adjust, compare, power_to_find, smallest_p
from wsabench.stats.one_sided import Limits

pytestmark = pytest.mark.oracle

MARGIN = 0.2


def sample(run: Any, reference: Any, is_paired: bool = False) -> Sample:
    """One test of one cell from two lists of scores."""
    sides = [np.asarray(side, np.float64).reshape(len(side), 1, 1) for side in (run, reference)]
    return Sample(sides[0], sides[1], is_paired)


def episodes(*samples: Sample, seed: int = 0, **options: Any) -> Comparison:
    return compare(samples, "episodes", np.random.default_rng(seed), **options)


def seeds(*samples: Sample, **options: Any) -> Comparison:
    return compare(samples, "train seeds", np.random.default_rng(0), **options)


def drawn(rng: np.random.Generator, count: int) -> np.ndarray:
    """Skewed, discrete scores with ties."""
    return rng.poisson(rng.exponential(3.0, count)) / 4.0


def test_paired_train_seeds_are_a_paired_t_test_on_the_contrast() -> None:
    rng = np.random.default_rng(1)
    reference, run = rng.normal(0.8, 0.2, 5), rng.normal(0.6, 0.2, 5)
    expected = stats.ttest_rel(run, 0.8 * reference, alternative="less").pvalue
    found = seeds(sample(run, reference, True))
    assert found.p_worse[0] == pytest.approx(expected, rel=1e-10)
    assert found.p_within[0] == pytest.approx(1 - expected, rel=1e-10)
    assert found.standard_error[0] == pytest.approx((run - reference).std(ddof=1) / np.sqrt(5))


def test_unpaired_train_seeds_are_welchs_test_on_the_contrast() -> None:
    rng = np.random.default_rng(2)
    reference, run = rng.normal(0.8, 0.2, 7), rng.normal(0.6, 0.1, 4)
    expected = stats.ttest_ind(run, 0.8 * reference, equal_var=False, alternative="less").pvalue
    assert seeds(sample(run, reference)).p_worse[0] == pytest.approx(expected, rel=1e-10)


def test_below_the_floor_the_margin_is_a_shift() -> None:
    rng = np.random.default_rng(3)
    reference, run = rng.normal(0.03, 0.02, 6), rng.normal(-0.02, 0.02, 6)
    found = seeds(sample(run, reference, True))
    assert found.margin[0] == pytest.approx(MARGIN * MARGIN_FLOOR_SCORE)
    expected = stats.ttest_rel(run + 0.02, reference, alternative="less").pvalue
    assert found.p_worse[0] == pytest.approx(expected, rel=1e-10)


def test_several_games_average_with_satterthwaites_degrees_of_freedom() -> None:
    rng = np.random.default_rng(4)
    a, b = (rng.normal(0.7, 0.2, 5), rng.normal(0.9, 0.2, 5)), (rng.normal(0.5, 0.1, 3), rng.normal(0.6, 0.1, 3))
    found = seeds(sample(*a, True), sample(*b, True))
    differences = [run - 0.8 * reference for run, reference in (a, b)]
    parts = [d.var(ddof=1) / len(d) for d in differences]
    freedom = sum(parts) ** 2 / sum(part**2 / (len(d) - 1) for part, d in zip(parts, differences, strict=True))
    expected = stats.t.cdf(sum(d.mean() for d in differences) / np.sqrt(sum(parts)), freedom)
    assert found.p_worse[0] == pytest.approx(expected, rel=1e-10)
    assert found.drop[0] == pytest.approx(np.mean([(reference - run).mean() for run, reference in (a, b)]))


def slow_permutation(run: np.ndarray, reference: np.ndarray) -> float:
    """All relabellings, one by one: share of those whose Welch statistic is at most the observed one."""
    pooled = np.concatenate([run, reference])

    def statistic(chosen: tuple[int, ...]) -> float:
        x = pooled[list(chosen)]
        y = np.delete(pooled, list(chosen))
        variance = x.var(ddof=1) / len(x) + y.var(ddof=1) / len(y)
        difference = x.mean() - y.mean()
        return 0.0 if abs(difference) < 1e-9 else difference / np.sqrt(max(variance, 1e-18))

    all_statistics = [statistic(c) for c in itertools.combinations(range(len(pooled)), len(run))]
    return float(np.mean(np.array(all_statistics) <= all_statistics[0] * (1 - 1e-8 * np.sign(all_statistics[0]))))


def slow_flips(differences: np.ndarray) -> float:
    """All sign flips, one by one."""

    def statistic(values: np.ndarray) -> float:
        return values.mean() / max(values.std(ddof=1) / np.sqrt(len(values)), 1e-9)

    flips = [statistic(differences * np.array(s)) for s in itertools.product((1, -1), repeat=len(differences))]
    return float(np.mean(np.array(flips) <= flips[0] + 1e-8))


@pytest.mark.parametrize("seed", range(6))
def test_episodes_take_the_larger_p_of_permutation_and_t_test(seed: int) -> None:
    rng = np.random.default_rng(seed)
    run, reference = drawn(rng, 4), drawn(rng, 6) + 0.5
    enumerated = slow_permutation(run, 0.8 * reference)
    welch = stats.ttest_ind(run, 0.8 * reference, equal_var=False, alternative="less").pvalue
    found = episodes(sample(run, reference), permutations=40_000).p_worse[0]
    assert found == pytest.approx(max(enumerated, welch), abs=0.01)


@pytest.mark.parametrize("seed", range(4))
def test_paired_episodes_flip_signs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    run, reference = drawn(rng, 9), drawn(rng, 9) + 0.5
    enumerated = slow_flips(run - 0.8 * reference)
    t = stats.ttest_rel(run, 0.8 * reference, alternative="less").pvalue
    found = episodes(sample(run, reference, True), permutations=40_000).p_worse[0]
    assert found == pytest.approx(max(enumerated, t), abs=0.01)


def test_a_mean_over_cells_has_the_mean_of_their_margins() -> None:
    rng = np.random.default_rng(5)
    reference = np.stack([rng.normal(0.9, 0.1, 20), rng.normal(0.02, 0.02, 20)], axis=1)[:, None]
    run = 0.9 * reference
    found = episodes(Sample(run, reference, False))
    assert found.margin[0] == pytest.approx((0.2 * reference[:, 0, 0].mean() + 0.02) / 2)
    shrunken, shifted = reference[:, 0, 0] * 0.8, run[:, 0, 1] + 0.02
    as_one = sample((run[:, 0, 0] + shifted) / 2 - 9, (shrunken + reference[:, 0, 1]) / 2 - 9)  # no margin of its own
    as_one = Sample(as_one.run - MARGIN * MARGIN_FLOOR_SCORE, as_one.reference, False)
    assert found.p_worse[0] == pytest.approx(episodes(as_one).p_worse[0], abs=1e-12)


def test_tests_side_by_side_are_tests_one_by_one() -> None:
    rng = np.random.default_rng(6)
    run, reference = rng.normal(0.5, 0.2, (20, 3, 1)), rng.normal(0.6, 0.2, (25, 3, 1))
    together = episodes(Sample(run, reference, False))
    for place in range(3):
        alone = episodes(Sample(run[:, [place]], reference[:, [place]], False))
        assert together.p_worse[place] == pytest.approx(alone.p_worse[0], rel=1e-12)


@pytest.mark.parametrize("is_paired", [True, False])
def test_the_same_scores_pass_and_constant_losses_fail(is_paired: bool) -> None:
    scores = drawn(np.random.default_rng(7), 20) + 1.0
    same = episodes(sample(scores, scores, is_paired))
    assert same.drop[0] == 0
    assert same.p_worse[0] > 0.5
    always = episodes(sample(np.full(20, 0.5), np.full(20, 1.0), is_paired))
    assert always.p_worse[0] < 0.001
    at_margin = episodes(sample(np.full(20, 0.8), np.full(20, 1.0), is_paired))
    assert at_margin.p_worse[0] >= 0.5


def test_the_same_generator_gives_the_same_p() -> None:
    rng = np.random.default_rng(8)
    one = sample(drawn(rng, 20), drawn(rng, 20))
    assert episodes(one, seed=3).p_worse[0] == episodes(one, seed=3).p_worse[0]
    assert episodes(one, seed=3).p_worse[0] == pytest.approx(episodes(one, seed=4).p_worse[0], abs=0.03)


@pytest.mark.parametrize(("num_run", "num_reference"), [(5, 50), (20, 20), (20, 100)])
def test_at_the_margin_skewed_scores_alarm_as_seldom_as_promised(num_run: int, num_reference: int) -> None:
    # Exponential scores; a t test alone alarms in 14 % (5 against 50) and 8 % (20 against 100) of these.
    rng = np.random.default_rng(num_run)
    repetitions = 1000
    run = 0.8 * rng.exponential(1.0, (num_run, repetitions, 1))
    reference = rng.exponential(1.0, (num_reference, repetitions, 1))
    p = np.concatenate(
        [
            episodes(Sample(run[:, part], reference[:, part], False), seed=place, permutations=499).p_worse
            for place, part in enumerate(np.array_split(np.arange(repetitions), 50))
        ]
    )
    # Four standard errors of a rate of 5 %.
    assert np.mean(p <= 0.05) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / repetitions)


def test_holm_worked_by_hand() -> None:
    found = adjust(np.array([0.01, 0.04, 0.03]), np.array([0.2]))
    assert found.cells == pytest.approx([0.06, 0.12, 0.12])  # halves of alpha: 2 x (3 x .01, then 2 x .03, 1 x .04)
    assert found.overall == pytest.approx([0.4])
    alone = adjust(np.array([0.03]), np.empty(0))
    assert alone.cells == pytest.approx([0.03])
    many = adjust(np.array([[0.01, 0.5], [0.5, 0.01]]), np.array([[0.02], [0.9]]))
    assert many.cells == pytest.approx(np.array([[0.04, 1.0], [1.0, 0.04]]))
    assert many.overall == pytest.approx(np.array([[0.04], [1.0]]))


def test_unknown_scores_have_no_p() -> None:
    found = episodes(sample([np.nan, 1.0, 2.0], [1.0, 1.0, 2.0]))
    assert np.isnan(found.p_worse[0])


def test_bad_values_are_refused() -> None:
    fine = sample([1.0, 2.0], [1.0, 2.0])
    for margin in (0.0, 1.0):
        with pytest.raises(SpecError, match=rf"The margin is {margin:g}\. Allowed: numbers above 0 and below 1"):
            episodes(fine, margin=margin)
    with pytest.raises(SpecError, match="Give at least one game"):
        episodes()
    with pytest.raises(SpecError, match=r"rests on 1 of the run's .* and 2 of the reference's\. Allowed: at least 2"):
        sample([1.0], [1.0, 2.0])
    with pytest.raises(ShapeError, match=r"the same number of rows"):
        sample([1.0, 2.0], [1.0, 2.0, 3.0], True)
    with pytest.raises(ShapeError, match=r"Allowed: \(rows, tests, cells\)"):
        Sample(np.zeros((3, 1)), np.zeros((3, 1)), False)


def test_samples_count_by_their_weights() -> None:
    rng = np.random.default_rng(9)
    a, b = (sample(rng.normal(0.5, 0.1, 20), rng.normal(0.6, 0.1, 20)) for _ in range(2))
    found = episodes(replace(a, weight=3.0), replace(b, weight=1.0))
    means = [(one.reference - one.run).mean() for one in (a, b)]
    assert found.drop[0] == pytest.approx(0.75 * means[0] + 0.25 * means[1])
    variances = [side.var(ddof=1) / 20 for one in (a, b) for side in (one.run, one.reference)]
    assert found.standard_error[0] == pytest.approx(np.sqrt(np.dot([9, 9, 1, 1], variances) / 16))


def test_a_single_test_of_a_large_family_can_alarm() -> None:
    rng = np.random.default_rng(10)
    one = sample(rng.normal(0.1, 0.05, 20), rng.normal(1.0, 0.1, 20))
    level = smallest_p(512, 0.05)
    assert level == pytest.approx(0.025 / 512)
    assert episodes(one).p_worse[0] > level
    assert episodes(one, smallest=level).p_worse[0] <= level / 5


@pytest.mark.parametrize("cv", [0.5, 1.0])
@pytest.mark.parametrize(("num_run", "num_reference"), [(4, 8), (8, 8), (20, 20)])
def test_power_from_the_reference_is_that_of_simulated_collapses(cv: float, num_run: int, num_reference: int) -> None:
    # Gamma scores with mean 1 in two cells; a collapsed run has nothing in 80 % of its episodes.
    rng = np.random.default_rng([num_run, num_reference, int(10 * cv)])
    count, level = 600, 0.025
    shape = (num_run, count, 2), (num_reference, count, 2)
    run, reference = (rng.gamma(cv**-2, cv**2, size) for size in shape)
    run[rng.random(run.shape) < 0.8] = 0.0
    alarms = np.mean(
        np.concatenate(
            [
                episodes(Sample(run[:, part], reference[:, part], False), seed=place, permutations=999).p_worse
                for place, part in enumerate(np.array_split(np.arange(count), 20))
            ]
        )
        <= level
    )
    planned = np.mean(
        [power_to_find([Sample(run[:, [i]], reference[:, [i]], False)], "episodes", level) for i in range(100)]
    )
    assert planned == pytest.approx(alarms, abs=0.12)


def test_power_is_none_where_no_p_is_small_enough_and_sure_where_nothing_varies() -> None:
    few = sample([1.0, 1.1, 0.9], [1.0, 1.05, 0.95])
    assert power_to_find([few], "episodes", 0.049) == 0.0  # 1 in 20 relabellings
    assert power_to_find([few], "episodes", 0.05) > 0.0
    whole = Limits(population=3)
    assert power_to_find([replace(few, run_limits=whole, reference_limits=whole)], "episodes", 1e-9) == 1.0
    assert power_to_find([few], "train seeds", 0.025) == pytest.approx(1.0, abs=0.01)


def test_power_of_train_seeds_is_that_of_welchs_test() -> None:
    reference = np.array([0.4, 0.9, 1.1, 1.6])
    found = power_to_find([sample(np.zeros(3), reference)], "train seeds", 0.025)
    parts = reference.var(ddof=1) / 3, 0.64 * reference.var(ddof=1) / 4
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 2 + parts[1] ** 2 / 3)
    expected = stats.nct.sf(stats.t.ppf(0.975, freedom), freedom, 0.6 / np.sqrt(sum(parts)))
    assert found == pytest.approx(expected, rel=1e-6)
