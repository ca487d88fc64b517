"""Which encoders an operation means: those that are named, or some that are drawn.

Names are those of encoders, or the words `fused` and `context`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np

from wsabench.errors import SpecError
from wsabench.perturb.kinds import Range
from wsabench.types import EncoderRoster, LaneEncoders
from wsabench.words import counted

FUSED = "fused"
"""The word for all fused encoders, those that joined before included."""
CONTEXT = "context"
"""The word for the encoder that the fusion compares with."""

Count = Annotated[int, Range(0, 64)]
"""A parameter that is a number of encoders."""
Choice = Callable[[LaneEncoders], tuple[str, ...]]
"""A function that says which encoders of a lane are meant."""


class DrawnPerEpisode:
    """What all operations share whose encoders are drawn at the start of each episode, `count` of them."""

    __slots__ = ()
    count: int


def selected(encoders: Sequence[str], lane: LaneEncoders) -> tuple[str, ...]:
    """Return the names of the encoders that are meant, each once."""
    names: list[str] = []
    for word in encoders:
        names += lane.fused if word == FUSED else (lane.context if word == CONTEXT else word,)
    return tuple(dict.fromkeys(names))


def drawn_encoders(encoders: LaneEncoders, count: int, generator: np.random.Generator) -> tuple[str, ...]:
    """Return `count` of the encoders that are not left out, every set equally likely; fewer are a part of more."""
    order = generator.permutation(len(encoders.fused))
    kept = set(encoders.kept)
    return tuple([name for name in (encoders.fused[index] for index in order) if name in kept][:count])


def named(words: Sequence[str]) -> Choice:
    """Return the choice of the encoders that are meant by names or the words `fused` and `context`."""
    return lambda lane: selected(words, lane)


def drawn(count: int, generator: np.random.Generator) -> Choice:
    """Return the choice of `count` encoders, which is drawn when it is first asked for, once in each episode."""
    names: list[tuple[str, ...]] = []

    def choose(lane: LaneEncoders) -> tuple[str, ...]:
        if not names:
            names.append(drawn_encoders(lane, count, generator))
        return names[0]

    return choose


def check_selection(encoders: Sequence[str], roster: EncoderRoster, *, fused_only: bool = False) -> None:
    """Check that an agent has the encoders that are meant.

    Args:
        encoders: Names, or the words `fused` and `context`.
        roster: The agent's encoders.
        fused_only: Whether only fused encoders can be meant.

    Raises:
        SpecError: The agent lacks one.
    """
    require_encoders(roster)
    allowed = set(roster.fused)
    if not fused_only:
        allowed |= {*roster.available, FUSED} | ({CONTEXT} if roster.context else set())
    if missing := [name for name in encoders if name not in allowed]:
        has = f"it fuses {', '.join(roster.fused)}"
        has += "" if fused_only else f"; its context is {roster.context}"
        raise SpecError(f"the agent {roster.agent!r} has no encoder {', '.join(missing)}: {has}. Leave it out.")


def require_encoders(roster: EncoderRoster) -> None:
    """Check that an agent has encoders at all.

    Raises:
        SpecError: The agent has none.
    """
    if not roster.fused:
        raise SpecError(f"the agent {roster.agent!r} has no encoders that could be changed. Leave it out.")


def require_change(roster: EncoderRoster, change: str, what: str) -> None:
    """Check that an agent's fusion can express a change.

    Args:
        roster: The agent's encoders.
        change: A `FusionChange`.
        what: The change in words, for the message.

    Raises:
        SpecError: The fusion cannot.
    """
    require_encoders(roster)
    if change not in roster.allows:
        raise SpecError(f"the fusion of {roster.agent!r} cannot {what}. Leave it out.")


def check_count(count: int, roster: EncoderRoster, what: str) -> None:
    """Check that `count` encoders surely take part, so that they can be fed something else.

    Args:
        count: Encoders that are drawn.
        roster: The agent's encoders.
        what: What they would be fed, for the message.

    Raises:
        SpecError: Fewer encoders take part.
    """
    require_encoders(roster)
    if count > roster.num_kept:
        raise SpecError(
            f"{counted(count, 'encoder')} would be fed {what} where only {roster.num_kept} of the {len(roster.fused)} "
            f"of {roster.agent!r} surely take part. Allowed: 0 to {roster.num_kept}."
        )
