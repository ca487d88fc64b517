"""Worst group and CVaR by split episodes: against a slow implementation, and by simulation."""

import functools

import numpy as np
import pytest

from wsabench import stats
from wsabench.errors import ShapeError, SpecError
from wsabench.stats.across import tails


def rng(seed):
    return np.random.default_rng(seed)


def simulated(draws, means, runs, *, num_seeds=5, num_episodes=10, seed_sd=0.3, group_sd=0.0):
    """Return the estimates, and the checkpoints' true means of each run, (runs, num_groups)."""
    found, truths = [], []
    for _ in range(runs):
        shape = (num_seeds, len(means))
        true = np.asarray(means) + draws.normal(0, seed_sd, (num_seeds, 1)) + draws.normal(0, group_sd, shape)
        episodes = true[..., None] + draws.normal(size=(*shape, num_episodes))
        found.append(stats.worst_group([episodes], draws, repetitions=100))
        truths.append(true.mean(axis=0))
    return found, np.array(truths)


@functools.cache
def many(*means):
    """Return what is simulated of 300 runs of groups with these means; several tests look at the same."""
    return simulated(rng(4), means, 300)


@pytest.mark.oracle
@pytest.mark.parametrize(("share", "weights"), [(0.0, [1, 0, 0, 0, 0]), (0.5, [0.4, 0.4, 0.2, 0, 0]), (1.0, [0.2] * 5)])
def test_the_estimate_equals_a_slow_one(monkeypatch, share, weights):
    monkeypatch.setattr(tails, "NUM_SPLITS", 7)
    blocks = [rng(1).normal(size=(4, 5, 9)), rng(2).normal(size=(3, 5, 6))]
    found = (
        stats.conditional_value_at_risk(blocks, share, rng(3), repetitions=20)
        if share
        else stats.worst_group(blocks, rng(3), repetitions=20)
    )
    draws, estimates, chosen = rng(3), [], np.zeros(5)
    orders = [draws.permuted(np.tile(np.arange(b.shape[2]), (7, 1)), axis=1) for b in blocks]
    for split in range(7):
        halves = []
        for block, order in zip(blocks, orders, strict=True):
            cut = block.shape[2] // 2
            halves.append([block[:, :, part].mean(axis=(0, 2)) for part in np.split(order[split], [cut])])
        one, two = np.mean(halves, axis=0)
        for choosing, measuring in ((one, two), (two, one)):
            ranking = sorted(range(5), key=lambda group, by=choosing: by[group])
            estimates.append(sum(w * measuring[group] for w, group in zip(weights, ranking, strict=True)))
            for w, group in zip(weights, ranking, strict=True):
                chosen[group] += w / 14
    assert found.value == pytest.approx(np.mean(estimates), abs=1e-12)
    np.testing.assert_allclose(found.chosen, chosen, atol=1e-12)
    means = np.sort(np.mean([b.mean(axis=(0, 2)) for b in blocks], axis=0))
    assert found.naive == pytest.approx(means @ weights, abs=1e-12)
    assert (found.num_seeds, found.reason) == (3, "")
    of_one_game = stats.conditional_value_at_risk(blocks[1:], 0.5, rng(3), repetitions=20)
    assert of_one_game.reason == "too few train seeds (3)"


@pytest.mark.parametrize("means", [[0.5] * 6, [0.0, 1, 1, 1, 1, 1]], ids=["all equal", "one far below"])
def test_split_episodes_are_unbiased_for_the_minimum(means):
    found, truths = many(*means)
    errors = np.array([one.value for one in found]) - truths.min(axis=1)
    assert abs(errors.mean()) < 3 * errors.std() / np.sqrt(300)


def test_the_naive_minimum_is_not():
    found, truths = many(*[0.5] * 6)
    errors = np.array([one.naive for one in found]) - truths.min(axis=1)
    # The lowest of six means of 50 episodes with sd 1: 1.27 / sqrt(50) too low.
    assert errors.mean() == pytest.approx(-1.267 / np.sqrt(50), abs=4 * errors.std() / np.sqrt(300))


@pytest.mark.parametrize("group_sd", [0.0, 0.3])
def test_what_is_chosen_is_measured_without_bias_and_never_below_the_minimum(group_sd):
    found, truths = simulated(rng(6), [0.3, 0.5, 0.5, 0.5, 0.5, 0.5], 300, group_sd=group_sd)
    values = np.array([one.value for one in found])
    of_chosen = values - (np.array([one.chosen for one in found]) * truths).sum(axis=1)
    assert abs(of_chosen.mean()) < 3 * of_chosen.std() / np.sqrt(300)
    above = values - truths.min(axis=1)
    assert above.mean() > -3 * above.std() / np.sqrt(300)


def test_intervals_hold_the_minimum():
    for means in ([0.5] * 6, [0.0, 1, 1, 1, 1, 1]):
        found, _ = many(*means)
        held = np.mean([one.low <= min(means) <= one.high for one in found])
        assert held > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 300)


def test_cvar_of_all_groups_is_the_mean_and_of_little_the_worst():
    block = rng(8).normal(size=(5, 4, 8))
    assert stats.conditional_value_at_risk([block], 1.0, rng(0), repetitions=10).value == pytest.approx(block.mean())
    least = stats.conditional_value_at_risk([block], 0.01, rng(0), repetitions=10)
    assert least.value == stats.worst_group([block], rng(0), repetitions=10).value
    # Known groups: the worst quarter of eight is the mean of two.
    known = np.arange(8.0)[None, :, None] + np.zeros((3, 8, 4))
    quarter = stats.conditional_value_at_risk([known], 0.25, rng(0), repetitions=10)
    assert (quarter.value, quarter.low, quarter.high) == pytest.approx((0.5, 0.5, 0.5))
    np.testing.assert_allclose(quarter.chosen, [0.5, 0.5, 0, 0, 0, 0, 0, 0])


def test_too_few_of_anything_says_why():
    one = stats.worst_group([np.zeros((5, 1, 10))], rng(0))
    assert (np.isnan(one.value), one.reason) == (True, "one group: nothing to choose from")
    short = stats.worst_group([np.zeros((5, 3, 10)), np.zeros((5, 3, 3))], rng(0))
    assert (np.isnan(short.value), short.reason) == (True, "3 episodes: too few to split")
    seeds = stats.worst_group([rng(0).normal(size=(2, 3, 10))], rng(0))
    assert not np.isnan(seeds.value)
    assert np.isnan(seeds.low)
    assert seeds.reason == "fewer than 3 train seeds: no interval"


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match="the same groups in each"):
        stats.worst_group([np.zeros((5, 3, 10)), np.zeros((5, 2, 10))], rng(0))
    for blocks in ([], [np.zeros((5, 3))], [np.zeros((0, 3, 4))]):
        with pytest.raises(ShapeError, match="Episodes have shapes"):
            stats.worst_group(blocks, rng(0))
    with pytest.raises(ShapeError, match="NaN"):
        stats.worst_group([np.full((5, 3, 4), np.nan)], rng(0))
    for share in (0.0, 1.1, np.nan):
        with pytest.raises(SpecError, match="for the worst quarter"):
            stats.conditional_value_at_risk([np.zeros((5, 3, 4))], share, rng(0))
