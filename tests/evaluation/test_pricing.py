"""The price of a plan: lengths from a cut sample, a run in fast motion, and a dry run that writes nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from wsabench.cli import main
from wsabench.errors import SpecError
from wsabench.evaluation.plan import RunOptions
from wsabench.evaluation.pricing import price
from wsabench.evaluation.pricing.lengths import Lengths, Seen
from wsabench.evaluation.pricing.schedule import Cost, duration_of
from wsabench.results import load_result

GROUPS = {"clean": 900.0, "a": 500.0, "b": 350.0, "c": 250.0, "d": 700.0, "e": 420.0}
"""Scales of made-up games by cell."""


def cut_sample(rng: np.random.Generator, depth: int, number: int) -> list[Seen]:
    """Episodes of a Weibull distribution of shape 2 that are cut at a depth."""
    found = []
    for group, scale in GROUPS.items():
        for length in np.ceil(scale * rng.weibull(2.0, number)):
            found.append(Seen(group, int(min(length, depth)), bool(length <= depth)))
    return found


@pytest.mark.parametrize("depth", [400, 700, 1500])
def test_lengths_of_a_cut_sample_are_those_of_the_whole(depth: int) -> None:
    """Simulated: the mean is near the truth on average, and a 95% range of draws holds it nearly always."""
    rng = np.random.default_rng(depth)
    truth = np.mean([scale * 0.886227 for scale in GROUPS.values()])  # gamma(1.5), the mean of shape 2
    errors, held, naive = [], [], []
    for _ in range(60):
        sample = cut_sample(rng, depth, 4)
        lengths = Lengths(sample, 27_000)
        groups = [group for group in GROUPS for _ in range(60)]
        draws = [lengths.law(rng).draw(groups, np.zeros(len(groups))).mean() for _ in range(60)]
        errors.append(np.median(draws) / truth - 1)
        low, high = np.quantile(draws, [0.025, 0.975])
        held.append(low <= truth <= high)
        naive.append(np.mean([one.steps for one in sample if one.is_ended]) / truth - 1)
    assert abs(np.median(errors)) < 0.12
    assert np.mean(np.abs(errors)) < 0.25
    assert np.mean(held) >= 0.85
    if depth == 400:
        assert np.mean(naive) < -0.3, "without the episodes that still go on"


def test_draws_go_on_from_where_an_episode_is_and_end_at_the_limit() -> None:
    rng = np.random.default_rng(0)
    lengths = Lengths(cut_sample(rng, 600, 4), 1000)
    reached = np.array([0.0, 500.0, 999.0, 1000.0])
    draws = np.stack([lengths.law(rng).draw(["clean"] * 4, reached) for _ in range(200)])
    assert (draws >= reached).all()
    assert draws.max() <= 1000
    assert (draws[:, 0] < 500).any()
    unseen = lengths.law(rng).draw(["unheard of"] * 100, np.zeros(100))
    assert unseen.min() >= 1


@pytest.mark.parametrize("is_ended", [True, False])
def test_one_episode_is_a_sample(is_ended: bool) -> None:
    lengths = Lengths([Seen("clean", 300, is_ended)], 27_000)
    draws = lengths.law(np.random.default_rng(0)).draw(["clean", "b"], np.array([0.0, 0.0]))
    assert np.isfinite(draws).all()


@pytest.mark.parametrize(("lives", "truth"), [(5, 300), (5, 661), (5, 3000), (1, 300), (1, 2048), (3, 700)])
def test_a_sample_that_was_cut_after_few_steps_does_not_pull_lengths_down(lives: int, truth: int) -> None:
    rng = np.random.default_rng(lives)
    sample = [Seen(group, 4, is_ended=False) for group in GROUPS for _ in range(3)]
    left = np.full(len(GROUPS) * 5, lives)

    def means(usual: float) -> np.ndarray:
        lengths, groups = Lengths(sample, 27_000, usual), [group for group in GROUPS for _ in range(5)]
        reached = np.full(len(left), 4.0)
        return np.array([lengths.law(rng).draw(groups, reached, reached, left).mean() for _ in range(60)])

    drawn = means(500 / lives)
    spread = 2 * np.log(drawn).std()
    assert abs(np.log(np.median(drawn) / truth)) < spread, "the range that a price tells"
    assert np.median(means(0.0)) < 200, "without it"


def test_few_lives_that_ended_are_short_ones_and_do_not_pull_lengths_down_either() -> None:
    held, middles = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        sample = cut_sample(rng, 60, 4)
        assert sum(one.is_ended for one in sample) < 10
        law, groups = Lengths(sample, 27_000, 500.0), list(GROUPS) * 20
        drawn = np.array([law.law(rng).draw(groups, np.zeros(len(groups))).mean() for _ in range(60)])
        truth = np.mean([scale * 0.886227 for scale in GROUPS.values()])
        middles.append(np.median(drawn) / truth)
        held.append(abs(np.log(middles[-1])) < 2 * np.log(drawn).std())
    assert np.mean(held) >= 0.95
    assert min(middles) > 0.8, "0.35 without what is usual"
    assert max(middles) < 4.0, "these games are half as long as usual"


def test_a_run_in_fast_motion_takes_what_it_must() -> None:
    cost = Cost(turn=0.01, step=0.001, load=2.0)
    sixteen = [np.full(16, 100.0)]
    assert duration_of(sixteen, [cost], 1).seconds == pytest.approx(2 + 100 * (0.01 + 16 * 0.001))
    # Eight lanes each: the forward pass is paid twice, at the same time.
    assert duration_of(sixteen, [cost], 2).seconds == pytest.approx(2 + 100 * (0.01 + 8 * 0.001))
    assert duration_of([np.array([10.0, 30.0])], [cost], 1).seconds == pytest.approx(2 + 10 * 0.012 + 20 * 0.011)
    two = [np.full(16, 100.0), np.full(16, 200.0)]
    assert duration_of(two, [cost, cost], 1).seconds == pytest.approx(4 + 300 * 0.026)


def test_many_episodes_take_about_as_long_followed_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    lengths = [rng.integers(100, 1500, 1200).astype(float) for _ in range(2)]
    costs = [Cost(0.01, 0.001, 1.0), Cost(0.02, 0.001, 3.0)]
    for workers in (1, 2):
        followed = duration_of(lengths, costs, workers).seconds
        monkeypatch.setattr("wsabench.evaluation.pricing.schedule.MOST_EPISODES", 10)
        assert duration_of(lengths, costs, workers).seconds == pytest.approx(followed, rel=0.06)
        monkeypatch.undo()


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Price in seconds."""
    monkeypatch.setattr(sys.modules[price.__module__], "SECONDS", 1.0)


@pytest.mark.e2e
@pytest.mark.slow
def test_a_dry_run_writes_nothing_and_says_what_a_run_would_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], hurry: None
) -> None:
    here, home = tmp_path / "here", tmp_path / "home"
    here.mkdir()
    monkeypatch.chdir(here)
    for name in ("HOME", "WSABENCH_HOME", "TMPDIR", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(home))
    home.mkdir()
    words = ["run", "--suite", "smoke", "--agents", "noop,random", "--episodes", "3", "--workers", "1"]
    assert main([*words, "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [path for path in tmp_path.rglob("*") if path not in (here, home)] == []
    wanted = {"jobs", "cells", "episodes", "hours", "hours_low", "hours_high", "disk_bytes", "memory_bytes"}
    assert wanted | {"by_workers"} <= told.keys()
    parts = told["parts"]
    in_parts = parts["setup_seconds"] + parts["own_play_seconds"] + parts["play_seconds"]
    assert in_parts == pytest.approx(told["hours"] * 3600, rel=0.05)
    assert parts["mean_lengths"].keys() == {"noop", "random"}
    assert 0 < told["hours_low"] < told["hours"] < told["hours_high"]
    assert told["by_workers"]["1"] == told["hours"]
    assert told["by_workers"]["4"] <= told["hours"] * 1.05
    assert told["memory_bytes"] > 100e6

    assert main([*words, "--out", "run", "--json"]) == 0
    result = load_result("run")
    assert (told["jobs"], told["episodes"]) == (len(result.manifest.plan.jobs), len(result.episodes))
    assert told["cells"] == len({(job.game, job.perturbation) for job in result.manifest.plan.jobs})
    files = [path for path in Path("run").rglob("*") if path.is_file()]
    on_disk = sum(-(-path.stat().st_size // 4096) * 4096 for path in files)
    assert told["disk_bytes"] == pytest.approx(on_disk, rel=0.3)


@pytest.mark.e2e
def test_a_price_of_a_part_is_of_its_jobs(hurry: None) -> None:
    options = RunOptions(suite="smoke", agents=("noop",), episodes=2)
    assert (price(options, 1, shard="3/4").jobs, price(options, 1, shard="1/4").jobs) == (1, 2)
    with pytest.raises(SpecError, match="only its pilot tells"):
        price(RunOptions(suite="smoke", agents=("noop",), precision=0.1, max_episodes=20), 1)
    with pytest.raises(SpecError, match="has no job"):
        price(options, 1, shard="9/9")


@pytest.mark.e2e
def test_a_price_for_machines_is_on_standard_output(hurry: None, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "--suite", "smoke", "--agents", "noop", "--episodes", "2", "--workers", "1", "--shard", "3/4"]
    assert main([*words, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["jobs"] == 1


@pytest.mark.e2e
def test_a_dry_run_refuses_what_the_run_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["run", "--suite", "smoke", "-a", "noop", "--perturbations", "clean", "--episodes", "1", "--workers", "0"]
    assert main([*words, "--protocol", "max_frames=40", "--out", "played"]) == 0
    Path("photos").mkdir()
    Path("photos/cat.txt").write_text("a cat")
    Path("file").write_text("mine")
    capsys.readouterr()
    for more in (
        ["--out", "photos"],
        ["--out", "file"],
        ["--out", "file/run"],
        ["--out", "played"],
        ["--out", "played", "--protocol", "max_frames=40", "--seed", "5"],
        ["--address", "1.2.3.4:5"],
        ["--executor", "rey"],
        ["--executor", "ray", "--launcher", "local"],
        ["--launcher", "slurm", "--out", "new"],
        ["--launcher-option", "shards=2"],
        ["--launcher", "local", "--launcher-option", "shards=2", "--out", "photos"],
    ):
        before = sorted(Path().rglob("*"))
        told = []
        for dry in (["--dry-run"], []):
            assert main([*words, *more, *dry]) == 2, (more, dry)
            told.append(capsys.readouterr().err)
        if more != ["--out", "file/run"]:  # here it cannot be created, there nothing is written into it
            assert told[0] == told[1], more
        assert told[0].count("error: ") == 1
        assert "file" in told[0] or "file/run" not in more
        assert sorted(Path().rglob("*")) == before


BAD = """
import os, time
import numpy as np

class Leaving:
    num_steps = 0

    def act(self, observations, lanes):
        self.num_steps += 1
        if self.num_steps > 5:
            os._exit(0)
        return np.zeros(len(observations), np.int64)

def sleeping(observations):
    time.sleep(3600)

def raising(observations):
    raise ValueError("mine")

def still(observations):
    return np.zeros(len(observations), np.int64)

def slow(observations):
    time.sleep(0.4)
    return still(observations)

def make(game, train_seed):
    return Leaving() if train_seed == 1 else still
"""


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "workers", "text"),
    [
        ("sleeping", "1", "bad (train seed 0) on breakout: no answer came in time when it was shown two steps"),
        ("Leaving", "1", "bad (train seed 0) on breakout: its process ended with exit code 0."),
        ("Leaving", "2", "bad (train seed 0) on breakout: its process ended with exit code 0."),
        ("raising", "1", "The agent 'bad' failed on breakout, step 1: ValueError: mine"),
        ("raising", "0", "The agent 'bad' failed on breakout, step 1: ValueError: mine"),
        ("still", "0", ""),
    ],
)
def test_a_dry_run_of_an_agent_that_fails_or_hangs_gets_one_message(
    name: str,
    workers: str,
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    hurry: None,
) -> None:
    (tmp_path / "bad_policies.py").write_text(BAD, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    words = ["run", "--suite", "smoke", "--agents", f"bad=bad_policies:{name},random", "--perturbations", "clean"]
    words += ["--episodes", "1", "--workers", workers, "--worker-timeout", "10", "--dry-run"]
    assert main(words) == (2 if text else 0)
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert told.count("error: ") == bool(text)
    assert text in told


@pytest.mark.e2e
@pytest.mark.slow
def test_an_agent_that_hangs_beside_one_that_plays_is_not_priced_like_that_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], hurry: None
) -> None:
    (tmp_path / "stopping_policies.py").write_text(BAD.replace("os._exit(0)", "time.sleep(3600)"), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("wsabench.evaluation.pricing.probe._MOST_PATIENCE_SECONDS", 10.0)
    words = ["run", "--suite", "smoke", "--agents", "bad=stopping_policies:Leaving,random", "--perturbations", "clean"]
    assert main([*words, "--episodes", "1", "--workers", "2", "--dry-run"]) == 2
    assert "bad (train seed 0) on breakout: did not get on in the time of a price." in capsys.readouterr().err


@pytest.mark.e2e
@pytest.mark.slow
def test_a_train_seed_that_hangs_is_named_after_the_price_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], hurry: None
) -> None:
    (tmp_path / "half_policies.py").write_text(BAD.replace("os._exit(0)", "time.sleep(3600)"), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys.modules[price.__module__], "_LEAST_SLICE_SECONDS", 1.0)
    words = ["run", "--suite", "smoke", "--agents", "bad=python:half_policies:make", "--perturbations", "clean"]
    assert main([*words, "--train-seeds", "0,1", "--episodes", "1", "--workers", "2", "--dry-run", "--json"]) == 2
    told = capsys.readouterr()
    assert "bad (train seed 1) on breakout: did not get on in the time of a price" in told.err
    assert "train seed 0" not in told.err
    assert "Traceback" not in told.err
    price_of_both = json.loads(told.out)
    assert (price_of_both["jobs"], price_of_both["episodes"]) == (2, 2)
    assert price_of_both["complaint"] in " ".join(told.err.split())


@pytest.mark.e2e
@pytest.mark.slow
def test_an_agent_too_slow_to_end_a_life_is_priced_as_usual_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], hurry: None
) -> None:
    (tmp_path / "slow_policies_here.py").write_text(BAD, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    words = ["run", "--suite", "smoke", "--agents", "slow=slow_policies_here:slow,random", "--perturbations", "clean"]
    assert main([*words, "--episodes", "16", "--workers", "2", "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert any(note.startswith("slow: fewer than 10 lives of games ended") for note in found["notes"])
    assert found["parts"]["mean_lengths"]["slow"] > 200, "16 lanes made a few steps each"
    longest = 500 * 0.4 / 3600
    assert found["hours_low"] < 0.9 * longest
    assert longest < found["hours_high"]
