"""Embeddings that are replaced by what the encoders gave in the agent's own clean play: their mean, or a random step.

Zeros are the mean over random play, which a trained agent hardly ever meets; these stay within what it meets. The
operations only say that they need that play. Evaluation plays it and supplies it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from wsabench.errors import SpecError
from wsabench.perturb.encoder.masks import check_count, drawn_encoders
from wsabench.perturb.encoder.selection import check_selection, selected
from wsabench.types import Embedding, EncoderRoster, EncoderState, LaneEncoders, OwnPlay

Choice = Callable[[LaneEncoders], tuple[str, ...]]
"""Says which encoders of a lane are meant."""


class _Startable(Protocol):
    """An operation that starts with the agent's own play."""

    def check(self, roster: EncoderRoster) -> EncoderRoster: ...

    def start_with(self, play: OwnPlay, generator: np.random.Generator) -> EncoderState: ...


class _FromOwnPlay:
    """What the operations here share: they start only with the agent's own play."""

    __slots__ = ()

    def start(self, generator: np.random.Generator) -> EncoderState:
        """Refuse.

        Raises:
            SpecError: Always: the agent's own play was not supplied.
        """
        del generator
        raise SpecError(
            "This change needs embeddings of the agent's own clean play, and none were supplied. `wsabench run` and "
            "`wsabench record` play and supply them; elsewhere give the operation's with_own_play(...) to the lane."
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


class _Named(_FromOwnPlay):
    """Acts on named encoders."""

    __slots__ = ()
    encoders: tuple[str, ...]

    def check(self, roster: EncoderRoster) -> EncoderRoster:
        """Return the roster.

        Raises:
            SpecError: The agent lacks one of the encoders.
        """
        check_selection(self.encoders, roster)
        return roster


class _Drawn(_FromOwnPlay):
    """Acts on `count` encoders, drawn at the start of each episode as `DropDrawn` draws."""

    __slots__ = ()
    count: int

    def check(self, roster: EncoderRoster) -> EncoderRoster:
        """Return the roster.

        Raises:
            SpecError: Fewer encoders surely take part.
        """
        check_count(self.count, roster, "embeddings of the agent's own play")
        return roster


@dataclass(frozen=True, slots=True)
class OwnMeanEncoders(_Named):
    """Feeds, for named encoders, their mean embedding over the agent's own clean play."""

    encoders: tuple[str, ...]

    def start_with(self, play: OwnPlay, generator: np.random.Generator) -> EncoderState:
        """Return the state for an episode."""
        del generator
        return _Feeding(_named(self.encoders), play.mean)


@dataclass(frozen=True, slots=True)
class OwnMeanDrawn(_Drawn):
    """Feeds, for `count` drawn encoders, their mean embedding over the agent's own clean play."""

    count: int

    def start_with(self, play: OwnPlay, generator: np.random.Generator) -> EncoderState:
        """Return the state for an episode."""
        return _Feeding(_drawn(self.count, generator), play.mean)


@dataclass(frozen=True, slots=True)
class SwapEncoders(_Named):
    """Feeds, for named encoders, their embedding at a random step of the agent's own clean play.

    The step is drawn anew in every step and for every encoder, uniformly among those that are kept.
    """

    encoders: tuple[str, ...]

    def start_with(self, play: OwnPlay, generator: np.random.Generator) -> EncoderState:
        """Return the state for an episode."""
        return _Feeding(_named(self.encoders), _moments(play, generator))


@dataclass(frozen=True, slots=True)
class SwapDrawn(_Drawn):
    """Feeds, for `count` drawn encoders, their embedding at a random step of the agent's own clean play."""

    count: int

    def start_with(self, play: OwnPlay, generator: np.random.Generator) -> EncoderState:
        """Return the state for an episode."""
        return _Feeding(_drawn(self.count, generator), _moments(play, generator))


class _Feeding:
    """Replaces the embeddings of the encoders that are meant."""

    def __init__(self, choose: Choice, feed: Callable[[str], Embedding]) -> None:
        self._choose, self._feed = choose, feed

    def apply(self, encoders: LaneEncoders) -> None:
        for name in self._choose(encoders):
            encoders.replace(name, self._feed(name))


def _named(words: tuple[str, ...]) -> Choice:
    return lambda lane: selected(words, lane)


def _drawn(count: int, generator: np.random.Generator) -> Choice:
    """Return a choice that is drawn when first asked, once an episode."""
    names: list[tuple[str, ...]] = []

    def choose(lane: LaneEncoders) -> tuple[str, ...]:
        if not names:
            names.append(drawn_encoders(lane, count, generator))
        return names[0]

    return choose


def _moments(play: OwnPlay, generator: np.random.Generator) -> Callable[[str], Embedding]:
    return lambda name: play.moment(name, int(generator.integers(play.num_moments)))
