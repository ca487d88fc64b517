"""Deep Q-learning: one gradient from steps of the replay."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsabench.agents import ActorCritic, Features, attention_is_dead, half_precision
from wsabench.training.presets import DQNPreset


class Batch(NamedTuple):
    """Steps drawn from the replay, as the network reads them, on its device."""

    features: Features
    actions: Tensor
    """int64, shape (B,)."""
    rewards: Tensor
    """float32, shape (B,)."""
    following: Features
    """Of the observations after the step."""
    terminated: Tensor
    """bool, shape (B,)."""


class DQNLosses(NamedTuple):
    """Means over the gradients of an update."""

    loss: float
    q_mean: float
    """Value of the action that was done."""
    target_mean: float
    gradient_norm: float


class DQN:
    """A network of action values with its target network and optimiser.

    Plain DQN, as the paper says: the target network both chooses and values the next action (no double Q-learning).

    References:
        Mnih et al. 2015, "Human-level control through deep reinforcement learning", algorithm 1; its clipped error is
        the Huber loss with threshold 1.
    """

    def __init__(self, model: ActorCritic, preset: DQNPreset) -> None:
        """Create target network and optimiser for `model`."""
        self.model = model
        self.preset = preset
        self.target = copy.deepcopy(model).requires_grad_(requires_grad=False)
        self.optimiser = torch.optim.Adam(model.parameters(), lr=preset.learning_rate, fused=True)
        self.attention_is_dead = True
        """Whether no gradient has reached the attention's scoring layer since this was set."""

    def learn(self, batch: Batch) -> Tensor:
        """Take one step down the gradient; return the figures of `DQNLosses`, float32, shape (4,)."""
        loss, figures = self.loss(batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.attention_is_dead = self.attention_is_dead and attention_is_dead(self.model)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.preset.max_gradient_norm)
        self.optimiser.step()
        return torch.stack([*figures, norm.detach()])

    def loss(self, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        """Return the mean Huber loss, and it, the mean value and the mean target."""
        with half_precision(batch.actions.device):
            values = self.model(batch.features).logits.gather(1, batch.actions[:, None]).squeeze(1)
        targets = self.targets(batch)
        loss = functional.smooth_l1_loss(values, targets)
        return loss, [loss.detach(), values.detach().mean(), targets.mean()]

    def targets(self, batch: Batch) -> Tensor:
        """Return what the values should be: the reward and, unless the episode is over, the discounted best value."""
        with torch.no_grad(), half_precision(batch.actions.device):
            best = self.target(batch.following).logits.amax(dim=1)
        return batch.rewards + self.preset.discount * best * (~batch.terminated).float()

    def update_target(self) -> None:
        """Make the target network a copy of the network."""
        self.target.load_state_dict(self.model.state_dict())


def mean_losses(figures: Sequence[Tensor]) -> DQNLosses:
    """Return the means of an update's figures; NaN before the first gradient."""
    if not figures:
        return DQNLosses(*[float("nan")] * len(DQNLosses._fields))
    return DQNLosses(*torch.stack(list(figures)).mean(0).tolist())
