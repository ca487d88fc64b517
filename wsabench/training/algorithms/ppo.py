"""Proximal policy optimisation: one update from one rollout."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsabench.agents import ActorCritic, Comparison, Features, attention_is_dead, half_precision
from wsabench.training.algorithms.learner import Learner, LearnerState, Update
from wsabench.training.lanes import LaneStep
from wsabench.training.player import Player
from wsabench.training.presets import PPOPreset


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


class Played(NamedTuple):
    """A rollout and what the attention did in it."""

    rollout: Rollout
    attention: list[Tensor]
    """As `Update.attention`."""
    comparisons: list[Comparison]
    """What its weights come from, evenly spaced; empty where no context is read."""


class PPOLearner(Learner):
    """Proximal policy optimisation; frozen encoders' embeddings are computed once per step and kept for the epochs."""

    figures: ClassVar[tuple[str, ...]] = (*Losses._fields, "learning_rate")

    def __init__(self, player: Player, preset: PPOPreset, train_seed: int) -> None:
        super().__init__(player, train_seed, "ppo")
        self.preset = preset
        self.ppo = PPO(player.model, preset)
        self.optimiser = self.ppo.optimiser
        self._rollout: Rollout | None = None
        self._following: Features | None = None
        """Features of what the lanes show, once a rollout has ended with them."""

    def restore(self, state: LearnerState) -> None:
        """Forget what the lanes showed before they were restored."""
        self._following = None

    def run_update(self, update: int) -> Update:
        """Play one rollout and learn from it."""
        rollout, attention, comparisons = self.play()
        context = self.measure_context(comparisons, update)  # of the network that played
        fraction_left = 1.0 - update / self.preset.num_updates
        losses = self.ppo.learn(rollout, fraction_left, self.generator)
        figures = {**losses._asdict(), "learning_rate": self.preset.learning_rate * fraction_left}
        return Update(figures, attention, context, self.ppo.attention_is_dead)

    def play(self) -> Played:
        """Play a rollout."""
        # One region around all steps: the weights, which do not change, are brought to half precision once.
        with half_precision(self.player.device):
            return self._play()

    def _play(self) -> Played:
        preset, player = self.preset, self.player
        features = self._following or self._observe()
        if self._rollout is None:
            self._rollout = Rollout(preset.rollout_steps, preset.num_envs, features)
        rollout = self._rollout
        attention: list[Tensor] = []
        compared = self.comparisons()
        for step in range(preset.rollout_steps):
            output = player.evaluate(features)
            log_all = torch.log_softmax(output.logits, dim=1)
            actions = torch.multinomial(log_all.exp().cpu(), 1, generator=self.generator)
            chosen = actions.to(player.device)
            for name, feature in features.items():
                rollout.features[name][step] = feature
            rollout.actions[step] = chosen.squeeze(1)
            rollout.log_probabilities[step] = log_all.gather(1, chosen).squeeze(1)
            rollout.values[step] = output.value
            if output.weights is not None:
                attention.append(output.weights)
            if output.comparison is not None:
                compared.offer(partial(Comparison, *output.comparison))
            played = player.lanes.step(actions.squeeze(1).numpy())
            rollout.rewards[step] = self._rewards(played)
            rollout.ended[step] = torch.from_numpy(played.ended)
            features = self._observe()
        self._following = features
        rollout.compute_advantages(player.evaluate(features).value, preset.discount, preset.gae_lambda)
        return Played(rollout, attention, compared.items)

    def _observe(self) -> Features:
        return self.model.for_training(self.player.observe())

    def _rewards(self, played: LaneStep) -> Tensor:
        """Return rewards, with the discounted value of what follows added where an episode was cut."""
        rewards = torch.from_numpy(played.rewards).float()
        if played.cut.any():
            # Padded to the number of lanes: one batch size, one way of rounding.
            padded = self.player.lanes.observations.copy()
            padded[: len(played.final_observations)] = played.final_observations
            inputs = {name: value.copy() for name, value in self.player.lanes.inputs.items()}
            for name, value in played.final_inputs.items():
                inputs[name][: len(value)] = value
            values = self.player.evaluate(self.player.prepare(padded, inputs)).value[: len(played.final_observations)]
            rewards[torch.from_numpy(played.cut)] += self.preset.discount * values.cpu()
        return rewards


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
            num_steps: Steps per lane.
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
