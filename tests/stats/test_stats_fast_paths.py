"""What computes many numbers at once is held to what computes them one by one."""

import numpy as np
import pytest

from wsabench import stats
from wsabench.stats import resampling
from wsabench.stats.bounds import Replicates, Stratum, corrected_bounds, percentile_bounds
from wsabench.stats.compiled import loading
from wsabench.stats.compiled.multinomials import MOST_EPISODES, compiled_counts
from wsabench.stats.resampling import count_draws, draw_seeds

pytestmark = pytest.mark.oracle


def rng(seed=0):
    return np.random.default_rng(seed)


def made(seeds, cells, seed=0):
    """Return one block a game."""
    return [rng([seed, place]).normal(0.7, 0.4, (seeds, count)) for place, count in enumerate(cells)]


def shares(*samples):
    """Statistic: means over games, of which one is divided by another where there are two agents."""
    means = [np.mean([block.mean(axis=-2)[..., :2] for block in blocks], axis=0) for blocks in samples]
    return means[0] if len(means) == 1 else means[0] / means[1]


def same(one, other):
    assert (one.num_seeds, one.note) == (other.num_seeds, other.note)
    for part in ("value", "low", "high"):
        np.testing.assert_allclose(getattr(one, part), getattr(other, part), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("seeds", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("method", ["corrected", "percentile", "bca"])
def test_a_statistic_of_means_may_be_given_the_means(seeds, method):
    samples = [made(seeds, (3, 2), 1), made(seeds, (3, 2), 2)]
    for some in (samples[:1], samples):
        plain = stats.seed_interval(shares, some, rng(3), method=method, repetitions=3_000)
        same(stats.seed_interval(shares, some, rng(3), method=method, repetitions=3_000, of_means=True), plain)


@pytest.mark.parametrize("lacking", [False, True])
def test_a_statistic_of_means_over_checkpoints_may_be_given_the_means(lacking):
    games = [rng([4, place]).normal(0.7, 0.4, (seeds, 3, 8)) for place, seeds in enumerate((3, 2))]
    if lacking:
        games[0][1, 2, 5:] = np.nan
    sample = [(games[0], np.array([8, 4, 2])), (games[1], np.array([8, 8]))]
    plain = stats.episode_interval(shares, [sample], rng(5), repetitions=2_000)
    same(stats.episode_interval(shares, [sample], rng(5), repetitions=2_000, of_means=True), plain)


@pytest.mark.parametrize("seeds", [2, 3, 5, 7])
def test_ranks_of_agents_taken_one_by_one_are_those_of_all_together(seeds):
    agents = [made(seeds, (2, 2), place) for place in range(4)]

    def together(*samples):
        return stats.ranks(np.stack([shares(blocks) for blocks in samples], axis=-1))

    joined = stats.joined_interval(lambda _, blocks: shares(blocks), stats.ranks, agents, rng(6), repetitions=2_000)
    same(joined, stats.seed_interval(together, agents, rng(6), repetitions=2_000))


@pytest.mark.parametrize(("seeds_x", "seeds_y"), [(2, 3), (3, 3), (5, 4), (4, 6), (7, 6)])
def test_improvement_from_counts_is_that_of_the_drawn_matrices(seeds_x, seeds_y):
    x, y = ([np.round(3 * block) for block in made(seeds, (4, 1, 2), seeds)] for seeds in (seeds_x, seeds_y))
    plain = stats.seed_interval(stats.over_matrix(stats.probability_of_improvement), [x, y], rng(7), repetitions=2_000)
    same(stats.improvement_interval(x, y, rng(7), repetitions=2_000), plain)
    x[1][0, 0] = np.nan
    assert np.isnan(stats.improvement_interval(x, y, rng(7), repetitions=100)[:3]).all()


def test_percentiles_are_numpys_to_the_bit():
    values = rng(8).normal(size=(501, 3, 2))
    values[:, 1, 0] = np.round(values[:, 1, 0])
    values[7, 2, 1] = np.nan
    values[9, 2, 0] = np.inf
    kept = values.copy()
    for confidence in (0.5, 0.8, 0.95, 0.999):
        tail = (1 - confidence) / 2
        found = percentile_bounds(Replicates(values, []), values[0], confidence)
        np.testing.assert_array_equal(found, np.quantile(values, [tail, 1 - tail], axis=0))
    np.testing.assert_array_equal(values, kept)


def test_corrected_bounds_are_those_of_influences_computed_stratum_by_stratum():
    repetitions, sizes = 400, [(3, 3), (200, 200), (5, 4), (150, 150)]
    strata = [Stratum(count_draws(rng(n).integers(0, n, (repetitions, d)), n), d) for n, d in sizes]
    values = sum((stratum.counts @ rng(place).normal(size=(stratum.counts.shape[1], 2)) for place, stratum in
                  enumerate(strata)), start=np.zeros((repetitions, 2)))  # fmt: skip
    value = values.mean(axis=0)
    low, high = corrected_bounds(Replicates(values, strata), value, 0.95)
    plain, scaled, squares = (np.zeros(2) for _ in range(3))
    for counts, draws, _ in strata:
        influence = [[np.cov(unit, column, ddof=0)[0, 1] for column in values.T] for unit in counts.T]
        variance = (np.array(influence) ** 2).sum(axis=0) * counts.shape[1] / draws
        plain += variance
        scaled += variance * draws / (draws - 1)
        squares += (variance * draws / (draws - 1)) ** 2 / (draws + 1)
    from scipy import stats as scipy_stats

    freedom = np.maximum(scaled**2 / squares - 2, 2)
    factor = np.sqrt(scaled / plain) * scipy_stats.t.ppf(0.975, freedom) / scipy_stats.norm.ppf(0.975)
    ends = np.quantile(values, [0.025, 0.975], axis=0)
    np.testing.assert_allclose([low, high], value + factor * (ends - value), rtol=1e-9)


@pytest.mark.parametrize(("episodes", "draws"), [(1, 3), (2, 1), (2, 60), (3, 7), (10, 10), (30, 30), (100, 25)])
def test_compiled_draws_are_numpys_to_the_bit(episodes, draws):
    ours, numpys = rng(9), rng(9)
    for generator in (ours, numpys):
        generator.integers(0, 3, dtype=np.uint32)  # half of a number is left over
    for _ in range(2):
        expected = numpys.multinomial(draws, np.full(episodes, 1 / episodes), 3_000)
        np.testing.assert_array_equal(compiled_counts(episodes, draws, ours, 3_000), expected)
    assert ours.bit_generator.state == numpys.bit_generator.state


def test_where_numpy_draws_in_another_way_nothing_is_compiled():
    for episodes, draws in ((2, 61), (MOST_EPISODES + 1, 2)):
        generator = rng(10)
        assert compiled_counts(episodes, draws, generator, 5) is None
        assert generator.bit_generator.state == rng(10).bit_generator.state
    assert compiled_counts(5, 5, np.random.Generator(np.random.MT19937(1)), 5) is None


@pytest.mark.parametrize("seeds", [(2,), (3,), (2, 3), (3, 4, 4)])
@pytest.mark.parametrize("cells", [1, 3])
def test_averages_of_retention_are_those_of_each_data_set_by_itself(seeds, cells):
    games = [
        (rng([11, place]).normal(1.0, 0.3, (6, count)), rng([12, place]).normal(0.8, 0.3, (6, count, cells)))
        for place, count in enumerate(seeds)
    ]
    found = stats.retention_averages(games)
    for place in range(6):
        alone = [(clean[place], perturbed[place]) for clean, perturbed in games]
        for many, one in (
            (found.mean, stats.mean_retention(alone)),
            (found.capped, stats.capped_mean_retention(alone)),
        ):
            for part in ("value", "plain", "low", "high", "region"):
                np.testing.assert_allclose(getattr(many, part)[place], getattr(one, part), rtol=1e-12, atol=1e-12)
        for values, game in zip(found.cells, alone, strict=True):
            np.testing.assert_allclose(values[place], stats.retention_interval(*game).value, rtol=1e-12)


def test_draws_of_seeds_are_one_stream():
    generator = rng(13)
    first, second = draw_seeds(3, generator, 50), draw_seeds(3, generator, 50)
    np.testing.assert_array_equal(np.stack([first, second]), rng(13).integers(0, 3, (2, 50, 3)))


def test_what_was_done_before_moves_no_number(monkeypatch):
    found = []
    for before in (0.0, 10.0):
        monkeypatch.setattr(loading._Saved, "seconds", before)
        weights = resampling.draw_episode_weights(4, [4, 3], rng(1), 500)
        # Sums depend on the order in memory, in the last bit.
        blocks = [np.round(rng(2).normal(size=(3, 7)), 1)]
        estimates = (stats.aggregate_interval(blocks, rng(3)), stats.seed_interval(shares, [blocks], rng(4)))
        bounds = [part.tolist() for one in estimates for part in one[:3]]
        found.append((weights.tolist(), weights.strides, bounds))
    assert found[0] == found[1]
