"""Embeddings that are replaced before the fusion sees them: by zeros, by noise, by older ones.

Embeddings are standardised (see `wsabench.encoders.standardisation`): over random play every position has mean 0 and
every channel a root mean square of 1.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from wsabench.perturb.encoder.selection import (
    CONTEXT,
    FUSED,
    Choice,
    Count,
    DrawnPerEpisode,
    check_count,
    check_selection,
    drawn,
    named,
)
from wsabench.perturb.kinds import Names, Probability, Range, kind
from wsabench.types import AgentReads, Embedding, EncoderOperation, EncoderRoster, EncoderState, LaneEncoders


class NamedEncoders:
    """What all operations share that replace the embeddings of named encoders."""

    __slots__ = ()
    encoders: tuple[str, ...]

    def check(self, roster: EncoderRoster) -> EncoderRoster:
        """Return the roster.

        Raises:
            SpecError: The agent lacks one of the encoders.
        """
        check_selection(self.encoders, roster)
        return roster


class DrawnEncoders(DrawnPerEpisode):
    """What all operations share that replace the embeddings of `count` encoders, drawn as `DropDrawn` draws."""

    __slots__ = ()
    fed: ClassVar[str]
    """What the encoders are fed, for messages."""

    def check(self, roster: EncoderRoster) -> EncoderRoster:
        """Return the roster.

        Raises:
            SpecError: Fewer encoders surely take part.
        """
        check_count(self.count, roster, self.fed)
        return roster


class Feeding:
    """The state of an operation that feeds other embeddings for the encoders that are meant."""

    def __init__(self, choose: Choice, feed: Callable[[LaneEncoders, str], Embedding]) -> None:
        """Keep which encoders are meant, and what gives the embedding that is fed for an encoder of a lane."""
        self._choose, self._feed = choose, feed

    def apply(self, encoders: LaneEncoders) -> None:
        """Replace the embeddings of one step."""
        for name in self._choose(encoders):
            encoders.replace(name, self._feed(encoders, name))


@kind("encoder.zero")
@dataclass(frozen=True, slots=True)
class ZeroEncoders(NamedEncoders):
    """Feed zeros instead of the standardised embeddings: e = 0, the mean over random play.

    The encoder keeps its place in the fusion and gets the weight that its zeros earn: where a fusion attends, this
    mostly measures that zeros capture the attention, not that information is lost (compare `encoder.own_mean`).
    `encoders`: names, `fused`, `context`.
    """

    draws_nothing: ClassVar[bool] = True

    encoders: Names

    def start(self, generator: np.random.Generator) -> EncoderState:
        """Return the state for an episode; it draws nothing."""
        del generator
        return Feeding(named(self.encoders), _zeros)


@kind("encoder.zero_drawn")
@dataclass(frozen=True, slots=True)
class ZeroDrawn(DrawnEncoders):
    """Feed zeros for `count` fused encoders, drawn at the start of each episode.

    They are the same ones as `encoder.drop_drawn` draws.
    """

    fed: ClassVar[str] = "zeros"
    count: Count

    def start(self, generator: np.random.Generator) -> EncoderState:
        """Return the state for an episode."""
        return Feeding(drawn(self.count, generator), _zeros)


@kind("encoder.noise", source="the mix is that of Ho, Jain and Abbeel 2020, eq. 4")
@dataclass(frozen=True, slots=True)
class NoisyEncoders(NamedEncoders):
    """Mix Gaussian noise of the embedding's own scale in: sqrt(1 - share) e + sqrt(share) z.

    z ~ N(0, 1) is drawn anew for every number and step; standardised embeddings have scale 1, so the variance stays and
    `share` is the noise's part of it. share = 1: nothing but noise. `encoders`: names, `fused`, `context`.
    """

    encoders: Names
    share: Probability

    def start(self, generator: np.random.Generator) -> EncoderState:
        """Return the state for an episode."""
        signal, noise = math.sqrt(1 - self.share), math.sqrt(self.share)

        def mixed(lane: LaneEncoders, name: str) -> Embedding:
            embedding = lane.embedding(name)
            draws = generator.standard_normal(embedding.shape, dtype=np.float32)
            embedding *= signal
            draws *= noise
            return embedding + draws

        # Without noise nothing is fed: adding 0 would turn -0 into 0.
        return Feeding(named(self.encoders if noise else ()), mixed)


@kind("encoder.stale")
@dataclass(frozen=True, slots=True)
class StaleEncoders(NamedEncoders):
    """Feed the embeddings of `steps` agent steps ago, e_t = e_max(t - steps, 0): until then the episode's first.

    `encoders`: names, `fused`, `context`.
    """

    draws_nothing: ClassVar[bool] = True

    encoders: Names
    steps: Annotated[int, Range(0, 10_000)]

    def start(self, generator: np.random.Generator) -> EncoderState:
        """Return the state for an episode; it draws nothing."""
        del generator
        past: dict[str, deque[Embedding]] = {}

        def oldest(lane: LaneEncoders, name: str) -> Embedding:
            kept = past.setdefault(name, deque(maxlen=self.steps + 1))
            kept.append(lane.embedding(name))
            return kept[0]

        return Feeding(named(self.encoders if self.steps else ()), oldest)


def replaced_encoders(operation: EncoderOperation, reads: AgentReads) -> frozenset[str] | None:
    """Return the encoders whose embeddings an operation replaces in an agent.

    Args:
        operation: Any operation on encoders.
        reads: The agent's encoders.

    Returns:
        Names, `context` where the agent has none; None where the operation may do something else.
    """
    if not isinstance(operation, NamedEncoders):
        return None
    names: set[str] = set()
    for word in operation.encoders:
        if word == FUSED:
            return None
        names.add(reads.context or word if word == CONTEXT else word)
    return frozenset(names)


def _zeros(lane: LaneEncoders, name: str) -> Embedding:
    return np.zeros_like(lane.embedding(name))
