"""Contrasts against enumeration: finite populations, exact comparison, refined permutations, attainable p."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from wsabench.stats import one_sided
from wsabench.stats.one_sided import Limits, Rows

pytestmark = pytest.mark.oracle

ALL_OF_7 = Limits(population=7)


def rows(run: object, reference: object, *limits: Limits, is_paired: bool = False) -> Rows:
    """One test of two lists of scores."""
    sides = [np.asarray(side, np.float64).reshape(-1, 1) for side in (run, reference)]
    return Rows(sides[0], sides[1], is_paired, *limits)


@pytest.mark.parametrize("is_paired", [True, False])
def test_the_variance_of_members_of_a_finite_population_is_that_of_all_choices(is_paired: bool) -> None:
    # Every choice of 4 of 7 members, for both sides alike or each by itself: on the average over choices the estimated
    # variance is the true one of the difference of means (Cochran 1977, theorem 2.4).
    rng = np.random.default_rng(0)
    run, reference = rng.exponential(1.0, 7), rng.exponential(1.0, 7)
    choices = [list(choice) for choice in itertools.combinations(range(7), 4)]
    pairs = [(one, one) for one in choices] if is_paired else list(itertools.product(choices, choices))
    found = [rows(run[a], reference[b], ALL_OF_7, ALL_OF_7, is_paired=is_paired) for a, b in pairs]
    true = np.var([one_sided.difference([one])[0] for one in found])
    assert np.mean([one_sided.variance([one])[0] for one in found]) == pytest.approx(true)
    unlimited = [rows(one.run, one.reference, is_paired=is_paired) for one in found]
    assert np.mean([one_sided.variance([one])[0] for one in unlimited]) == pytest.approx(true / (1 - 4 / 7))


@pytest.mark.parametrize(("shift", "expected"), [(-0.1, (0.0, 1.0)), (0.1, (1.0, 0.0)), (0.0, (1.0, 1.0))])
def test_a_whole_population_is_compared_exactly(shift: float, expected: tuple[float, float]) -> None:
    reference = np.random.default_rng(1).exponential(1.0, 7)
    for is_paired in (True, False):
        one = rows(reference + shift, reference, ALL_OF_7, ALL_OF_7, is_paired=is_paired)
        assert [p[0] for p in one_sided.t_test([one])] == list(expected)
    part = rows(reference[:6] + shift, reference[:6], ALL_OF_7, ALL_OF_7)
    assert 0 < one_sided.t_test([part])[0][0] < 1


def test_no_spread_is_exact_where_play_has_no_chance_only() -> None:
    known = Limits(different=1)
    apart = np.zeros(5), np.ones(5)
    assert one_sided.is_exact([rows(*apart, known, known)])[0]
    assert not one_sided.is_exact([rows(*apart, known)])[0]
    assert not one_sided.is_exact([rows(*apart)])[0]
    assert not one_sided.is_exact([rows([0, 1], [1, 1], known, known)])[0]
    # Five against five draws without spread are one of 252 relabellings.
    assert one_sided.permutation_test([rows(*apart)], 20_000, np.random.default_rng(0))[0][0] == pytest.approx(
        1 / 252, abs=0.002
    )


def test_different_rows_bound_the_degrees_of_freedom() -> None:
    run, reference = np.repeat([0.0, 1.0], 10), np.random.default_rng(2).normal(1.0, 0.5, 20)
    found = one_sided.t_test([rows(run, reference, Limits(different=2))])[0][0]
    parts = run.var(ddof=1) / 20, reference.var(ddof=1) / 20
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 1 + parts[1] ** 2 / 19)
    statistic = (run.mean() - reference.mean()) / np.sqrt(sum(parts))
    assert found == pytest.approx(stats.t.cdf(statistic, freedom), rel=1e-10)


def test_a_part_without_error_is_not_relabelled() -> None:
    # The exhausted sample adds its difference to the observed statistic, and no relabelling changes it.
    rng = np.random.default_rng(3)
    run, reference = rng.normal(0.0, 1.0, 6), rng.normal(0.3, 1.0, 6)
    known = rows([0.0, -2.0], [0.0, 0.0], Limits(population=2), Limits(population=2))._replace(weight=0.5)
    chance = rows(run, reference)._replace(weight=0.5)
    pooled = np.concatenate([run, reference])

    def statistic(chosen: tuple[int, ...], constant: float) -> float:
        x, y = pooled[list(chosen)], np.delete(pooled, list(chosen))
        return (x.mean() - y.mean() + constant) / np.sqrt(x.var(ddof=1) / 6 + y.var(ddof=1) / 6)

    observed = statistic(tuple(range(6)), -1.0)
    every = [statistic(one, 0.0) for one in itertools.combinations(range(12), 6)]
    found = one_sided.permutation_test([chance, known], 60_000, rng)[0][0]
    assert found == pytest.approx(np.mean(np.array(every) <= observed), abs=0.004)


def test_refined_p_is_that_of_all_relabellings() -> None:
    # 9 against 9: 48,620 relabellings; the most extreme one has p 1/48,620, which 999 draws cannot tell from 1/1,000.
    rng = np.random.default_rng(4)
    reference = rng.normal(1.0, 0.2, (9, 3))
    one = Rows(reference - np.array([3.0, 0.35, 0.0]), rng.permutation(reference), False)
    first = one_sided.permutation_test([one], 999, rng)[0]
    assert first[0] == pytest.approx(0.001)
    found = one_sided.refined([one], first, 999, 1e-5, rng)
    assert found[0] == pytest.approx(1 / 48_620, rel=0.5)
    assert found[2] == first[2]
    pooled = np.concatenate([one.run, one.reference])[:, 1]
    places = np.array(list(itertools.combinations(range(18), 9)))
    labels = np.zeros((len(places), 18))
    np.put_along_axis(labels, places, 1.0, axis=1)
    x, y = (np.where(side, pooled, 0.0).sum(axis=1) / 9 for side in (labels == 1, labels == 0))
    exact = np.mean(x - y <= (one.run - one.reference).mean(axis=0)[1] + 1e-12)  # equal sizes: the order of Welch's t
    assert found[1] == pytest.approx(exact, rel=0.8)


def test_refined_p_alarms_no_more_often_than_it_says() -> None:
    # Under the null with continuous scores P(p <= x) <= x for each x, whatever stopped the draws.
    rng = np.random.default_rng(5)
    one = Rows(rng.exponential(1.0, (8, 4000)), rng.exponential(1.0, (8, 4000)), False)
    first = one_sided.permutation_test([one], 99, rng)[0]
    found = one_sided.refined([one], np.where(first > 0.2, np.nan, first), 99, 1e-3, rng)
    p = np.where(np.isnan(found), first, found)
    for level in (0.005, 0.01, 0.05):
        # The tests share their draws, which widens the error: five binomial standard errors.
        assert np.mean(p <= level) < level + 5 * np.sqrt(level / 4000)
    assert p.min() < 0.01


def test_smallest_attainable_p() -> None:
    pairs, apart = rows(range(5), range(5), is_paired=True), rows(range(3), range(4))
    assert one_sided.smallest_attainable([pairs]) == pytest.approx(1 / 32)
    assert one_sided.smallest_attainable([apart]) == pytest.approx(1 / 35)
    assert one_sided.smallest_attainable([pairs, apart]) == pytest.approx(1 / 32 / 35)
    assert one_sided.smallest_attainable([rows(range(7), range(7), ALL_OF_7, ALL_OF_7)]) == 0.0
