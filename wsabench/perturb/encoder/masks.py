"""Encoders that are left out of the fusion: named, drawn once an episode, or drawn every step."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from wsabench.errors import SpecError
from wsabench.perturb.encoder.selection import check_selection, require_change, require_encoders
from wsabench.types import EncoderRoster, LaneEncoders

_LEAVE_OUT = "leave encoders out"


@dataclass(frozen=True, slots=True)
class DropEncoders:
    """Leaves named encoders out in every step; as if the agent had been built without them."""

    encoders: tuple[str, ...]

    def check(self, roster: EncoderRoster) -> EncoderRoster:
        """Return the roster with fewer encoders that surely stay.

        Raises:
            SpecError: The agent does not fuse one of them, or none would surely stay.
        """
        require_change(roster, "mask", _LEAVE_OUT)
        check_selection(self.encoders, roster, fused_only=True)
        return _with_fewer(roster, len(self.encoders))

    def start(self, generator: np.random.Generator) -> DropEncoders:
        """Return itself: there is nothing to remember."""
        del generator
        return self

    def apply(self, encoders: LaneEncoders) -> None:
        """Leave them out."""
        for name in self.encoders:
            encoders.drop(name)


@dataclass(frozen=True, slots=True)
class DropDrawn:
    """Leaves out `count` encoders, drawn at the start of each episode; the same episode loses more with more."""

    count: int

    def check(self, roster: EncoderRoster) -> EncoderRoster:
        """Return the roster with fewer encoders that surely stay.

        Raises:
            SpecError: None would surely stay.
        """
        require_change(roster, "mask", _LEAVE_OUT)
        return _with_fewer(roster, self.count)

    def start(self, generator: np.random.Generator) -> _Drawn:
        """Return the state for an episode."""
        return _Drawn(self.count, generator)


class _Drawn:
    def __init__(self, count: int, generator: np.random.Generator) -> None:
        self._count, self._generator = count, generator
        self._names: tuple[str, ...] | None = None

    def apply(self, encoders: LaneEncoders) -> None:
        if self._names is None:
            self._names = drawn_encoders(encoders, self._count, self._generator)
        for name in self._names:
            encoders.drop(name)


@dataclass(frozen=True, slots=True)
class FlickerEncoders:
    """Leaves each encoder out with a probability, drawn anew every step; one always stays.

    Each encoder draws a number u in [0, 1) a step and is left out where u < p; where all would be, the one with the
    greatest number stays. So what is missing at one p is missing at every greater p.
    """

    probability: float

    def check(self, roster: EncoderRoster) -> EncoderRoster:
        """Return the roster, of which only one encoder surely stays.

        Raises:
            SpecError: The fusion cannot leave encoders out.
        """
        require_change(roster, "mask", _LEAVE_OUT)
        return replace(roster, num_kept=1) if self.probability > 0 else roster

    def start(self, generator: np.random.Generator) -> _Flicker:
        """Return the state for an episode."""
        return _Flicker(self.probability, generator)


class _Flicker:
    def __init__(self, probability: float, generator: np.random.Generator) -> None:
        self._probability, self._generator = probability, generator

    def apply(self, encoders: LaneEncoders) -> None:
        drawn = dict(zip(encoders.fused, self._generator.random(len(encoders.fused)), strict=True))
        kept = encoders.kept
        staying = max(kept, key=lambda name: drawn[name])
        for name in kept:
            if drawn[name] < self._probability and name != staying:
                encoders.drop(name)


def drawn_encoders(encoders: LaneEncoders, count: int, generator: np.random.Generator) -> tuple[str, ...]:
    """Return `count` of the encoders that are not left out, each set equally likely; fewer are a part of more."""
    order = generator.permutation(len(encoders.fused))
    kept = set(encoders.kept)
    return tuple([name for name in (encoders.fused[index] for index in order) if name in kept][:count])


def check_count(count: int, roster: EncoderRoster, what: str) -> None:
    """Check that `count` encoders surely take part, so that they can be fed something else.

    Args:
        count: Encoders that are drawn.
        roster: The agent's encoders.
        what: What they would be fed, for the message.

    Raises:
        SpecError: Fewer do.
    """
    require_encoders(roster)
    if count > roster.num_kept:
        raise SpecError(
            f"{count} encoders would be fed {what} where only {roster.num_kept} of the {len(roster.fused)} of "
            f"{roster.agent!r} surely take part. Allowed: 0 to {roster.num_kept}."
        )


def _with_fewer(roster: EncoderRoster, count: int) -> EncoderRoster:
    """Return the roster with `count` encoders fewer that surely stay."""
    if count >= roster.num_kept:
        raise SpecError(
            f"{count} encoders would be left out where only {roster.num_kept} of the {len(roster.fused)} of "
            f"{roster.agent!r} surely take part. Allowed: 0 to {roster.num_kept - 1}, so that one stays. In a "
            "composition, what leaves encoders out anew every step stands last."
        )
    return replace(roster, num_kept=roster.num_kept - count)
