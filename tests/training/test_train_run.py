"""`train` and `export`: folders, files, locks and messages."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pandas as pd
import pytest
import torch
from catch import CatchVector

from wsabench.agents import load_agent, read_checkpoint
from wsabench.errors import CheckpointError, SpecError, StorageError, UnknownNameError
from wsabench.training import PRESETS, PPOPreset, export, load_preset, train
from wsabench.training.curve import Curve
from wsabench.training.export import thinned
from wsabench.training.presets import PRESETS as TABLE
from wsabench.training.run import locked

TINY = PPOPreset(name="compact", total_steps=256, num_envs=4, rollout_steps=16, minibatch_size=32, epochs=1)


@pytest.fixture(autouse=True)
def tiny_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TABLE, "compact", TINY)


class Recorder:
    def __init__(self) -> None:
        self.total, self.count, self.fields, self.finished = 0, 0, {}, False
        self.warnings: list[str] = []

    def start(self, task: str, total: int, unit: str) -> None:
        self.total, self.task, self.unit = total, task, unit

    def advance(self, n: int, **fields: float | str) -> None:
        self.count += n
        self.fields = fields

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def finish(self) -> None:
        self.finished = True


def catch(game: str, num_envs: int) -> CatchVector:
    return CatchVector(num_envs)


def test_a_run_leaves_an_agent_a_curve_and_reports_progress(tmp_path: Path) -> None:
    recorder, threads = Recorder(), torch.get_num_threads()
    path = train("e2e", "catch", 3, out=tmp_path / "run", reporter=recorder, make_envs=catch)
    assert (recorder.count, recorder.total, recorder.finished) == (256, 256, True)
    assert recorder.fields.keys() == {"steps/s", "return"}
    policy = load_agent(path, game="catch")
    assert (policy.abilities.train_seed, policy.meta.steps, policy.meta.num_actions) == (3, 256, 3)
    curve = pd.read_csv(path / "curve.csv")
    assert curve["steps"].tolist() == [64, 128, 192, 256]
    assert curve["learning_rate"].iloc[0] == TINY.learning_rate
    assert torch.get_num_threads() == threads


def test_the_default_folder_is_outside_the_source_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSABENCH_HOME", str(tmp_path))
    path = train("e2e", "catch", 1, steps=64, make_envs=catch)
    assert path == tmp_path / "training" / "catch" / "e2e-compact-seed1"


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    first = train("e2e", "catch", out=tmp_path, make_envs=catch)
    before = (first / "agent.safetensors").read_bytes()
    train("e2e", "catch", out=tmp_path, make_envs=catch)
    assert (first / "agent.safetensors").read_bytes() == before
    assert len(pd.read_csv(first / "curve.csv")) == 4


def test_starting_again_sets_the_old_run_aside_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("a\n")
    for _ in range(3):
        train("e2e", "catch", steps=64, out=tmp_path, resume=False, make_envs=catch)
    assert {path.name for path in tmp_path.glob("abandoned-*-curve.csv")} == {
        "abandoned-1-curve.csv",
        "abandoned-2-curve.csv",
    }
    assert (tmp_path / "mine.csv").is_file()


def test_another_run_in_the_folder_is_refused(tmp_path: Path) -> None:
    train("e2e", "catch", steps=64, out=tmp_path, make_envs=catch)
    with pytest.raises(CheckpointError, match="belongs to another run: train_seed is 0 there, 1 was asked for"):
        train("e2e", "catch", 1, steps=64, out=tmp_path, make_envs=catch)


def test_two_processes_never_train_in_one_folder(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(StorageError, match="Another process is training in"):
        train("e2e", "catch", out=tmp_path, make_envs=catch)


def test_pretrained_encoders_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"sr.safetensors is missing. .*wsabench pretrain"):
        train("wsa", "catch", out=tmp_path / "run", encoders=tmp_path, make_envs=catch)


def test_unknown_presets_name_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown training preset 'papr'. Did you mean 'paper'"):
        load_preset("papr")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_envs": 0}, "num_envs is 0. Allowed: integers from 1"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0. Allowed: above 0"),
        ({"discount": 1.1}, "discount is 1.1. Allowed: 0 to 1"),
        ({"minibatch_size": 200}, "a rollout has 64 steps, which minibatch_size 200 does not divide"),
    ],
)
def test_wrong_presets_are_explained(change: dict, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        dataclasses.replace(TINY, **change)


def test_presets_survive_a_round_trip() -> None:
    for preset in PRESETS.values():
        assert PPOPreset.from_dict(preset.to_dict()) == preset


def test_export_ships_the_network_and_a_thinned_curve(tmp_path: Path) -> None:
    run = train("e2e", "catch", 2, out=tmp_path / "run", make_envs=catch)
    path = export(run, tmp_path / "shipped" / "e2e-seed2.safetensors")
    assert read_checkpoint(path).content_hash == read_checkpoint(run / "agent.safetensors").content_hash
    shipped = pd.read_csv(tmp_path / "shipped" / "e2e-seed2-curve.csv")
    pd.testing.assert_frame_equal(shipped, pd.read_csv(run / "curve.csv"))


def test_export_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no training run"):
        export(tmp_path, tmp_path / "a.safetensors")


@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 488, 10_000])
def test_thinning_keeps_the_last_row_and_at_most_the_limit(count: int) -> None:
    lines = ["header", *map(str, range(count))]
    kept = thinned(lines, 200)
    assert kept[0] == "header"
    assert len(kept) - 1 == min(count, math.ceil(count / max(1, math.ceil(count / 200))))
    assert kept[-1] == lines[-1]


def test_a_curve_that_is_too_short_is_refused(tmp_path: Path) -> None:
    curve = Curve(tmp_path / "curve.csv", ["steps", "value"])
    curve.start()
    curve.append({"steps": 1, "value": 0.5})
    with pytest.raises(CheckpointError, match="does not belong to the checkpoint beside it. Expected: 2 rows"):
        curve.cut(2)
