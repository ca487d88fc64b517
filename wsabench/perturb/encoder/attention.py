"""Attention that is replaced by weights that never change: what does it do beyond a constant mixture?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from wsabench.errors import SpecError
from wsabench.perturb.encoder.own_play import FromOwnPlay
from wsabench.perturb.encoder.selection import require_change
from wsabench.perturb.kinds import kind
from wsabench.types import EncoderRoster, EncoderState, LaneEncoders, OwnPlay


class _Weighing:
    """What the operations here share: they need a fusion that weighs several encoders by what it sees."""

    __slots__ = ()
    draws_nothing: ClassVar[bool] = True

    def check(self, roster: EncoderRoster) -> EncoderRoster:
        """Return the roster.

        Raises:
            SpecError: The fusion does not attend, always attends alike, or has one encoder.
        """
        require_change(roster, "weights", "take its weights from elsewhere: it has none that depend on what it sees")
        if len(roster.fused) < 2:
            raise SpecError(f"the agent {roster.agent!r} fuses one encoder, whose weight is always 1. Leave it out.")
        return roster


@kind("encoder.own_mean_attention")
@dataclass(frozen=True, slots=True)
class OwnMeanAttention(FromOwnPlay, _Weighing):
    """Give every encoder its mean weight over the agent's own clean play: w_i = mean_t w_ti, whatever is seen.

    The mean is over whole episodes of at least 5,000 steps in all. Embeddings stay. What the agent loses is what
    attention does beyond a constant mixture. Among encoders that are not left out the weights are scaled to sum to 1.
    """

    def start_with(self, play: OwnPlay, generator: np.random.Generator) -> EncoderState:
        """Return the state for an episode; it draws nothing."""
        del generator
        return _Constant(play)


class _Constant:
    def __init__(self, play: OwnPlay) -> None:
        self._weights = play.attention()

    def apply(self, encoders: LaneEncoders) -> None:
        encoders.weigh(self._weights)


@kind("encoder.uniform_attention")
@dataclass(frozen=True, slots=True)
class UniformAttention(_Weighing):
    """Give all encoders the same weight, 1 / E of E, whatever is seen. Embeddings stay."""

    def start(self, generator: np.random.Generator) -> UniformAttention:
        """Return itself: there is nothing to remember."""
        del generator
        return self

    def apply(self, encoders: LaneEncoders) -> None:
        """Give the fused encoders the same weight."""
        encoders.weigh(dict.fromkeys(encoders.fused, 1.0))
