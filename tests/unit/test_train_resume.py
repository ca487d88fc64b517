"""A training run that is killed and resumed ends exactly where an undisturbed one does."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
from catch import CatchVector

from wsabench.agents import load_spec
from wsabench.errors import CheckpointError
from wsabench.training.curve import WALL_COLUMNS
from wsabench.training.presets import PPOPreset
from wsabench.training.run import make_trainer, one_thread
from wsabench.training.trainer import Trainer

PRESET = PPOPreset(
    name="tiny", total_steps=1280, num_envs=8, rollout_steps=16, minibatch_size=64, epochs=1, checkpoint_updates=3
)


def make(directory: Path, preset: PPOPreset = PRESET) -> Trainer:
    # Games of one to three balls: lost lives inside a game, and lanes whose games began at different steps.
    envs = CatchVector(preset.num_envs, rounds=3)
    return make_trainer(load_spec("e2e"), preset, "catch", 0, envs, None, directory)


def run(directory: Path, updates: int) -> Trainer:
    with one_thread():  # as `train` does: sums of several threads are rounded in another order
        trainer = make(directory)
        if trainer.checkpoint_path.is_file():
            trainer.resume()
        else:
            trainer.start()
        while trainer.update < updates:
            trainer.run_and_record()
    return trainer


def curve(directory: Path) -> pd.DataFrame:
    return pd.read_csv(directory / "curve.csv").drop(columns=list(WALL_COLUMNS))


def assert_same(one: Path, two: Path) -> None:
    pd.testing.assert_frame_equal(curve(one), curve(two), check_exact=True)
    tensors = [safetensors.torch.load_file(directory / "training.safetensors") for directory in (one, two)]
    assert tensors[0].keys() == tensors[1].keys()
    for name in tensors[0]:
        assert np.array_equal(tensors[0][name].numpy(), tensors[1][name].numpy()), name


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("undisturbed")
    run(directory, PRESET.num_updates)
    return directory


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_stopping_after_any_update_changes_nothing(stop: int, undisturbed: Path, tmp_path: Path) -> None:
    run(tmp_path, stop)
    run(tmp_path, PRESET.num_updates)
    assert_same(tmp_path, undisturbed)


def _train_to_the_end(directory: Path) -> None:
    run(directory, PRESET.num_updates)


def test_killing_at_random_moments_changes_nothing(undisturbed: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    generator = np.random.default_rng(0)
    for _ in range(4):
        child = context.Process(target=_train_to_the_end, args=(tmp_path,))
        child.start()
        time.sleep(generator.uniform(0.05, 0.8))
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    run(tmp_path, PRESET.num_updates)
    assert_same(tmp_path, undisturbed)


def test_another_job_is_refused(tmp_path: Path) -> None:
    run(tmp_path, 1)
    other = make(tmp_path, dataclasses.replace(PRESET, total_steps=2560))
    with pytest.raises(CheckpointError, match=r"belongs to another run: preset is .*start again without resume"):
        other.resume()


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    trainer = run(tmp_path, 3)
    trainer.checkpoint_path.write_bytes(trainer.checkpoint_path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="is damaged"):
        make(tmp_path).resume()


def test_lanes_of_another_emulator_are_refused(tmp_path: Path) -> None:
    run(tmp_path, 3)
    envs = CatchVector(PRESET.num_envs, rounds=1)
    with pytest.raises(CheckpointError, match="did not lead to the saved observations"):
        make_trainer(load_spec("e2e"), PRESET, "catch", 0, envs, None, tmp_path).resume()
