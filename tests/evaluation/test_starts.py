"""Greedy play without sticky actions: each start is played once, in an order that is the same for all."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from result_fixture import change_manifest
from scripted_policies import Seer

from wsabench.emulator import Lane
from wsabench.errors import ResultSetError, SpecError
from wsabench.evaluation import SilentReporter, run
from wsabench.evaluation.contestants import Contestant
from wsabench.evaluation.plan import RunOptions, make_plan
from wsabench.evaluation.recording import record_episode
from wsabench.leaderboard.verifying import verify
from wsabench.perturb import compile_perturbation, list_perturbations, misfit
from wsabench.protocol import Protocol
from wsabench.results import ResultSet, load_result
from wsabench.results.manifest import read_manifest
from wsabench.results.merged_files import write_merged
from wsabench.results.merging import merge_results
from wsabench.results.tables import with_labels
from wsabench.seeding import evaluation_seed, generator, start_order
from wsabench.types import Abilities

GREEDY = Protocol(action_selection="greedy", noop_max=3, max_frames=40)
CELLS = ("clean", "hue-rotate@3", "action-delay@1", "gaussian-noise@3")
AGENTS = ("e2e", "noop", "random", "seer=scripted_policies:seer", "silent=scripted_policies:silent_seer")
SETTINGS: dict[str, Any] = {
    "suite": "color-shift",
    "agents": AGENTS,
    "games": ("breakout",),
    "train_seeds": (0,),
    "perturbations": CELLS,
    "protocol": GREEDY,
    "seed": 7,
    "episodes": 6,
    "workers": 0,
}
ONCE = {(agent, cell) for agent in ("e2e", "noop", "seer") for cell in CELLS[:3]}
ORDER = list(start_order("breakout", range(4), 7))


class Notebook(SilentReporter):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def play(out: Path, **changes: Any) -> ResultSet:
    return run(**{**SETTINGS, **changes}, out=out)


@pytest.fixture(scope="module")
def notebook() -> Notebook:
    return Notebook()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, notebook: Notebook) -> ResultSet:
    return play(tmp_path_factory.mktemp("starts") / "out", reporter=notebook)


def by_job(result: ResultSet) -> dict[tuple[str, str], pd.DataFrame]:
    return dict(iter(with_labels(result.episodes).groupby(["agent", "label"])))


def drawn_noops(seed: int) -> int:
    return int(generator(seed, "noops").integers(0, 3, endpoint=True))


@pytest.mark.e2e
def test_each_start_is_played_once_where_nothing_else_is_drawn(played: ResultSet) -> None:
    marked = {(job.agent, job.perturbation) for job in played.manifest.plan.jobs if job.each_start_once}
    assert marked == ONCE
    assert sorted(ORDER) == [0, 1, 2, 3]
    for key, part in by_job(played).items():
        assert list(part["episode_seed"]) == [evaluation_seed("breakout", number, 7) for number in part["episode"]]
        expected = ORDER if key in ONCE else [drawn_noops(seed) for seed in part["episode_seed"]]
        assert list(part["noops"]) == expected
        assert len(part) == (4 if key in ONCE else 6)


@pytest.mark.e2e
def test_the_run_says_where_fewer_episodes_are_all_there_are(played: ResultSet, notebook: Notebook) -> None:
    said = [note for note in notebook.notes if "asked for" in note]
    assert [note.split(":")[0] for note in said] == [f"{agent} on breakout" for agent in ("e2e", "noop", "seer")]
    assert all(
        "only 4 different episodes exist in clean, hue-rotate@3, action-delay@1, of 6 that were asked for. " in note
        and note.endswith("the mean over them is exact.")
        for note in said
    )
    entries = {(job.agent, job.perturbation): job.episodes for job in played.manifest.plan.jobs}
    assert entries == {key: 4 if key in ONCE else None for key in entries}


@pytest.mark.e2e
def test_fewer_episodes_are_the_first_of_more(played: ResultSet, tmp_path: Path) -> None:
    notebook = Notebook()
    fewer = play(tmp_path / "out", agents=("noop",), episodes=3, reporter=notebook)
    assert not [note for note in notebook.notes if "asked for" in note]
    for key, part in by_job(fewer).items():
        pd.testing.assert_frame_equal(
            part.drop(columns="fingerprint").reset_index(drop=True),
            by_job(played)[key].head(3).drop(columns="fingerprint").reset_index(drop=True),
        )


@pytest.mark.e2e
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_parts_processes_and_a_stop_change_nothing(played: ResultSet, tmp_path: Path, workers: int) -> None:
    agents = ("noop", "random")  # no process loads torch
    expected = played.episodes[played.episodes["agent"].isin(agents)].reset_index(drop=True)
    for index in (1, 2):
        play(tmp_path / f"part{index}", agents=agents, shard=f"{index}/2", workers=workers)
    out = tmp_path / "merged"
    write_merged([tmp_path / "part1", tmp_path / "part2"], out)
    pd.testing.assert_frame_equal(load_result(out).episodes, expected, check_exact=True)
    shards = sorted((out / "episodes").iterdir())
    for path in shards[::2]:
        path.unlink()
    kept = {path: path.stat().st_mtime_ns for path in shards[1::2]}
    pd.testing.assert_frame_equal(play(out, agents=agents, workers=workers).episodes, expected, check_exact=True)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> ResultSet:
    """As earlier versions played: every start drawn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Contestant, "plays_each_start_once", lambda *_: False)
        return play(tmp_path_factory.mktemp("earlier") / "out", agents=("noop",))


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> ResultSet:
    """The same now; no process has to be started for its agent."""
    return play(tmp_path_factory.mktemp("still") / "out", agents=("noop",))


def assert_verified(result: ResultSet) -> None:
    found = verify(result.path, sample=1_000)
    assert (found.verdict, found.unequal, found.problems) == ("equal", (), ())
    assert len(found.sample) == len(result.episodes)


@pytest.mark.e2e
def test_both_ways_are_played_again_to_the_bit(still: ResultSet, earlier: ResultSet) -> None:
    assert list(by_job(earlier)["noop", "clean"]["noops"]) != ORDER
    for result in (still, earlier):
        assert_verified(result)


@pytest.mark.slow
@pytest.mark.e2e
def test_all_agents_are_played_again_to_the_bit(played: ResultSet) -> None:
    assert_verified(played)


@pytest.mark.e2e
def test_runs_of_both_ways_are_not_mixed(still: ResultSet, earlier: ResultSet) -> None:
    before = {path: path.read_bytes() for path in (earlier.path / "episodes").iterdir()}
    assert "each_start_once" not in (earlier.path / "manifest.json").read_text()
    with pytest.raises(ResultSetError, match=r"choice of starts of noop .*, clean is drawn there and each once here"):
        play(earlier.path, agents=("noop",))
    assert {path: path.read_bytes() for path in (earlier.path / "episodes").iterdir()} == before
    with pytest.raises(ResultSetError, match=r"choice of starts of noop .* is each once in the first and drawn in the"):
        merge_results([still, earlier])


@pytest.mark.e2e
def test_what_is_not_true_of_starts_is_found(still: ResultSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = play(tmp_path / "out", agents=("random",), perturbations=("clean",)).path
    change_manifest(path, jobs=tuple(replace(job, each_start_once=True) for job in read_manifest(path).plan.jobs))
    with pytest.raises(ResultSetError, match=r"noops: found .*\. Allowed: each start once, in the order that follows"):
        load_result(path)
    monkeypatch.setattr(Contestant, "plays_each_start_once", lambda *_: False)  # as if an agent drew after all
    found = verify(still.path, sample=1_000)
    assert found.verdict == "differs"
    assert not found.unequal
    assert len(found.problems) == 3
    assert "noop (train seed 0) on breakout, clean: nothing but the start is said" in found.problems[0]


@pytest.mark.e2e
def test_an_agents_own_view_says_which_starts_there_are(tmp_path: Path) -> None:
    agent = Seer(says_so=True)
    agent.abilities = Abilities(is_deterministic=True, view={"start": "steps", "life_start": "restart"})
    result = play(tmp_path / "out", agents={"wrapped": agent}, perturbations=("clean",), protocol=GREEDY.to_dict())
    order = start_order("breakout", range(1, 4), 7)
    assert sorted(order) == [1, 2, 3]
    assert list(result.episodes["noops"]) == list(order)


@pytest.mark.e2e
def test_a_recording_is_the_episode_of_a_run(played: ResultSet) -> None:
    for row in by_job(played)["noop", "clean"].itertuples():
        film = record_episode("noop", "breakout", episode_seed=row.episode_seed, noops=row.noops, protocol=GREEDY)
        assert film.length == row.length
    first = start_order("breakout", range(4))[0]
    seen = [
        record_episode("noop", "breakout", noops=noops, max_steps=2, protocol=GREEDY).pictures
        for noops in (None, first, (first + 1) % 4)
    ]
    assert seen[0] == seen[1] != seen[2]
    with pytest.raises(SpecError, match=r"The no-ops are 4\. Allowed under this protocol: 0 to 3"):
        record_episode("noop", "breakout", noops=4, protocol=GREEDY)


def test_a_precision_is_refused_with_the_number_that_plays_them_all() -> None:
    asked = {name: value for name, value in SETTINGS.items() if name not in ("workers", "agents")}
    options = RunOptions(**asked, agents=["noop"], precision=0.1, max_episodes=60)
    with pytest.raises(SpecError, match=r"It takes 4 --episodes, without --precision, to meet them all"):
        make_plan(options)


@pytest.mark.parametrize(
    ("changes", "is_once"),
    [
        ({}, True),
        ({"draws": True}, False),
        ({"abilities": Abilities()}, False),
        ({"protocol": GREEDY.with_changes(action_selection="sampled")}, False),
        ({"protocol": GREEDY.with_changes(sticky_probability=0.25)}, False),
    ],
)
def test_what_leaves_nothing_but_the_start_to_chance(changes: dict[str, Any], is_once: bool) -> None:
    facts = {"abilities": Abilities(is_deterministic=True), "protocol": GREEDY, **changes}
    one = Contestant("a", 0, "breakout", "object", None, **facts)
    assert one.plays_each_start_once(compile_perturbation("clean", "breakout")) is is_once
    assert not one.plays_each_start_once(compile_perturbation("gaussian-noise@1", "breakout"))


@pytest.mark.property
@given(st.integers(0, 2**63 - 1), st.integers(0, 40), st.sampled_from(["frames", "steps"]))
def test_an_order_is_a_permutation_of_the_starts(seed: int, noop_max: int, start: Any) -> None:
    protocol = Protocol(noop_max=noop_max, start=start)
    order = start_order("pong", protocol.start_noops, seed)
    assert sorted(order) == list(protocol.start_noops)
    assert len(order) == protocol.num_starts
    assert order == start_order("pong", protocol.start_noops, seed)
    assert all(type(number) is int for number in order)


@pytest.mark.property
def test_every_start_is_equally_likely_at_every_place() -> None:
    orders = np.array([start_order(game, range(5), seed) for seed in range(2_000) for game in ("pong", "breakout")])
    counts = np.array([np.bincount(column, minlength=5) for column in orders.T])
    assert np.abs(counts - 800).max() < 4.5 * np.sqrt(4_000 * 0.2 * 0.8)
    halves = orders[::2], orders[1::2]
    assert 0.1 < (halves[0] == halves[1]).mean() < 0.3  # of different games, independent


def cells_of_breakout() -> list[str]:
    names = [one.name if not one.has_severity else f"{one.name}@5" for one in list_perturbations()]
    return [name for name in names if misfit(name, "breakout") is None]


def test_cells_that_are_said_to_draw_nothing_do_not() -> None:
    protocol = GREEDY.with_changes(max_frames=100_000)
    lane = Lane(compile_perturbation("clean", "breakout"), protocol)
    actions = generator(0, "test").integers(0, lane.num_actions, 12)  # what draws shows it in the first four steps
    same, drawn, of_encoders = [], [], []
    for name in cells_of_breakout():
        compiled = compile_perturbation(name, "breakout")
        if compiled.encoder_operations:
            of_encoders.append(compiled)
            continue
        lane.set_perturbation(compiled)
        seen = []
        for seed in (0, 2):
            lane.reset(seed, 2)
            frames = [lane.observation[-1].tobytes()]
            for action in actions:
                lane.step(int(action))
                frames.append(lane.observation[-1].tobytes())
            seen.append(frames)
        (same if seen[0] == seen[1] else drawn).append(compiled)
    assert [one.name for one in drawn if one.draws_nothing] == []
    assert [one.name for one in same if not one.draws_nothing] == []
    nothing: Any = None  # instead of a generator: what draws cannot work with it
    play = SimpleNamespace(mean=lambda name: name, attention=dict)
    still = [one for one in of_encoders if one.draws_nothing]
    for operation in (one for compiled in still for one in compiled.encoder_operations):
        start = getattr(operation, "start_with", None)
        assert start(play, nothing) if start else operation.start(nothing)
    assert 0 < len(still) < len(of_encoders)


@pytest.mark.property
def test_the_mean_of_some_starts_varies_as_the_finite_population_says() -> None:
    returns = generator(0, "test").exponential(size=31)
    means = [returns[list(start_order("pong", range(31), seed)[:20])].mean() for seed in range(4_000)]
    expected = returns.var(ddof=1) / 20 * (1 - 20 / 31)
    assert np.mean(means) == pytest.approx(returns.mean(), abs=5 * np.sqrt(expected / 4_000))
    assert np.var(means) == pytest.approx(expected, rel=0.12)  # 5 standard errors
