"""Encoders that are left out of the fusion: named, drawn once in each episode, or drawn in every step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from wsabench.errors import SpecError
from wsabench.perturb.encoder import PAPER
from wsabench.perturb.encoder.selection import Choice, Count, DrawnPerEpisode, check_selection, drawn, require_change
from wsabench.perturb.kinds import Names, Probability, kind
from wsabench.types import EncoderRoster, EncoderState, LaneEncoders
from wsabench.words import counted

_LEAVE_OUT = "leave encoders out"


@kind("encoder.drop", source=f"{PAPER}: the number of models can change after training")
@dataclass(frozen=True, slots=True)
class DropEncoders:
    """Leave the named encoders out of the fusion in every step.

    In attention their scores become -inf before the softmax, so their weights are 0 and the others'
    w_i = exp(a_i) / sum_kept exp(a_j): as if the agent had been built without them.
    """

    draws_nothing: ClassVar[bool] = True

    encoders: Names

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
        """Leave the encoders out of the fusion."""
        for name in self.encoders:
            encoders.drop(name)


@kind("encoder.drop_drawn")
@dataclass(frozen=True, slots=True)
class DropDrawn(DrawnPerEpisode):
    """Leave `count` encoders out of the fusion, drawn at the start of each episode, every set equally likely.

    Otherwise as `encoder.drop`. In the same episode those missing at one count are also missing at every greater count.
    """

    count: Count

    def check(self, roster: EncoderRoster) -> EncoderRoster:
        """Return the roster with fewer encoders that surely stay.

        Raises:
            SpecError: None would surely stay.
        """
        require_change(roster, "mask", _LEAVE_OUT)
        return _with_fewer(roster, self.count)

    def start(self, generator: np.random.Generator) -> EncoderState:
        """Return the state for an episode."""
        return _Dropping(drawn(self.count, generator))


class _Dropping:
    def __init__(self, choose: Choice) -> None:
        self._choose = choose

    def apply(self, encoders: LaneEncoders) -> None:
        for name in self._choose(encoders):
            encoders.drop(name)


@kind("encoder.flicker")
@dataclass(frozen=True, slots=True)
class FlickerEncoders:
    """Leave each encoder out of the fusion with the probability p, drawn anew in every step: u_i < p with u_i uniform.

    Where all would go, the one with the greatest u_i stays; so each of N is missing in p - p^N / N of the steps. What
    is missing at one p is missing at every greater p.
    """

    probability: Probability

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


def _with_fewer(roster: EncoderRoster, count: int) -> EncoderRoster:
    """Return the roster with `count` encoders fewer that surely stay."""
    if count >= roster.num_kept:
        raise SpecError(
            f"{counted(count, 'encoder')} would be left out where only {roster.num_kept} of the {len(roster.fused)} of "
            f"{roster.agent!r} surely take part. Allowed: 0 to {roster.num_kept - 1}, so that one stays. In a "
            "composition, what leaves encoders out anew every step stands last."
        )
    return replace(roster, num_kept=roster.num_kept - count)
