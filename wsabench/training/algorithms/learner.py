"""What the training loop asks of an algorithm."""

from __future__ import annotations

import abc
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from wsabench import seeding
from wsabench.agents import ActorCritic, Comparison, measure_context
from wsabench.stats.context_effect import ContextEffect, EvenSample
from wsabench.training.curve import Row
from wsabench.training.player import Player

LearnerState = dict[str, Tensor]
CONTEXT_STEPS = 256
"""Most steps of an update in which it is measured what the context does to the attention's weights."""


class Update(NamedTuple):
    """What an update gave."""

    figures: Row
    """The algorithm's own columns of the learning curve."""
    attention: list[Tensor]
    """Attention weights of the steps played, each (num_envs, num_encoders); empty without attention."""
    context: ContextEffect | None
    """What the context did in up to `CONTEXT_STEPS` evenly spaced steps; None where none was read."""
    attention_is_dead: bool
    """Whether no gradient reached the attention's scoring layer in the whole update."""


class Learner(abc.ABC):
    """An algorithm with its network, optimiser and random numbers."""

    figures: ClassVar[tuple[str, ...]]
    """Names of `Update.figures`."""

    optimiser: torch.optim.Optimizer

    def __init__(self, player: Player, train_seed: int, stream: str) -> None:
        """Draw everything random from the stream of that name below the train seed, on the CPU."""
        self.player = player
        self.generator = torch.Generator().manual_seed(seeding.integer_seed(train_seed, stream))
        self._train_seed = train_seed

    @property
    def model(self) -> ActorCritic:
        """The network that is trained."""
        return self.player.model

    @abc.abstractmethod
    def run_update(self, update: int) -> Update:
        """Play and learn.

        Args:
            update: Number of this update, from 0.
        """

    def comparisons(self) -> EvenSample[Comparison]:
        """Return an empty sample of what the attention compares in each step of all lanes."""
        return EvenSample(max(1, CONTEXT_STEPS // self.player.lanes.num_envs))

    def measure_context(self, comparisons: list[Comparison], update: int) -> ContextEffect | None:
        """Measure what the context does by draws of an update's own; nothing else in the run knows of them.

        Args:
            comparisons: What the attention compared, maybe nothing.
            update: Number of the update.
        """
        if not comparisons:
            return None
        return measure_context(self.model, comparisons, seeding.generator(self._train_seed, "context-effect", update))

    def start(self) -> None:  # noqa: B027 - nothing to do for most
        """Take notice of the first observations of a new run."""

    def state(self) -> LearnerState:
        """Return what a checkpoint holds besides network, optimiser, generator and lanes."""
        return {}

    def restore(self, state: LearnerState) -> None:  # noqa: B027 - nothing to do for most
        """Take over a saved state; the lanes are restored already."""

    @property
    def needs_saving(self) -> bool:
        """Whether the next update could overwrite files that the last checkpoint needs."""
        return False

    def saved(self) -> None:  # noqa: B027 - nothing to do for most
        """Note that the last `state()` is in a checkpoint."""

    def finish(self) -> None:  # noqa: B027 - nothing to do for most
        """Remove files that a finished run does not need."""
