"""What averages do not show: every table against the statistics called directly, and reasons where data are too few."""

from dataclasses import replace

import numpy as np
import pytest
from made_returns import CROWD_FAMILIES, crowd, result, row

from wsabench import stats
from wsabench.protocol import Protocol
from wsabench.results.manifest import ReferenceScores
from wsabench.results.tables import with_labels
from wsabench.seeding import generator
from wsabench.summary.aggregates import common_play
from wsabench.summary.averages import averages, columns_by_perturbation
from wsabench.summary.insight import insight_of
from wsabench.summary.scores import collect_scores, reference_scores
from wsabench.summary.summarise import summarise

SEED = 7


def scores_of(made):
    episodes = with_labels(made.episodes)
    plan = made.manifest.plan
    scores, _ = collect_scores(episodes, plan, reference_scores(sorted(set(episodes["game"])), plan))
    return common_play(scores)[0]


def array_of(made, agent, game):
    """Return normalised scores by label, shape (num_seeds, num_episodes), read from the table of episodes."""
    table = with_labels(made.episodes)
    table = table[(table["agent"] == agent) & (table["game"] == game)]
    return {
        label: part.pivot(index="train_seed", columns="episode_seed", values="return").to_numpy() / 10.0
        for label, part in table.groupby("label")
    }


def array_of_scores(game):
    """Return normalised scores by label, as `array_of`."""
    return dict(zip(game.labels, np.swapaxes(game.scores, 0, 1), strict=True))


def perturbed_mean(cells):
    """Return the mean of the severities of each perturbation, then of perturbations, by train seed."""
    names = list(dict.fromkeys(label.partition("@")[0] for label in cells if label != "clean"))
    of_names = [
        np.mean([values.mean(axis=1) for label, values in cells.items() if label.startswith(f"{name}@")], axis=0)
        for name in names
    ]
    return np.mean(of_names, axis=0)


@pytest.fixture(scope="module")
def made():
    return crowd(8, 5, num_seeds=3, num_episodes=4)


@pytest.fixture(scope="module")
def insight(made):
    return insight_of(scores_of(made), SEED)


@pytest.fixture(scope="module")
def cells(made):
    agents = [f"agent-{place}" for place in range(8)]
    return {agent: {f"game-{game}": array_of(made, agent, f"game-{game}") for game in range(5)} for agent in agents}


@pytest.fixture(scope="module")
def points(cells):
    return {
        agent: np.mean([[of["clean"].mean(axis=1), perturbed_mean(of)] for of in games.values()], axis=0).T
        for agent, games in cells.items()
    }


def test_with_enough_data_nothing_is_missing(insight):
    assert insight.too_few == ()
    assert all(insight.tables()[name] for name in insight.tables() if name != "too_few")


def test_effective_robustness_is_that_of_the_checkpoints(insight, points):
    for one in insight.checkpoints:
        assert (one.clean, one.perturbed) == pytest.approx(tuple(points[one.agent][one.train_seed]))
    found = stats.effective_robustness(points, generator(SEED, "bootstrap", "effective robustness"))
    table = insight.effective_robustness
    np.testing.assert_allclose([one.value.value for one in table], found.value)
    np.testing.assert_allclose([(one.value.low, one.value.high) for one in table], np.stack([found.low, found.high], 1))
    assert all((one.slope, one.intercept) == pytest.approx((found.slope, found.intercept)) for one in table)


def test_rank_correlations_are_of_all_and_of_each_family(insight, points):
    found = stats.rank_correlation(points, generator(SEED, "bootstrap", "rank correlation", "all perturbations"))
    whole = row(insight.rank_correlation, family="all perturbations")
    assert (whole.value.value, whole.value.low, whole.value.high) == pytest.approx((found.value, found.low, found.high))
    assert [one.family for one in insight.rank_correlation[1:]] == list(dict.fromkeys(CROWD_FAMILIES.values()))


def test_components_are_those_of_the_mixed_model(insight, cells):
    of_game = cells["agent-2"]["game-3"]
    block = np.stack(list(of_game.values()), axis=1)
    seed, cell, _ = np.indices(block.shape)
    found = stats.variance_components(block.ravel(), seed.ravel(), cell.ravel(), generator(0, "any"))
    rows = [one for one in insight.variance_components if (one.agent, one.game) == ("agent-2", "game-3")]
    np.testing.assert_allclose([one.variance.value for one in rows], found.variance, atol=1e-12)
    np.testing.assert_allclose([one.share for one in rows], found.variance / found.variance.sum(), atol=1e-12)
    assert {(one.num_seeds, one.num_cells, one.num_episodes) for one in rows} == {(3, 16, 3 * 16 * 4)}


def test_tails_choose_among_families_and_cells(insight, cells):
    families = list(dict.fromkeys(CROWD_FAMILIES.values()))
    blocks = []
    for of_game in cells["agent-1"].values():
        labels = {
            family: [label for label in of_game if CROWD_FAMILIES.get(label.partition("@")[0]) == family]
            for family in families
        }
        blocks.append(np.stack([np.mean([of_game[one] for one in some], axis=0) for some in labels.values()], axis=1))
    found = stats.worst_group(blocks, generator(SEED, "bootstrap", "tails", "agent-1", "worst family"))
    family = row(insight.tails, agent="agent-1", kind="worst family")
    assert (family.value.value, family.naive) == pytest.approx((found.value, found.naive))
    assert (family.value.low, family.value.high) == pytest.approx((found.low, found.high))
    assert (family.chosen, family.num_groups) == (families[int(np.argmax(found.chosen))], 3)
    quarter = row(insight.tails, agent="agent-1", kind="worst quarter of cells")
    assert quarter.num_groups == 15
    assert quarter.value.value < family.value.value  # the worst cells of all families lie below the worst family


def test_normalisers_rank_what_was_played(insight, made):
    agents = [f"agent-{place}" for place in range(8)]
    games = [f"game-{place}" for place in range(5)]
    of = {(agent, game): array_of(made, agent, game) for agent in agents for game in games}
    clean = [[10 * of[agent, game]["clean"].mean() for game in games] for agent in agents]
    perturbed = [[10 * perturbed_mean(of[agent, game]).mean() for game in games] for agent in agents]
    returns = stats.Returns(np.array(clean), np.array(perturbed), np.zeros(5), np.full(5, 10.0))
    found = stats.normaliser_sensitivity(games, returns)
    for name, ranking in found.rankings.items():
        rows = [one for one in insight.normalisers if one.normaliser == name]
        np.testing.assert_allclose([one.rank for one in rows], ranking.ranks)
        np.testing.assert_allclose([one.score for one in rows], ranking.scores)
    assert len(insight.normaliser_agreement) == 6
    assert min(one.tau for one in insight.normaliser_agreement) == pytest.approx(found.lowest)


def test_games_are_described_one_by_one(insight, cells):
    of_seeds = [perturbed_mean(of_game) for of_game in cells["agent-4"].values()]
    value = [one.mean() for one in of_seeds]
    found = stats.per_game(value, [one.std(ddof=1) / np.sqrt(3) for one in of_seeds])
    rows = [one for one in insight.per_game if (one.agent, one.measure) == ("agent-4", "normalised_score")]
    np.testing.assert_allclose([one.value for one in rows], found.value)
    np.testing.assert_allclose([one.error for one in rows], found.error)
    np.testing.assert_allclose([one.without for one in rows], found.without)
    mean = row(insight.new_game, agent="agent-4", measure="normalised_score")
    assert (mean.new_game.low, mean.new_game.high) == pytest.approx((found.new_low, found.new_high))
    assert (mean.mean.low, mean.mean.high) == pytest.approx((found.mean_low, found.mean_high))
    assert mean.most_influential == f"game-{found.most_influential}"


def test_retention_of_games_has_beside_it_what_a_mean_hides():
    """One value on a page: the averages of all games are those of the table over perturbations."""
    made = crowd(1, 3, num_seeds=3, num_episodes=4)
    scores = scores_of(made)
    found = insight_of(scores, SEED)
    rows = [one for one in found.per_game if one.measure == "retention"]
    assert len(rows) == 3

    def three(one, start=""):
        return [getattr(one, start + name) for name in ("capped_retention", "kept_share", "lost_share")]

    for place, one in enumerate(rows):
        others = [game for game in rows if game is not one]
        kept_lost = np.mean([three(game)[1:] for game in others], axis=0)
        assert three(one, "without_")[1:] == pytest.approx(kept_lost)
        arrays = [array_of(made, "agent-0", f"game-{game}") for game in range(3)]
        games = [
            (of["clean"].mean(axis=1), np.stack([v.mean(axis=1) for label, v in of.items() if label != "clean"], 1))
            for of in arrays
        ]
        assert one.capped_retention == pytest.approx(stats.capped_mean_retention([games[place]]).value)
        without = stats.capped_mean_retention(games[:place] + games[place + 1 :])
        assert one.without_capped_retention == pytest.approx(without.value)
    scope = {place: list(columns_by_perturbation(game).values()) for place, game in enumerate(scores)}
    whole = averages(scores, {"all": scope}, SEED)["all"]
    mean = row(found.new_game, measure="retention")
    assert mean.mean.value == pytest.approx(whole.retention.value)
    assert three(mean) == pytest.approx([whole.capped_retention.value, whole.kept_share, whole.lost_share])
    assert 0 < mean.kept_share < 1
    assert np.isnan(three(row(found.new_game, measure="normalised_score"))).all()


def test_retention_of_games_is_above_random_play_of_the_changed_game():
    (game,) = scores_of(crowd(1, 1, num_seeds=3, num_episodes=4))
    random = np.where([label == "clean" for label in game.labels], np.nan, 1.0)  # of 10 points between random and human
    found = insight_of([replace(game, random_returns=random)], SEED).per_game
    values = {one.measure: one.value for one in found}
    clean = game.means[:, game.labels.index("clean")]
    ratio = stats.mean_retention([(clean, (perturbed_mean(array_of_scores(game)) - 0.1)[:, None])])
    assert values["retention"] == pytest.approx(float(ratio.value))


def reasons(made):
    return {one.analysis: one.reason for one in insight_of(scores_of(made), SEED).too_few}


def test_two_agents_on_one_game_are_too_few_for_most():
    found = insight_of(scores_of(crowd(2, 1, num_seeds=1)), SEED)
    assert {one.analysis: one.reason for one in found.too_few} == {
        "effective robustness": "2 agents: effective robustness needs 8",
        "rank correlation": "2 agents: a rank correlation needs 3",
        "components of variance": "one train seed: agent-0 on game-0, agent-1 on game-0",
        "normalisers": "2 agents: rank agreement needs 3",
        "games": "1 game: an interval for other games needs 5",
    }
    assert found.effective_robustness == found.rank_correlation == found.variance_components == ()
    assert found.normaliser_agreement == ()
    assert len(found.tails) == 4


def test_few_episodes_cannot_be_split():
    found = reasons(crowd(1, 1, num_episodes=1))
    assert found["components of variance"] == "one episode a cell: agent-0 on game-0"
    assert "worst family: 1 episode: too few to split (agent-0)" in found["worst family and cells"]
    assert found["normalisers"] == "1 agent: there is no order"


def test_copies_of_episodes_are_no_news():
    cells = {("a", seed, "g", name, severity): [5.0, 5.0, 4.0, 4.0] for seed in range(3) for name, severity in (
        ("clean", None), ("hue-rotate", 1), ("value", 1)
    )}  # fmt: skip
    found = reasons(result(cells, protocol=Protocol(action_selection="greedy")))
    assert found["components of variance"] == "episodes repeat each other (greedy play): a on g"
    assert found["worst family and cells"] == "episodes repeat each other (greedy play) (a)"


def test_games_without_reference_scores_leave():
    unknown = ReferenceScores(random=None, human=None)
    known = ReferenceScores(random=0.0, human=10.0)
    made = crowd(3, 2, num_seeds=2, reference_scores={"game-0": known, "game-1": unknown})
    assert {one.game for one in insight_of(scores_of(made), SEED).per_game} == {"game-0"}
    nothing = crowd(3, 1, num_seeds=2, reference_scores={"game-0": unknown})
    found = insight_of(scores_of(nothing), SEED)
    assert len(found.too_few) == 6
    assert {one.reason for one in found.too_few} == {
        "no game with reference scores has clean and a perturbation that every compared agent played"
    }


def test_another_agent_that_is_not_compared_changes_nothing():
    made = crowd(3, 2, num_seeds=3, num_episodes=4)
    first = summarise(made).insight
    entries = [
        type(one)(
            **{name: getattr(one, name) for name in one.__struct_fields__} | {"privileged": one.agent == "agent-2"}
        )
        for one in made.manifest.plan.agents
    ]
    again = summarise(crowd(3, 2, num_seeds=3, num_episodes=4, agents=tuple(entries))).insight
    assert {one.agent for one in first.tails} == {"agent-0", "agent-1", "agent-2"}
    assert {one.agent for one in again.tails} == {"agent-0", "agent-1"}
    assert again.tails == first.tails[:4]
