"""What computes many numbers at once is held to what computes them one by one."""

from collections import OrderedDict

import numpy as np
import pytest

from wsabench import seeding, stats
from wsabench.stats import resampling, rliable_bootstrap, shared_draws
from wsabench.stats.bounds import Replicates, Stratum, corrected_bounds, corrected_rows, percentile_bounds
from wsabench.stats.compiled import loading
from wsabench.stats.compiled.multinomials import MOST_EPISODES, compiled_counts
from wsabench.stats.compiled.trimming import drawn_aggregates
from wsabench.stats.resampling import count_draws, draw_seeds
from wsabench.stats.shared_draws import draw_episodes, shared_episodes

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


def in_one_game(plain):
    """Return what is said where some number is in one game only, which `seed_interval` cannot know."""
    return plain._replace(note=stats.seed_note(plain.num_seeds))


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


def of_games(place, block):
    """Give what `lacking_shares` averages: a mean of two cells each, the second number not in the last game."""
    means = block.mean(axis=-2)
    return np.stack([means[..., 0], means[..., 1], means[..., :2].min(axis=-1)], axis=-1)


IS_THERE = np.array([[True, True, True], [True, False, True]])


def lacking_shares(blocks):
    first, second = (of_games(place, block) for place, block in enumerate(blocks))
    return np.where(IS_THERE.all(axis=0), (first + second) / 2, first)


@pytest.mark.parametrize("seeds", [2, 3, 5, 7])
def test_averages_over_games_from_each_games_different_resamples_are_those_of_all_resamples(seeds):
    blocks = made(seeds, (2, 3), 15)
    found = stats.averaged_interval(of_games, IS_THERE, blocks, rng(16), repetitions=4_000)
    same(found, in_one_game(stats.seed_interval(lacking_shares, [blocks], rng(16), repetitions=4_000)))
    np.testing.assert_allclose(stats.over_games(of_games, IS_THERE, blocks), found.value)
    nowhere = stats.averaged_interval(of_games, IS_THERE & [True, False, True], blocks, rng(16), repetitions=100)
    assert np.isnan([end[1] for end in nowhere[:3]]).all()


@pytest.mark.parametrize("seeds", [2, 3, 5, 7])
def test_ranks_of_agents_taken_one_by_one_are_those_of_all_together(seeds):
    agents = [made(seeds, (2, 2), place) for place in range(4)]

    def together(*samples):
        return stats.ranks(np.stack([lacking_shares(blocks) for blocks in samples], axis=-1))

    joined = stats.joined_interval(
        lambda _, game, block: of_games(game, block), [IS_THERE] * 4, stats.ranks, agents, rng(6), repetitions=2_000
    )
    same(joined, in_one_game(stats.seed_interval(together, agents, rng(6), repetitions=2_000)))


@pytest.mark.parametrize("seeds", [(3, 3), (5, 4), (6, 3)])
@pytest.mark.parametrize("lacks_clean", [False, True])
def test_errors_from_sums_of_games_are_those_of_the_drawn_scores(seeds, lacks_clean):
    ours, theirs = (made(count, (5, 4), place) for place, count in enumerate(seeds))
    if lacks_clean:
        ours[1][:, 0] = np.nan
    places = [{0: ([1, 2], [4, 1]), 1: ([3], [1])}, {0: ([3, 4], [2, 3])}]

    def errors(x, y):
        found = []
        for of_games in places:
            cells = [[blocks[g][..., c[side]].mean(axis=-2) for g, c in of_games.items()] for side, blocks in
                     enumerate((x, y))]  # fmt: skip
            clean = [[np.repeat(blocks[g][..., :1].mean(axis=-2), len(c[0]), axis=-1) for g, c in of_games.items()] for
                     blocks in (x, y)]  # fmt: skip
            (a, b), (c, d) = ([np.concatenate(side, axis=-1) for side in both] for both in (cells, clean))
            top = stats.error_ceiling(np.nan_to_num(c), np.nan_to_num(d))
            relative = stats.relative_corruption_error(c.mean(axis=-1), a, d.mean(axis=-1), b)
            differences = stats.error_difference(a, b, top), stats.loss_difference(c - a, d - b, top)
            found.append(np.stack([stats.corruption_error(a, b), relative, *differences], axis=-1))
        by_name = np.stack(found, axis=1)
        return np.concatenate([by_name, by_name.mean(axis=1, keepdims=True)], axis=1)

    plain = stats.seed_interval(errors, [ours, theirs], rng(17), repetitions=4_000)
    same(stats.error_interval(ours, theirs, places, rng(17), repetitions=4_000)._replace(note=plain.note), plain)


@pytest.mark.parametrize("lacking", [False, True])
@pytest.mark.parametrize("is_moved", [False, True])
def test_measures_over_episodes_are_those_of_the_drawn_episodes(lacking, is_moved):
    columns, num_cells, repetitions = (5 if is_moved else 3), 2, 4_000
    scores = [rng([18, place]).normal(0.7, 0.4, (3, columns, 9)) for place in range(2)]
    if lacking:
        scores[0][1, 2, 5:] = np.nan
    distinct = [np.array([9, 9, 5]), np.array([9, 8, 9])]
    streams = [(1, "test", name) for name in "xy"]
    has_retention = [True, False]
    found = stats.measures_over_episodes(
        [stats.CheckpointEpisodes(*one) for one in zip(scores, distinct, streams, has_retention, strict=True)],
        num_cells,
        repetitions=repetitions,
    )
    drawn = [draw_episodes(9, n, seeding.generator(*s), repetitions) for n, s in zip(distinct, streams, strict=True)]
    means = [resampling.weighted_means(x, d.weights).mean(axis=1) for x, d in zip(scores, drawn, strict=True)]
    on_data = [resampling.episode_means(x).mean(axis=0)[None] for x in scores]

    def measured(parts):
        mean = np.sum(parts, axis=0) / 2
        return np.concatenate([mean[:, 1 : 1 + num_cells], mean[:, :1] - mean[:, -num_cells:]], axis=1)

    value = measured(on_data)[0]
    if lacking:
        ends = corrected_bounds(Replicates(measured(means), [x for d in drawn for x in d.strata]), value, 0.95)
    else:
        # Without what the draws of another game add to the influence of an episode by chance.
        influences = []
        for part, one in zip(means, drawn, strict=True):
            own, units = measured([part]), np.concatenate([stratum.counts for stratum in one.strata], axis=1)
            influences.append((np.cov(own.T, units.T, ddof=0)[: own.shape[1], own.shape[1] :], one.strata))
        ends = corrected_rows(np.ascontiguousarray(measured(means).T), influences, value, 0.95)
    for ours, expected in zip(found[:3], (value, *ends), strict=True):
        np.testing.assert_allclose(ours[:, :2].T.ravel(), expected, rtol=1e-9)
    ratio, expected = (part[0][:, -num_cells:] / part[0][:, :1] for part in (means, on_data))
    ends = corrected_bounds(Replicates(ratio, drawn[0].strata), expected[0], 0.95)
    for ours, end in zip(found[:3], (expected[0], *ends), strict=True):
        np.testing.assert_allclose(ours[:, 2], end, rtol=1e-9)


def test_shared_draws_are_the_first_of_their_stream_and_kept_only_while_there_is_room(monkeypatch):
    streams = [(2, "test", name) for name in "xyz"]
    monkeypatch.setattr(shared_draws, "_kept", OrderedDict())
    first = shared_episodes(6, [6, 4], streams[0], 500)
    expected = draw_episodes(6, [6, 4], seeding.generator(*streams[0]), 500)
    np.testing.assert_array_equal(first.draws.weights, expected.weights)
    for ours, numpys in zip(first.draws.strata, expected.strata, strict=True):
        np.testing.assert_array_equal(ours.counts, numpys.counts)
    counts = np.concatenate([stratum.counts for stratum in expected.strata], axis=1)
    weights = np.concatenate(list(expected.weights), axis=1)
    np.testing.assert_allclose(first.covariances, np.cov(weights.T, counts.T, ddof=0)[:12, 12:], atol=1e-12)
    assert shared_episodes(6, [6, 4], streams[0], 500) is first
    assert shared_episodes(6, [4, 6], streams[0], 500) is not first
    monkeypatch.setattr(shared_draws, "_MOST_BYTES", 2 * first.num_bytes)
    shared_episodes(6, [6, 4], streams[1], 500)
    shared_episodes(6, [6, 4], streams[2], 500)
    again = shared_episodes(6, [6, 4], streams[0], 500)
    assert again is not first
    np.testing.assert_array_equal(again.draws.weights, first.draws.weights)


@pytest.mark.parametrize(("seeds_x", "seeds_y"), [(2, 3), (3, 3), (5, 4), (4, 6), (7, 6)])
def test_improvement_from_counts_is_that_of_the_drawn_matrices(seeds_x, seeds_y):
    x, y = ([np.round(3 * block) for block in made(seeds, (4, 1, 2), seeds)] for seeds in (seeds_x, seeds_y))
    plain = stats.seed_interval(stats.over_matrix(stats.probability_of_improvement), [x, y], rng(7), repetitions=2_000)
    same(stats.improvement_interval(x, y, rng(7), repetitions=2_000), plain)
    some = [[[0, 3], [0], [1]], [[1], [0], [0, 1]]]
    found = stats.improvement_intervals(x, y, some, rng(7), repetitions=2_000)
    for place, scope in enumerate(some):
        sides = [[block[:, columns] for block, columns in zip(side, scope, strict=True)] for side in (x, y)]
        alone = stats.improvement_interval(*sides, rng(7), repetitions=2_000)
        same(found._replace(value=found.value[place], low=found.low[place], high=found.high[place]), alone)
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


@pytest.mark.parametrize("shape", [(3, 40), (5, 7), (3, 1)])
def test_aggregates_of_drawn_tasks_are_those_of_the_drawn_matrices(shape):
    matrix = np.round(rng([19, *shape]).normal(0.7, 0.5, shape), 1)  # with ties
    rows = rng(20).integers(0, shape[0], (300, *shape))
    order = np.argsort(matrix, axis=None, kind="stable")
    compiled, ours = drawn_aggregates(matrix, order, rows), rliable_bootstrap._sums(matrix, order, rows)
    np.testing.assert_array_equal(compiled, ours)
    drawn, size = matrix[rows, np.arange(shape[1])], matrix.size
    np.testing.assert_allclose(ours[:, 0] / size, stats.mean(drawn), rtol=1e-12)
    np.testing.assert_allclose(ours[:, 1] / shape[0], stats.median(drawn), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(ours[:, 2] / (size - 2 * (size // 4)), stats.iqm(drawn), rtol=1e-12)
    np.testing.assert_allclose(1 - ours[:, 3] / size, stats.optimality_gap(drawn), rtol=1e-10, atol=1e-12)


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
        estimates = (*estimates, stats.rliable_interval(["mean", "median", "iqm", "optimality_gap"], blocks, rng(5)))
        bounds = [part.tolist() for one in estimates for part in one[:3]]
        found.append((weights.tolist(), weights.strides, bounds))
    assert found[0] == found[1]
