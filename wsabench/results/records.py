"""Jobs, and what becomes of their episodes, before any of it is a table: a process that plays loads no pandas."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsabench.hashing import text_hash
from wsabench.results.manifest import AgentId, JobEntry
from wsabench.stats.context_effect import ContextEffect
from wsabench.types import EpisodeEnd, FloatArray

CLEAN = "clean"

ACTION_DIGITS = 16
"""Hexadecimal digits that are kept of the SHA-256 of an episode's actions, one byte per step."""

CONTEXT_STEPS = 512
"""Most steps of an episode, evenly spaced, in which the context's effect is measured."""


@dataclass(frozen=True, slots=True)
class Job:
    """All episodes of one agent, train seed, game and perturbation."""

    agent: str
    train_seed: int
    game: str
    family: str
    perturbation: str
    """Canonical name with severity, `hue-rotate@3`."""
    severity: int | None
    episode_seeds: tuple[int, ...]
    fingerprint: str
    noops: tuple[int, ...] | None = None
    """No-op frames at the start of each episode, where each start is played once; None where episodes draw theirs."""

    @property
    def num_episodes(self) -> int:
        """Number of episodes."""
        return len(self.episode_seeds)

    @property
    def id(self) -> AgentId:
        """Who plays."""
        return AgentId(self.agent, self.train_seed, self.game)

    @property
    def entry(self) -> JobEntry:
        """What a manifest says of it."""
        return JobEntry(
            agent=self.agent,
            train_seed=self.train_seed,
            game=self.game,
            perturbation=self.perturbation,
            file=f"{self.key}.parquet",
            fingerprint=self.fingerprint,
            episodes=self.num_episodes,
            each_start_once=self.noops is not None,
        )

    def noops_at(self, place: int) -> int | None:
        """Return the no-op frames of one of the episodes, by its place in `episode_seeds`; None where it draws them."""
        return None if self.noops is None else self.noops[place]

    @property
    def bare_name(self) -> str:
        """The perturbation's name without its severity, as the tables hold it."""
        suffix = f"@{self.severity}"
        if self.severity is None or not self.perturbation.endswith(suffix):
            return self.perturbation
        return self.perturbation.removesuffix(suffix)

    @property
    def key(self) -> str:
        """Readable and unique within a result set; safe as a file name."""
        return file_stem(f"{self.agent}-seed{self.train_seed}", self.game, self.perturbation)

    def describe(self) -> str:
        """Return the job in words, for messages."""
        return f"{self.id.describe()}, {self.perturbation}"


class EpisodeOutcome(NamedTuple):
    """How one episode went."""

    job_index: int
    """Which job it belongs to, as its task says."""
    episode: int
    """The episode's number, from 0; its seed follows from it."""
    episodic_return: float
    length: int
    """Steps."""
    end: EpisodeEnd
    attention: AttentionSums | None
    """Sums over its steps; None for agents without attention."""
    steps: EpisodeSteps | None = None
    """Every step; None unless they are recorded."""
    context: ContextEffect | None = None
    """What the context did in up to `CONTEXT_STEPS` of its steps, compared with each other; None without a context."""
    noops: int | None = None
    """No-op frames at the start; None where lanes do not say."""
    action_hash: str | None = None
    """Hash of what the agent chose in each step, `ACTION_DIGITS` digits."""


class EpisodeSteps(NamedTuple):
    """What an agent did in each of the T steps of an episode; E encoders."""

    actions: npt.NDArray[np.int64]
    """Action index, shape (T,)."""
    rewards: FloatArray
    """Unclipped, float64, shape (T,)."""
    values: npt.NDArray[np.float32]
    """What the agent expected before the step, in its own training's unit; shape (T,), NaN where it does not say."""
    weights: npt.NDArray[np.float32]
    """Attention weights that the action came from, shape (T, E); E is 0 for agents without attention."""


class AttentionSums(NamedTuple):
    """Sums over the steps of one episode; E encoders."""

    weights: FloatArray
    """Sum of each encoder's weight, float64, shape (E,)."""
    squares: FloatArray
    """Sum of the squared weights, float64, shape (E,)."""
    entropy: float
    """Sum of the weights' entropy in nats."""
    num_steps: int


def attention_sums(weights: np.ndarray) -> AttentionSums:
    """Sum attention weights over an episode.

    Args:
        weights: Attention weights, float, shape (num_steps, E), rows summing to 1; a masked encoder has 0.

    Returns:
        Sums in float64. They are taken over the finished episode, so they do not depend on how lanes were shared.
    """
    values = np.ascontiguousarray(weights, dtype=np.float64)
    positive = np.where(values > 0, values, 1.0)
    entropy = -(values * np.log(positive)).sum(axis=1).sum()
    return AttentionSums(values.sum(axis=0), np.square(values).sum(axis=0), float(entropy), len(values))


def file_stem(*parts: str) -> str:
    """Join names into a file name that every file system takes; changed or long names get a hash."""
    text = "--".join(parts)
    safe = re.sub(r"[^A-Za-z0-9@+._=-]", "_", text)
    if safe == text and len(safe) <= 150:
        return safe
    return f"{safe[:130]}-{text_hash(text, 8)}"
