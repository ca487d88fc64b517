"""What a rollout records: cut episodes, attention, dead attention."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from catch import CatchVector
from fake_encoders import FakeBank, wsa_spec

from wsabench.agents import half_precision, load_spec
from wsabench.errors import SpecError
from wsabench.processes import single_thread
from wsabench.progress import SilentReporter
from wsabench.seeding import training_seed
from wsabench.training import DQNPreset, PPOPreset
from wsabench.training.algorithms.ppo import PPOLearner, Rollout
from wsabench.training.run import make_trainer
from wsabench.training.trainer import DEAD_ATTENTION, Trainer, attention_figures

PRESET = PPOPreset(name="tiny", total_steps=640, num_envs=4, rollout_steps=8, minibatch_size=16, epochs=1)


class Listener(SilentReporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def played(trainer: Trainer) -> Rollout:
    assert isinstance(trainer.learner, PPOLearner)
    return trainer.learner.play()[0]


def test_a_cut_episode_is_credited_with_the_value_of_its_last_observation(tmp_path: Path) -> None:
    # After 4 of 6 rows the game is cut: no reward yet, so the step's reward is the discounted value alone.
    trainer = make_trainer(load_spec("e2e"), PRESET, "catch", 0, CatchVector(4, max_steps=4), None, tmp_path)
    trainer.start()
    with single_thread():
        rollout = played(trainer)
    envs = CatchVector(4, max_steps=4)
    envs.reset(seed=[training_seed(0, "lane", lane, "game", 0) for lane in range(4)])
    for step in range(4):
        final = envs.step(rollout.actions[step].numpy())[0]
    model = trainer.learner.model
    with single_thread(), torch.no_grad(), half_precision():
        values = model(model.prepare(torch.from_numpy(final), None)).value
    assert rollout.ended[[3, 7]].all()
    assert not rollout.ended[[0, 1, 2, 4, 5, 6]].any()
    assert torch.equal(rollout.rewards[:3], torch.zeros(3, 4))
    torch.testing.assert_close(rollout.rewards[3], 0.99 * values)


def test_an_observation_is_prepared_once_though_it_ends_a_rollout_and_begins_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(load_spec("e2e"), PRESET, "catch", 0, CatchVector(4), None, tmp_path)
    trainer.start()
    player, seen = trainer.learner.player, []
    prepare = player.prepare
    monkeypatch.setattr(player, "prepare", lambda *inputs: seen.append(inputs[0].copy()) or prepare(*inputs))
    last, first = played(trainer), None
    assert len(seen) == 9
    first = played(trainer)
    assert len(seen) == 17
    assert first is last, "the rollout's memory is used again"
    with half_precision():
        assert torch.equal(first.features["blocks"][0], prepare(seen[8])["blocks"])
    trainer.learner.restore({})
    played(trainer)
    assert len(seen) == 26, "what was restored is prepared anew"


def test_rewards_of_lost_and_won_episodes_stay_as_they_are(tmp_path: Path) -> None:
    trainer = make_trainer(load_spec("e2e"), PRESET, "catch", 0, CatchVector(4), None, tmp_path)
    trainer.start()
    rollout = played(trainer)
    assert set(rollout.rewards[5].tolist()) <= {-1.0, 1.0}
    assert rollout.ended[5].all()


def test_the_curve_shows_each_encoders_attention_and_warns_when_it_is_dead(tmp_path: Path) -> None:
    trainer = make_trainer(
        wsa_spec(score_activation="relu"),
        PRESET,
        "catch",
        0,
        CatchVector(4),
        FakeBank(),  # pyright: ignore[reportArgumentType]
        tmp_path,
    )
    trainer.start()
    reporter = Listener()
    row = trainer.run_and_record(reporter)
    assert row["attention_vector"] + row["attention_map"] == pytest.approx(1, abs=1e-5)
    assert row["attention_dead"] == 0
    assert reporter.warnings == []
    with torch.no_grad():
        trainer.learner.model.fusion.score.bias.fill_(-1000.0)  # pyright: ignore
    for _ in range(2):
        row = trainer.run_and_record(reporter)
        assert row["attention_dead"] == 1
    assert reporter.warnings == [DEAD_ATTENTION], "it is told once"
    header = (tmp_path / "curve.csv").read_text().splitlines()[0]
    assert header.endswith(
        "attention_vector,attention_map,attention_entropy,attention_dead,context_static_share,context_variance_share"
    )


def test_attention_entropy_is_that_of_the_weights() -> None:
    weights = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    figures = attention_figures(weights, ("a", "b"))
    assert figures["attention_a"] == 0.75
    assert figures["attention_entropy"] == pytest.approx(np.log(2) / 2)


def test_attention_that_is_uniform_by_chance_or_alone_is_not_dead(tmp_path: Path) -> None:
    # A single encoder has the weight 1 whatever its score: nothing is wrong.
    trainer = make_trainer(
        wsa_spec(encoders=("map",)),
        PRESET,
        "catch",
        0,
        CatchVector(4),
        FakeBank(),  # pyright: ignore[reportArgumentType]
        tmp_path,
    )
    trainer.start()
    row = trainer.run_and_record()
    assert (row["attention_map"], row["attention_dead"]) == (1, 0)


def test_dqn_warns_of_dead_attention_too(tmp_path: Path) -> None:
    preset = DQNPreset(name="tiny", num_envs=4, row_steps=16, replay_frames=400, batch_size=8, learning_starts=16)
    bank = FakeBank()
    trainer = make_trainer(
        wsa_spec(score_activation="relu"),
        preset,
        "catch",
        0,
        CatchVector(4),
        bank,  # pyright: ignore[reportArgumentType]
        tmp_path,
    )
    trainer.start()
    reporter = Listener()
    rows = [trainer.run_and_record(reporter) for _ in range(2)]
    assert [row["gradients"] for row in rows] == [1, 4]
    assert [row["attention_dead"] for row in rows] == [0, 0]
    with torch.no_grad():
        trainer.learner.model.fusion.score.bias.fill_(-1000.0)  # pyright: ignore
    assert trainer.run_and_record(reporter)["attention_dead"] == 1
    assert reporter.warnings == [DEAD_ATTENTION]


def test_dqn_refuses_encoders_that_read_what_its_replay_does_not_hold(tmp_path: Path) -> None:
    bank = FakeBank()
    bank.required_inputs = ("ram",)  # pyright: ignore[reportAttributeAccessIssue]
    preset = DQNPreset(name="tiny", num_envs=4, row_steps=16, replay_frames=400)
    with pytest.raises(SpecError, match="its encoders read ram, and the replay holds luminance frames only"):
        make_trainer(wsa_spec(), preset, "catch", 0, CatchVector(4), bank, tmp_path)  # pyright: ignore
