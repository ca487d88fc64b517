"""Types that parts share: what a policy gets and gives, and how an episode ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypedDict, runtime_checkable

import numpy as np
import numpy.typing as npt

Observations = npt.NDArray[np.uint8]
"""Stacked luminance frames, uint8, shape (N, 4, 84, 84), newest last."""
Actions = npt.NDArray[np.int64]
"""One action index a lane, int64, shape (N,)."""
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

EpisodeEnd = Literal["game_over", "time_limit", "stalled"]


@dataclass(frozen=True, slots=True)
class EncoderOperation:
    """What a lane's perturbation does to the agent's own encoders; agents without encoders cannot take it."""

    dropped: frozenset[str] = frozenset()
    """Names of encoders removed from the fusion (masked out of the softmax)."""


@dataclass(frozen=True, slots=True)
class LaneBatch:
    """What a policy is told about the lanes whose observations it sees; entry i belongs to row i.

    Nothing in it couples lanes: recurrent state is keyed by `ids`, sampling uses each lane's own generator.
    """

    ids: npt.NDArray[np.int64]
    """Lane ids, int64, shape (N,)."""
    generators: tuple[np.random.Generator, ...]
    """The lane's generator for action selection, seeded from the episode seed at each reset."""
    episode_starts: BoolArray
    """True where this is the first observation of an episode, shape (N,)."""
    encoder_operations: tuple[EncoderOperation | None, ...]
    """The encoder operation of each lane; None: encoders as trained."""
    inputs: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    """Further inputs that encoders asked for, by name (`rgb84`, `ram`), each with N rows."""


@runtime_checkable
class Policy(Protocol):
    """Anything that can be evaluated."""

    def act(self, observations: Observations, lanes: LaneBatch) -> Actions:
        """Return one action index a lane, int64, shape (N,)."""
        ...


PolicyFunction = Callable[[Observations], npt.ArrayLike]
"""A plain callable from observations (N, 4, 84, 84) to N action indices; accepted wherever a policy is."""


class BenchRow(TypedDict):
    """One measurement of speed, as `wsabench bench --json` prints it."""

    name: str
    """What was measured."""
    peer: str
    """What it is compared with, measured in the same run; empty without a peer."""
    value: float
    """Its speed or time."""
    unit: str
    """`steps/s` or `ms/observation`."""
    ratio: float | None
    """Above 1: better than the peer. None without a peer."""
