"""Embeddings that are replaced by what the encoders gave in the agent's own clean play: their mean, or a random step.

Zeros are the mean over random play, which a trained agent hardly ever meets; these stay within what it meets. The
operations only say that they need that play. Evaluation plays it and supplies it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from wsabench.errors import SpecError
from wsabench.perturb.encoder.embeddings import DrawnEncoders, Feeding, NamedEncoders
from wsabench.perturb.encoder.selection import Count, drawn, named
from wsabench.perturb.kinds import Names, kind
from wsabench.types import Embedding, EncoderRoster, EncoderState, LaneEncoders, OwnPlay


class _Startable(Protocol):
    """An operation that starts with the agent's own play."""

    def check(self, roster: EncoderRoster) -> EncoderRoster: ...

    def start_with(self, play: OwnPlay, generator: np.random.Generator) -> EncoderState: ...


class FromOwnPlay:
    """What operations share that start only with the agent's own play."""

    __slots__ = ()

    def start(self, generator: np.random.Generator) -> EncoderState:
        """Refuse to start.

        Raises:
            SpecError: Always, because the agent's own play was not supplied.
        """
        del generator
        raise SpecError(
            "This change needs the agent's own clean play, and none was supplied. `wsabench run` and "
            "`wsabench record` play and supply it; elsewhere give the operation's with_own_play(...) to the lane."
        )

    def with_own_play(self: _Startable, play: OwnPlay) -> _WithOwnPlay:
        """Return the operation that can start."""
        return _WithOwnPlay(self, play)


@dataclass(frozen=True, slots=True)
class _WithOwnPlay:
    """An operation and the play that it takes embeddings from."""

    operation: _Startable
    play: OwnPlay

    def check(self, roster: EncoderRoster) -> EncoderRoster:
        """Check as the operation does."""
        return self.operation.check(roster)

    def start(self, generator: np.random.Generator) -> EncoderState:
        """Return the state for an episode."""
        return self.operation.start_with(self.play, generator)


class _DrawnFromOwnPlay(FromOwnPlay, DrawnEncoders):
    __slots__ = ()
    fed: ClassVar[str] = "embeddings of the agent's own play"


@kind("encoder.own_mean")
@dataclass(frozen=True, slots=True)
class OwnMeanEncoders(FromOwnPlay, NamedEncoders):
    """Feed the encoder's mean embedding over the agent's own clean play.

    e = mean_t e_t over whole episodes of at least 5,000 steps in all: nothing of the present step, and nearer to what
    the agent meets than zeros are. `encoders`: names, `fused`, `context`.
    """

    draws_nothing: ClassVar[bool] = True

    encoders: Names

    def start_with(self, play: OwnPlay, generator: np.random.Generator) -> EncoderState:
        """Return the state for an episode; it draws nothing."""
        del generator
        return Feeding(named(self.encoders), _mean(play))


@kind("encoder.own_mean_drawn")
@dataclass(frozen=True, slots=True)
class OwnMeanDrawn(_DrawnFromOwnPlay):
    """As `encoder.own_mean` for `count` fused encoders, drawn at the start of each episode.

    They are the same ones as `encoder.drop_drawn` draws.
    """

    count: Count

    def start_with(self, play: OwnPlay, generator: np.random.Generator) -> EncoderState:
        """Return the state for an episode."""
        return Feeding(drawn(self.count, generator), _mean(play))


@kind("encoder.swap")
@dataclass(frozen=True, slots=True)
class SwapEncoders(FromOwnPlay, NamedEncoders):
    """Feed the encoder's embedding of another step of the agent's own clean play: e_u instead of e_t.

    u is uniform among 1,024 random steps of that play, drawn anew for every encoder and step: real embeddings that say
    nothing of the present. `encoders`: names, `fused`, `context`.
    """

    encoders: Names

    def start_with(self, play: OwnPlay, generator: np.random.Generator) -> EncoderState:
        """Return the state for an episode."""
        return Feeding(named(self.encoders), _moments(play, generator))


@kind("encoder.swap_drawn")
@dataclass(frozen=True, slots=True)
class SwapDrawn(_DrawnFromOwnPlay):
    """As `encoder.swap` for `count` fused encoders, drawn at the start of each episode.

    They are the same ones as `encoder.drop_drawn` draws.
    """

    count: Count

    def start_with(self, play: OwnPlay, generator: np.random.Generator) -> EncoderState:
        """Return the state for an episode."""
        return Feeding(drawn(self.count, generator), _moments(play, generator))


def _mean(play: OwnPlay) -> Callable[[LaneEncoders, str], Embedding]:
    return lambda _, name: play.mean(name)


def _moments(play: OwnPlay, generator: np.random.Generator) -> Callable[[LaneEncoders, str], Embedding]:
    return lambda _, name: play.moment(name, int(generator.integers(play.num_moments)))
