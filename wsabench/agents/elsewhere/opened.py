"""What a loader is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from wsabench.agents.elsewhere.references import Uri
from wsabench.protocol import ActionSelection
from wsabench.types import Permissions


@dataclass(frozen=True, slots=True)
class Wanted:
    """One agent for one game."""

    uri: Uri
    """Where it is."""
    game: str | None
    """The id of the game it will play; None where that is not known yet."""
    train_seed: int
    """Which training run; what a file does not say of itself."""
    action_selection: ActionSelection
    """`sampled` or `greedy`."""
    permissions: Permissions
    """What the user allows."""
