"""The gate over made-up result sets: what may be compared, verdicts, exit codes, formats."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import typer
from msgspec.structs import replace
from result_fixture import (
    CELLS,
    REFERENCES,
    VERSIONS,
    change_manifest,
    full_suite_cells,
    label,
    write_result_set,
    write_shard,
)

from wsabench.cli import app, main
from wsabench.errors import ResultSetError, SpecError, UnknownNameError
from wsabench.gate.check import CheckResult, check_runs
from wsabench.hashing import text_hash
from wsabench.protocol import Protocol
from wsabench.results.manifest import ReferenceScores, SuiteEntry, read_manifest
from wsabench.seeding import start_order

ROOT = Path(__file__).resolve().parents[2]
FEW = (("clean", None), ("hue-rotate", 3), ("palette-pal", None))
HASHES = {game: {label(*cell): f"{game} {label(*cell)}" for cell in CELLS} for game in ("breakout", "pong")}
ONE = {"agents": ("wsa",), "train_seeds": (0,), "cells": FEW, "episodes": 20}


def write(path: Path, **options: Any) -> Path:
    """A result set of one checkpoint, three cells and 20 episodes, unless told otherwise."""
    return write_result_set(path, **{**ONE, "perturbation_hashes": HASHES, **options})


def change_episodes(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], part: str = "") -> Path:
    """Change the episodes of the shards whose name contains `part`."""
    for shard in (path / "episodes").glob(f"*{part}.parquet"):
        write_shard(shard, change(pq.ParquetFile(shard).read().to_pandas().astype({"severity": "Int64"})))
    return path


def keep(share: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Lose the rest of what lies above the random score."""
    low = REFERENCES["breakout"]["random"]
    return lambda table: table.assign(**{"return": low + share * (table["return"] - low)})


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    return write(tmp_path / "reference")


def verdicts(result: CheckResult) -> dict[str, str]:
    return {row.perturbation: row.verdict for row in result.rows}


def test_the_same_episodes_are_within_the_margin(reference: Path) -> None:
    result = check_runs(reference, reference)
    assert result.passed
    assert verdicts(result) == dict.fromkeys(["all cells", "clean", "hue-rotate@3", "palette-pal"], "within margin")
    assert result.conclusion == "Passed: no drop larger than the margin was shown; all tests rule out one."
    assert {row.unit for row in result.rows} == {"episodes"}
    assert all(row.is_paired and row.num_run == row.num_reference == 20 for row in result.rows)


def test_a_loss_in_one_cell_is_found_there(reference: Path, tmp_path: Path) -> None:
    run = change_episodes(write(tmp_path / "run"), keep(0.5), "palette-pal")
    result = check_runs(run, reference)
    assert not result.passed
    assert verdicts(result) == {
        "all cells": "within margin",
        "clean": "within margin",
        "hue-rotate@3": "within margin",
        "palette-pal": "regressed",
    }
    row = result.cells[2]
    assert row.run == pytest.approx(0.5 * row.reference)
    assert row.margin == pytest.approx(0.2 * row.reference)
    assert result.conclusion == "Regression: 1 of 4 tests shows a drop larger than the margin."


def test_the_margin_decides(reference: Path, tmp_path: Path) -> None:
    run = change_episodes(write(tmp_path / "run", seed=1), keep(0.7))
    assert not check_runs(run, reference, margin=0.1).passed
    assert check_runs(run, reference, margin=0.5).passed


def test_a_better_agent_passes(reference: Path, tmp_path: Path) -> None:
    run = change_episodes(write(tmp_path / "run"), keep(1.5))
    assert set(verdicts(check_runs(run, reference)).values()) == {"within margin"}


def test_strict_fails_what_is_not_ruled_out(reference: Path, tmp_path: Path) -> None:
    run = change_episodes(write(tmp_path / "run", episodes=12), keep(0.8))
    assert check_runs(run, reference).passed
    strict = check_runs(run, reference, strict=True)
    assert not strict.passed
    assert strict.conclusion.startswith("Failed: no drop larger than the margin was shown; ")


def test_a_single_cell_can_alarm_whatever_p_that_takes(reference: Path, tmp_path: Path) -> None:
    # Three cells at this alpha need p <= 0.00025 / 3, which 9,999 permutations cannot show.
    run = change_episodes(write(tmp_path / "run"), keep(0.1), "palette-pal")
    result = check_runs(run, reference, alpha=0.0005)
    assert verdicts(result)["palette-pal"] == "regressed"
    assert result.cells[2].p_adjusted < 6 / 10_000


@pytest.mark.slow
def test_a_single_cell_of_the_largest_suite_can_alarm(tmp_path: Path) -> None:
    # p must be below 0.025 / 278, less than 9,999 permutations can show.
    cells = full_suite_cells()
    hashes = {"breakout": {label(*cell): label(*cell) for cell in cells}}
    options = {"cells": cells, "perturbation_hashes": hashes, "agents": ("e2e",)}
    reference, run = write(tmp_path / "a", **options), write(tmp_path / "b", **options)
    change_episodes(run, keep(0.1), f"--{label(*cells[200])}")
    result = check_runs(run, reference)
    assert [row.perturbation for row in result.cells if row.verdict == "regressed"] == [label(*cells[200])]
    assert len(result.cells) == len(cells) > 250


def test_other_episodes_are_not_paired_and_may_be_fewer(reference: Path, tmp_path: Path) -> None:
    run = write(tmp_path / "run", episodes=12, seed=1)
    result = check_runs(run, reference)
    assert result.passed
    assert {(row.is_paired, row.num_run, row.num_reference) for row in result.rows} == {(False, 12, 20)}
    assert any("not paired" in note for note in result.notes)


def test_too_few_pairs_are_compared_without_pairing(tmp_path: Path) -> None:
    short = write(tmp_path / "short", episodes=11)
    assert not check_runs(short, short).cells[0].is_paired


GREEDY = Protocol(action_selection="greedy")
STALLED = np.array([0.0] * 17 + [12.0, 13.0, 14.1])
"""Returns of 20 episodes on breakout: 17 stalled, normalised mean 0.009."""
PLAYED = 13.0 + np.arange(20) % 5
"""Their reference: normalised mean 0.462, so the drop is 98 %."""


def give(returns: np.ndarray, starts: np.ndarray | None = None) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Give every cell these returns; lengths tell no two stalled episodes apart. Starts as in new result sets."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        given = table.assign(**{"return": returns, "length": (1000 + 10 * returns).astype(np.int64)})
        if starts is None:
            return given
        hashes = [text_hash(f"{start} {value}", 16) for start, value in zip(starts, returns, strict=True)]
        return given.assign(noops=starts.astype(np.int64), action_hash=hashes)

    return change


@pytest.mark.parametrize("starts", [None, np.arange(20)])
@pytest.mark.parametrize("selection", ["greedy", "sampled"])
def test_no_collapse_passes_because_its_episodes_look_alike(
    selection: str, starts: np.ndarray | None, tmp_path: Path
) -> None:
    protocol = Protocol(action_selection=selection)  # type: ignore[arg-type]
    sides = {}
    for name, returns in (("run", STALLED), ("reference", PLAYED)):
        path = write(tmp_path / name, protocol=protocol)
        sides[name] = change_episodes(path, give(returns, starts))
    result = check_runs(sides["run"], sides["reference"])
    assert result.exit_code == 1
    assert set(verdicts(result).values()) == {"regressed"}
    for row in result.rows:
        assert row.run == pytest.approx(0.009, abs=0.0005)
        assert row.drop == pytest.approx(0.98 * row.reference, abs=0.005)


def test_a_start_of_deterministic_play_counts_once_and_as_much_as_any_other(tmp_path: Path) -> None:
    starts = np.arange(20) % 15
    returns = 10.0 + starts
    path = write(tmp_path / "run", protocol=GREEDY)
    change_episodes(path, give(returns, starts))
    result = check_runs(path, path)
    assert {(row.is_paired, row.num_run, row.num_reference) for row in result.rows} == {(True, 15, 15)}
    assert result.cells[0].run == pytest.approx((10.0 + 7.0 - 1.7) / 28.8)
    assert "Of 31 possible starts, each one that was played counts once." in " ".join(result.notes)


def test_all_starts_are_the_whole_truth(tmp_path: Path) -> None:
    protocol = Protocol(action_selection="greedy", noop_max=3)
    starts = np.arange(20) % 4
    reference = change_episodes(write(tmp_path / "a", protocol=protocol), give(10.0 + 2.0 * starts, starts))
    barely = 1.7 + 0.79 * (8.3 + 2.0 * starts)
    run = change_episodes(write(tmp_path / "b", protocol=protocol), give(barely, starts))
    result = check_runs(run, reference)
    assert set(verdicts(result).values()) == {"regressed"}
    assert {(row.standard_error, row.p_adjusted, row.power, row.num_run) for row in result.rows} == {(0.0, 0.0, 1.0, 4)}
    within = change_episodes(write(tmp_path / "c", protocol=protocol), give(1.7 + 0.81 * (8.3 + 2.0 * starts), starts))
    assert set(verdicts(check_runs(within, reference)).values()) == {"within margin"}


def side(path: Path, returns: np.ndarray, episodes: int, *, says_so: bool = True) -> Path:
    """A set of greedy play whose episodes took the starts in turn; `returns` has one value a start."""
    protocol = Protocol(action_selection="greedy", noop_max=len(returns) - 1)
    starts = np.array(start_order("breakout", protocol.start_noops)[:episodes])
    write(path, protocol=protocol, episodes=episodes)
    jobs = read_manifest(path).plan.jobs
    change_manifest(path, jobs=tuple(replace(job, each_start_once=says_so) for job in jobs))
    return change_episodes(path, give(returns[starts], starts))


def test_all_starts_played_once_are_the_whole_truth_without_a_repeat(tmp_path: Path) -> None:
    above = 8.3 + 2.0 * np.arange(4)
    reference = side(tmp_path / "a", 1.7 + above, 4)
    for share, verdict, p in ((0.79, "regressed", 0.0), (0.81, "within margin", 1.0)):
        result = check_runs(side(tmp_path / f"run{share}", 1.7 + share * above, 4), reference)
        assert set(verdicts(result).values()) == {verdict}
        found = {(row.standard_error, row.p_adjusted, row.power, row.num_run) for row in result.rows}
        assert found == {(0.0, p, 1.0, 4)}
    silent = [side(tmp_path / name, 1.7 + above * share, 4, says_so=False) for name, share in (("b", 0.79), ("c", 1.0))]
    result = check_runs(*silent)  # whether anything else is drawn is not known, so these are four draws
    assert {row.verdict for row in result.rows} == {"undecided"}
    assert all(row.standard_error > 0 for row in result.rows)


def test_starts_played_once_are_held_against_drawn_ones_of_an_earlier_version(tmp_path: Path) -> None:
    above = 8.3 + 2.0 * np.arange(4)
    run = side(tmp_path / "run", 1.7 + 0.79 * above, 4)
    starts = np.arange(20) % 4
    earlier = write(tmp_path / "earlier", protocol=Protocol(action_selection="greedy", noop_max=3))
    result = check_runs(run, change_episodes(earlier, give(1.7 + above[starts], starts)))
    assert set(verdicts(result).values()) == {"regressed"}
    found = {(row.standard_error, row.p_adjusted, row.num_run, row.num_reference) for row in result.rows}
    assert found == {(0.0, 0.0, 4, 4)}


def test_some_starts_played_once_have_the_finite_population_correction(tmp_path: Path) -> None:
    above = 8.3 + 2.0 * np.random.default_rng(0).permutation(31)
    change = np.random.default_rng(1).uniform(0.5, 1.0, 31)
    reference, run = side(tmp_path / "a", 1.7 + above, 20), side(tmp_path / "b", 1.7 + change * above, 20)
    lost = ((1.0 - change) * above / 28.8)[list(start_order("breakout", range(31))[:20])]
    (row,) = {row.standard_error for row in check_runs(run, reference).cells}
    assert row == pytest.approx(lost.std(ddof=1) / np.sqrt(20) * np.sqrt(1 - 20 / 31))


def test_an_agents_own_view_says_how_many_starts_there_are(tmp_path: Path) -> None:
    # Under wrappers an episode starts with 1 to noop_max no-ops, so there is one start less.
    protocol = Protocol(action_selection="greedy", noop_max=4)
    starts = 1 + np.arange(20) % 4
    found = []
    for view in ({}, {"start": "steps"}, {"sticky_probability": 0.25}):
        path = write(tmp_path / f"run{len(found)}", protocol=protocol)
        change_manifest(path, agents=tuple(replace(one, view=view) for one in read_manifest(path).plan.agents))
        change_episodes(path, give(10.0 + 2.0 * starts, starts))
        found.append(check_runs(path, path).cells[0])
    assert [row.num_run for row in found] == [4, 4, 20]
    assert found[0].p_within > 0.0 == found[1].p_within  # one start of five is missing; all four were played


def test_a_mean_of_random_play_is_nothing_to_lose_whatever_rounding_makes_of_it(tmp_path: Path) -> None:
    returns = np.array([0.0] * 3 + [1.0] * 6 + [2.0] * 7 + [3.0, 3.0, 4.0, 4.0])  # 34 in 20 episodes; random play: 1.7
    path = change_episodes(write(tmp_path / "run"), give(returns), "palette-pal")
    assert 0.0 < abs(((returns - 1.7) / 28.8).mean()) < 1e-15
    assert verdicts(check_runs(path, path))["palette-pal"] == "untested"


def test_greedy_play_in_a_cell_with_chance_is_not_taken_for_deterministic(tmp_path: Path) -> None:
    starts = np.arange(20) % 15
    path = write(tmp_path / "run", protocol=GREEDY)
    change_episodes(path, give(10.0 + starts, starts))
    change_episodes(path, give(10.0 + np.arange(20), starts), "palette-pal")  # the same start, other returns
    result = check_runs(path, path)
    assert [row.num_run for row in result.cells] == [15, 15, 20]
    assert result.cells[2].run == pytest.approx((10.0 + 9.5 - 1.7) / 28.8)
    means = [row.run for row in result.cells]
    assert result.overall[0].run == pytest.approx(np.mean(means))
    assert result.overall[0].num_run == 15
    assert "compared, paired by start in 2 and by episode seed in 1 of 3 cells; nothing" in " ".join(result.notes)


def test_a_note_names_the_cells_that_are_not_paired_where_others_are(tmp_path: Path) -> None:
    """Six drawn episodes are too few to pair them; all starts are not."""
    path = write(tmp_path / "run", protocol=Protocol(action_selection="greedy", noop_max=3), episodes=6)
    starts = np.array([0, 1, 2, 3, 0, 1])
    change_episodes(path, give(10.0 + starts, starts))
    change_episodes(path, give(10.0 + np.arange(6), starts), "hue-rotate@3")
    result = check_runs(path, path)
    assert [row.is_paired for row in result.cells] == [True, False, True]
    assert "compared, paired by start in 2 of 3 cells (not in hue-rotate@3); nothing follows" in " ".join(result.notes)


def test_no_note_speaks_of_averages_where_there_is_none(tmp_path: Path) -> None:
    for cells, has_average in ((FEW[:1], False), (FEW, True)):
        path = write(tmp_path / str(len(cells)), cells=cells, episodes=3)
        change_episodes(path, give(np.array([2.0, 10.0, 30.0])))
        notes = " ".join(check_runs(path, path).notes)
        assert "would be found with a probability below 80%" in notes
        assert ("the averages see" in notes) == has_average


def test_old_greedy_sets_count_all_episodes_and_trust_what_differs(tmp_path: Path) -> None:
    path = write(tmp_path / "run", protocol=GREEDY)
    returns = np.array([5.0] * 16 + [10.0, 11.0, 12.0, 13.0])
    change_episodes(path, give(returns))
    result = check_runs(path, path)
    assert {(row.is_paired, row.num_run, row.num_reference) for row in result.rows} == {(False, 5, 5)}
    assert result.cells[0].run == pytest.approx((returns.mean() - 1.7) / 28.8)
    assert "all episodes count" in " ".join(result.notes)


def test_two_sides_without_spread_are_compared_exactly(tmp_path: Path) -> None:
    always = np.full(20, 10.0)
    reference = change_episodes(write(tmp_path / "a", protocol=GREEDY), give(always))
    less = change_episodes(write(tmp_path / "b", protocol=GREEDY), give(np.full(20, 5.0)))
    assert set(verdicts(check_runs(reference, reference)).values()) == {"within margin"}
    result = check_runs(less, reference)
    assert set(verdicts(result).values()) == {"regressed"}
    assert {row.p_adjusted for row in result.rows} == {0.0}


def test_where_there_is_nothing_to_lose_nothing_is_tested(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference, run = write(tmp_path / "a"), write(tmp_path / "b")
    for path in (reference, run):
        change_episodes(path, give(np.full(20, 1.7)), "palette-pal")
    result = check_runs(run, reference)
    assert result.passed
    assert verdicts(result)["palette-pal"] == "untested"
    assert {row.verdict for row in result.rows[:3]} == {"within margin"}
    assert result.overall[0].reference == pytest.approx(np.mean([row.reference for row in result.cells[:2]]))
    assert (
        "Untested, because the reference is not above random play there: wsa on breakout, palette-pal." in result.notes
    )
    assert main(["check", str(run), "--against", str(reference), "--junit", str(tmp_path / "gate.xml")]) == 0
    suite = ElementTree.parse(tmp_path / "gate.xml").getroot()[0]
    assert suite.attrib["skipped"] == "1"
    assert re.search(r"palette-pal +0\.000 +0\.000 +- +- +- +untested", capsys.readouterr().out)
    change_episodes(reference, give(np.full(20, 1.0)))
    assert main(["check", str(run), "--against", str(reference)]) == 2
    assert "Nothing was tested: in no cell" in capsys.readouterr().out


def test_too_few_episodes_cannot_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wild = np.array([0.0, 2.0, 3.0, 60.0])
    reference, run = write(tmp_path / "a", episodes=4), write(tmp_path / "b", episodes=4)
    for path in (reference, run):
        change_episodes(path, lambda t: t.assign(**{"return": np.random.default_rng(len(t)).permutation(wild)}))
    files = ["--junit", str(tmp_path / "gate.xml"), "--markdown", str(tmp_path / "gate.md")]
    assert main(["check", str(run), "--against", str(reference), *files]) == 2
    printed = " ".join(capsys.readouterr().out.split())
    assert re.search(
        r"Too few episodes: .* a drop of 80% would be found in wsa on breakout, all cells, with a prob", printed
    )
    assert "## Robustness gate: cannot tell" in (tmp_path / "gate.md").read_text()
    root = ElementTree.parse(tmp_path / "gate.xml").getroot()
    assert root.attrib == {"tests": "4", "failures": "0", "errors": "1"}


def test_several_train_seeds_are_the_unit(tmp_path: Path) -> None:
    seeds = (0, 1, 2, 3, 4)
    reference, run = write(tmp_path / "a", train_seeds=seeds), write(tmp_path / "b", train_seeds=seeds)
    result = check_runs(change_episodes(run, keep(0.4)), reference)
    assert not result.passed
    assert {(row.unit, row.is_paired, row.num_run) for row in result.rows} == {("train seeds", True, 5)}
    fewer = write(tmp_path / "c", train_seeds=seeds[:3])
    one = check_runs(run, fewer)
    assert one.cells[0].num_run == 3
    assert "wsa on breakout: train seeds 3, 4 are not in the reference." in one.notes


def test_other_train_seeds_are_not_paired(tmp_path: Path) -> None:
    reference, run = write(tmp_path / "a", train_seeds=(0, 1)), write(tmp_path / "b", train_seeds=(2, 3, 4))
    result = check_runs(run, reference)
    assert {(row.is_paired, row.num_run, row.num_reference) for row in result.rows} == {(False, 3, 2)}
    assert "so they are not paired" in result.notes[0]
    with pytest.raises(ResultSetError, match=r"1 train seed in the run and 2 in the reference, none in common"):
        check_runs(write(tmp_path / "c", train_seeds=(7,)), reference)


def test_games_are_averaged(tmp_path: Path) -> None:
    path = write(tmp_path / "a", games=("breakout", "pong"))
    result = check_runs(path, path)
    assert [row.game for row in result.overall] == ["breakout, pong"]
    assert len(result.cells) == 6
    both = [[row.reference for row in result.cells if row.game == game] for game in ("breakout", "pong")]
    assert result.overall[0].reference == pytest.approx(sum(sum(one) / 3 for one in both) / 2)


def test_one_cell_has_no_average(tmp_path: Path) -> None:
    path = write(tmp_path / "a", cells=FEW[:1])
    assert check_runs(path, path).overall == ()


def test_agents_are_judged_together_or_chosen(tmp_path: Path) -> None:
    both = write(tmp_path / "both", agents=("wsa", "e2e"))
    only = write(tmp_path / "only", agents=("e2e",))
    assert [row.agent for row in check_runs(both, both).overall] == ["wsa", "e2e"]
    assert {row.agent for row in check_runs(only, both, agents=["e2e"]).rows} == {"e2e"}
    next((both / "episodes").glob("wsa-*.parquet")).unlink()
    assert check_runs(only, both, agents=["e2e"]).passed
    with pytest.raises(ResultSetError, match=r"both is not finished \(2 of 3 jobs"):
        check_runs(both, both, agents=["wsa"])
    with pytest.raises(UnknownNameError, match=r"Unknown agent of .*only 'wsb'\. Allowed: e2e"):
        check_runs(both, only, agents=["wsb"])  # the agents are those of the reference
    with pytest.raises(ResultSetError, match=r"the run has no agent 'wsa' \(it has e2e; `wsabench run --agents wsa="):
        check_runs(only, both)


def test_what_the_reference_lacks_is_not_judged(tmp_path: Path) -> None:
    reference = write(tmp_path / "a", cells=FEW[:2], versions={"torch": "1"})
    run = write(tmp_path / "b", agents=("wsa", "e2e"), versions={**VERSIONS, "torch": "2"})
    result = check_runs(run, reference)
    assert len(result.cells) == 2
    assert "torch version is 2 in the run and 1 in the reference." in result.notes
    assert (
        "Not judged, because not in the reference or not asked for: e2e on breakout, palette-pal (wsa on breakout)."
        in result.notes
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"suite": SuiteEntry(name="smoke", summary="", content_hash="1" * 64)},
            "name of the suite is smoke in the run and color-shift in the reference; "
            "hash of the suite is 1111111111111111... in the run and 5555555555555555... in the reference",
        ),
        ({"protocol": Protocol(noop_max=0)}, "protocol.noop_max is 0 in the run and 30 in the reference"),
        ({"engine_version": 2}, "engine version is 2 in the run and 1 in the reference"),
        ({"roms": {"breakout": "b" * 64}}, "ROM of breakout is bbbbbbbbbbbbbbbb... in the run and aaaaaaaaaaaaaaaa..."),
        (
            {"reference_scores": {"breakout": ReferenceScores(random=1.7, human=31.0)}},
            "human score of breakout is 31.0 in the run and 30.5 in the reference",
        ),
        ({"reference_scores": {}}, "human score of breakout is only in the reference"),
        (
            {"perturbation_hashes": {"breakout": HASHES["breakout"] | {"hue-rotate@3": "other"}}},
            "definition of hue-rotate@3 on breakout is other in the run and breakout hue-rotate@3 in the reference",
        ),
        (
            {"perturbation_hashes": {"breakout": {"clean": HASHES["breakout"]["clean"]}}},
            "the run's manifest has no hash of the perturbations hue-rotate@3 on breakout, palette-pal on breakout",
        ),
    ],
)
def test_what_cannot_be_compared_is_named(
    reference: Path, tmp_path: Path, changes: dict[str, Any], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write(tmp_path / "run", **changes)
    assert main(["check", str(run), "--against", str(reference)]) == 2
    message = capsys.readouterr().err
    assert text in message
    assert message.count("\n") == 1
    assert message.startswith(f"wsabench: error: {run} cannot be compared with {reference}: ")


def test_all_differences_are_named_at_once(reference: Path, tmp_path: Path) -> None:
    run = write(tmp_path / "run", engine_version=2, roms={"breakout": "b" * 64})
    with pytest.raises(ResultSetError, match=r"engine version is 2 .*; ROM of breakout is b"):
        check_runs(run, reference)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    reference = write(tmp_path / "a", games=("breakout", "pong"), train_seeds=(0, 1))
    run = write(tmp_path / "b", cells=FEW[:2])
    pattern = r"lacks the train seeds 1; .*lacks the cells palette-pal; the run has no game 'pong' for wsa"
    with pytest.raises(ResultSetError, match=pattern):
        check_runs(run, reference)


def test_an_unfinished_run_is_refused(reference: Path, tmp_path: Path) -> None:
    run = write(tmp_path / "run")
    next((run / "episodes").glob("*.parquet")).unlink()
    with pytest.raises(ResultSetError, match=r"run is not finished \(2 of 3 jobs; the command that began it goes on"):
        check_runs(run, reference)


def test_manifests_without_hashes_or_scores_are_refused(reference: Path, tmp_path: Path) -> None:
    old = write(tmp_path / "old")
    change_manifest(old, perturbation_hashes={})
    with pytest.raises(ResultSetError, match=r"the run's manifest has no perturbation hashes"):
        check_runs(old, reference)
    with pytest.raises(ResultSetError, match=r"the reference's manifest has no perturbation hashes"):
        check_runs(reference, old)
    unscored = write(tmp_path / "unscored", reference_scores={"breakout": ReferenceScores(random=1.7, human=None)})
    with pytest.raises(ResultSetError, match=r"breakout has no random and human score, so no normalised score"):
        check_runs(unscored, unscored)


def test_a_reference_made_before_some_versions_were_recorded_is_one_still(tmp_path: Path) -> None:
    reference, run = tmp_path / "reference", tmp_path / "run"
    for folder in (reference, run):
        shutil.copytree(ROOT / "results" / "smoke", folder)
    plan = read_manifest(run).plan
    change_manifest(reference, versions={**plan.versions, "numba": "unknown"})
    jobs = []
    for job in plan.jobs:  # as the same episodes are called when more versions are part of the fingerprint
        shard = run / "episodes" / job.file
        jobs.append(replace(job, fingerprint=f"new {job.fingerprint}"))
        table = pq.ParquetFile(shard).read().to_pandas().assign(fingerprint=jobs[-1].fingerprint)
        write_shard(shard, table.astype({"severity": "Int64"}))
    change_manifest(run, jobs=tuple(jobs), versions={**plan.versions, "numba": "0.68.1"})
    found = check_runs(run, reference)
    assert found.passed
    assert not [note for note in found.notes if "numba" in note]


def test_mixed_units_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a", games=("breakout", "pong"), train_seeds=(0, 1))
    jobs = read_manifest(path).plan.jobs
    gone = [job for job in jobs if (job.game, job.train_seed) == ("pong", 1)]
    for job in gone:
        for folder in ("episodes", "attention"):
            (path / folder / job.file).unlink()
    change_manifest(path, jobs=tuple(job for job in jobs if job not in gone))
    with pytest.raises(ResultSetError, match=r"wsa has one train seed in some games and several in others"):
        check_runs(path, path)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_alpha_has_bounds(reference: Path, alpha: float) -> None:
    with pytest.raises(SpecError, match=rf"Alpha is {alpha:g}\. Allowed: numbers above 0 and below 1"):
        check_runs(reference, reference, alpha=alpha)


def test_a_single_episode_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a", episodes=1)
    with pytest.raises(SpecError, match="Play more episodes"):
        check_runs(path, path)


def test_the_command_passes_and_fails_with_its_files(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = change_episodes(write(tmp_path / "run"), keep(0.5), "palette-pal")
    files = ["--junit", str(tmp_path / "gate.xml"), "--markdown", str(tmp_path / "gate.md")]
    assert main(["check", str(reference), "--against", str(reference), *files]) == 0
    assert "Passed: no drop larger" in capsys.readouterr().out
    assert "## Robustness gate: passed" in (tmp_path / "gate.md").read_text()
    assert main(["check", str(run), "--against", str(reference), *files]) == 1
    printed = capsys.readouterr().out
    assert max(len(line) for line in printed.splitlines()) <= 80
    assert re.search(r"palette-pal +0\.\d{3} .* regressed", printed)
    suites = ElementTree.parse(tmp_path / "gate.xml").getroot()
    assert suites.attrib == {"tests": "4", "failures": "1", "errors": "0"}
    cases = {case.attrib["name"]: case for case in suites.iter("testcase")}
    assert list(cases) == ["all cells", "clean", "hue-rotate@3", "palette-pal"]
    assert [name for name, case in cases.items() if case.find("failure") is not None] == ["palette-pal"]
    assert cases["clean"].attrib["classname"] == "wsa.breakout"
    summary = (tmp_path / "gate.md").read_text()
    assert summary.startswith("## Robustness gate: failed\n\nRegression: 1 of 4 tests shows")
    assert re.search(r"^\| wsa \| breakout \| palette-pal \| .* \| \*\*regressed\*\* \|$", summary, re.MULTILINE)


@pytest.mark.parametrize("where", ["reference", "run"])
def test_privileged_agents_are_marked_everywhere(
    where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = {"agents": ("wsa", "e2e"), "train_seeds": (0,)}
    sides = {name: write(tmp_path / name, **both) for name in ("reference", "run")}
    entries = read_manifest(sides[where]).plan.agents
    change_manifest(sides[where], agents=tuple(replace(one, privileged=one.agent == "wsa") for one in entries))
    change_episodes(sides["run"], keep(0.3))
    words = ["check", str(sides["run"]), "--against", str(sides["reference"])]
    files = ["--junit", str(tmp_path / "gate.xml"), "--markdown", str(tmp_path / "gate.md")]
    assert main([*words, *files]) == 1
    printed = capsys.readouterr().out
    legend = "\u00a7: reads the emulator's memory, not only pixels."
    assert "wsa \u00a7 on breakout\n" in printed
    assert "e2e on breakout\n" in printed
    assert f"Note: {legend}" in printed
    summary = (tmp_path / "gate.md").read_text()
    assert "| wsa \u00a7 | breakout | clean |" in summary
    assert "| e2e | breakout | clean |" in summary
    assert f"- {legend}" in summary
    cases = list(ElementTree.parse(tmp_path / "gate.xml").getroot().iter("testcase"))
    assert {case.attrib["classname"] for case in cases} == {"wsa.breakout", "e2e.breakout"}
    texts = [case.findtext("failure") or "" for case in cases if case.attrib["classname"] == "wsa.breakout"]
    assert any(text.startswith("wsa \u00a7 on breakout, clean: regressed") for text in texts)
    assert main([*words, "--json"]) == 1
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert all(cell["is_privileged"] == (cell["agent"] == "wsa") for cell in cells)


def test_json_holds_everything(reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(reference), "--against", str(reference), "--json", "--agents", "wsa"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] is True
    assert found["margin"] == 0.2
    assert [cell["perturbation"] for cell in found["cells"]] == ["clean", "hue-rotate@3", "palette-pal"]
    assert found["cells"][0]["verdict"] == "within margin"
    assert found["overall"][0]["perturbation"] == "all cells"


def test_bad_options_are_refused(reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(reference), "--against", str(reference), "--margin", "1.5"]) == 2
    assert "The margin is 1.5. Allowed" in capsys.readouterr().err
    assert main(["check", str(reference)]) == 2
    assert "Missing option '--against'" in capsys.readouterr().err


def test_the_example_workflow_names_real_options_and_the_reference() -> None:
    text = (ROOT / "examples" / "github-actions-robustness.yml").read_text(encoding="utf-8")
    root = typer.main.get_command(app)
    lines = [shlex.split(line) for line in re.findall(r"(?:#|run:)\s+wsabench (.*)", text)]
    assert [words[0] for words in lines] == ["run", "run", "check"]
    for command, *words in lines:
        known = {name for parameter in root.commands[command].params for name in parameter.opts}  # type: ignore[attr-defined]
        assert {word for word in words if word.startswith("--")} <= known
    assert "check runs/smoke --against results/smoke" in text
    assert (ROOT / "results" / "smoke" / "manifest.json").exists()
