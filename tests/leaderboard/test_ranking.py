"""Comparisons of a table: what they are over, how often a false one is decided, and the tiers of clear cases."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_entries import made_entry
from scipy import stats as scipy_stats

from wsabench.leaderboard.ranking import Ranking, ranking_of
from wsabench.leaderboard.schema import Entry
from wsabench.leaderboard.scoring import Played, marks_of, play_of_suite, play_of_suites, result_of
from wsabench.seeding import generator
from wsabench.summary.rows import Cell
from wsabench.summary.scores import GameScores, Reference


def ranked(*entries: Entry) -> Ranking:
    named = {entry.name: entry for entry in entries}
    return ranking_of(play_of_suite(result_of(named), entries[0].suite.name), 0)


def made_play(agent: str, returns: np.ndarray) -> list[Played]:
    """One game with the cells clean and invert; returns (num_seeds, 2, num_episodes) are normalised scores."""
    cells = (Cell("clean", "clean", None, "clean"), Cell("color", "invert", None, "invert"))
    scores = GameScores(
        agent=agent,
        game="breakout",
        train_seeds=tuple(range(len(returns))),
        cells=cells,
        returns=returns,
        distinct=np.full(returns.shape[:2], returns.shape[2]),
        reference=Reference(0.0, 1.0),
        random_returns=np.full(2, math.nan),
    )
    return [Played(scores, (0,), {"color-shift": {"invert": (1,)}})]


def test_clear_differences_make_tiers_and_equal_agents_share_one() -> None:
    found = ranked(
        made_entry("best", level=1.0, train_seeds=range(5)),
        made_entry("as good", level=1.0),
        made_entry("middle", level=0.5, train_seeds=(0, 1)),
        made_entry("zero", level=0.0),
    )
    assert {name: one.tier for name, one in found.standings.items()} == {
        "best": 1,
        "as good": 1,
        "middle": 2,
        "zero": 3,
    }
    places = {name: (one.best_place, one.worst_place) for name, one in found.standings.items()}
    assert places == {"best": (1, 2), "as good": (1, 2), "middle": (3, 3), "zero": (4, 4)}


def test_rows_are_train_seeds_from_five_on_and_episodes_below() -> None:
    found = ranked(
        made_entry("five", train_seeds=range(5)), made_entry("four", train_seeds=range(4)), made_entry("one")
    )
    units = {(one.agent_x, one.agent_y): one.units for one in found.comparisons}
    assert units["five", "four"] == ("train seeds", "episodes")
    assert units["four", "one"] == ("episodes", "episodes")


def test_rows_are_three_train_seeds_in_each_of_several_games_that_both_played() -> None:
    two = ("breakout", "pong")
    found = ranked(
        made_entry("three in two", level=1.0, train_seeds=range(3), games=two),
        made_entry("two in two", train_seeds=range(2), games=two),
        made_entry("other three in two", level=0.1, train_seeds=range(3), games=two),
        made_entry("three in one", train_seeds=range(3)),
        made_entry("few episodes", train_seeds=range(1), games=two, num_episodes=4),
    )
    by_pair = {(one.agent_x, one.agent_y): one for one in found.comparisons}
    assert by_pair["three in two", "other three in two"].units == ("train seeds", "train seeds")
    assert by_pair["three in two", "other three in two"].games == two
    assert by_pair["three in two", "other three in two"].verdict == "better"
    assert by_pair["three in two", "two in two"].units == ("train seeds", "episodes")
    # One game in common: three train seeds say nothing there.
    assert by_pair["three in two", "three in one"].units == ("episodes", "episodes")
    assert by_pair["three in two", "few episodes"].obstacle == "fewer than 5 episodes"


def test_where_a_game_leaves_a_comparison_the_others_must_have_train_seeds_enough() -> None:
    """Three train seeds in two games, and an agent with too few episodes in one of them."""
    rng = generator(0, "a game leaves")

    def play(agent: str, num_seeds: int, *num_episodes: int) -> list[Played]:
        games = [made_play(agent, rng.normal(0.5, 0.1, (num_seeds, 2, count)))[0] for count in num_episodes]
        return [one._replace(scores=replace(one.scores, game=f"g{place}")) for place, one in enumerate(games)]

    (both,) = ranking_of({"x": play("x", 3, 8, 8), "y": play("y", 1, 8, 8)}, 0).comparisons
    assert (both.units, both.games) == (("train seeds", "episodes"), ("g0", "g1"))
    (one,) = ranking_of({"x": play("x", 3, 8, 8), "y": play("y", 1, 8, 4)}, 0).comparisons
    assert (one.units, one.games) == (("episodes", "episodes"), ("g0",))


@pytest.mark.oracle
def test_the_test_of_two_checkpoints_is_welchs_over_episode_seeds() -> None:
    x, y = made_entry("x", level=0.9), made_entry("y", level=0.8)
    (found,) = ranked(x, y).comparisons
    rows = []
    for entry in (x, y):
        jobs = {job.perturbation: np.array(job.episodes.returns) for job in entry.jobs}
        # Severities first, then perturbations; breakout: random 1.7, human 30.5.
        hue = (jobs["hue-rotate@3"] + jobs["hue-rotate@5"]) / 2
        rows.append(((hue + jobs["invert"] + jobs["palette-pal"]) / 3 - 1.7) / (30.5 - 1.7))
    expected: Any = scipy_stats.ttest_ind(*rows, equal_var=False)
    assert found.effect.value == pytest.approx(rows[0].mean() - rows[1].mean())
    bounds = expected.confidence_interval(0.95)
    assert found.effect.low <= bounds.low + 1e-9
    assert found.effect.high >= bounds.high - 1e-9
    assert found.adjusted_p >= expected.pvalue - 1e-9


def test_agents_without_common_games_or_cells_are_not_compared_and_have_no_tier() -> None:
    found = ranked(
        made_entry("x", games=("breakout",)),
        made_entry("y", games=("pong",)),
        made_entry("z", games=("breakout",), cells=("clean",)),
    )
    obstacles = {(one.agent_x, one.agent_y): one.obstacle for one in found.comparisons}
    assert obstacles == {
        ("x", "y"): "no game in common",
        ("x", "z"): "no perturbed cell in common",
        ("y", "z"): "no game in common",
    }
    assert found.standings == {}


def test_with_few_episodes_nothing_is_compared() -> None:
    found = ranked(made_entry("x", level=1.0, num_episodes=4), made_entry("y", level=0.1, num_episodes=4))
    assert found.comparisons[0].verdict == "not compared"
    assert found.comparisons[0].obstacle == "fewer than 5 episodes"


def test_five_train_seeds_among_many_agents_decide_nothing_and_cost_the_others_nothing() -> None:
    """C(10, 5) / 2 = 126 relabellings: with 7 pairs p stays above 0.05, whatever the scores."""
    five = [made_entry(f"five {place}", level=1.0 + place, train_seeds=range(5)) for place in range(5)]
    found = ranked(*five)
    assert {one.verdict for one in found.comparisons} == {"undecidable"}
    assert found.standings == {}
    others = [made_entry("high", level=1.0, num_episodes=12), made_entry("low", level=0.2, num_episodes=12)]
    mixed = {(one.agent_x, one.agent_y): one for one in ranked(*five, *others).comparisons}
    (alone,) = ranked(*others).comparisons
    assert mixed["high", "low"].verdict == "better"
    assert mixed["five 0", "five 1"].verdict == "undecidable"
    assert alone.adjusted_p <= mixed["high", "low"].adjusted_p <= 11 * alone.adjusted_p + 1e-12


def test_repeated_episodes_carry_no_news() -> None:
    rng = generator(0, "repeated")
    few = {name: np.repeat(rng.normal(mean, 0.1, (1, 2, 5)), 20, axis=2) for name, mean in (("x", 0.7), ("y", 0.5))}
    agents = {name: made_play(name, returns) for name, returns in few.items()}
    as_played = {
        name: [game._replace(scores=with_distinct(game.scores, 5)) for game in games] for name, games in agents.items()
    }
    (sure,), (honest,) = ranking_of(agents, 0).comparisons, ranking_of(as_played, 0).comparisons
    assert honest.effect.value == pytest.approx(sure.effect.value)
    width = (honest.effect.high - honest.effect.low) / (sure.effect.high - sure.effect.low)
    assert width > 4  # the root of 20, times quantiles of t


def with_distinct(scores: GameScores, number: int) -> GameScores:
    return replace(scores, distinct=np.full_like(scores.distinct, number))


def test_over_several_suites_each_counts_the_same() -> None:
    suites = {
        "color-shift": {"x": made_entry("x", level=1.0, kept=0.8, spread=0.0)},
        "corruption": {"x": made_entry("x", "corruption", level=1.0, kept=0.2, spread=0.0)},
    }
    play = play_of_suites({suite: result_of(entries) for suite, entries in suites.items()})
    found = marks_of(play["x"], 0)
    assert found.robust.value == pytest.approx(0.5, abs=1e-3)
    assert found.worst_family[0] == "corruption"
    assert found.worst_perturbation[1].value == pytest.approx(0.2, abs=1e-3)


@pytest.mark.slow
def test_tables_of_equal_agents_hold_a_false_comparison_in_at_most_one_of_twenty() -> None:
    """Four agents of one law, exponential returns: two of eight episodes, one of two checkpoints, one of 6 seeds."""
    false, num_tables = 0, 600
    for table in range(num_tables):
        rng = generator(7, "tables", table)
        episodes = [rng.exponential(1.0, (1, 2, 8)), rng.exponential(1.0, (1, 2, 8)), rng.exponential(1.0, (2, 2, 8))]
        seeds = np.clip(rng.normal(1.0, 0.4, (6, 1, 1)), 0.05, None) * rng.exponential(1.0, (6, 2, 10))
        agents = {str(place): made_play(str(place), returns) for place, returns in enumerate([*episodes, seeds])}
        found = ranking_of(agents, table)
        false += any(one.verdict in ("better", "worse") for one in found.comparisons)
    # At most 5%; three standard errors of a share of 600.
    assert false / num_tables <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / num_tables)


@pytest.mark.slow
def test_welch_alone_would_err_where_half_of_the_trainings_fail() -> None:
    """Why pairs with five train seeds among many agents stay undecided: 24 equal agents, 276 pairs, 4,000 tables."""
    rng = generator(7, "failing trainings")
    shape = (4_000, 24, 5)
    scores = np.where(rng.random(shape) < 0.5, 0.0, 1.0) + rng.normal(0.0, 0.02, shape)
    first, second = np.triu_indices(24, 1)
    means, errors = scores.mean(axis=-1), scores.var(axis=-1, ddof=1) / 5
    error = errors[:, first] + errors[:, second]
    freedom = error**2 / ((errors[:, first] ** 2 + errors[:, second] ** 2) / 4)
    statistic = np.abs(means[:, first] - means[:, second]) / np.sqrt(error)
    critical = scipy_stats.t.ppf(1 - 0.05 / len(first) / 2, freedom)
    false = float((statistic > critical).any(axis=1).mean())
    assert 0.25 < false < 0.33
