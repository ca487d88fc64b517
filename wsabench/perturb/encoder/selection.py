"""Which encoders an operation means: names, or the words `fused` and `context`."""

from __future__ import annotations

from collections.abc import Sequence

from wsabench.errors import SpecError
from wsabench.types import EncoderRoster, LaneEncoders

FUSED = "fused"
"""All fused encoders, newcomers that joined before included."""
CONTEXT = "context"
"""The encoder that the fusion compares with."""


def selected(encoders: Sequence[str], lane: LaneEncoders) -> tuple[str, ...]:
    """Return the names of the encoders that are meant, each once."""
    names: list[str] = []
    for word in encoders:
        names += lane.fused if word == FUSED else (lane.context if word == CONTEXT else word,)
    return tuple(dict.fromkeys(names))


def check_selection(encoders: Sequence[str], roster: EncoderRoster, *, fused_only: bool = False) -> None:
    """Check that an agent has the encoders that are meant.

    Args:
        encoders: Names, or the words `fused` and `context`.
        roster: The agent's encoders.
        fused_only: Whether only fused encoders can be meant.

    Raises:
        SpecError: It lacks one.
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
        SpecError: It has none.
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
        SpecError: It cannot.
    """
    require_encoders(roster)
    if change not in roster.allows:
        raise SpecError(f"the fusion of {roster.agent!r} cannot {what}. Leave it out.")
