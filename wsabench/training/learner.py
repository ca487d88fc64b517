"""What the training loop asks of an algorithm."""

from __future__ import annotations

import abc
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from wsabench import seeding
from wsabench.agents import ActorCritic
from wsabench.training.curve import Row
from wsabench.training.player import Player

LearnerState = dict[str, Tensor]


class Update(NamedTuple):
    """What an update gave."""

    figures: Row
    """The algorithm's own columns of the learning curve."""
    attention: list[Tensor]
    """Attention weights of the steps played, each (num_envs, num_encoders); empty without attention."""
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
