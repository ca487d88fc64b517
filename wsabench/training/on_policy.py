"""PPO's part of the training loop: play a rollout, learn from it."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from wsabench.agents import Comparison, Features, half_precision
from wsabench.training.lanes import LaneStep
from wsabench.training.learner import Learner, LearnerState, Update
from wsabench.training.player import Player
from wsabench.training.ppo import PPO, Losses
from wsabench.training.presets import PPOPreset
from wsabench.training.rollout import Rollout


class Played(NamedTuple):
    """A rollout and what the attention did in it."""

    rollout: Rollout
    attention: list[Tensor]
    """As `Update.attention`."""
    comparisons: list[Comparison]
    """What its weights come from, evenly spaced; empty where no context is read."""


class PPOLearner(Learner):
    """Proximal policy optimisation; embeddings of frozen encoders are computed once a step and kept for the epochs."""

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
