"""A training run that is killed and resumed ends exactly where an undisturbed one does."""

from __future__ import annotations

import dataclasses
import functools
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
from catch import CatchVector

from wsabench.agents import load_spec
from wsabench.errors import CheckpointError, StorageError
from wsabench.processes import single_thread
from wsabench.training.curve import WALL_COLUMNS
from wsabench.training.evaluations import EvaluationPlan
from wsabench.training.presets import DQNPreset, PPOPreset
from wsabench.training.randomisation import Randomisation
from wsabench.training.run import TrainingPlan, build_trainer, make_trainer
from wsabench.training.trainer import Outlets, Trainer

PRESET = PPOPreset(
    name="tiny", total_steps=320, num_envs=4, rollout_steps=8, minibatch_size=16, epochs=1, checkpoint_updates=3
)
# The replay wraps around twice: 24 frames a lane, 80 steps of 7/6 frames or more.
DQN = DQNPreset(
    name="tiny",
    total_steps=320,
    num_envs=4,
    row_steps=32,
    replay_frames=24 * 4,
    batch_size=8,
    learning_starts=25,
    train_every=8,
    target_every=50,
    exploration_share=0.5,
    checkpoint_updates=3,
)
INVERTED = Randomisation(
    game="catch", suite=None, perturbations=("inverted", "clean"), hashes=("0", "1"), clean_share=0.2
)
EVALUATED = EvaluationPlan(every=75, episodes=5)
# A narrow network: what is kept and restored has the same names and kinds as a wide one's.
SPEC = dataclasses.replace(load_spec("e2e"), width=16)


class InvertedCatch(CatchVector):
    """Catch that can be drawn in black on white, lane by lane."""

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs, rounds=3)
        self._names = ["clean"] * num_envs
        self.played: list[str] = []

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Any:
        for lane, name in enumerate((options or {}).get("perturbations", [])):
            if name is not None:
                self._names[lane] = name
                self.played.append(name)
        return self._seen(super().reset(seed=seed, options=options))

    def step(self, actions: np.ndarray) -> Any:
        return self._seen(super().step(actions))

    def _seen(self, result: Any) -> Any:
        inverted = np.array([name == "inverted" for name in self._names])
        result[0][inverted] = 255 - result[0][inverted]
        return result


PLANS = {
    "ppo": (PRESET, None, EvaluationPlan()),
    "dqn": (DQN, None, EvaluationPlan()),
    "ppo-randomised": (PRESET, INVERTED, EVALUATED),
    "dqn-randomised": (DQN, INVERTED, EVALUATED),
}


def make(directory: Path, kind: str) -> Trainer:
    # Games of one to three balls: lost lives inside a game, and lanes whose games began at different steps.
    preset, randomisation, evaluations = PLANS[kind]
    spec = dataclasses.replace(SPEC, heads="q" if kind.startswith("dqn") else "actor_critic")
    plan = TrainingPlan(
        spec=spec, preset=preset, game="catch", train_seed=0, randomisation=randomisation, evaluations=evaluations
    )
    envs = InvertedCatch(preset.num_envs)
    return build_trainer(plan, envs, None, directory, Outlets(evaluation_envs=CatchVector(3, rounds=2, grid=4)))


def run(directory: Path, updates: int, kind: str = "ppo") -> Trainer:
    with single_thread():  # as `train` does: sums of several threads are rounded in another order
        trainer = make(directory, kind)
        if trainer.checkpoint_path.is_file():
            trainer.resume()
        else:
            trainer.start()
        while trainer.update < updates:
            trainer.run_and_record()
    return trainer


def table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path).drop(columns=list(WALL_COLUMNS), errors="ignore")


def assert_same(one: Path, two: Path) -> None:
    for path in one.glob("*.csv"):
        pd.testing.assert_frame_equal(table(path), table(two / path.name), check_exact=True)
    assert (one / "evaluations.csv").exists() == (two / "evaluations.csv").exists()
    tensors = [safetensors.torch.load_file(directory / "training.safetensors") for directory in (one, two)]
    assert tensors[0].keys() == tensors[1].keys()
    for name in tensors[0]:
        assert np.array_equal(tensors[0][name].numpy(), tensors[1][name].numpy()), name
    for path in one.glob("best.safetensors"):
        best = [safetensors.torch.load_file(directory / path.name) for directory in (one, two)]
        assert all(np.array_equal(best[0][name].numpy(), best[1][name].numpy()) for name in best[0])


Undisturbed = Callable[[str], Path]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Give the folder of a run of a kind that was never stopped; each is played once, when it is asked for."""

    @functools.cache
    def played(kind: str) -> Path:
        directory = tmp_path_factory.mktemp(kind)
        run(directory, PRESET.num_updates, kind)
        return directory

    return played


# A run that is randomised and evaluated has all that one without has, and more to go wrong.
PLAINER = pytest.param("ppo", 5, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("kind", "stop"),
    [("ppo", 1), ("ppo", 3), PLAINER, ("dqn", 6), ("dqn", 8), ("ppo-randomised", 5), ("dqn-randomised", 5)],
)
def test_stopping_after_any_update_changes_nothing(
    kind: str, stop: int, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    run(tmp_path, stop, kind)
    run(tmp_path, PRESET.num_updates, kind)
    assert_same(tmp_path, undisturbed(kind))


def test_the_runs_compared_here_learn_and_differ(undisturbed: Undisturbed) -> None:
    curves = {kind: table(undisturbed(kind) / "curve.csv") for kind in PLANS}
    assert all(len(curve) == PRESET.num_updates for curve in curves.values())
    assert curves["dqn"]["gradients"].sum() == (320 // 8) - (25 // 8)
    # Wrapped around: fewer steps than were played.
    assert curves["dqn"]["replay_steps"].iloc[-1] < 24 * 4
    for one, two in (("ppo", "ppo-randomised"), ("dqn", "dqn-randomised")):
        assert not curves[one].equals(curves[two])
    assert len(table(undisturbed("ppo-randomised") / "evaluations.csv")) == 4


def _train_to_the_end(directory: Path, kind: str) -> None:
    run(directory, PRESET.num_updates, kind)


@pytest.mark.parametrize("kind", ["ppo", "dqn-randomised"])
def test_killing_at_random_moments_changes_nothing(kind: str, undisturbed: Undisturbed, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    generator = np.random.default_rng(0)
    for _ in range(4):
        child = context.Process(target=_train_to_the_end, args=(tmp_path, kind))
        child.start()
        time.sleep(generator.uniform(0.02, 0.2))
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    run(tmp_path, PRESET.num_updates, kind)
    assert_same(tmp_path, undisturbed(kind))


@pytest.mark.slow  # runs that go on are compared with undisturbed ones above: theirs is the same seed too
@pytest.mark.parametrize("kind", ["dqn", "ppo-randomised"])
def test_the_same_seed_gives_the_same_curve(kind: str, undisturbed: Undisturbed, tmp_path: Path) -> None:
    run(tmp_path, PRESET.num_updates, kind)
    assert_same(tmp_path, undisturbed(kind))


def test_another_job_is_refused(tmp_path: Path) -> None:
    run(tmp_path, 1)
    other = make_trainer(
        SPEC,
        dataclasses.replace(PRESET, total_steps=640),
        "catch",
        0,
        InvertedCatch(PRESET.num_envs),
        None,
        tmp_path,
    )
    with pytest.raises(CheckpointError, match=r"belongs to another run: preset is .*start again without resume"):
        other.resume()


def test_the_value_s_weight_of_the_format_before_counted_half(tmp_path: Path) -> None:
    def trainer(coefficient: float) -> Trainer:
        preset = dataclasses.replace(PRESET, value_coefficient=coefficient)
        return make_trainer(SPEC, preset, "catch", 0, InvertedCatch(PRESET.num_envs), None, tmp_path)

    trainer(0.5).start()
    path = tmp_path / "training.safetensors"
    with safetensors.safe_open(path, "pt") as file:
        header = file.metadata() | {"format": "wsabench-training-2"}
    safetensors.torch.save_file(safetensors.torch.load_file(path), path, metadata=header)
    resumed = trainer(0.25)
    resumed.resume()
    resumed.save()
    trainer(0.25).resume()
    with pytest.raises(CheckpointError, match=r"belongs to another run: preset is .*'value_coefficient': 0.25"):
        trainer(0.5).resume()


def test_another_algorithm_is_refused(tmp_path: Path) -> None:
    run(tmp_path, 1)
    with pytest.raises(CheckpointError, match=r"belongs to another run: algorithm is 'ppo' there, 'dqn' was asked for"):
        make(tmp_path, "dqn").resume()


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    trainer = run(tmp_path, 3)
    trainer.checkpoint_path.write_bytes(trainer.checkpoint_path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="is damaged"):
        make(tmp_path, "ppo").resume()


def test_a_replay_without_its_frames_is_refused(tmp_path: Path) -> None:
    run(tmp_path, 3, "dqn")
    (tmp_path / "replay.frames").unlink()
    with pytest.raises(CheckpointError, match="frames do not belong to the checkpoint"):
        make(tmp_path, "dqn").resume()


def test_lanes_of_another_emulator_are_refused(tmp_path: Path) -> None:
    run(tmp_path, 3)
    envs = CatchVector(PRESET.num_envs, rounds=1)
    with pytest.raises(CheckpointError, match="did not lead to the saved observations"):
        make_trainer(SPEC, PRESET, "catch", 0, envs, None, tmp_path).resume()


def test_a_full_disk_is_said_and_the_checkpoint_of_before_is_kept(tmp_path: Path) -> None:
    trainer = run(tmp_path, 1)
    before = trainer.checkpoint_path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))  # as a disk with 10 kB left
    try:
        with pytest.raises(StorageError, match=r"Cannot write .*safetensors: .*File too large.*Free space"):
            trainer.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert trainer.checkpoint_path.read_bytes() == before
