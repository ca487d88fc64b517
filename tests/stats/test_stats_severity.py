"""Measures over severities, errors against a baseline, ranks, power: worked out by hand."""

import numpy as np
import pytest

from wsabench import stats
from wsabench.errors import ShapeError, SpecError
from wsabench.stats import Design, Variation


def test_measures_over_severities():
    scores = np.array([[0.9, 0.6, 0.3], [-0.1, 0.2, -0.4]])
    np.testing.assert_allclose(stats.worst_case(scores), [0.3, -0.4])


def test_corruption_errors():
    # Errors 0.2 + 0.6 against 0.4 + 0.6; a score of 1.5 has no error, and makes up for none.
    assert stats.corruption_error([0.8, 0.4], [0.6, 0.4]) == pytest.approx(0.8)
    assert stats.corruption_error([1.5, 0.4], [0.6, 0.4]) == pytest.approx(0.6)
    assert np.isnan(stats.corruption_error([0.8, 0.4], [1.2, 1.0]))
    # Lost 0.1 + 0.5 of 0.9, the baseline 0.4 + 0.8 of 1.2.
    assert stats.relative_corruption_error(0.9, [0.8, 0.4], 1.2, [0.8, 0.4]) == pytest.approx(0.5)
    with np.errstate(all="raise"):
        assert np.isnan(stats.relative_corruption_error(0.9, [0.8, 0.4], 0.5, [0.5, 0.5]))
    with pytest.raises(ShapeError, match=r"shape \(2,\), the baseline's \(1,\)"):
        stats.corruption_error([0.8, 0.4], [0.6])


def test_ranks_share_ties():
    np.testing.assert_array_equal(stats.ranks([[0.2, 0.9, 0.5], [0.1, 0.1, 0.0]]), [[3, 1, 2], [1.5, 1.5, 3]])


@pytest.mark.parametrize(("effect", "num_seeds", "paired"), [(0.5, 64, False), (0.8, 26, False), (0.5, 34, True)])
def test_power_is_cohens(effect, num_seeds, paired):
    # Cohen 1988, table 2.4.1: 80% power at alpha 0.05 two-sided takes 64 a group for d = 0.5 and 26 for d = 0.8; a
    # paired test of d = 0.5 takes 34.
    design = Design(effect, paired)
    assert stats.power_of(design, Variation(1.0, 0.0), num_seeds, 10) == pytest.approx(0.80, abs=0.012)
    assert stats.plans(design, Variation(1.0, 0.0), [10])[0].num_seeds == num_seeds


def test_episodes_make_up_for_their_own_noise_only():
    few, many = stats.plans(Design(0.5), Variation(0.6, 0.8 * np.sqrt(5)), [5, 10_000])
    # 5 episodes: variance 0.36 + 3.2 / 5 = 1, as Cohen's; countless ones: 0.36, d = 0.83.
    assert (few.num_seeds, many.num_seeds) == (64, 24)
    assert few.power >= 0.8


def test_power_agrees_with_simulated_tests():
    draws = np.random.default_rng(0)
    x, y = draws.normal(1.5, 1.0, (6, 3_000)), draws.normal(0.0, 1.0, (6, 3_000))
    found = (stats.family_test([x], [y], draws).single_p <= 0.05).mean()
    assert stats.power_of(Design(1.5), Variation(1.0, 0.0), 6, 1) == pytest.approx(found, abs=0.04)


_COUNTS = ((1, 1), (3, 1), (1, 3), (3, 3))


def test_too_few_seeds_have_no_power_whatever_the_effect():
    assert stats.power_of(Design(100.0), Variation(1.0, 0.0), 4, 1) == 0.0
    assert stats.power_of(Design(100.0), Variation(1.0, 0.0), 5, 1) == 1.0
    # Perturbations cost power and no seeds, pairs of agents both: 7 x 2 / 252 is above 0.05.
    assert stats.power_of(Design(100.0, num_tests=20), Variation(1.0, 0.0), 5, 1) == 1.0
    assert stats.power_of(Design(100.0, num_pairs=7), Variation(1.0, 0.0), 5, 1) == 0.0
    powers = [stats.power_of(Design(2.0, num_tests=t, num_pairs=p), Variation(1.0, 0.0), 8, 1) for t, p in _COUNTS]
    assert powers[0] > powers[1] == powers[2] > powers[3] > 0
    assert stats.plans(Design(0.001), Variation(1.0, 0.0), [1]) == [None]


def test_variation_is_recovered_from_simulated_cells():
    draws = np.random.default_rng(1)
    seeds = draws.normal(0.0, 0.3, (40, 20, 1))
    blocks = list(seeds + draws.normal(0.0, 0.8, (40, 20, 15)))
    assert stats.variation_of(blocks) == pytest.approx((0.3, 0.8), rel=0.06)
    # Seeds that differ less than their episodes' noise explains: 0, not the root of a negative number.
    assert stats.variation_of([np.array([[0.0, 2.0], [2.0, 0.0]])]).seed_sd == 0.0
    with pytest.raises(ShapeError, match="at least two train seeds and two episodes"):
        stats.variation_of([np.zeros((1, 5))])


@pytest.mark.parametrize("num_seeds", [2, 3, 5])
@pytest.mark.parametrize("shared", [0.0, 1.0], ids=["cells apart", "cells alike"])
@pytest.mark.parametrize("seed_sd", [0.1, 0.4])
def test_the_limit_of_the_seed_sd_holds_as_often_as_it_says(num_seeds, shared, seed_sd):
    draws = np.random.default_rng(2)
    cells, episodes, runs = 4, 10, 300
    limits, estimates = [], []
    for _ in range(runs):
        networks = draws.normal(0.0, seed_sd, (1, num_seeds, 1)), draws.normal(0.0, seed_sd, (cells, num_seeds, 1))
        blocks = list(networks[0 if shared else 1] + draws.normal(0.0, 0.8, (cells, num_seeds, episodes)))
        limits.append(stats.seed_sd_limit([blocks]))
        estimates.append(stats.variation_of(blocks).seed_sd)
    held = (np.array(limits) >= seed_sd).mean()
    assert held > 0.8 - 3 * np.sqrt(0.8 * 0.2 / runs)
    assert np.mean(np.array(limits) >= np.array(estimates)) == 1.0


def test_the_limit_by_hand_and_its_bounds():
    # Means 1 and 3, so their variance is 2; within them 2, a share of 1 with two episodes each. One degree of freedom.
    blocks = [np.array([[0.0, 2.0], [2.0, 4.0]])]
    assert stats.variation_of(blocks).seed_sd == pytest.approx(1.0)
    assert stats.seed_sd_limit([blocks]) == pytest.approx(np.sqrt(2.0 / 0.0641848 - 1.0), rel=1e-5)  # tables: chi2
    # The estimate is 0, the limit is not.
    unlucky = [np.array([[0.0, 2.0], [0.5, 2.5]])]
    assert stats.variation_of(unlucky).seed_sd == 0.0
    assert stats.seed_sd_limit([unlucky]) == pytest.approx(np.sqrt(0.125 / 0.0641848 - 1.0), rel=1e-5)
    # Equal means despite noisy episodes: even the limit is 0.
    assert stats.seed_sd_limit([[np.array([[0.0, 2.0], [2.0, 0.0]])]]) == 0.0
    # A second agent tells more, another cell of the same agent does not.
    half = 1.0 * (1 / 0.0641848 - 1)
    assert stats.seed_sd_limit([blocks, blocks]) == pytest.approx(np.sqrt(2.0 + np.sqrt(2.0) * half - 1.0), rel=1e-5)
    assert stats.seed_sd_limit([blocks * 2]) == pytest.approx(stats.seed_sd_limit([blocks]))
    with pytest.raises(ShapeError, match="at least two train seeds and two episodes"):
        stats.seed_sd_limit([[np.zeros((1, 5))]])
    with pytest.raises(ShapeError, match="at least two train seeds and two episodes"):
        stats.seed_sd_limit([])


@pytest.mark.parametrize(("true", "counts"), [((0.05, 0.4), (5, 2)), ((0.1, 0.3), (5, 2)), ((0.1, 0.3), (2, 2))])
def test_the_limit_holds_for_agents_that_vary_unequally(true, counts):
    draws = np.random.default_rng(3)
    truth, runs = np.sqrt(np.mean(np.square(true))), 1_000
    limits = [
        stats.seed_sd_limit(
            [
                [draws.normal(0.0, sd, (count, 1)) + draws.normal(0.0, 0.2, (count, 10))]
                for sd, count in zip(true, counts, strict=True)
            ]
        )
        for _ in range(runs)
    ]
    assert (np.array(limits) >= truth).mean() > 0.8 - 3 * np.sqrt(0.8 * 0.2 / runs)


@pytest.mark.parametrize(
    ("design", "variation", "said"),
    [
        (Design(0.0), Variation(1, 1), "effect is 0"),
        (Design(0.1, power=0.01), Variation(1, 1), "power 0.01"),
        (Design(0.1), Variation(-1, 1), "-1 between train seeds"),
    ],
)
def test_impossible_plans_are_refused(design, variation, said):
    with pytest.raises(SpecError, match=said):
        stats.plans(design, variation, [10])
