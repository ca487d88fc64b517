"""Deep Q-learning: one gradient from steps of the replay."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from wsabench.agents import ActorCritic, Comparison, Features, attention_is_dead, half_precision
from wsabench.errors import SpecError
from wsabench.stats.context_effect import EvenSample
from wsabench.training.algorithms.learner import Learner, LearnerState, Update
from wsabench.training.algorithms.replay import Replay
from wsabench.training.player import Player, to_device
from wsabench.training.presets import DQNPreset
from wsabench.types import Actions


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


REPLAY_NAME = "replay.frames"


class DQNLearner(Learner):
    """Deep Q-learning; the replay holds frames, embeddings of frozen encoders are computed anew for every gradient."""

    figures: ClassVar[tuple[str, ...]] = (*DQNLosses._fields, "gradients", "exploration", "replay_steps")

    def __init__(self, player: Player, preset: DQNPreset, train_seed: int, num_actions: int, directory: Path) -> None:
        """Prepare; the replay's file is made when it is first needed.

        Raises:
            SpecError: The encoders read more than the replay holds.
        """
        super().__init__(player, train_seed, "dqn")
        if inputs := () if player.bank is None else player.bank.required_inputs:
            raise SpecError(
                f"DQN cannot train this agent: its encoders read {', '.join(inputs)}, and the replay holds luminance "
                "frames only. Train it with PPO, or leave out the encoders that read more than observations."
            )
        self.preset = preset
        self.dqn = DQN(player.model, preset)
        self.optimiser = self.dqn.optimiser
        self._num_actions = num_actions
        self._steps_per_lane = preset.row_steps // preset.num_envs
        self._replay_path = directory / REPLAY_NAME
        self._replay: Replay | None = None

    @property
    def replay(self) -> Replay:
        """The memory; its file is made when it is first needed."""
        if self._replay is None:
            # Room for the steps between two checkpoints, some of them the beginning of games, and one update more.
            updates = self.preset.checkpoint_updates + self.preset.checkpoint_updates // 4 + 5
            self._replay = Replay(
                self.preset.replay_frames,
                self.preset.num_envs,
                path=self._replay_path,
                slack=updates * self._steps_per_lane,
            )
        return self._replay

    def start(self) -> None:
        """Remember the first observations."""
        self.replay.start(self.player.lanes.observations)

    def run_update(self, update: int) -> Update:
        """Play the steps of one row and learn whenever a gradient is due."""
        preset, lanes = self.preset, self.player.lanes
        figures, attention = [], []
        compared = self.comparisons()
        self.dqn.attention_is_dead = True
        exploration = preset.exploration(update * preset.row_steps)
        for turn in range(self._steps_per_lane):
            before = update * preset.row_steps + turn * preset.num_envs
            after = before + preset.num_envs
            actions = self._act(preset.exploration(before), attention, compared)
            self.replay.add(actions, lanes.step(actions), lanes.observations)
            if after >= preset.learning_starts:
                for _ in range(after // preset.train_every - before // preset.train_every):
                    figures.append(self.dqn.learn(self._draw()))
            if after // preset.target_every != before // preset.target_every:
                self.dqn.update_target()
        context = self.measure_context(compared.items, update)
        is_dead = bool(figures) and self.dqn.attention_is_dead
        own = {"gradients": len(figures), "exploration": exploration, "replay_steps": len(self.replay)}
        return Update({**mean_losses(figures)._asdict(), **own}, attention, context, is_dead)

    def _act(self, exploration: float, attention: list[Tensor], compared: EvenSample[Comparison]) -> Actions:
        """Choose one action per lane: with probability `exploration` any, else the best.

        Both numbers are drawn for every lane, whatever becomes of them, and the network runs only where it is asked.
        """
        count = self.preset.num_envs
        explores = torch.rand(count, generator=self.generator) < exploration
        actions = torch.randint(self._num_actions, (count,), generator=self.generator)
        if not explores.all():
            output = self.player.evaluate(self.player.observe())
            actions = torch.where(explores, actions, output.logits.argmax(dim=1).cpu())
            if output.weights is not None:
                attention.append(output.weights)
            if output.comparison is not None:
                compared.offer(partial(Comparison, *output.comparison))
        return actions.numpy()

    def _draw(self) -> Batch:
        """Draw a batch and bring it to the device."""
        player = self.player
        drawn = self.replay.sample(self.preset.batch_size, self.generator)
        # One pass through the encoders for both ends of the steps.
        both = player.prepare(np.concatenate([drawn.observations, drawn.following]))
        size = self.preset.batch_size
        columns = (drawn.actions, drawn.rewards, drawn.terminated)
        actions, rewards, terminated = (to_device(torch.from_numpy(column), player.device) for column in columns)
        features = {name: feature[:size] for name, feature in both.items()}
        following = {name: feature[size:] for name, feature in both.items()}
        return Batch(features, actions, rewards, following, terminated)

    def state(self) -> LearnerState:
        """Return the target network and the replay without its frames, which lie in a file of their own."""
        target = {f"target.{name}": value for name, value in self.dqn.target.state_dict().items()}
        return target | {f"replay.{name}": torch.from_numpy(value) for name, value in self.replay.state().items()}

    def restore(self, state: LearnerState) -> None:
        """Take over a saved state.

        Raises:
            CheckpointError: The replay's frames are not there.
        """
        parts: dict[str, dict[str, Tensor]] = {"target": {}, "replay": {}}
        for name, value in state.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = value
        self.dqn.target.load_state_dict(parts["target"])
        replay = {name: value.numpy() for name, value in parts["replay"].items()}
        self.replay.restore(replay, self.player.lanes.observations)

    @property
    def needs_saving(self) -> bool:
        """Whether the next update could overwrite frames that the last checkpoint needs."""
        return self.replay.needs_saving(self._steps_per_lane)

    def saved(self) -> None:
        """Note that the frames so far are in a checkpoint."""
        self.replay.saved()

    def finish(self) -> None:
        """Remove the frames: a finished run needs them no more."""
        self._replay_path.unlink(missing_ok=True)
