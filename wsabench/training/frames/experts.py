"""Experts: trained agents that play while frames are collected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wsabench.errors import SpecError
from wsabench.evaluation.contestants import AgentReference, Contestant, find_contestants
from wsabench.evaluation.rollout import check_range
from wsabench.protocol import Protocol
from wsabench.types import Actions, DeclaredPolicy, LaneBatch, Observations

DEFAULT_EXPERT = "e2e"
"""The shipped end-to-end agent: it needs no encoders."""


@dataclass(frozen=True)
class Expert:
    """An agent that can be loaded.

    Attributes:
        name: Its name and train seed.
        hash: Hash of its checkpoint; `unhashed` where its content is not known.
        contestant: What it is loaded from; a process can be told it unless it is a Python object.
    """

    name: str
    hash: str
    contestant: Contestant

    def load(self) -> DeclaredPolicy:
        """Return the policy, which samples its actions."""
        return self.contestant.load("sampled")


def find_expert(game: str, reference: AgentReference = DEFAULT_EXPERT, train_seed: int = 0) -> Expert:
    """Find an expert for a game.

    Args:
        game: The game's id.
        reference: As agents are named for evaluation: a shipped one's name, a checkpoint's path, `module:attribute`, a
            policy or a callable.
        train_seed: Of an agent given by name.

    Raises:
        CheckpointError: A checkpoint is missing or damaged.
        SpecError: It is more than one agent.
        UnknownNameError: There is no such agent.
    """
    found = find_contestants(reference, [game], [train_seed], Protocol.evaluation())
    if len(found) != 1:
        raise SpecError(f"{len(found)} experts were given. Allowed: one agent.")
    contestant = found[0]
    return Expert(f"{contestant.name}-seed{contestant.train_seed}", contestant.checkpoint_hash, contestant)


def sampled_actions(
    policy: DeclaredPolicy,
    stacks: Observations,
    numbers: Sequence[int],
    generators: Sequence[np.random.Generator],
    starts: Sequence[bool],
    num_actions: int,
) -> Actions:
    """Let an expert act once in some lanes.

    Args:
        policy: The expert.
        stacks: Observations, uint8, shape (N, 4, 84, 84).
        numbers: Number of each lane.
        generators: Of each lane.
        starts: Whether a game starts in each lane.
        num_actions: Actions that the game has.

    Returns:
        int64, shape (N,).

    Raises:
        SpecError: The expert returned something other than one action index per lane, or an action that the game does
            not have.
    """
    lanes = LaneBatch(
        ids=np.array(numbers, np.int64),
        generators=tuple(generators),
        episode_starts=np.array(starts),
        encoder_operations=tuple(() for _ in numbers),
        encoder_generators=tuple(None for _ in numbers),
    )
    actions = policy.act(stacks, lanes).actions
    check_range(actions, num_actions)
    return actions
