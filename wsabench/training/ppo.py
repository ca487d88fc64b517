"""Proximal policy optimisation: one update from one rollout."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsabench.agents import ActorCritic, attention_is_dead, half_precision
from wsabench.training.presets import PPOPreset
from wsabench.training.rollout import Minibatch, Rollout


class Losses(NamedTuple):
    """Means over the minibatches of an update."""

    policy_loss: float
    value_loss: float
    """Half the mean squared error of the values, whatever its weight in the loss."""
    entropy: float
    approx_kl: float
    clip_fraction: float
    gradient_norm: float


class PPO:
    """A network with its optimiser.

    References:
        Schulman et al. 2017, "Proximal policy optimization algorithms"; Huang et al. 2022 for the details: advantages
        normalised in each minibatch, Adam with eps 1e-5, gradients clipped by their global norm.
    """

    def __init__(self, model: ActorCritic, preset: PPOPreset) -> None:
        """Create the optimiser for `model`."""
        self.model = model
        self.preset = preset
        self.optimiser = torch.optim.Adam(model.parameters(), lr=preset.learning_rate, eps=1e-5, fused=True)
        self.attention_is_dead = False
        """Whether no gradient reached the attention's scoring layer in the last update."""

    def learn(self, rollout: Rollout, fraction_left: float, generator: torch.Generator) -> Losses:
        """Update the network.

        Args:
            rollout: Steps with advantages.
            fraction_left: Share of the training that is left, 1 at the start; scales what is annealed.
            generator: Shuffles the minibatches.
        """
        preset = self.preset
        self.optimiser.param_groups[0]["lr"] = preset.learning_rate * fraction_left
        clip = preset.clip * (fraction_left if preset.anneal_clip else 1.0)
        seen = []
        self.attention_is_dead = True
        for _ in range(preset.epochs):
            for batch in rollout.minibatches(preset.minibatch_size, generator):
                loss, figures = self._loss(batch, clip)
                self.optimiser.zero_grad(set_to_none=True)
                loss.backward()
                self.attention_is_dead = self.attention_is_dead and attention_is_dead(self.model)
                norm = nn.utils.clip_grad_norm_(self.model.parameters(), preset.max_gradient_norm)
                self.optimiser.step()
                seen.append(torch.stack([*figures, norm.detach()]))
        return Losses(*torch.stack(seen).mean(0).tolist())

    def _loss(self, batch: Minibatch, clip: float) -> tuple[Tensor, list[Tensor]]:
        with half_precision(batch.actions.device):
            output = self.model(batch.features)
        log_all = functional.log_softmax(output.logits, dim=1)
        log_probabilities = log_all.gather(1, batch.actions[:, None]).squeeze(1)
        entropy = -(log_all.exp() * log_all).sum(1).mean()
        log_ratio = log_probabilities - batch.log_probabilities
        ratio = log_ratio.exp()
        advantages = batch.advantages
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        clipped = ratio.clamp(1.0 - clip, 1.0 + clip)
        policy_loss = -torch.minimum(advantages * ratio, advantages * clipped).mean()
        value_error = (output.value - batch.returns).square().mean()
        preset = self.preset
        loss = policy_loss - preset.entropy_coefficient * entropy + preset.value_coefficient * value_error
        with torch.no_grad():
            approx_kl = (ratio - 1.0 - log_ratio).mean()
            outside = ((ratio - 1.0).abs() > clip).float().mean()
        return loss, [policy_loss.detach(), 0.5 * value_error.detach(), entropy.detach(), approx_kl, outside]
