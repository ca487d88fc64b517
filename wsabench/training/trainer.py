"""The training loop, whatever the algorithm: updates, learning curve, evaluations, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from wsabench.agents import AGENT_FILE, AgentMeta, AgentSpec, save_checkpoint
from wsabench.errors import CheckpointError
from wsabench.progress import Reporter, SilentReporter
from wsabench.tracking import Place, Trackers, open_trackers
from wsabench.training.algorithms.learner import Learner, Update
from wsabench.training.curve import Curve, Row
from wsabench.training.evaluations import EVALUATION_COLUMNS, EvaluationPlan, Standing, play_episodes, validation_seeds
from wsabench.training.lanes import LaneEnvs
from wsabench.training.presets import DQNPreset, PPOPreset
from wsabench.training.randomisation import Randomisation
from wsabench.training.storage import TrainingState, load_training, read_meta, save_training
from wsabench.version import __version__
from wsabench.words import counted

CHECKPOINT_NAME = "training.safetensors"
CURVE_NAME = "curve.csv"
EVALUATIONS_NAME = "evaluations.csv"
BEST_NAME = "best.safetensors"
_TABLES = (CURVE_NAME, EVALUATIONS_NAME)
"""What trackers get copies of at the end."""
CONTEXT_COLUMNS = ("context_static_share", "context_variance_share")
"""Columns of the learning curve of agents that read a context: see `wsabench.stats.context_effect`."""

DEAD_ATTENTION = (
    "The attention is dead: no gradient reaches its scoring layer, so the encoders' weights stay as they are. Train "
    "again with another seed, or, where score_activation is 'relu', set it to 'leaky_relu' in the agent's file (the "
    "column attention_dead of the learning curve shows where it began)."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """One training run: what is trained on what, with which seed."""

    spec: AgentSpec
    preset: PPOPreset | DQNPreset
    game: str
    train_seed: int
    num_actions: int
    encoder_hashes: dict[str, str]
    """Hash of each frozen encoder; empty for agents without."""
    evaluations: EvaluationPlan = field(default_factory=EvaluationPlan)
    randomisation: Randomisation | None = None
    """What the games are played under; None: all are clean."""
    device: str = "cpu"
    """Kind of device; another rounds otherwise, and with it the curve is another."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {
            "algorithm": self.preset.algorithm,
            "spec": self.spec.to_dict(),
            "preset": self.preset.to_dict(),
            "game": self.game,
            "train_seed": self.train_seed,
            "num_actions": self.num_actions,
            "encoder_hashes": dict(self.encoder_hashes),
            "evaluations": self.evaluations.to_dict(),
            "randomisation": None if self.randomisation is None else self.randomisation.to_dict(),
            "device": self.device,
        }


class Outlets(NamedTuple):
    """Where a run's results go besides its folder."""

    evaluation_envs: LaneEnvs | None = None
    """Lanes of evaluations; needed where the job has any."""
    trackers: tuple[str, ...] = ()
    """Experiment trackers that are told the curve, by name."""


class Trainer:
    """A training run under way."""

    def __init__(self, job: TrainingJob, learner: Learner, directory: Path, outlets: Outlets | None = None) -> None:
        """Prepare; nothing is played or written yet."""
        self.job = job
        self.learner = learner
        self.checkpoint_path = directory / CHECKPOINT_NAME
        self.update = 0
        self.standing = Standing()
        self._directory = directory
        self._outlets = outlets or Outlets()
        self._lanes = learner.player.lanes
        self._evaluations = Curve(directory / EVALUATIONS_NAME, EVALUATION_COLUMNS)
        self._curve: Curve | None = None
        self._attention: tuple[str, ...] = ()
        self._trackers = Trackers()
        self._has_warned = False
        self._wall_s = 0.0

    @property
    def steps(self) -> int:
        """Steps played so far, over all lanes."""
        return self.update * self.job.preset.update_steps

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left to train."""
        return self.update >= self.job.preset.num_updates or bool(self.standing.stopped)

    def start(self) -> None:
        """Begin a new run."""
        self._lanes.start()
        self.learner.start()
        self._open_curve().start()
        if self.job.evaluations.every:
            self._evaluations.start()
        self._open_trackers()
        self.save()

    def resume(self) -> None:
        """Go on from the checkpoint.

        Raises:
            CheckpointError: It is damaged, or of another job.
        """
        meta = read_meta(self.checkpoint_path)
        self._require_same_job(meta["job"])
        state = load_training(self.checkpoint_path, self.learner)
        self.update = int(meta["update"])
        self.standing = Standing(**meta["standing"])
        self._wall_s = float(meta["wall_s"])
        if self.is_finished:
            return
        self._lanes.restore(state.lanes)
        self.learner.restore(state.learner)
        self._open_curve().cut(self.update)
        if self.job.evaluations.every:
            self._evaluations.cut(self.standing.evaluations)
        self._open_trackers()

    def save(self) -> None:
        """Write the checkpoint.

        Raises:
            StorageError: It cannot be written; the previous one is kept.
        """
        meta = {
            "job": self.job.to_dict(),
            "update": self.update,
            "steps": self.steps,
            "wall_s": self._wall_s,
            "standing": asdict(self.standing),
        }
        state = TrainingState(meta, self._lanes.state(), self.learner.state())
        save_training(self.checkpoint_path, self.learner, state)
        self.learner.saved()
        self._save_agent(AGENT_FILE)

    def run(self, reporter: Reporter) -> None:
        """Train until the preset's number of updates is reached, or the evaluations say to stop."""
        preset = self.job.preset
        reporter.start(
            f"train {self.job.spec.name} on {self.job.game}", preset.num_updates * preset.update_steps, "step"
        )
        reporter.advance(self.steps)
        try:
            while not self.is_finished:
                row = self.run_and_record(reporter)
                reporter.advance(preset.update_steps, **self._shown(row))
            self._trackers.files([path for path in (self._directory / name for name in _TABLES) if path.is_file()])
        finally:
            self._trackers.close(is_finished=self.is_finished)
        if self.standing.stopped:
            reporter.warn(f"Stopped early after {counted(self.steps, 'step')}: {self.standing.stopped}.")
        self.learner.finish()
        reporter.finish()

    def run_and_record(self, reporter: Reporter | None = None) -> Row:
        """Run one update, write its row, evaluate and write a checkpoint when they are due."""
        row = self.run_update()
        self._open_curve().append(row)
        self._trackers.row("train", row)
        if row.get("attention_dead") and not self._has_warned:
            self._has_warned = True
            (reporter or SilentReporter()).warn(DEAD_ATTENTION)
        evaluated = self._evaluate_if_due()
        is_due = self.update % self.job.preset.checkpoint_updates == 0 or evaluated or self.is_finished
        if is_due or self.learner.needs_saving:
            self.save()
        return row

    def run_update(self) -> Row:
        """Run one update and return its row of the learning curve."""
        started = time.perf_counter()
        update = self.learner.run_update(self.update)
        self.update += 1
        seconds = time.perf_counter() - started
        self._wall_s += seconds
        return self._row(seconds, update)

    def _evaluate_if_due(self) -> bool:
        """Evaluate if as many steps have passed, or at the end; return whether that was so."""
        plan, envs = self.job.evaluations, self._outlets.evaluation_envs
        if not plan.every:
            return False
        is_last = self.update == self.job.preset.num_updates
        before = self.steps - self.job.preset.update_steps
        if not is_last and self.steps // plan.every == before // plan.every:
            return False
        if envs is None:
            raise ValueError("a job with evaluations needs lanes for them")
        started = time.perf_counter()
        seeds = validation_seeds(self.job.game, plan.episodes)
        episodes = play_episodes(self.learner.player, envs, seeds, self.job.spec.heads)
        self._wall_s += time.perf_counter() - started
        is_best = self.standing.add(float(episodes.returns.mean()), plan)
        row = episodes.row(self.steps, self._wall_s, is_best)
        self._evaluations.append(row)
        self._trackers.row("evaluation", row)
        if is_best:
            self._save_agent(BEST_NAME)
        return True

    def _save_agent(self, name: str) -> None:
        weights = {key: value.cpu() for key, value in self.learner.model.state_dict().items()}
        save_checkpoint(self._directory / name, weights, AgentMeta.from_job(self.job.to_dict(), self.steps))

    def _row(self, seconds: float, update: Update) -> Row:
        games = self._lanes.mean_recent()
        row: Row = {
            "steps": self.steps,
            "wall_s": round(self._wall_s, 3),
            "steps_per_s": round(self.job.preset.update_steps / seconds, 1),
            "games": self._lanes.num_games,
            "return_unclipped_mean_50": games.unclipped,
            "return_clipped_mean_50": games.clipped,
            "game_steps_mean_50": games.steps,
            **update.figures,
        }
        if update.attention:
            row |= attention_figures(torch.cat(update.attention), self.learner.model.encoder_names)
        if update.context is not None:
            shares = (update.context.static_share, update.context.variance_share)
            row |= dict(zip(CONTEXT_COLUMNS, shares, strict=True))
        return row | ({"attention_dead": int(update.attention_is_dead)} if self._attention else {})

    def _shown(self, row: Row) -> Mapping[str, float | str]:
        shown: dict[str, float | str] = {"steps/s": row["steps_per_s"], "return": row["return_unclipped_mean_50"]}
        if self.standing.best is not None and self.standing.newest is not None:
            shown |= {"evaluation": self.standing.newest, "best": self.standing.best}
        return shown

    def _open_curve(self) -> Curve:
        """Return the learning curve; its columns depend on whether the network has attention, so on its first pass."""
        if self._curve is None:
            self._attention = self.learner.player.attention_names()
            later = CONTEXT_COLUMNS if self.job.spec.needs_context else ()
            columns = [*curve_columns(self.learner.figures, self._attention), *later]
            self._curve = Curve(self._directory / CURVE_NAME, columns, num_later=len(later))
        return self._curve

    def _open_trackers(self) -> None:
        self._trackers = open_trackers(self._outlets.trackers, Place(self._directory, "train", self.steps))
        self._trackers.params(tracked_params(self.job))

    def _require_same_job(self, saved: dict[str, Any]) -> None:
        wanted = self.job.to_dict()
        for key, value in wanted.items():
            if saved.get(key) != value:
                raise CheckpointError(
                    f"{self.checkpoint_path} belongs to another run: {key} is {saved.get(key)!r} there, {value!r} was "
                    "asked for. Train into another folder, or start again without resume."
                )


def tracked_params(job: TrainingJob) -> dict[str, str]:
    """Return what a run is made with, as trackers keep it: by name, the parts of a part joined by dots."""
    found: dict[str, str] = {"wsabench": __version__}

    def add(name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, part in value.items():
                add(f"{name}.{key}", part)
        elif value is not None:
            found[name] = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

    for name, value in job.to_dict().items():
        add(name, value)
    return found


def attention_figures(weights: Tensor, names: tuple[str, ...]) -> Row:
    """Summarise attention weights (num_steps, num_encoders) for the learning curve: means and mean entropy in nats."""
    entropy = -(weights * weights.clamp_min(1e-12).log()).sum(1).mean()
    means = {f"attention_{name}": mean for name, mean in zip(names, weights.mean(0).tolist(), strict=True)}
    return {**means, "attention_entropy": entropy.item()}


def curve_columns(figures: tuple[str, ...], attention: tuple[str, ...]) -> list[str]:
    """Return the columns of a learning curve: the common ones, the algorithm's, those of an attention."""
    columns = ["steps", "wall_s", "steps_per_s", "games", "return_unclipped_mean_50", "return_clipped_mean_50"]
    columns += ["game_steps_mean_50", *figures]
    if attention:
        columns += [f"attention_{name}" for name in attention] + ["attention_entropy", "attention_dead"]
    return columns
