"""The training loop: rollouts, updates, learning curve, checkpoints."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from wsabench import seeding
from wsabench.agents import AGENT_FILE, ActorCritic, AgentMeta, AgentSpec, Output, half_precision, save_checkpoint
from wsabench.errors import CheckpointError
from wsabench.training.curve import Curve, Row
from wsabench.training.lanes import LaneEnvs, LaneStep, TrainingLanes, as_tensors
from wsabench.training.ppo import PPO, Losses
from wsabench.training.presets import PPOPreset
from wsabench.training.progress import Reporter
from wsabench.training.rollout import Rollout
from wsabench.training.storage import TrainingState, load_training, read_meta, save_training

if TYPE_CHECKING:
    from wsabench.encoders import EncoderBank

CHECKPOINT_NAME = "training.safetensors"
CURVE_NAME = "curve.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """One training run: what is trained on what, with which seed."""

    spec: AgentSpec
    preset: PPOPreset
    game: str
    train_seed: int
    num_actions: int
    encoder_hashes: dict[str, str]
    """Hash of each frozen encoder; empty for agents without."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {
            "spec": self.spec.to_dict(),
            "preset": self.preset.to_dict(),
            "game": self.game,
            "train_seed": self.train_seed,
            "num_actions": self.num_actions,
            "encoder_hashes": dict(self.encoder_hashes),
        }


class Trainer:
    """A training run under way."""

    def __init__(
        self,
        job: TrainingJob,
        model: ActorCritic,
        bank: EncoderBank | None,
        envs: LaneEnvs,
        directory: Path,
    ) -> None:
        """Prepare; nothing is played or written yet."""
        self.job = job
        self.ppo = PPO(model, job.preset)
        self._bank = bank
        self._lanes = TrainingLanes(envs, job.train_seed)
        self._generator = torch.Generator().manual_seed(seeding.integer_seed(job.train_seed, "ppo"))
        self.checkpoint_path = directory / CHECKPOINT_NAME
        self.curve = Curve(directory / CURVE_NAME, curve_columns(model))
        self.update = 0
        self._wall_s = 0.0
        self._rollout: Rollout | None = None

    @property
    def steps(self) -> int:
        """Steps played so far, over all lanes."""
        return self.update * self.job.preset.batch_size

    def start(self) -> None:
        """Begin a new run."""
        self.curve.start()
        self._lanes.start()
        self.save()

    def resume(self) -> None:
        """Go on from the checkpoint.

        Raises:
            CheckpointError: It is damaged, or of another job.
        """
        meta = read_meta(self.checkpoint_path)
        self._require_same_job(meta["job"])
        state = load_training(self.checkpoint_path, self.ppo, self._generator)
        self.update = int(meta["update"])
        self._wall_s = float(meta["wall_s"])
        self.curve.cut(self.update)
        self._lanes.restore(state.lanes)

    def save(self) -> None:
        """Write the checkpoint.

        Raises:
            StorageError: It cannot be written; the previous one is kept.
        """
        meta = {"job": self.job.to_dict(), "update": self.update, "steps": self.steps, "wall_s": self._wall_s}
        state = TrainingState(meta, self._lanes.state())
        save_training(self.checkpoint_path, self.ppo, self._generator, state)
        agent = AgentMeta.from_job(meta["job"], self.steps)
        save_checkpoint(self.checkpoint_path.with_name(AGENT_FILE), self.ppo.model.state_dict(), agent)

    def run(self, reporter: Reporter) -> None:
        """Train until the preset's number of updates is reached."""
        preset = self.job.preset
        reporter.start(f"train {self.job.spec.name} on {self.job.game}", preset.num_updates * preset.batch_size, "step")
        reporter.advance(self.steps)
        while self.update < preset.num_updates:
            reporter.advance(preset.batch_size, **_shown(self.run_and_record()))
        reporter.finish()

    def run_and_record(self) -> Row:
        """Run one update, write its row, and a checkpoint when one is due."""
        row = self.run_update()
        self.curve.append(row)
        if self.update % self.job.preset.checkpoint_updates == 0 or self.update == self.job.preset.num_updates:
            self.save()
        return row

    def run_update(self) -> Row:
        """Play one rollout, learn from it and return its row of the learning curve."""
        started = time.perf_counter()
        rollout, attention = self._play()
        fraction_left = 1.0 - self.update / self.job.preset.num_updates
        losses = self.ppo.learn(rollout, fraction_left, self._generator)
        self.update += 1
        seconds = time.perf_counter() - started
        self._wall_s += seconds
        return self._row(seconds, losses, attention, fraction_left)

    def _play(self) -> tuple[Rollout, list[Tensor]]:
        """Play a rollout; also return the attention weights of every step, if there are any."""
        preset = self.job.preset
        features = self._prepare()
        if self._rollout is None:
            self._rollout = Rollout(preset.rollout_steps, preset.num_envs, features)
        rollout = self._rollout
        attention = []
        for step in range(preset.rollout_steps):
            output = self._evaluate(features)
            log_all = torch.log_softmax(output.logits, dim=1)
            actions = torch.multinomial(log_all.exp(), 1, generator=self._generator)
            for name, feature in features.items():
                rollout.features[name][step] = feature
            rollout.actions[step] = actions.squeeze(1)
            rollout.log_probabilities[step] = log_all.gather(1, actions).squeeze(1)
            rollout.values[step] = output.value
            if output.weights is not None:
                attention.append(output.weights)
            played = self._lanes.step(actions.squeeze(1).numpy())
            rollout.rewards[step] = self._rewards(played)
            rollout.ended[step] = torch.from_numpy(played.ended)
            features = self._prepare()
        rollout.compute_advantages(self._evaluate(features).value, preset.discount, preset.gae_lambda)
        return rollout, attention

    def _rewards(self, played: LaneStep) -> Tensor:
        """Return rewards, with the discounted value of what follows added where an episode was cut."""
        rewards = torch.from_numpy(played.rewards).float()
        if played.cut.any():
            # Padded to the number of lanes: one batch size, one way of rounding.
            padded = self._lanes.observations.copy()
            padded[: len(played.final_observations)] = played.final_observations
            inputs = {name: value.copy() for name, value in self._lanes.inputs.items()}
            for name, value in played.final_inputs.items():
                inputs[name][: len(value)] = value
            with torch.no_grad():
                features = self.ppo.model.prepare(torch.from_numpy(padded), self._bank, as_tensors(inputs))
            values = self._evaluate(features).value[: len(played.final_observations)]
            rewards[torch.from_numpy(played.cut)] += self.job.preset.discount * values
        return rewards

    def _prepare(self) -> dict[str, Tensor]:
        with torch.no_grad():
            observations, inputs = torch.from_numpy(self._lanes.observations), as_tensors(self._lanes.inputs)
            return self.ppo.model.prepare(observations, self._bank, inputs)

    def _evaluate(self, features: dict[str, Tensor]) -> Output:
        with torch.no_grad(), half_precision():
            return self.ppo.model(features)

    def _row(self, seconds: float, losses: Losses, attention: list[Tensor], fraction_left: float) -> Row:
        games = self._lanes.mean_recent()
        batch = self.job.preset.batch_size
        row: Row = {
            "steps": self.steps,
            "wall_s": round(self._wall_s, 3),
            "steps_per_s": round(batch / seconds, 1),
            "games": self._lanes.num_games,
            "return_unclipped_mean_50": games.unclipped,
            "return_clipped_mean_50": games.clipped,
            "game_steps_mean_50": games.steps,
            **losses._asdict(),
            "learning_rate": self.job.preset.learning_rate * fraction_left,
        }
        if attention:
            row |= attention_figures(torch.cat(attention), self.ppo.model.encoder_names)
        return row

    def _require_same_job(self, saved: dict[str, Any]) -> None:
        wanted = self.job.to_dict()
        for key, value in wanted.items():
            if saved.get(key) != value:
                raise CheckpointError(
                    f"{self.checkpoint_path} belongs to another run: {key} is {saved.get(key)!r} there, {value!r} was "
                    "asked for. Train into another folder, or start again without resume."
                )


def attention_figures(weights: Tensor, names: tuple[str, ...]) -> Row:
    """Summarise attention weights (num_steps, num_encoders) for the learning curve.

    `attention_dead` is 1 if every step had exactly uniform weights: no gradient reaches the scoring layer.
    """
    entropy = -(weights * weights.clamp_min(1e-12).log()).sum(1).mean()
    spread = (weights.max(dim=1).values - weights.min(dim=1).values).max()
    dead = len(names) > 1 and bool(spread == 0)
    means = {f"attention_{name}": mean for name, mean in zip(names, weights.mean(0).tolist(), strict=True)}
    return {**means, "attention_entropy": entropy.item(), "attention_dead": int(dead)}


def curve_columns(model: ActorCritic) -> list[str]:
    """Return the columns of a learning curve; those of attention only where there is one."""
    columns = ["steps", "wall_s", "steps_per_s", "games", "return_unclipped_mean_50", "return_clipped_mean_50"]
    columns += ["game_steps_mean_50", *Losses._fields, "learning_rate"]
    if model.encoder_names:
        columns += [f"attention_{name}" for name in model.encoder_names] + ["attention_entropy", "attention_dead"]
    return columns


def _shown(row: Row) -> dict[str, float | str]:
    shown: dict[str, float | str] = {"steps/s": row["steps_per_s"], "return": row["return_unclipped_mean_50"]}
    if row.get("attention_dead"):
        shown["warning"] = "attention is dead: weights are exactly uniform"
    return shown
