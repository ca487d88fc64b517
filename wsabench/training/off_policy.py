"""DQN's part of the training loop: play with some random actions, remember, learn from memory."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from wsabench.agents import Comparison
from wsabench.errors import SpecError
from wsabench.stats.context_effect import EvenSample
from wsabench.training.dqn import DQN, Batch, DQNLosses, mean_losses
from wsabench.training.learner import Learner, LearnerState, Update
from wsabench.training.player import Player, to_device
from wsabench.training.presets import DQNPreset
from wsabench.training.replay import Replay
from wsabench.types import Actions

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
        if inputs := getattr(player.bank, "required_inputs", ()):
            raise SpecError(
                f"DQN cannot train this agent: its encoders read {', '.join(inputs)}, and the replay holds luminance "
                "frames only. Train it with PPO, or leave out the encoders that read more than observations."
            )
        self.preset = preset
        self.dqn = DQN(player.model, preset)
        self.optimiser = self.dqn.optimiser
        self._num_actions = num_actions
        self._steps_a_lane = preset.row_steps // preset.num_envs
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
                slack=updates * self._steps_a_lane,
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
        for turn in range(self._steps_a_lane):
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
        """Choose an action a lane: with probability `exploration` any, else the best.

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
        return self.replay.needs_saving(self._steps_a_lane)

    def saved(self) -> None:
        """Note that the frames so far are in a checkpoint."""
        self.replay.saved()

    def finish(self) -> None:
        """Remove the frames: a finished run needs them no more."""
        self._replay_path.unlink(missing_ok=True)
