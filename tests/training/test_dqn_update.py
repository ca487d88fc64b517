"""DQN's pieces against plain loops."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from catch import CatchVector
from table_agent import Table

from wsabench.agents import load_spec
from wsabench.processes import single_thread
from wsabench.training import DQN_PRESETS, DQNPreset
from wsabench.training.algorithms.dqn import DQN, Batch, DQNLearner
from wsabench.training.run import make_trainer

pytestmark = pytest.mark.oracle


def batch_of(rows: int, num_actions: int) -> tuple[Batch, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    actions = generator.integers(num_actions, size=rows)
    rewards = generator.normal(scale=2, size=rows).astype(np.float32)
    following = generator.permutation(rows)
    terminated = generator.random(rows) < 0.4
    return (
        Batch(
            {"row": torch.arange(rows)},
            torch.from_numpy(actions),
            torch.from_numpy(rewards),
            {"row": torch.from_numpy(following)},
            torch.from_numpy(terminated),
        ),
        actions,
        rewards,
        following,
        terminated,
    )


def test_loss_and_gradient_equal_the_definition() -> None:
    preset = DQNPreset(name="t", discount=0.9)
    batch, actions, rewards, following, terminated = batch_of(16, 4)
    dqn = DQN(Table(16, 4), preset)
    with torch.no_grad():
        dqn.model.logits.add_(1.5 * torch.randn(16, 4, generator=torch.Generator().manual_seed(5)))
    online, frozen = dqn.model.logits.detach().numpy().astype(float), dqn.target.logits.numpy().astype(float)
    total, expected_gradient, targets = 0.0, np.zeros((16, 4)), []
    for row in range(16):
        target = rewards[row]
        if not terminated[row]:
            best = -np.inf
            for action in range(4):  # the target network both chooses and values: no double Q-learning
                best = max(best, frozen[following[row], action])
            target = target + 0.9 * best
        error = online[row, actions[row]] - target
        # Huber with threshold 1: quadratic inside, linear outside, so the slope is the clipped error.
        total += 0.5 * error**2 if abs(error) <= 1 else abs(error) - 0.5
        expected_gradient[row, actions[row]] = np.clip(error, -1, 1) / 16
        targets.append(target)
    assert terminated.any()
    assert any(abs(online[r, actions[r]] - targets[r]) > 1 for r in range(16))
    loss, figures = dqn.loss(batch)
    loss.backward()
    assert loss.item() == pytest.approx(total / 16, rel=1e-5)
    np.testing.assert_allclose(dqn.model.logits.grad.numpy(), expected_gradient, atol=1e-6)
    np.testing.assert_allclose(dqn.targets(batch).numpy(), targets, rtol=1e-5)
    assert figures[2].item() == pytest.approx(np.mean(targets), rel=1e-5)


def test_a_step_moves_the_network_and_not_its_target() -> None:
    dqn = DQN(Table(16, 4), DQNPreset(name="t"))
    before = copy.deepcopy(dqn.target.state_dict())
    dqn.learn(batch_of(16, 4)[0])
    assert not torch.equal(dqn.model.logits, before["logits"])
    assert torch.equal(dqn.target.logits, before["logits"])
    dqn.update_target()
    assert torch.equal(dqn.target.logits, dqn.model.logits)


@pytest.mark.parametrize(
    ("step", "share"),
    [
        (0, 1.0),
        (99_999, 1.0),  # random play before the first gradient
        (100_000, 1.0 - 0.99 * 0.1),  # a tenth of the first million steps is gone
        (500_000, 1.0 - 0.99 * 0.5),
        (1_000_000, 0.01),
        (9_999_999, 0.01),
    ],
)
def test_exploration_falls_over_the_first_tenth(step: int, share: float) -> None:
    assert DQN_PRESETS["paper"].exploration(step) == pytest.approx(share)


def test_gradients_and_target_updates_come_when_they_are_due(tmp_path: Path) -> None:
    preset = DQNPreset(
        name="t",
        total_steps=120,
        num_envs=6,
        row_steps=60,
        replay_frames=600,
        batch_size=4,
        learning_starts=30,
        train_every=4,
        target_every=50,
    )
    trainer = make_trainer(load_spec("e2e"), preset, "catch", 0, CatchVector(6), None, tmp_path)
    learner = trainer.learner
    assert isinstance(learner, DQNLearner)
    events: list[tuple[str, int]] = []
    lanes, dqn = learner.player.lanes, learner.dqn
    step, learn, update = lanes.step, dqn.learn, dqn.update_target
    count = [0]

    def stepped(actions):
        count[0] += len(actions)
        return step(actions)

    lanes.step = stepped  # pyright: ignore[reportAttributeAccessIssue]
    dqn.learn = lambda batch: (events.append(("gradient", count[0])), learn(batch))[1]
    dqn.update_target = lambda: (events.append(("target", count[0])), update())[1]
    with single_thread():
        trainer.start()
        rows = [trainer.run_and_record(), trainer.run_and_record()]
    gradients = [at for kind, at in events if kind == "gradient"]
    # After 30, 36, ... steps as many gradients as multiples of 4 lie in the last 6 steps.
    expected = [after for after in range(30, 121, 6) for _ in range(after // 4 - (after - 6) // 4)]
    assert gradients == expected
    assert [at for kind, at in events if kind == "target"] == [54, 102]
    assert [row["gradients"] for row in rows] == [sum(at <= 60 for at in gradients), sum(at > 60 for at in gradients)]
    assert rows[1]["replay_steps"] == 120


def test_a_batch_is_what_the_replay_drew(tmp_path: Path) -> None:
    preset = DQNPreset(name="t", num_envs=4, row_steps=40, replay_frames=400, batch_size=8, learning_starts=40)
    trainer = make_trainer(load_spec("e2e"), preset, "catch", 0, CatchVector(4, max_steps=4), None, tmp_path)
    learner = trainer.learner
    assert isinstance(learner, DQNLearner)
    trainer.start()
    trainer.run_and_record()
    state = learner.generator.get_state()
    batch = learner._draw()
    drawn = learner.replay.sample(8, torch.Generator().set_state(state))
    for features, observations in ((batch.features, drawn.observations), (batch.following, drawn.following)):
        assert torch.equal(features["blocks"], learner.player.prepare(observations)["blocks"])
    assert batch.terminated.tolist() == drawn.terminated.tolist()
    # These games are always cut: nothing is ever terminated, so the value after it always counts.
    assert not any(learner.replay._terminated.flat)
