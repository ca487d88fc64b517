"""Interval estimates against enumeration, simulation and rliable's own."""

import itertools

import numpy as np
import pytest
from rliable import library, metrics

from wsabench import stats
from wsabench.errors import ShapeError, SpecError, UnknownNameError

pytestmark = pytest.mark.oracle


def rng(seed=0):
    return np.random.default_rng(seed)


def cell_means(blocks):
    """The mean over train seeds of every cell."""
    return np.concatenate([block.mean(axis=-2) for block in blocks], axis=-1)


def test_interval_of_a_mean_is_that_of_all_27_resamples():
    # Seeds 0, 1, 5 give 27 equally likely resamples. Sorted means: 0 (1 of them, cumulative 0.037), 1/3 (3; 0.148),
    # 2/3 (3; 0.259), 1 (1; 0.296), 5/3 (3; 0.407), 2 (6; 0.630), 7/3 (3; 0.741), 10/3 (3; 0.852), 11/3 (3; 0.963),
    # 5 (1; 1). So the 2.5% and 97.5% points are 0 and 5, the 10% and 90% points 1/3 and 11/3.
    block = np.array([[0.0], [1.0], [5.0]])
    means = sorted(np.mean(draw) for draw in itertools.product([0.0, 1.0, 5.0], repeat=3))
    assert np.quantile(means, [0.1, 0.9], method="inverted_cdf") == pytest.approx([1 / 3, 11 / 3])
    wide = stats.seed_interval(cell_means, [[block]], rng(), method="percentile", repetitions=20_000)
    assert (wide.value[0], wide.low[0], wide.high[0]) == pytest.approx((2.0, 0.0, 5.0))
    narrow = stats.seed_interval(cell_means, [[block]], rng(), method="percentile", repetitions=20_000, confidence=0.8)
    assert (narrow.low[0], narrow.high[0]) == pytest.approx((1 / 3, 11 / 3))


def drawn(blocks: list[np.ndarray], repetitions: int) -> list[np.ndarray]:
    """Return what `seed_interval` draws, a block a game, as its statistic sees it."""
    seen = []

    def kept(sample):
        seen.append([block.copy() for block in sample])
        return cell_means(sample)

    stats.seed_interval(kept, [blocks], rng(2), repetitions=repetitions)
    return [np.concatenate(parts) for parts in zip(*seen[1:], strict=True)]  # the first are the data themselves


def test_resampling_is_joint_over_the_cells_of_a_game():
    # Equal columns are one network in nine equal cells: the mean over cells must vary as much as one cell does.
    column = rng(1).normal(size=(10, 1))
    block = np.repeat(column, 9, axis=1)
    (draws,) = drawn([block], 4_000)
    assert draws.shape == (4_000, 10, 9)
    np.testing.assert_array_equal(draws, np.repeat(draws[..., :1], 9, axis=2))
    over_cells, one_cell = draws.mean(axis=(1, 2)), draws[:, :, 0].mean(axis=1)
    assert over_cells.std() == pytest.approx(one_cell.std(), rel=1e-12)


def test_resampling_is_independent_between_games():
    # The same scores in two games: the sd of the mean over games falls by sqrt(2), as for independent games.
    column = rng(1).normal(size=(10, 1))
    first, second = drawn([column, column], 20_000)
    both = (first + second).mean(axis=(1, 2)) / 2
    assert both.std() == pytest.approx(first.mean(axis=(1, 2)).std() / np.sqrt(2), rel=0.03)
    assert np.corrcoef(first.mean(axis=(1, 2)), second.mean(axis=(1, 2)))[0, 1] == pytest.approx(0.0, abs=0.03)


def test_one_cell_a_game_is_rliables_stratified_bootstrap():
    # With one cell a game joint resampling is rliable's per-task resampling; bounds agree within Monte-Carlo error.
    scores = rng(3).normal(0.5, 0.4, (6, 5))
    blocks = [scores[:, [task]] for task in range(5)]
    ours = stats.seed_interval(stats.over_matrix(stats.iqm), [blocks], rng(4), method="percentile")

    def function(x):
        return np.array([metrics.aggregate_iqm(x)])

    state = np.random.get_state()  # noqa: NPY002  rliable draws from numpy's global generator
    np.random.seed(5)  # noqa: NPY002
    _, theirs = library.get_interval_estimates({"a": scores}, function, reps=2_000)
    np.random.set_state(state)  # noqa: NPY002
    width = theirs["a"][1, 0] - theirs["a"][0, 0]
    assert ours.low == pytest.approx(theirs["a"][0, 0], abs=0.06 * width)
    assert ours.high == pytest.approx(theirs["a"][1, 0], abs=0.06 * width)


def test_interval_of_many_seeds_is_the_normal_one():
    scores = rng(6).normal(2.0, 1.0, (400, 1))
    estimate = stats.seed_interval(cell_means, [[scores]], rng(7))
    half = 1.96 * scores.std() / 20
    assert (estimate.low[0], estimate.high[0]) == pytest.approx((scores.mean() - half, scores.mean() + half), abs=0.01)
    assert estimate.note == ""
    assert estimate.num_seeds == 400


def test_the_same_generator_gives_the_same_interval():
    blocks = [rng(8).normal(size=(5, 3)), rng(9).normal(size=(4, 2))]
    first, second = (stats.seed_interval(cell_means, [blocks], rng(10)) for _ in range(2))
    np.testing.assert_array_equal(first.low, second.low)
    np.testing.assert_array_equal(first.high, second.high)


def test_the_chunk_size_does_not_move_a_bound(monkeypatch):
    blocks = [rng(8).normal(size=(5, 3))]
    whole = stats.seed_interval(cell_means, [blocks], rng(10), repetitions=999)
    monkeypatch.setattr("wsabench.stats.intervals._CHUNK_ELEMENTS", 100)
    parts = stats.seed_interval(cell_means, [blocks], rng(10), repetitions=999)
    np.testing.assert_array_equal(whole.low, parts.low)


@pytest.mark.parametrize(
    ("num_seeds", "note"),
    [(1, "one train seed: no interval"), (2, "fewer than 3"), (3, "too few"), (4, "too few"), (5, "")],
)
def test_few_train_seeds_are_said(num_seeds, note):
    estimate = stats.seed_interval(cell_means, [[rng(0).normal(size=(num_seeds, 2))]], rng(1))
    assert estimate.num_seeds == num_seeds
    assert estimate.note.startswith(note)
    assert np.isnan(estimate.low).all() == np.isnan(estimate.high).all() == (num_seeds < 3)
    assert (estimate.note == "") == (note == "")
    assert np.isfinite(estimate.value).all()


def test_enough_train_seeds_are_five_or_three_in_each_of_several_games():
    enough = {(seeds, games) for seeds in range(8) for games in (1, 2, 10) if stats.are_enough(seeds, games)}
    assert enough == {(5, 1), (6, 1), (7, 1), *((seeds, games) for seeds in range(3, 8) for games in (2, 10))}


def every_interval_of(blocks):
    """Return the estimate of every interval that averages over the games of these blocks."""
    is_there = np.ones((len(blocks), 2), dtype=np.bool_)
    columns = {game: ([1], [1]) for game in range(len(blocks))}
    options = {"repetitions": 20}

    def means(*places_and_block):
        return places_and_block[-1].mean(axis=-2)

    ratios = [(1.0 + block[:, 0], block) for block in np.abs(blocks)]
    tails = [np.repeat(block[..., None], 4, axis=2) for block in blocks]
    return [
        stats.seed_interval(cell_means, [blocks], rng(1), **options),
        stats.studentised_interval(blocks, rng(1), **options),
        stats.averaged_interval(means, is_there, blocks, rng(1), **options),
        stats.joined_interval(means, [is_there] * 2, stats.ranks, [blocks] * 2, rng(1), **options),
        stats.aggregate_interval(blocks, rng(1), **options),
        stats.error_interval(blocks, blocks, [columns], rng(1), **options),
        stats.improvement_interval(blocks, blocks, rng(1), **options),
        stats.rliable_interval(["iqm"], [np.hstack(blocks)], rng(1), num_games=len(blocks), **options),
        stats.rliable_profile(np.hstack(blocks), [0.0], rng(1), num_games=len(blocks), **options),
        stats.mean_retention(ratios),
        stats.capped_mean_retention(ratios),
        stats.retention_difference(ratios, ratios),
        stats.worst_group(tails, rng(1), **options),
    ]


@pytest.mark.parametrize(
    ("num_seeds", "num_games", "note"),
    [(2, 2, "fewer than 3"), (3, 1, "too few train seeds (3)"), (4, 1, "too few train seeds (4)"), (3, 2, "")],
)
def test_every_interval_counts_the_games(num_seeds, num_games, note):
    for place, found in enumerate(every_interval_of([rng(k).normal(size=(num_seeds, 2)) for k in range(num_games)])):
        said = found.reason if isinstance(found, stats.Tail) else found.note
        assert said.startswith(note), place
        assert bool(said) == bool(note), place


def test_of_numbers_in_some_games_only_the_one_in_the_fewest_counts():
    blocks = [rng(k).normal(size=(3, 2)) for k in range(2)]
    in_one = np.array([[True, True], [True, False]])
    of_game = lambda _, block: block.mean(axis=-2)  # noqa: E731
    assert stats.averaged_interval(of_game, in_one, blocks, rng(1), repetitions=20).note == "too few train seeds (3)"
    scopes = [[[0, 1], [0]], [[0], []]]
    notes = [
        stats.improvement_intervals(blocks, blocks, some, rng(1), repetitions=20).note for some in (scopes, scopes[:1])
    ]
    assert notes == ["too few train seeds (3)", ""]


def test_two_agents_are_resampled_independently():
    # One agent against another: every share of won pairs occurs.
    x, y = np.array([[0.0], [2.0], [0.0]]), np.array([[1.0], [3.0], [1.0]])
    probability = stats.over_matrix(stats.probability_of_improvement)
    estimate = stats.seed_interval(probability, [[x], [y]], rng(3), method="percentile")
    # 2 > 1 wins, of nine pairs in two. P of a resample is (share of 2 in X) (share of 1 in Y): 0 where X = 000 (8 of
    # 27) or Y = 333 (1 of 27); 2/3 or more where X has two 2 and Y three 1 (6/27 8/27), or three 2 and two or three 1
    # (1/27 20/27), 9.3% in all; more than 2/3 only for X = 222 and Y = 111, 1.1%.
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((2 / 9, 0.0, 2 / 3))


def test_episode_interval_resamples_episodes_within_checkpoints():
    # One checkpoint, 200 episodes: the standard error of the mean of its episodes, whatever other checkpoints score.
    episodes = rng(11).normal(1.0, 2.0, (1, 1, 200))
    estimate = stats.episode_interval(cell_means, [[(episodes, np.array([200]))]], rng(12))
    half = 1.96 * episodes.std() / np.sqrt(200)
    expected = (episodes.mean() - half, episodes.mean() + half)
    assert (estimate.low[0], estimate.high[0]) == pytest.approx(expected, abs=0.03)
    assert estimate.note == "these checkpoints only"
    # Two checkpoints far apart, each without noise: episodes say nothing about training, so the interval has no width.
    apart = np.stack([np.zeros((1, 10)), np.ones((1, 10))])
    flat = stats.episode_interval(cell_means, [[(apart, np.array([10, 10]))]], rng(12))
    assert flat.low[0] == pytest.approx(0.5) == flat.high[0]


def test_episode_interval_pairs_cells_by_episode():
    # The perturbed cell is the clean one minus 1 in every episode: the gap is exactly 1 in every repetition.
    clean = rng(13).normal(size=(2, 1, 30))
    episodes = np.concatenate([clean, clean - 1.0], axis=1)

    def gap(blocks):
        return (blocks[0][..., 0] - blocks[0][..., 1]).mean(axis=-1)

    estimate = stats.episode_interval(gap, [[(episodes, np.array([30, 30]))]], rng(14))
    assert (estimate.low, estimate.high) == pytest.approx((1.0, 1.0))


def test_repeated_episodes_do_not_narrow_the_interval():
    # 4 different episodes played 25 times each: the interval is that of 4 episodes, 5 times as wide as that of 100.
    episodes = np.tile(np.array([0.0, 1.0, 2.0, 3.0]), 25)[None, None]
    naive = stats.episode_interval(cell_means, [[(episodes, np.array([100]))]], rng(15), method="percentile")
    honest = stats.episode_interval(cell_means, [[(episodes, np.array([4]))]], rng(15), method="percentile")
    ratio = (honest.high[0] - honest.low[0]) / (naive.high[0] - naive.low[0])
    assert ratio == pytest.approx(5.0, rel=0.1)


def test_one_distinct_episode_gives_no_interval():
    estimate = stats.episode_interval(cell_means, [[(np.ones((1, 1, 8)), np.array([1]))]], rng())
    assert np.isnan(estimate.low).all()
    assert estimate.note == "these checkpoints only: one distinct episode, no interval"


def test_bad_options_are_refused():
    block = [[np.zeros((2, 1))]]
    with pytest.raises(UnknownNameError, match=r"Unknown interval method 'percentil'. Did you mean 'percentile'\?"):
        stats.seed_interval(cell_means, block, rng(), method="percentil")
    with pytest.raises(SpecError, match=r"confidence is 95.*0\.95 for a 95% interval"):
        stats.seed_interval(cell_means, block, rng(), confidence=95)
    with pytest.raises(SpecError, match="repetitions is 0"):
        stats.seed_interval(cell_means, block, rng(), repetitions=0)
    with pytest.raises(ShapeError, match="at least one block"):
        stats.seed_interval(cell_means, [[]], rng())
    with pytest.raises(ShapeError, match=r"shape \(2,\).*num_seeds, num_cells"):
        stats.seed_interval(cell_means, [[np.zeros(2)]], rng())
    with pytest.raises(ShapeError, match=r"different numbers of train seeds: \[2, 3\]"):
        stats.seed_interval(stats.over_matrix(stats.mean), [[np.zeros((2, 1)), np.zeros((3, 1))]], rng())
    with pytest.raises(ShapeError, match=r"Distinct episodes are \[9\]"):
        stats.episode_interval(cell_means, [[(np.zeros((1, 1, 8)), np.array([9]))]], rng())
    with pytest.raises(ShapeError, match=r"Episodes have shape \(1, 8\)"):
        stats.episode_interval(cell_means, [[(np.zeros((1, 8)), np.array([8]))]], rng())
