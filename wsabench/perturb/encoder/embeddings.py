"""Embeddings that are replaced before the fusion sees them: by zeros, by noise, by older ones.

Embeddings are standardised (see `wsabench.encoders.standardisation`): over random play every position has mean 0 and
every channel a root mean square of 1.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wsabench.perturb.encoder.masks import check_count, drawn_encoders
from wsabench.perturb.encoder.own_play import OwnMeanEncoders, SwapEncoders
from wsabench.perturb.encoder.selection import CONTEXT, FUSED, check_selection, selected
from wsabench.types import AgentReads, Embedding, EncoderOperation, EncoderRoster, LaneEncoders


@dataclass(frozen=True, slots=True)
class ZeroEncoders:
    """Feeds zeros for the embeddings of named encoders: what they tell of the average moment of random play.

    The encoder keeps its place in the fusion, unlike one that is left out. Where the fusion attends, it does not keep
    its weight: zeros are far from what a trained agent sees, and may draw most of the attention to themselves.
    """

    encoders: tuple[str, ...]

    def check(self, roster: EncoderRoster) -> EncoderRoster:
        """Return the roster.

        Raises:
            SpecError: The agent lacks one of the encoders.
        """
        check_selection(self.encoders, roster)
        return roster

    def start(self, generator: np.random.Generator) -> ZeroEncoders:
        """Return itself: there is nothing to remember."""
        del generator
        return self

    def apply(self, encoders: LaneEncoders) -> None:
        """Set zeros."""
        _set_zeros(encoders, selected(self.encoders, encoders))


@dataclass(frozen=True, slots=True)
class ZeroDrawn:
    """Feeds zeros for `count` encoders, drawn at the start of each episode as `DropDrawn` draws."""

    count: int

    def check(self, roster: EncoderRoster) -> EncoderRoster:
        """Return the roster.

        Raises:
            SpecError: Fewer encoders surely take part.
        """
        check_count(self.count, roster, "zeros")
        return roster

    def start(self, generator: np.random.Generator) -> _ZeroDrawn:
        """Return the state for an episode."""
        return _ZeroDrawn(self.count, generator)


class _ZeroDrawn:
    def __init__(self, count: int, generator: np.random.Generator) -> None:
        self._count, self._generator = count, generator
        self._names: tuple[str, ...] | None = None

    def apply(self, encoders: LaneEncoders) -> None:
        if self._names is None:
            self._names = drawn_encoders(encoders, self._count, self._generator)
        _set_zeros(encoders, self._names)


@dataclass(frozen=True, slots=True)
class NoisyEncoders:
    """Mixes embeddings e with Gaussian noise of their own scale: sqrt(1 - share) e + sqrt(share) z, z ~ N(0, 1).

    z is drawn anew for every number and step. The mix keeps the variance; at share 1 nothing but noise is left.

    References:
        Ho, Jain and Abbeel 2020, "Denoising diffusion probabilistic models", eq. 4 (the mix that keeps the variance).
    """

    encoders: tuple[str, ...]
    share: float

    def check(self, roster: EncoderRoster) -> EncoderRoster:
        """Return the roster.

        Raises:
            SpecError: The agent lacks one of the encoders.
        """
        check_selection(self.encoders, roster)
        return roster

    def start(self, generator: np.random.Generator) -> _Noise:
        """Return the state for an episode."""
        return _Noise(self.encoders, self.share, generator)


class _Noise:
    def __init__(self, encoders: tuple[str, ...], share: float, generator: np.random.Generator) -> None:
        self._encoders, self._generator = encoders, generator
        self._signal, self._noise = math.sqrt(1 - share), math.sqrt(share)

    def apply(self, encoders: LaneEncoders) -> None:
        if self._noise == 0:
            return  # adding 0 would turn -0 into 0
        for name in selected(self._encoders, encoders):
            embedding = encoders.embedding(name)
            drawn = self._generator.standard_normal(embedding.shape, dtype=np.float32)
            embedding *= self._signal
            drawn *= self._noise
            encoders.replace(name, embedding + drawn)


@dataclass(frozen=True, slots=True)
class StaleEncoders:
    """Feeds the embeddings of `steps` agent steps ago; until then the episode's first."""

    encoders: tuple[str, ...]
    steps: int

    def check(self, roster: EncoderRoster) -> EncoderRoster:
        """Return the roster.

        Raises:
            SpecError: The agent lacks one of the encoders.
        """
        check_selection(self.encoders, roster)
        return roster

    def start(self, generator: np.random.Generator) -> _Stale:
        """Return the state for an episode."""
        del generator
        return _Stale(self.encoders, self.steps)


class _Stale:
    def __init__(self, encoders: tuple[str, ...], steps: int) -> None:
        self._encoders, self._steps = encoders, steps
        self._past: dict[str, deque[Embedding]] = {}

    def apply(self, encoders: LaneEncoders) -> None:
        for name in selected(self._encoders, encoders) if self._steps else ():
            past = self._past.setdefault(name, deque(maxlen=self._steps + 1))
            past.append(encoders.embedding(name))
            encoders.replace(name, past[0])


def replaced_encoders(operation: EncoderOperation, reads: AgentReads) -> frozenset[str] | None:
    """Return the encoders whose embeddings an operation replaces in an agent.

    Args:
        operation: Any.
        reads: The agent's encoders.

    Returns:
        Names, `context` where the agent has none; None where the operation may do something else.
    """
    if not isinstance(operation, ZeroEncoders | NoisyEncoders | StaleEncoders | OwnMeanEncoders | SwapEncoders):
        return None
    names: set[str] = set()
    for word in operation.encoders:
        if word == FUSED:
            return None
        names.add(reads.context or word if word == CONTEXT else word)
    return frozenset(names)


def _set_zeros(encoders: LaneEncoders, names: Sequence[str]) -> None:
    for name in names:
        encoders.replace(name, np.zeros_like(encoders.embedding(name)))
