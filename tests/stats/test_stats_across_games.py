"""Averages over games and their normalisers: by hand, against scipy, and by simulation."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from wsabench import stats
from wsabench.errors import ShapeError, SpecError

GAMES = ("pong", "breakout", "boxing")


def returns(clean, perturbed, random=(0.0, 0.0, 0.0), human=(10.0, 10.0, 10.0)):
    return stats.Returns(*(np.array(part, dtype=float) for part in (clean, perturbed, random, human)))


def test_each_normaliser_by_hand():
    table = returns(
        [[10, 20, 4], [5, 10, 8]],
        [[5, 10, 2], [5, 0, 8]],
        random=[0, 10, 2],
        human=[10, 20, 12],
    )
    # Above random: clean 10, 10, 2 and 5, 0, 6; perturbed 5, 0, 0 and 5, -10, 6; human 10 in each.
    found = stats.normaliser_sensitivity(GAMES, table).rankings
    np.testing.assert_allclose(found["human"].scores, [0.5 / 3, 0.1 / 3])
    np.testing.assert_allclose(found["best agent"].scores, [0.5 / 3, (0.5 - 1 + 1) / 3])
    logs = [np.log(1.5) / 3, (np.log(1.5) - np.log(2) + np.log(1.6)) / 3]
    np.testing.assert_allclose(found["log human"].scores, logs)
    # The second agent plays breakout no better than random: nobody is divided by its own score there.
    np.testing.assert_allclose(found["own clean"].scores, [(0.5 + 0) / 2, (1 + 1) / 2])
    assert (found["own clean"].games, found["own clean"].left_out) == (("pong", "boxing"), ("breakout",))
    np.testing.assert_array_equal(found["human"].ranks, [1, 2])
    np.testing.assert_array_equal(found["own clean"].ranks, [2, 1])


@pytest.mark.oracle
def test_agreement_is_kendalls_tau():
    draws = np.random.default_rng(0)
    table = returns(draws.uniform(5, 40, (6, 3)), draws.integers(0, 6, (6, 3)))
    found = stats.normaliser_sensitivity(GAMES, table)
    scores = [ranking.scores for ranking in found.rankings.values()]
    for i, one in enumerate(scores):
        for j, other in enumerate(scores):
            assert found.agreement[i, j] == pytest.approx(scipy_stats.kendalltau(one, other).statistic)
    assert found.lowest == found.agreement.min() < 1.0
    assert found.reason == ""
    assert list(found.rankings) == list(stats.NORMALISERS)


def test_proportional_agents_have_one_order():
    perturbed = np.outer([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0])
    found = stats.normaliser_sensitivity(GAMES, returns(np.full((4, 3), 20.0), perturbed))
    np.testing.assert_allclose(found.agreement, 1.0)


def test_agreement_needs_three_agents_and_games_that_are_defined():
    two = stats.normaliser_sensitivity(GAMES, returns(np.ones((2, 3)), np.ones((2, 3))))
    assert two.reason == "2 agents: rank agreement needs 3"
    assert np.isnan(two.agreement).all()
    failing = stats.normaliser_sensitivity(GAMES, returns(np.zeros((3, 3)), np.arange(9.0).reshape(3, 3)))
    assert failing.reason == "no game in which the normaliser is defined: best agent, own clean"
    assert failing.lowest == 1.0


def test_returns_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="3 games have returns of shapes"):
        stats.normaliser_sensitivity(GAMES, returns(np.ones((2, 2)), np.ones((2, 3))))
    with pytest.raises(ShapeError, match="not above random play in pong"):
        stats.normaliser_sensitivity(GAMES, returns(np.ones((2, 3)), np.ones((2, 3)), human=[0, 1, 1]))


@pytest.mark.oracle
def test_the_table_of_games_by_hand_and_against_scipy():
    values = np.array([0.2, 0.4, 0.6, 0.8, 3.0])
    found = stats.per_game(values, np.full(5, 0.1))
    assert found.mean == pytest.approx(1.0)
    np.testing.assert_allclose(found.without, [np.delete(values, game).mean() for game in range(5)])
    assert found.most_influential == 4
    assert found.between_sd == pytest.approx(np.sqrt(values.var(ddof=1) - 0.01))
    low, high = scipy_stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert (found.mean_low, found.mean_high) == pytest.approx((low, high))
    # t(4) = 2.7764 at 95%; prediction interval of a normal sample.
    half = 2.776445 * values.std(ddof=1) * np.sqrt(1.2)
    assert (found.new_low, found.new_high) == pytest.approx((1.0 - half, 1.0 + half))
    assert found.reason == ""


@pytest.mark.parametrize(("num_games", "noise"), [(5, 0.0), (5, 1.0), (12, 0.5)])
def test_a_new_game_falls_into_its_interval(num_games, noise):
    draws, runs = np.random.default_rng(1), 2_000
    held = np.zeros(2)
    for _ in range(runs):
        true = draws.normal(0.0, 1.0, num_games + 1)
        shown = true + draws.normal(0.0, noise, num_games + 1)
        found = stats.per_game(shown[:-1], np.full(num_games, noise))
        held += [found.new_low <= shown[-1] <= found.new_high, found.new_low <= true[-1] <= found.new_high]
    error = np.sqrt(0.95 * 0.05 / runs)
    assert held[0] / runs == pytest.approx(0.95, abs=3 * error)
    assert held[1] / runs > 0.95 - 3 * error


def test_few_games_and_unknown_errors():
    few = stats.per_game([0.1, 0.2, 0.3, 0.4], np.zeros(4))
    assert few.reason == "4 games: an interval for other games needs 5"
    assert np.isnan([few.mean_low, few.new_low, few.between_sd]).all()
    np.testing.assert_allclose(few.without, [0.3, 0.8 / 3, 0.7 / 3, 0.2])
    assert np.isnan(stats.per_game([0.1], [0.0]).without).all()
    unknown = stats.per_game(np.arange(6.0), np.full(6, np.nan))
    assert np.isnan(unknown.between_sd)
    assert not np.isnan(unknown.new_low)
    # Games that differ less than their noise explains: 0.
    assert stats.per_game(np.arange(6.0), np.full(6, 10.0)).between_sd == 0.0


def test_values_of_games_that_do_not_fit_are_refused():
    for value, error in (([], []), ([0.1, np.nan], [0, 0]), ([0.1], [0.0, 0.0])):
        with pytest.raises(ShapeError, match="one value and one error a game"):
            stats.per_game(value, error)
    with pytest.raises(SpecError, match="confidence"):
        stats.per_game([0.1], [0.0], confidence=1.0)
