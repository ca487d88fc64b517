"""An agent's own numbers in a table are those of a report of the same episodes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_entries import made_entry
from msgspec.structs import replace

from wsabench.leaderboard.schema import EntryJob
from wsabench.leaderboard.scoring import Marks, marks_of, play_of_suite, result_of, unit_of
from wsabench.results.manifest import ReferenceScores
from wsabench.summary.summarise import summarise


def marks(name: str, **fields: object) -> Marks:
    entry = made_entry(name, **fields)  # pyright: ignore[reportArgumentType]
    play = play_of_suite(result_of({name: entry}), entry.suite.name)
    return marks_of(play[name], 0)


@pytest.mark.oracle
@pytest.mark.parametrize("train_seeds", [(0, 1), range(5)])
def test_scores_and_retention_are_those_of_the_report(train_seeds: tuple[int, ...]) -> None:
    entry = made_entry("x", level=1.2, train_seeds=train_seeds, games=("breakout", "pong"))
    result = result_of({"x": entry})
    found = marks_of(play_of_suite(result, "color-shift")["x"], 0)
    report = summarise(result)
    (whole,) = [row for row in report.measures if row.perturbation == "all perturbations"]
    (clean,) = [
        row.value
        for row in report.aggregates
        if (row.scope, row.measure, row.metric) == ("clean", "normalised_score", "mean")
    ]
    assert found.robust.value == pytest.approx(whole.mean_score.value)
    assert found.retention.value == pytest.approx(whole.retention.value)
    assert found.beside.capped.value == pytest.approx(whole.capped_retention.value)
    assert found.beside.capped.has_bounds == (len(train_seeds) >= 5)
    assert (found.beside.kept_share, found.beside.lost_share) == pytest.approx((whole.kept_share, whole.lost_share))
    assert found.clean.value == pytest.approx(clean.value)
    by_name = {row.perturbation: row.mean_score.value for row in report.measures}
    for name, score in found.perturbations.items():
        assert score.value == pytest.approx(by_name[name])


def test_with_five_train_seeds_the_interval_is_over_them_and_wider() -> None:
    """Seeds that differ much and episodes that hardly do: only an interval over seeds sees it."""
    entry = made_entry("x", train_seeds=range(6), spread=0.01)
    jobs = tuple(_scaled(job, 1.0 + 0.2 * job.train_seed) for job in entry.jobs)
    result = result_of({"x": replace(entry, jobs=jobs)})
    (game,) = play_of_suite(result, "color-shift")["x"]
    over_seeds = marks_of([game], 0)
    two = game._replace(scores=game.scores.with_seeds((0, 5)))
    over_episodes = marks_of([two], 0)
    assert (unit_of([game]), unit_of([two])) == ("train seeds", "episodes")
    assert over_seeds.robust.high - over_seeds.robust.low > 5 * (over_episodes.robust.high - over_episodes.robust.low)


def test_with_three_train_seeds_in_each_of_two_games_averages_over_both_have_intervals_over_them() -> None:
    entry = made_entry("x", train_seeds=range(3), games=("breakout", "pong"))
    played = play_of_suite(result_of({"x": entry}), "color-shift")["x"]
    assert (unit_of(played), unit_of(played[:1])) == ("train seeds", "episodes")
    both = marks_of(played, 0)
    (whole,) = [one for one in summarise(result_of({"x": entry})).measures if one.perturbation == "all perturbations"]
    assert both.robust == whole.mean_score
    assert both.unit == "train seeds"
    assert all(one.has_bounds for one in (both.robust, both.retention, both.beside.capped))
    # A perturbation that one game alone has rests on three trainings.
    lacking = played[1]._replace(suites={"color-shift": {"invert": played[1].suites["color-shift"]["invert"]}})
    some = marks_of([played[0], lacking], 0)
    assert {name: one.has_bounds for name, one in some.perturbations.items()} == {
        "hue-rotate": False,
        "invert": True,
        "palette-pal": False,
    }


def _scaled(job: EntryJob, factor: float) -> EntryJob:
    returns = tuple(factor * value for value in job.episodes.returns)
    return replace(job, episodes=replace(job.episodes, returns=returns))


def test_reference_scores_are_ours_and_not_the_submitters() -> None:
    entry = made_entry("x", level=1.0, spread=0.0)
    boasting = replace(entry, reference_scores={"breakout": ReferenceScores(random=1.7, human=3.0)})
    (game,) = play_of_suite(result_of({"x": boasting}), "color-shift")["x"]
    assert marks_of([game], 0).clean.value == pytest.approx(1.0, abs=1e-3)


def test_retention_of_an_agent_that_hardly_plays_is_undefined_and_says_why() -> None:
    found = marks("x", level=0.05)
    assert math.isnan(found.retention.value)
    assert "not surely above 0.1" in found.retention_note


def test_gains_do_not_pay_for_collapse() -> None:
    """Clean 1; of four perturbations two keep everything and more, two keep nothing."""
    entry = made_entry("x", level=1.0, kept=0.0, spread=0.0)
    gained = made_entry("x", level=1.0, kept=1.9, spread=0.0)
    halves = zip(entry.jobs, gained.jobs, strict=True)
    jobs = tuple(much if much.perturbation in ("hue-rotate@3", "invert") else none for none, much in halves)
    found = marks_of(play_of_suite(result_of({"x": replace(entry, jobs=jobs)}), "color-shift")["x"], 0)
    assert found.retention.value == pytest.approx(0.95, abs=0.01)
    for beside in (found.beside, found.family_beside["color"]):
        assert (beside.capped.value, beside.kept_share, beside.lost_share) == pytest.approx((0.5, 0.5, 0.5), abs=0.01)
    nothing = marks("hardly", level=0.05).beside
    assert np.isnan([nothing.capped.value, nothing.kept_share, nothing.lost_share]).all()


@pytest.mark.slow
def test_an_interval_over_episodes_covers_the_mean_of_the_law() -> None:
    """Coverage over 200 made agents; 95% less three standard errors of the share."""
    hits = []
    for place in range(200):
        found = marks(f"agent {place}", level=1.0, kept=0.5, num_episodes=20)
        hits.append(found.robust.low <= 0.5 <= found.robust.high)
    assert np.mean(hits) >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 200)


def test_clean_play_alone_has_no_robust_score() -> None:
    found = marks("x", cells=("clean",))
    assert math.isnan(found.robust.value)
    assert math.isfinite(found.clean.value)
    assert found.worst_family[0] == ""
