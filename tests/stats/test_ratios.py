"""Retention as a ratio of means: against t and Welch intervals, slow loops, derivatives and simulation."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from wsabench import stats
from wsabench.errors import ShapeError

oracle = pytest.mark.oracle
prop = pytest.mark.property


def game(num_seeds=6, num_cells=3, seed=0):
    """Return clean and perturbed scores of train seeds that are good or bad in all cells."""
    rng = np.random.default_rng(seed)
    effect = np.exp(0.3 * rng.normal(size=num_seeds))
    clean = effect * np.exp(0.2 * rng.normal(size=num_seeds))
    kept = np.linspace(0.8, 0.2, num_cells)
    return clean, effect[:, None] * kept * np.exp(0.2 * rng.normal(size=(num_seeds, num_cells)))


def without_each(clean, perturbed, function):
    """Return a function of the ratios of means with each train seed left out in turn."""
    rest = [np.delete(np.arange(len(clean)), seed) for seed in range(len(clean))]
    return np.array([function(perturbed[rows].mean(axis=0) / clean[rows].mean()) for rows in rest])


def delete_one(clean, perturbed, function=np.mean):
    """Return the bias and the standard error that leaving out one seed at a time gives."""
    n, values = len(clean), without_each(clean, perturbed, function)
    bias = (n - 1) * (values.mean(axis=0) - function(perturbed.mean(axis=0) / clean.mean()))
    return bias, np.sqrt((n - 1) / n * ((values - values.mean(axis=0)) ** 2).sum(axis=0))


@oracle
def test_retention_is_the_ratio_of_means_less_its_bias():
    clean, perturbed = game()
    found = stats.retention_interval(clean, perturbed)
    np.testing.assert_allclose(found.plain, perturbed.mean(axis=0) / clean.mean(), rtol=1e-12)
    bias, _ = delete_one(clean, perturbed, lambda ratios: ratios)
    np.testing.assert_allclose(found.value, found.plain - bias, rtol=1e-12)
    assert np.all(found.value != found.plain)


@oracle
def test_bounds_are_fiellers_between_two_delete_one_intervals():
    # Cells that rise slower and faster than the clean score: Fieller's set leans to the one side and the other.
    clean = np.array([0.6, 0.8, 1.0, 1.2, 1.7])
    noise = np.exp(0.1 * np.random.default_rng(4).normal(size=(5, 40)))
    perturbed = clean[:, None] ** np.linspace(-2.0, 6.0, 40) * noise
    found, alone = stats.retention_interval(clean, perturbed), stats.fieller_set(clean, perturbed)
    _, error = delete_one(clean, perturbed, lambda ratios: ratios)
    narrow, wide = (scipy.stats.t.ppf(level, 4) * error for level in (0.975, 0.995))
    for sign, end, ours in ((-1, alone.low, found.low), (1, alone.high, found.high)):
        choices = np.array([end, found.plain + sign * narrow, found.plain + sign * wide])
        np.testing.assert_allclose(ours, np.median(choices, axis=0), rtol=1e-9)
        kinds = np.isclose(ours, choices).sum(axis=1)
        assert np.all(kinds > 0), kinds  # Fieller's own bound and both rules are met


def test_the_shares_of_train_seeds_are_delete_one_pseudo_values():
    rng = np.random.default_rng(5)
    clean = rng.uniform(1.0, 2.0, 6)
    perturbed = clean[:, None] * rng.uniform(0.3, 0.7, (6, 2))
    ratio = perturbed.mean(axis=0) / clean.mean()
    rest = np.array([np.delete(perturbed, i, 0).mean(axis=0) / np.delete(clean, i).mean() for i in range(6)])
    shares = stats.retention_shares(clean, perturbed)
    np.testing.assert_allclose(shares, 6 * ratio - 5 * rest)
    # So a t test of shares has the error of the delete-one interval, and its mean is the retention.
    np.testing.assert_allclose(shares.mean(axis=0), stats.retention_interval(clean, perturbed).value)
    one = stats.retention_difference([(clean, perturbed[:, :1])], [(clean, perturbed[:, 1:])])
    of_shares = stats.contrast([shares[:, :1]], [shares[:, 1:]])
    assert float(one.value) == pytest.approx(of_shares.effect[0])
    half = scipy.stats.t.ppf(0.975, of_shares.freedom[0]) * of_shares.standard_error[0]
    assert float(one.high - one.low) == pytest.approx(2 * half)


def test_the_shares_of_two_train_seeds_are_linearised_and_none_rests_on_one():
    clean, perturbed = np.array([1.0, 3.0]), np.array([[1.0], [1.0]])
    # Ratio 2 / 4, residuals 1 - 0.5 and 1 - 1.5, divided by the clean mean 2.
    np.testing.assert_allclose(stats.retention_shares(clean, perturbed), [[0.75], [0.25]])
    assert np.isnan(stats.retention_shares(np.array([-1.0, 0.5]), perturbed)).all()
    alone = np.array([3.0, 0.0, 0.0])
    assert np.isnan(stats.retention_shares(alone, np.ones((3, 1)))).all()


def test_an_unbounded_set_says_so_and_has_the_bounds_of_delete_one():
    clean, perturbed = np.array([2.0, 0.1, 0.1, 0.2, 0.1]), np.array([[0.9], [0.1], [0.0], [0.1], [0.1]])
    assert stats.fieller_set(clean, perturbed).region[0] != stats.Region.BOUNDED
    found = stats.retention_interval(clean, perturbed)
    half = scipy.stats.t.ppf(0.995, 4) * delete_one(clean, perturbed)[1]
    assert found.region[0] != stats.Region.BOUNDED
    assert (found.low[0], found.high[0]) == pytest.approx((found.plain[0] - half, found.plain[0] + half))


@oracle
def test_with_constant_clean_scores_it_is_students_and_welchs():
    rng = np.random.default_rng(5)
    x, y = rng.normal(0.5, 0.2, (6, 1)), rng.normal(0.4, 0.6, (9, 1))
    one = stats.retention_interval(np.full(6, 2.0), x)
    expected = scipy.stats.ttest_1samp(x[:, 0] / 2.0, 0.0).confidence_interval()
    assert (one.low[0], one.high[0]) == pytest.approx((expected.low, expected.high), rel=1e-9)
    apart = stats.retention_difference([(np.ones(6), x)], [(np.ones(9), y)])
    welch = scipy.stats.ttest_ind(x[:, 0], y[:, 0], equal_var=False).confidence_interval()
    assert (float(apart.low), float(apart.high)) == pytest.approx((welch.low, welch.high), rel=1e-9)
    # The mean of two games is half the difference of one and the other's negative.
    mean = stats.mean_retention([(np.ones(6), x), (np.ones(9), y)])
    welch = scipy.stats.ttest_ind(x[:, 0], -y[:, 0], equal_var=False).confidence_interval()
    assert (float(mean.low), float(mean.high)) == pytest.approx((welch.low / 2, welch.high / 2), rel=1e-9)


@oracle
def test_averages_over_games_are_worked_out():
    games = [game(5, 3, 1), game(8, 2, 2), game(4, 1, 3)]
    found = stats.mean_retention(games)
    value = np.mean([stats.retention_interval(*one).value.mean() for one in games])
    parts = [delete_one(*one)[1] ** 2 / 9 for one in games]
    freedom = sum(parts) ** 2 / sum(part**2 / (len(one[0]) - 1) for part, one in zip(parts, games, strict=True))
    half = scipy.stats.t.ppf(0.975, freedom) * np.sqrt(sum(parts))
    assert (found.value, found.low, found.high) == pytest.approx((value, value - half, value + half), rel=1e-9)
    assert found.plain == pytest.approx(np.mean([(y.mean(axis=0) / x.mean()).mean() for x, y in games]))
    assert (found.num_seeds, found.note) == (4, "")
    assert stats.mean_retention(games[2:]).note == "too few train seeds (4)"


@oracle
def test_satterthwaites_t_is_students_for_one_game():
    clean, perturbed = game()
    found = stats.capped_mean_retention([(clean, perturbed)], cap=100.0)
    bias, error = delete_one(clean, perturbed)
    half = scipy.stats.t.ppf(0.975, 5) * error
    low, high = sorted([found.plain, found.plain - bias])
    assert (found.low, found.high) == pytest.approx((low - half, high + half), rel=1e-9)


@oracle
def test_the_delete_one_error_is_the_linearised_one_for_many_seeds():
    # The derivative of the ratio of weighted means in each seed's weight, taken numerically (delta method).
    clean, perturbed = game(400, 2, seed=6)

    def ratio(weights):
        return (weights @ perturbed).mean() / (weights @ clean)

    even, step = np.full(400, 1 / 400), 1e-6
    slopes = [(ratio(even + step * (unit - even)) - ratio(even)) / step for unit in np.eye(400)]
    error = np.sqrt(np.mean(np.square(slopes)) / 399)
    assert delete_one(clean, perturbed)[1] == pytest.approx(error, rel=0.02)
    found = stats.mean_retention([(clean, perturbed)] * 2)  # two games alike: the error shrinks by the root of 2
    half = scipy.stats.t.ppf(0.975, 798) * error / np.sqrt(2)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.02)


@oracle
def test_capped_means_are_worked_out():
    clean, perturbed = game(6, 4, seed=8)
    perturbed = perturbed * np.array([1.9, 1.5, 1.0, 1.0])
    found = stats.capped_mean_retention([(clean, perturbed)])
    bias, _ = delete_one(clean, perturbed, lambda ratios: np.minimum(ratios, 1.0).mean())
    ratios = perturbed.mean(axis=0) / clean.mean()
    plain = np.minimum(ratios, 1.0).mean()
    # A cell has no noise where it is half a standard error above the cap, and all of its noise elsewhere.
    errors = np.array([delete_one(clean, perturbed[:, [cell]])[1] for cell in range(4)])
    is_clear = ratios - 0.5 * errors > 1.0
    assert is_clear.any()
    assert (~is_clear & (ratios + errors > 1.0)).any()  # here the cut ratio seems to have less noise than it has
    error = delete_one(clean, perturbed, lambda some: np.where(is_clear, 1.0, some).mean())[1]
    half = scipy.stats.t.ppf(0.975, 5) * error
    assert (found.plain, found.value) == pytest.approx((plain, plain - bias))
    low, high = sorted([plain, plain - bias])
    assert (found.low, found.high) == pytest.approx((low - half, min(1.0, high + half)))
    assert found.value < stats.mean_retention([(clean, perturbed)]).value - 0.02


def test_gains_do_not_pay_for_collapse():
    # Three cells lost, five gained: the mean keeps 0.66, the capped mean says what is gone.
    kept = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.28])
    clean = np.full(5, 0.5)
    games = [(clean, clean[:, None] * kept)]
    assert stats.mean_retention(games).value == pytest.approx(0.66)
    assert stats.capped_mean_retention(games).value == pytest.approx(5 / 8)


positive = st.floats(0.05, 3.0)
GAMES = st.integers(3, 7).flatmap(
    lambda n: st.tuples(
        st.lists(positive, min_size=n, max_size=n), st.lists(st.tuples(positive, positive), min_size=n, max_size=n)
    )
)


@prop
@settings(max_examples=40, deadline=None)
@given(GAMES, GAMES, st.sampled_from([0.25, 2.0, 8.0]), st.randoms(use_true_random=False))
def test_scale_and_order_of_seeds_and_cells_do_not_matter(first, second, factor, random):
    games = [(np.array(clean), np.array(perturbed)) for clean, perturbed in (first, second)]
    changed = []
    for clean, perturbed in games:
        order = random.sample(range(len(clean)), len(clean))
        changed.append((factor * clean[order], factor * perturbed[order][:, ::-1]))
    for function in (stats.mean_retention, stats.capped_mean_retention):
        for one, other in zip(function(games)[:4], function(changed)[:4], strict=True):
            assert one == pytest.approx(other, rel=1e-6, abs=1e-6, nan_ok=True)


@prop
@settings(max_examples=40, deadline=None)
@given(GAMES)
def test_values_lie_within_their_bounds_and_capped_means_below_means(one):
    clean, perturbed = np.array(one[0]), np.array(one[1])
    found = stats.retention_interval(clean, perturbed)
    assert np.all(found.low <= found.value + 1e-9)
    assert np.all(found.value <= found.high + 1e-9)
    assert np.all(np.isfinite(found.high - found.low))  # no seed holds the clean mean above 0 alone
    mean, capped = stats.mean_retention([(clean, perturbed)]), stats.capped_mean_retention([(clean, perturbed)])
    assert mean.value == pytest.approx(found.value.mean())
    assert capped.low <= capped.value + 1e-12
    assert capped.value <= min(1.0, mean.value) + 1e-12
    assert capped.high <= 1.0


def test_an_agent_that_fails_clean_has_no_retention():
    clean, perturbed = np.array([-0.2, 0.1, 0.0]), np.full((3, 2), 0.3)
    for found in (stats.retention_interval(clean, perturbed), stats.mean_retention([(clean, perturbed)])):
        assert np.isnan([found.value, found.plain, found.low, found.high]).all()


def test_a_clean_mean_that_rests_on_one_seed_bounds_nothing():
    clean, perturbed = np.array([1.0, 0.0, 0.0, 0.0]), np.array([[0.5], [0.1], [0.0], [0.1]])
    alone = stats.retention_interval(clean, perturbed)
    assert alone.region[0] != stats.Region.BOUNDED
    assert (alone.low[0], alone.high[0]) == (-np.inf, np.inf)
    average = stats.mean_retention([(clean, perturbed), game()])
    assert average.note == "a clean mean rests on one train seed: no interval"
    assert np.isnan(average.low)
    assert np.isfinite(average.value)


@pytest.mark.parametrize(("num_seeds", "note"), [(1, "one train seed: no interval"), (2, "fewer than 3 train seeds")])
def test_below_three_train_seeds_there_is_no_interval(num_seeds, note):
    one = game(num_seeds)
    for found in (stats.retention_interval(*one), stats.mean_retention([one, game(9)])):
        assert np.isnan([found.low, found.high]).all()
        assert found.note.startswith(note)
    few = stats.retention_interval(*one)
    np.testing.assert_array_equal(few.value, few.plain)
    assert np.isfinite(stats.retention_interval(*game(3)).low).all()


def test_games_and_cells_must_fit():
    with pytest.raises(ShapeError, match="no game to average over"):
        stats.mean_retention([])
    with pytest.raises(ShapeError, match=r"have \[3\] and \[2\] cells"):
        stats.retention_difference([game()], [game(6, 2)])


def noisy(runs, num_seeds, num_games, rng):
    """Return games of many runs with heavy tails: true retention 0.6 and 0.3."""
    games = []
    for _ in range(num_games):
        effect = np.exp(0.5 * rng.normal(size=(runs, num_seeds, 1)) - 0.125)
        cells = np.exp(0.4 * rng.normal(size=(runs, num_seeds, 3)) - 0.08)
        episodes = np.exp(rng.normal(size=(runs, num_seeds, 3, 10)) - 0.5) * (
            rng.random((runs, num_seeds, 3, 10)) > 0.15
        )
        scores = effect * cells * episodes.mean(axis=-1) / 0.85 * np.array([1.0, 0.6, 0.3])
        games.append((scores[..., 0], scores[..., 1:]))
    return games


@pytest.mark.parametrize("num_games", [1, 12])
def test_five_noisy_seeds_are_covered_and_unbiased(num_games):
    # 1,000 runs: three standard errors of the coverage are 2.1 points at 95.
    found = stats.mean_retention(noisy(1_000, 5, num_games, np.random.default_rng(num_games)))
    assert np.mean((found.low <= 0.45) & (found.high >= 0.45)) > 0.92
    assert found.plain.mean() > 0.45 * 1.06  # what is corrected
    assert found.value.mean() == pytest.approx(0.45, rel=0.035)
