"""Agents that need no training: what any other agent should beat."""

from __future__ import annotations

from typing import Literal

import numpy as np

from wsabench.hashing import text_hash
from wsabench.types import BUILT_IN_AGENTS, Abilities, Actions, Decision, LaneBatch, Observations, OwnPolicy

BuiltIn = Literal["random", "noop"]


class BuiltInPolicy(OwnPolicy):
    """Plays `random`, every action equally likely, or `noop`, which never touches the controls."""

    def __init__(self, name: BuiltIn, num_actions: int) -> None:
        """Play a game with `num_actions` actions, of which 0 is NOOP."""
        self._choices = {"random": num_actions, "noop": 1}[name]
        self.abilities = Abilities(
            name=name,
            checkpoint_hash=text_hash(f"built-in {name}: {BUILT_IN_AGENTS[name]}"),
            is_deterministic=self._choices == 1,
        )

    def __repr__(self) -> str:
        """Return the agent and how many actions it chooses from."""
        return f"{type(self).__name__}({self.abilities.name!r}, num_actions={self._choices})"

    def act(self, observations: Observations, lanes: LaneBatch) -> Decision:
        """Return one action for each lane, drawn from the lane's own generator."""
        actions: Actions = np.array([lane.integers(self._choices) for lane in lanes.generators], np.int64)
        return Decision(actions)
