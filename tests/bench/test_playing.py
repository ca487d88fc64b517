"""The bench of play: whole runs say where their time goes, turns what was played, and the peer has the same network."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fake_bench import TASKS, FakeLanes, ListSource, PlainPolicy

from wsabench.agents import wrap_policy
from wsabench.bench import playing
from wsabench.bench.playing_peer import CELLS, CLEAN, HUE, NOISE, PEER, make_env, perturbers, state_dict
from wsabench.bench.playing_seats import PLAY, EndlessTasks, obey
from wsabench.cli import main
from wsabench.evaluation.rollout import play
from wsabench.evaluation.timing import TIMES_FOLDER, Times, read_times
from wsabench.results.records import EpisodeOutcome
from wsabench.seeding import evaluation_seed


class SlowLanes(FakeLanes):
    """Lanes whose steps take a while."""

    def episode_return(self, row: int) -> float:
        raise AssertionError("nobody keeps steps")

    def step(self, row: int, action: int) -> Any:
        time.sleep(0.001)
        return super().step(row, action)


def test_a_process_that_is_asked_says_where_its_time_went(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wsabench.evaluation import timing

    monkeypatch.setattr(timing, "_TIMER", [])
    monkeypatch.setenv(TIMES_FOLDER, str(tmp_path))
    outcomes: list[EpisodeOutcome] = []
    counted: list[int] = []
    play(wrap_policy(PlainPolicy()), SlowLanes(4), ListSource(TASKS), outcomes.append, counted.append)
    (found,) = read_times(tmp_path)
    assert (tmp_path / f"{os.getpid()}.json").is_file()
    # From the end of the first decision on, so every step counts and the first decision does not.
    assert found.steps == sum(counted) == sum(outcome.length for outcome in outcomes)
    assert found.turns == len(counted) - 1
    assert found.lanes >= 0.001 * found.steps
    assert 0.5 < found.utilisation() <= 1.0
    assert found.utilisation(found.ended + 9 * (found.ended - found.begun)) == pytest.approx(found.utilisation() / 10)
    monkeypatch.delenv(TIMES_FOLDER)
    untimed: list[EpisodeOutcome] = []
    play(wrap_policy(PlainPolicy()), FakeLanes(4), ListSource(TASKS), untimed.append, lambda _: None)
    assert [outcome[:5] for outcome in untimed] == [outcome[:5] for outcome in outcomes]
    assert read_times(tmp_path) == [found]


def test_no_time_is_no_utilisation() -> None:
    assert Times(5.0, 5.0, 1.0, 1.0, 1, 1).utilisation() == 0.0


def test_workers_share_out_episodes_in_which_all_cells_are_played_alike() -> None:
    tasks = [task for number in range(2) for task in EndlessTasks("pong", CELLS, number, 2).take(6).tasks]
    played = sorted((task.episode, task.perturbation, task.episode_seed) for task in tasks)
    assert played == sorted((n, cell, evaluation_seed("pong", n)) for n in range(4) for cell in CELLS)


@contextmanager
def two_lanes_here(number: int, *_: Any) -> Iterator[list[Any]]:
    """Workers as threads of this process with two lanes each; processes would load for seconds."""
    pipes = [Pipe() for _ in range(number)]
    threads = [threading.Thread(target=obey, args=(there, 2), daemon=True) for _, there in pipes]
    for thread in threads:
        thread.start()
    yield [SimpleNamespace(number=index, connection=here) for index, (here, _) in enumerate(pipes)]
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def test_the_bench_of_play_measures_a_run_and_its_parts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from wsabench.evaluation import timing

    monkeypatch.setattr(timing, "_TIMER", [])
    monkeypatch.setattr(playing, "started", two_lanes_here)
    monkeypatch.setattr(playing, "missing_library", lambda peer: f"{peer}: gone")
    lengths: list[int] = []
    original = playing.run

    def short_run(**options: Any) -> Any:
        assert options["perturbations"] == list(CELLS)
        found = original(**options, protocol={"max_frames": 240})
        lengths.extend(found.episodes["length"])
        return found

    monkeypatch.setattr(playing, "run", short_run)
    words = ["--agent", "random", "--episodes", "2", "--rounds", "1", "--seconds", "0.1", "--workers", "1"]
    assert main(["bench", "run", *words, "--json"]) == 0
    told = capsys.readouterr()
    assert f"{PEER}: gone" in told.err
    rows = json.loads(told.out)["rows"]
    value = {(row["name"], row["unit"]): row["value"] for row in rows}
    worker = "whole run: worker 0: "
    assert value[f"{worker}steps", "steps"] == sum(lengths) > 0
    assert 0.0 < value[f"{worker}utilisation", "share"] <= 1.0
    parts = value[f"{worker}lanes", "share"] + value[f"{worker}network", "share"]
    assert parts == pytest.approx(value[f"{worker}utilisation", "share"])
    assert value[f"{worker}full lanes", "share"] <= 6 / 16 * 1.05  # six episodes in sixteen lanes
    assert value[f"{worker}start-up", "s"] > 0
    lanes, network, bound = (value[name, "steps/s"] for name in ("lanes alone", "network alone", playing.BOUND))
    assert bound == pytest.approx(1 / (1 / lanes + 1 / network))
    (main_job,) = [row for row in rows if (row["name"], row["unit"]) == (PLAY, "steps/s")]
    assert main_job["peer"] == playing.BOUND
    assert main_job["ratio"] == pytest.approx(main_job["value"] / bound)
    assert value[PLAY, "steps/hour"] == pytest.approx(3600 * main_job["value"])
    assert 0.0 < value[f"{PLAY}: worker 0: utilisation", "share"] <= 1.0
    assert not any(row["name"].startswith(PEER) for row in rows)


def test_wrong_numbers_of_environments_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "run", "--envs", "0"]) == 2
    assert "--envs holds '0'. Allowed: whole numbers from 1" in capsys.readouterr().err


def test_the_peer_changes_frames_as_the_catalogue_says() -> None:
    frame = np.zeros((210, 160, 3), np.uint8)
    frame[..., 0] = 200
    changed = {cell: change(frame) for cell, change in perturbers(0).items()}
    assert (changed[CLEAN] == frame).all()
    # 108 degrees lie between yellow (60, all red) and green (120, no red): a fifth of the red is left.
    assert changed[HUE][0, 0].tolist() == pytest.approx([40, 200, 0], abs=1)
    noise = changed[NOISE][..., 0].astype(float) - 200
    assert np.quantile(noise, 0.16) == pytest.approx(-0.18 * 255, rel=0.03)


def test_the_peers_weights_are_the_agents_in_the_order_of_channels_first() -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(5, 64, 7, 7)).astype(np.float32)
    names = ("conv1", "conv2", "conv3", "linear", "heads.policy.0", "heads.value.0")
    weights = {f"{name}.{part}": np.zeros(1, np.float32) for name in names for part in ("weight", "bias")}
    weights["linear.weight"] = rng.normal(size=(8, 3136)).astype(np.float32)
    ours = maps.transpose(0, 2, 3, 1).reshape(5, -1) @ weights["linear.weight"].T
    theirs = maps.reshape(5, -1) @ state_dict(weights)["features_extractor.linear.0.weight"].T
    np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-4)


@pytest.mark.extra
def test_the_peer_plays_the_same_network_and_the_best_of_its_ways_takes_turns() -> None:
    env = make_env("breakout", 0)
    assert env.observation_space.shape == (84, 84, 1)
    env.close()
    rows = playing.benchmark_run(num_rounds=1, seconds=0.6, workers=1, episodes=1, peer_envs=(1, 2), peer_threads=(1,))
    found = {(row["name"], row["peer"]): row for row in rows}
    for number in (1, 2):
        assert found[f"{PEER}: {number} environments, torch threads: 1", ""]["value"] > 0
    assert found[f"{PEER}: greedy actions as ours", ""]["value"] > 0.9
    ratio = found[PLAY, PEER]["ratio"]
    assert ratio == pytest.approx(found[PLAY, PEER]["value"] / found[PEER, ""]["value"])
    assert (ratio or 0) > 1
