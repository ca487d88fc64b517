"""PPO's pieces against plain loops."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from table_agent import Table

from wsabench.training.algorithms.ppo import PPO, Minibatch, Rollout, generalised_advantages
from wsabench.training.presets import PRESETS, PPOPreset

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("gae_lambda", [0.0, 0.95, 1.0])
def test_advantages_equal_the_definition(gae_lambda: float) -> None:
    generator = np.random.default_rng(0)
    steps, envs, discount = 9, 3, 0.9
    rewards, values = generator.normal(size=(2, steps, envs))
    ended = generator.random((steps, envs)) < 0.3
    last = generator.normal(size=envs)
    expected = np.zeros((steps, envs))
    for env in range(envs):
        for start in range(steps):
            # Sum of discounted temporal differences until the episode's end or the rollout's.
            weight = 1.0
            for step in range(start, steps):
                following = last[env] if step == steps - 1 else values[step + 1, env]
                difference = rewards[step, env] + discount * following * (not ended[step, env]) - values[step, env]
                expected[start, env] += weight * difference
                weight *= discount * gae_lambda
                if ended[step, env]:
                    break
    tensors = [torch.from_numpy(a).float() for a in (rewards, values)]
    actual = generalised_advantages(
        *tensors, torch.from_numpy(ended), torch.from_numpy(last).float(), discount, gae_lambda
    )
    np.testing.assert_allclose(actual.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("coefficient", [0.5, 0.25])
def test_the_loss_equals_the_published_formula(coefficient: float) -> None:
    preset = PPOPreset(name="t", num_envs=2, rollout_steps=2, minibatch_size=4, value_coefficient=coefficient)
    generator = np.random.default_rng(1)
    model = Table(4, 3)
    actions = np.array([0, 2, 1, 1])
    old, advantages, returns = generator.normal(size=(3, 4)).astype(np.float32)
    batch = Minibatch({"row": torch.arange(4)}, *(torch.from_numpy(a) for a in (actions, old - 1, advantages, returns)))
    loss, figures = PPO(model, preset)._loss(batch, clip=0.1)

    logits, values = model.logits.detach().numpy().astype(float), model.values.detach().numpy()
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    normal = (advantages - advantages.mean()) / (advantages.std(ddof=1) + 1e-8)
    surrogate, entropy = [], []
    for row in range(4):
        ratio = probabilities[row, actions[row]] / np.exp(old[row] - 1)
        surrogate.append(min(ratio * normal[row], np.clip(ratio, 0.9, 1.1) * normal[row]))
        entropy.append(-sum(p * np.log(p) for p in probabilities[row]))
    value_error = np.mean((values - returns) ** 2)
    expected = -np.mean(surrogate) - 0.01 * np.mean(entropy) + coefficient * value_error
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert [figure.item() for figure in figures[:3]] == pytest.approx(
        [-np.mean(surrogate), 0.5 * value_error, np.mean(entropy)], rel=1e-5
    )


def test_preset_paper_weighs_the_value_as_published_and_compact_learns_as_before() -> None:
    # Stable-Baselines3: vf_coef 0.5 times the mean squared error. Before the weight meant that, `compact` had 0.5 times
    # half of it: powers of two, so every gradient is the same to the bit.
    assert PRESETS["paper"].value_coefficient == 0.5
    generator = torch.Generator().manual_seed(2)
    values, returns = torch.randn(2, 257, generator=generator)
    gradients = []
    for weigh in (lambda mse: 0.5 * (0.5 * mse), lambda mse: PRESETS["compact"].value_coefficient * mse):
        leaf = values.clone().requires_grad_()
        weigh((leaf - returns).square().mean()).backward()
        gradients.append(leaf.grad)
    assert torch.equal(*gradients)
    assert PRESETS["compact"] == dataclasses.replace(
        PRESETS["paper"],
        name="compact",
        total_steps=1_000_000,
        num_envs=16,
        learning_rate=5e-4,
        anneal_clip=False,
        value_coefficient=0.25,
        evaluate_every=0,
    )


def test_an_epoch_visits_every_step_once() -> None:
    rollout = Rollout(4, 6, {"row": torch.zeros(6, 1)})
    rollout.actions = torch.arange(24).view(4, 6)
    rollout.features["row"] = torch.arange(24.0).view(4, 6, 1)
    seen = []
    for batch in rollout.minibatches(8, torch.Generator().manual_seed(0)):
        assert torch.equal(batch.features["row"][:, 0].long(), batch.actions)
        seen += batch.actions.tolist()
    assert sorted(seen) == list(range(24))
    assert seen != list(range(24))


def test_what_is_annealed_reaches_zero() -> None:
    preset = PPOPreset(name="t", num_envs=2, rollout_steps=2, minibatch_size=4, epochs=1)
    model = Table(4, 3)
    ppo = PPO(model, preset)
    rollout = Rollout(2, 2, {"row": torch.zeros(2, dtype=torch.int64)})
    rollout.features["row"] = torch.arange(4).view(2, 2)
    before = model.logits.detach().clone()
    ppo.learn(rollout, 0.0, torch.Generator())
    assert torch.equal(model.logits.detach(), before)
