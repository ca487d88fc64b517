"""What a rollout holds, and the advantages computed from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from wsabench.agents import Features


class Minibatch(NamedTuple):
    """Steps drawn from a rollout; every tensor has the same number of rows."""

    features: Features
    actions: Tensor
    log_probabilities: Tensor
    advantages: Tensor
    returns: Tensor


class Rollout:
    """Storage for `num_steps` steps of `num_envs` lanes, allocated once."""

    def __init__(self, num_steps: int, num_envs: int, example: Features) -> None:
        """Allocate.

        Args:
            num_steps: Steps a lane.
            num_envs: Lanes.
            example: Features of one step, `num_envs` rows; gives shapes, dtypes and the device.
        """
        size = (num_steps, num_envs)
        self.features = {n: f.new_zeros(size + f.shape[1:]) for n, f in example.items()}
        self._device = next(iter(example.values())).device
        self.actions = torch.zeros(size, dtype=torch.int64, device=self._device)
        self.log_probabilities = torch.zeros(size, device=self._device)
        self.values = torch.zeros(size, device=self._device)
        self.rewards = torch.zeros(size, device=self._device)
        self.ended = torch.zeros(size, dtype=torch.bool, device=self._device)
        self.advantages = torch.zeros(size, device=self._device)
        self.returns = torch.zeros(size, device=self._device)
        self._buffers: Features = {}

    def compute_advantages(self, last_values: Tensor, discount: float, gae_lambda: float) -> None:
        """Fill `advantages` and `returns`.

        Args:
            last_values: Values of the observations after the last step, float32, shape (num_envs,).
            discount: Discount a step.
            gae_lambda: Decay of the estimate.
        """
        self.advantages = generalised_advantages(
            self.rewards, self.values, self.ended, last_values, discount, gae_lambda
        )
        self.returns = self.advantages + self.values

    def minibatches(self, size: int, generator: torch.Generator) -> Iterator[Minibatch]:
        """Yield all steps once, in random order, `size` at a time; features lie in buffers that the next one reuses."""
        flat = {name: feature.flatten(0, 1) for name, feature in self.features.items()}
        if not self._buffers or next(iter(self._buffers.values())).shape[0] != size:
            self._buffers = {name: feature.new_empty(size, *feature.shape[1:]) for name, feature in flat.items()}
        columns = (self.actions, self.log_probabilities, self.advantages, self.returns)
        order = torch.randperm(self.actions.numel(), generator=generator).to(self._device)
        for rows in order.split(size):
            features = {n: torch.index_select(f, 0, rows, out=self._buffers[n]) for n, f in flat.items()}
            yield Minibatch(features, *(column.flatten().index_select(0, rows) for column in columns))


def generalised_advantages(
    rewards: Tensor, values: Tensor, ended: Tensor, last_values: Tensor, discount: float, gae_lambda: float
) -> Tensor:
    """Estimate advantages by an exponential average of temporal differences.

    Args:
        rewards: Rewards, float32, shape (num_steps, num_envs). A truncated episode's last reward already contains the
            discounted value of the observation it was cut at.
        values: Values of the observations acted on, same shape.
        ended: Whether the episode ended with this step, bool, same shape.
        last_values: Values after the last step, shape (num_envs,).
        discount: Discount a step, 0 to 1.
        gae_lambda: Decay, 0 (one-step) to 1 (Monte Carlo).

    Returns:
        Advantages, float32, shape (num_steps, num_envs).

    References:
        Schulman et al. 2016, "High-dimensional continuous control using generalized advantage estimation", eq. 16.
    """
    advantages = torch.empty_like(rewards)
    running = torch.zeros_like(last_values)
    following = last_values
    for step in range(rewards.shape[0] - 1, -1, -1):
        going_on = (~ended[step]).float()
        difference = rewards[step] + discount * following * going_on - values[step]
        running = difference + discount * gae_lambda * going_on * running
        advantages[step] = running
        following = values[step]
    return advantages
