"""The columns of the learning curve that say what the context does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from catch import CatchVector
from fake_encoders import FakeBank, wsa_spec

from wsabench.agents import load_spec
from wsabench.errors import CheckpointError
from wsabench.processes import single_thread
from wsabench.stats.context_effect import ContextEffect
from wsabench.training import DQNPreset, PPOPreset
from wsabench.training.algorithms import learner as learner_module
from wsabench.training.curve import WALL_COLUMNS, Curve
from wsabench.training.run import make_trainer
from wsabench.training.trainer import CONTEXT_COLUMNS, Trainer

PPO = PPOPreset(
    name="tiny", total_steps=96, num_envs=4, rollout_steps=8, minibatch_size=16, epochs=1, checkpoint_updates=1
)
DQN = DQNPreset(
    name="tiny", total_steps=96, num_envs=4, row_steps=32, replay_frames=200, batch_size=8, learning_starts=16,
    train_every=8, exploration_share=0.1, checkpoint_updates=1,
)  # fmt: skip
PRESETS = pytest.mark.parametrize("preset", [PPO, DQN], ids=["ppo", "dqn"])
FORMS = [{}, {"score_layer": "additive"}, {"kind": "dpa"}]


def make(directory: Path, preset: Any, **changes: Any) -> Trainer:
    bank: Any = FakeBank()
    return make_trainer(wsa_spec(**changes), preset, "catch", 0, CatchVector(4), bank, directory)


def run(directory: Path, preset: Any, updates: int = 3, **changes: Any) -> pd.DataFrame:
    directory.mkdir(exist_ok=True)
    with single_thread():
        trainer = make(directory, preset, **changes)
        if trainer.checkpoint_path.is_file():
            trainer.resume()
        else:
            trainer.start()
        while trainer.update < updates:
            trainer.run_and_record()
    return pd.read_csv(directory / "curve.csv").drop(columns=list(WALL_COLUMNS))


@PRESETS
@pytest.mark.parametrize("changes", FORMS, ids=["wsa", "additive", "dpa"])
def test_both_measures_are_in_the_curve_and_repeat_after_a_stop(preset: Any, changes: Any, tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", preset, **changes)
    assert list(whole.columns[-2:]) == list(CONTEXT_COLUMNS)
    assert whole["context_static_share"].between(0, 1).all()
    assert (whole["context_variance_share"] > 0).any()
    for stop in (1, 2):
        run(tmp_path / "halves", preset, stop, **changes)
    pd.testing.assert_frame_equal(run(tmp_path / "halves", preset, **changes), whole, check_exact=True)


@PRESETS
def test_measuring_changes_nothing_else(preset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = run(tmp_path / "with", preset)
    monkeypatch.setattr(learner_module, "measure_context", lambda *_: ContextEffect(0.0, 0.0, 0.0, 0))
    without = run(tmp_path / "without", preset)
    assert without["context_static_share"].isna().all()
    columns = [name for name in measured.columns if name not in CONTEXT_COLUMNS]
    pd.testing.assert_frame_equal(measured[columns], without[columns], check_exact=True)


def test_the_sample_of_an_update_is_bounded_and_of_the_network_that_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, torch.Tensor]] = []

    def measure(model: Any, comparisons: Any, _: Any) -> ContextEffect:
        seen.append((sum(len(one.keys) for one in comparisons), model.fusion.score.weight.detach().clone()))
        return ContextEffect(1.0, 0.0, 0.0, 1)

    monkeypatch.setattr(learner_module, "measure_context", measure)
    monkeypatch.setattr(learner_module, "CONTEXT_STEPS", 24)
    with single_thread():
        trainer = make(tmp_path, PPO)
        trainer.start()
        before = trainer.learner.model.fusion.score.weight.detach().clone()  # pyright: ignore
        trainer.run_and_record()
    ((number, weight),) = seen
    assert number == 16, "6 of 8 steps of 4 lanes fit, every second is kept"
    assert torch.equal(weight, before)
    assert not torch.equal(weight, trainer.learner.model.fusion.score.weight)  # pyright: ignore


@pytest.mark.parametrize("changes", [{"attention": "uniform"}, {"kind": "fix", "context": None}, None])
def test_agents_without_a_context_have_no_such_columns(changes: Any, tmp_path: Path) -> None:
    if changes is None:
        trainer = make_trainer(load_spec("e2e"), PPO, "catch", 0, CatchVector(4), None, tmp_path)
        trainer.start()
        row = trainer.run_and_record()
    else:
        trainer = make(tmp_path, PPO, **changes)
        trainer.start()
        row = trainer.run_and_record()
    assert not set(CONTEXT_COLUMNS) & row.keys()
    assert "context" not in (tmp_path / "curve.csv").read_text()


def test_a_curve_of_an_earlier_version_goes_on_with_its_columns(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", PPO)
    run(tmp_path / "old", PPO, 1)
    path = tmp_path / "old" / "curve.csv"
    lines = [line.rsplit(",", 2)[0] for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")
    pd.testing.assert_frame_equal(run(tmp_path / "old", PPO), whole.drop(columns=list(CONTEXT_COLUMNS)))
    assert "nan" not in path.read_text()


def test_other_columns_are_refused_as_before(tmp_path: Path) -> None:
    path = tmp_path / "curve.csv"
    path.write_text("steps,b\n1,2\n")
    Curve(path, ["steps", "b", "c"], num_later=1).cut(1)
    for columns, later in ((["steps", "b", "c"], 0), (["steps", "c"], 1), (["steps", "b", "c", "d"], 1)):
        with pytest.raises(CheckpointError, match="does not belong to the checkpoint beside it"):
            Curve(path, columns, num_later=later).cut(1)
