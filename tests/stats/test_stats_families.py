"""Families of comparisons against slow obvious implementations, scipy and simulation."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from wsabench import stats
from wsabench.errors import ShapeError, SpecError
from wsabench.stats.claims import families

pytestmark = pytest.mark.oracle


def rng(seed=0):
    return np.random.default_rng(seed)


def welch_size(x, y):
    """|t| of Welch's test over games, by plain formulas; blocks of one perturbation."""
    means, variance = [], 0.0
    for a, b in zip(x, y, strict=True):
        means.append(np.mean(a) - np.mean(b))
        variance += np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b)
    return abs(sum(means)) / math.sqrt(variance)


def relabelled(x, y):
    """Every way to relabel the seeds of all games, as pairs of lists of blocks."""
    options = []
    for a, b in zip(x, y, strict=True):
        pooled, rows = np.concatenate([a, b]), range(len(a) + len(b))
        splits = itertools.combinations(rows, len(a))
        options.append([(pooled[list(c)], pooled[[r for r in rows if r not in c]]) for c in splits])
    for chosen in itertools.product(*options):
        yield [one[0] for one in chosen], [one[1] for one in chosen]


def slow_step_down(observed, drawn):
    """Step-down max-T as it is written down: the largest statistic first, maxima over what is left."""
    order = sorted(range(len(observed)), key=lambda place: -observed[place])
    adjusted, before = [math.nan] * len(observed), 0.0
    for step, place in enumerate(order):
        left = order[step:]
        share = np.mean([max(row[one] for one in left) >= observed[place] * (1 - 1e-9) for row in drawn])
        before = max(before, share)
        adjusted[place] = before
    return adjusted


def of_games(x, y, lacks=frozenset()):
    """The statistics of all perturbations; `lacks` holds (game, perturbation)."""
    tests = range(x[0].shape[1])
    have = {test: [game for game in range(len(x)) if (game, test) not in lacks] for test in tests}
    return [welch_size([x[g][:, test] for g in have[test]], [y[g][:, test] for g in have[test]]) for test in tests]


@pytest.mark.parametrize("sizes", [[(5, 5)], [(4, 3)], [(3, 3), (3, 2)], [(2, 2), (3, 3)]])
def test_max_t_is_the_slow_one(sizes):
    draws = rng(1)
    x = [draws.normal(0.6, 1.0, (first, 4)) * [1, 1, 3, 1] for first, _ in sizes]
    y = [draws.normal(0.0, 1.0, (second, 4)) for _, second in sizes]
    expected = slow_step_down(of_games(x, y), [of_games(*one) for one in relabelled(x, y)])
    test = stats.family_test(x, y, rng())
    np.testing.assert_allclose(test.max_t_p, expected, atol=1e-12)
    count = math.prod(math.comb(first + second, first) for first, second in sizes)
    is_mirrored = all(first == second for first, second in sizes)
    assert test.smallest_p == pytest.approx((2 if is_mirrored else 1) / count)


def test_a_perturbation_that_a_game_lacks_is_tested_over_the_others():
    draws = rng(2)
    x, y = ([draws.normal(shift, 1.0, (3, 3)) for _ in range(2)] for shift in (0.8, 0.0))
    lacks = {(1, 2), (0, 0)}
    expected = slow_step_down(of_games(x, y, lacks), [of_games(*one, lacks) for one in relabelled(x, y)])
    x[1][:, 2] = np.nan
    y[0][:, 0] = np.nan  # one of the agents is enough
    test = stats.family_test(x, y, rng())
    np.testing.assert_allclose(test.max_t_p, expected, atol=1e-12)
    np.testing.assert_array_equal(test.num_games, [1, 2, 1])
    assert test.effect[2] == pytest.approx((x[0] - y[0]).mean(axis=0)[2])
    # What is tested over one game is what that game says by itself.
    alone = stats.family_test(x[:1], y[:1], rng())
    np.testing.assert_allclose([test.single_p[2], test.welch_p[2]], [alone.single_p[2], alone.welch_p[2]])


def test_sign_flips_step_down_as_the_slow_one_does():
    games = [rng(3).normal(0.7, 1.0, (3, 4)), rng(4).normal(0.4, 1.0, (4, 4))]

    def sizes(blocks):
        mean = sum(block.mean(axis=0) for block in blocks)
        return abs(mean) / np.sqrt(sum(block.var(axis=0, ddof=1) / len(block) for block in blocks))

    drawn = []
    for signs in itertools.product([1, -1], repeat=7):
        column = np.array(signs)[:, None]
        drawn.append(sizes([games[0] * column[:3], games[1] * column[3:]]))
    test = stats.family_test(games, None, rng())
    np.testing.assert_allclose(test.max_t_p, slow_step_down(sizes(games), drawn), atol=1e-12)
    assert test.smallest_p == pytest.approx(2 / 2**7)


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("decimals", [1, 8])
def test_a_family_of_one_is_scipys_plain_permutation_test(paired, decimals):
    def difference(x, y, axis):
        return np.mean(x, axis=axis) - np.mean(y, axis=axis)

    # With equal numbers of seeds in one game, t follows the difference of means: the same order, the same p.
    for seed in range(20):
        x, y = np.round(rng(seed).normal([[[0.9]], [[0.0]]], 1.0, (2, 5, 1)), decimals)
        test = stats.family_test([x - y], None, rng()) if paired else stats.family_test([x], [y], rng())
        kind = {"permutation_type": "samples"} if paired else {}
        options = {"vectorized": True, "n_resamples": np.inf, "axis": 0, **kind}
        plain = scipy.stats.permutation_test((x, y), difference, **options)
        assert test.max_t_p[0] == pytest.approx(plain.pvalue[0], abs=1e-12)
        assert test.single_p[0] == pytest.approx(plain.pvalue[0], abs=1e-12)
        assert test.effect[0] == pytest.approx(plain.statistic[0])
        assert test.smallest_p == pytest.approx(2 / 2**5 if paired else 2 / 252)


@pytest.mark.parametrize(("num_x", "num_y"), [(5, 5), (3, 6)])
def test_a_single_test_is_scipys_permutation_of_welchs_t(num_x, num_y):
    def size(x, y, axis):
        return np.abs(scipy.stats.ttest_ind(x, y, axis=axis, equal_var=False).statistic)

    x, y = rng(5).normal(0.5, 1.0, (num_x, 3)), rng(6).normal(0.0, 2.0, (num_y, 3))
    options = {"vectorized": True, "n_resamples": np.inf, "axis": 0, "alternative": "greater"}
    theirs = scipy.stats.permutation_test((x, y), size, **options)
    ours = stats.family_test([x], [y], rng())
    np.testing.assert_allclose(ours.single_p, theirs.pvalue, atol=1e-12)
    welch = scipy.stats.ttest_ind(x, y, equal_var=False)
    np.testing.assert_allclose(ours.welch_p, welch.pvalue)
    np.testing.assert_allclose(ours.freedom, welch.df)
    np.testing.assert_allclose(ours.effect / ours.standard_error, welch.statistic)
    np.testing.assert_allclose(ours.adjusted_p, np.maximum(ours.max_t_p, stats.holm(welch.pvalue)))
    paired = stats.family_test([x[:3] - y[:3]], None, rng())
    np.testing.assert_allclose(paired.welch_p, scipy.stats.ttest_rel(x[:3], y[:3]).pvalue)


def test_drawn_relabellings_come_close_to_all(monkeypatch):
    x, y = [rng(7).normal(0.9, 1.0, (6, 4))], [rng(8).normal(0.0, 1.0, (6, 4))]
    exact, flips = stats.family_test(x, y, rng()), stats.family_test([x[0] - y[0]], None, rng())
    monkeypatch.setattr(families, "MAX_ENUMERATED", 10)
    drawn = stats.family_test(x, y, rng(9), relabellings=20_000)
    np.testing.assert_allclose(drawn.max_t_p, exact.max_t_p, atol=0.015)
    np.testing.assert_allclose(drawn.critical, exact.critical, rtol=0.1)
    drawn_flips = stats.family_test([x[0] - y[0]], None, rng(9), relabellings=20_000)
    np.testing.assert_allclose(drawn_flips.max_t_p, flips.max_t_p, atol=0.015)
    assert drawn.smallest_p == pytest.approx(1 / 20_001)
    few = stats.family_test([x[0] + 100.0], y, rng(9), relabellings=99)
    np.testing.assert_allclose(few.max_t_p, 0.01)  # never 0: the observed one counts


@pytest.mark.property
@given(st.integers(0, 10_000), st.integers(1, 6), st.booleans())
def test_adjusted_p_keeps_the_order_and_is_never_smaller_than_a_single_tests(seed, num_tests, paired):
    draws = rng(seed)
    x, y = draws.normal(0.5, 1.0, (4, num_tests)), draws.integers(0, 3, (4, num_tests)).astype(float)
    test = stats.family_test([x - y] if paired else [x], None if paired else [y], draws)
    size = np.abs(test.effect / test.standard_error)
    order = np.argsort(-size)
    assert np.all(np.diff(test.max_t_p[order]) >= 0)
    assert np.all(test.max_t_p >= test.single_p - 1e-12)
    assert np.all(test.max_t_p >= test.smallest_p - 1e-12)
    assert np.all((test.low < test.effect) & (test.effect < test.high))
    scaled = stats.family_test([-7.0 * x], None if paired else [-7.0 * y], draws)
    if not paired:
        np.testing.assert_allclose(scaled.max_t_p, test.max_t_p)


def test_seeds_without_spread_and_undefined_values():
    x = np.array([[0.5, 0.0, 1.0], [0.5, 0.0, np.nan], [0.5, 0.0, 1.0], [0.5, 0.0, 2.0]])
    test = stats.family_test([x], [np.array([0.2, 0.0, 1.0]) + np.zeros((4, 3))], rng())
    np.testing.assert_allclose(test.max_t_p, [2 / 70, 1.0, np.nan])
    assert test.welch_p[0] < 1e-6
    assert test.welch_p[1] == 1.0
    for array in (test.effect, test.adjusted_p, test.low, test.high, test.critical, test.single_p):
        np.testing.assert_array_equal(np.isnan(array), [False, False, True])
    # One train seed of an agent has no spread to go by.
    assert np.isnan(stats.family_test([x[:1, :1]], [x[:, :1]], rng()).adjusted_p[0])


def test_games_and_tests_must_fit():
    with pytest.raises(ShapeError, match="Games or tests differ"):
        stats.family_test([np.zeros((3, 1))], [np.zeros((3, 2))], rng())
    with pytest.raises(ShapeError, match="Games or tests differ"):
        stats.family_test([np.zeros((3, 1))], [np.zeros((3, 1))] * 2, rng())
    with pytest.raises(SpecError, match=r"alpha is 1\.5"):
        stats.family_test([np.zeros((3, 1))], None, rng(), alpha=1.5)


@pytest.mark.parametrize(("num_seeds", "smallest"), [(3, 0.1), (4, 2 / 70), (5, 2 / 252)])
def test_the_smallest_p_of_a_family_is_a_single_tests(num_seeds, smallest):
    low = np.arange(float(num_seeds))[:, None] * np.ones(7)
    test = stats.family_test([low + 100.0], [low], rng())
    assert test.smallest_p == pytest.approx(smallest)
    np.testing.assert_allclose(test.adjusted_p, smallest)


def rejected(p, alpha):
    """The method over pairs as it is written down, for one alpha."""
    left, done = list(range(len(p))), True
    while done:
        done = [pair for pair in left if all(one <= alpha / len(left) + 1e-12 for one in p[pair])]
        level = alpha / max(len(left), 1)
        if done:
            left.remove(done[0])
    return [[pair not in left or one <= level + 1e-12 for one in values] for pair, values in enumerate(p)]


@pytest.mark.property
@given(st.lists(st.lists(st.floats(0.0, 0.2), min_size=1, max_size=3), min_size=1, max_size=5))
def test_pairs_are_adjusted_as_the_method_rejects(p):
    adjusted = stats.adjust_over_pairs(p)
    for alpha in (0.001, 0.01, 0.05, 0.1, 0.3, 0.7):
        ours = [list(values <= alpha + 1e-9) for values in adjusted]
        theirs = rejected(p, alpha)
        flat = [abs(one - alpha) > 1e-6 for values in adjusted for one in values]  # not on the edge
        for a, b, is_clear in zip(itertools.chain(*ours), itertools.chain(*theirs), flat, strict=True):
            assert a == b or not is_clear


def test_pairs_worked_out():
    # One test a pair is Holm.
    p = [0.04, 0.01, 0.02]
    np.testing.assert_allclose(np.concatenate(stats.adjust_over_pairs([[one] for one in p])), stats.holm(p))
    # The first pair is claimed whole at 0.01 x 2 and passes its share on, so the second pays its p only, and not
    # 2 x 0.03; a pair with an open test keeps its share.
    whole = stats.adjust_over_pairs([[0.001, 0.01], [0.03, 0.9]])
    np.testing.assert_allclose(whole[0], [0.002, 0.02])
    np.testing.assert_allclose(whole[1], [0.03, 0.9])
    kept = stats.adjust_over_pairs([[0.001, np.nan], [0.03, 0.9]])
    np.testing.assert_allclose(kept[0], [0.002, np.nan])
    np.testing.assert_allclose(kept[1], [0.06, 1.0])
    assert stats.adjust_over_pairs([]) == []
    with pytest.raises(SpecError, match="outside 0 to 1"):
        stats.adjust_over_pairs([[-0.1]])


def test_false_claims_are_as_rare_as_promised():
    # Four agents, all far apart in one perturbation and alike in five: 6 pairs, 6 seeds; 150 data sets, 3 standard
    # errors. Each pair by itself claims something false in 18 % (benchmarks/comparison_rates.py, 7 perturbations).
    draws, false = rng(10), 0
    for _ in range(150):
        agents = draws.normal(size=(4, 6, 6))
        agents[:, :, 0] += 50.0 * np.arange(4)[:, None]
        pairs = itertools.combinations(agents, 2)
        p = [stats.family_test([a], [b], draws).adjusted_p for a, b in pairs]
        false += any(np.any(values[1:] <= 0.05) for values in stats.adjust_over_pairs(p))
    assert false / 150 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 150)


def test_intervals_hold_all_effects_together():
    # 7 perturbations with effects of all sizes, 5 seeds: at least 95 % but for 3 standard errors of 400 data sets.
    draws, effects, held = rng(11), np.arange(7) * 0.7, 0
    for _ in range(400):
        x, y = draws.normal(size=(2, 5, 7)) + draws.normal(size=(2, 5, 1))
        test = stats.family_test([x + effects], [y], draws)
        held += np.all((test.low <= effects) & (effects <= test.high))
    assert held / 400 >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / 400)
    # Not wider than needed either: Bonferroni's t is 3.7 with 8 degrees of freedom.
    assert np.all(test.critical < 6.5)


def test_the_detectable_effect_is_found_as_often_as_it_says():
    # With many seeds the run's own spread is the true one: an effect of that size is found in 80 %.
    draws = rng(12)
    test = stats.family_test([draws.normal(size=(60, 5))], [draws.normal(size=(60, 5))], draws, relabellings=999)
    found = stats.detectable_effects(test)
    exact = [scipy.stats.nct.sf(scipy.stats.t.ppf(0.975, f), f, d) for f, d in zip(
        test.freedom, found.single / test.standard_error, strict=True
    )]  # fmt: skip
    np.testing.assert_allclose(exact, 0.8, atol=1e-3)
    exact = scipy.stats.nct.sf(test.critical, test.freedom, found.family / test.standard_error)
    np.testing.assert_allclose(exact, 0.8, atol=1e-3)
    assert np.all(found.family > found.single)
    few = stats.family_test([draws.normal(size=(3, 2))], [draws.normal(size=(3, 2))], draws)
    assert np.all(np.isinf(stats.detectable_effects(few).family))
    assert np.all(np.isinf(stats.detectable_effects(few).single))


def test_the_error_of_a_page():
    page = stats.page_error([stats.ClaimFamily(1), stats.ClaimFamily(7), stats.ClaimFamily(4, 0.01, False)])
    assert page.num_families == 3
    assert page.num_tests == 12
    assert page.bound == pytest.approx(0.05 + 0.05 + 0.04)
    assert page.independent == pytest.approx(1 - 0.95 * 0.95 * 0.96)
    assert stats.page_error([stats.ClaimFamily(2, 0.4)] * 9).bound == 1.0
    assert stats.page_error([]).bound == 0.0
    with pytest.raises(SpecError, match="A family has 0 tests"):
        stats.page_error([stats.ClaimFamily(0)])
