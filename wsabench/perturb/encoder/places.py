"""Adapted embeddings that change places in the fusion, and encoders that joined after training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from wsabench.errors import SpecError
from wsabench.perturb.encoder import PAPER
from wsabench.perturb.encoder.selection import require_change
from wsabench.perturb.kinds import Names, Seed, kind
from wsabench.seeding import generator as named_generator
from wsabench.types import EncoderRoster, LaneEncoders


@kind("encoder.permute", source="Sattolo 1986, An algorithm to generate a random cyclic permutation")
@dataclass(frozen=True, slots=True)
class PermuteEncoders:
    """Exchange the places of the adapted embeddings by a fixed cyclic permutation, so that none stays in its place.

    Whether an encoder is left out goes with it. Without effect on fusions that treat the embeddings as a set (weight
    sharing attention): a control there.
    """

    draws_nothing: ClassVar[bool] = True

    seed: Seed

    def check(self, roster: EncoderRoster) -> EncoderRoster:
        """Return the roster.

        Raises:
            SpecError: The fusion has no places that could be exchanged, or only one.
        """
        require_change(roster, "order", "exchange the places of encoders")
        if len(roster.fused) < 2:
            raise SpecError(f"the agent {roster.agent!r} fuses one encoder, which has no other place. Leave it out.")
        return roster

    def start(self, generator: np.random.Generator) -> PermuteEncoders:
        """Return itself: there is nothing to remember."""
        del generator
        return self

    def apply(self, encoders: LaneEncoders) -> None:
        """Exchange the places of the fused encoders."""
        before = encoders.places
        encoders.arrange(tuple(before[index] for index in cyclic_permutation(len(before), self.seed)))


@kind("encoder.join", source=f"{PAPER}: the number of models changes over time")
@dataclass(frozen=True, slots=True)
class JoinEncoders:
    """Fuse one more encoder, which the agent runs but never fused, through an untrained adapter.

    The adapter is the mean of the trained adapters' last linear layers, their inputs resampled to the newcomer's by
    area, each scaled to its own Frobenius norm (`wsabench.agents.networks.adapters`).
    """

    draws_nothing: ClassVar[bool] = True

    encoders: Names

    def check(self, roster: EncoderRoster) -> EncoderRoster:
        """Return the roster with the newcomers.

        Raises:
            SpecError: The fusion takes no newcomers, the agent does not run such an encoder, or fuses it already.
        """
        require_change(roster, "newcomers", "take one more encoder")
        fused = roster.fused
        for name in self.encoders:
            if name in fused:
                raise SpecError(f"the agent {roster.agent!r} fuses {name} already: {', '.join(fused)}. Leave it out.")
            if name not in roster.available:
                raise SpecError(
                    f"the agent {roster.agent!r} does not run an encoder {name}. Allowed: one that it runs and does "
                    f"not fuse; it runs {', '.join(roster.available)}."
                )
            fused = (*fused, name)
        return replace(roster, fused=fused, num_kept=roster.num_kept + len(self.encoders))

    def start(self, generator: np.random.Generator) -> JoinEncoders:
        """Return itself: there is nothing to remember."""
        del generator
        return self

    def apply(self, encoders: LaneEncoders) -> None:
        """Let the encoders join the fusion."""
        for name in self.encoders:
            encoders.join(name)


def cyclic_permutation(size: int, seed: int) -> tuple[int, ...]:
    """Return one of the (size - 1)! permutations that are a single cycle, each equally likely over seeds.

    >>> cyclic_permutation(2, seed=5)
    (1, 0)
    """
    generator = named_generator(seed, "permute-encoders")
    order = list(range(size))
    for last in range(size - 1, 0, -1):
        other = int(generator.integers(last))
        order[last], order[other] = order[other], order[last]
    return tuple(order)
