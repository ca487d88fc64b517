"""What every fusion takes and gives."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from wsabench.agents.networks.network import AS_TRAINED, Comparison, Initialiser, Lineup
from wsabench.agents.spec import AgentSpec
from wsabench.errors import SpecError
from wsabench.types import FusionChange

Shapes = Mapping[str, tuple[int, ...]]
"""Embedding shapes by encoder: (size,) for a vector, (channels, height, width) for a map."""


class Fused(NamedTuple):
    """A fusion's result."""

    feature: Tensor
    """What the heads read, shape (N, feature_size)."""
    weights: Tensor | None
    """Weights of the encoders, newcomers last, float32, shape (N, num_encoders); None for fusions without attention."""
    comparison: Comparison | None = None
    """What the weights of the places come from; None for fusions that read no context."""


class Fusion(nn.Module, abc.ABC):
    """Combines embeddings; the embeddings' encoders are not part of it."""

    feature_size: int
    allows: frozenset[FusionChange] = frozenset()
    """What this fusion can express of a lineup; anything else is refused."""
    has_weights: bool = False
    """Whether it weighs encoders."""

    @abc.abstractmethod
    def __init__(self, spec: AgentSpec, shapes: Shapes, make: Initialiser) -> None:
        """Build adapters for embeddings of the given shapes."""
        super().__init__()

    @abc.abstractmethod
    def forward(self, embeddings: Mapping[str, Tensor], lineup: Lineup = AS_TRAINED) -> Fused:
        """Combine.

        Args:
            embeddings: By encoder, the context and newcomers included, each (N, *shape).
            lineup: Which encoders take part and where they stand.

        Raises:
            SpecError: The fusion cannot express the lineup.
        """

    def windows(self, name: str, maps: Tensor) -> Tensor:
        """Return an encoder's maps in the form that `forward` reads fastest, where it reads another one as well.

        Args:
            name: The encoder.
            maps: With channels last, shape (N, height, width, channels); vectors come back as they are.

        Returns:
            `maps`, or their windows side by side, shape (N, rows, columns, window's size).
        """
        del name
        return maps

    def newcomer_adapter(self, shape: tuple[int, ...]) -> nn.Module:
        """Return an untrained adapter for an encoder that joins now, made from the trained ones.

        Args:
            shape: Of one embedding.

        Raises:
            NotImplementedError: The fusion takes no newcomers.
        """
        raise NotImplementedError(f"{type(self).__name__} takes no newcomers, so none of shape {shape}")

    def scoring_layer(self) -> nn.Parameter | None:
        """Return the weight of the trainable layer that scores encoders; None without."""
        return None

    def check_lineup(self, lineup: Lineup) -> None:
        """Refuse what the fusion cannot express; ignoring it would run the agent as trained.

        Raises:
            SpecError: There is such a thing.
        """
        asked: set[FusionChange] = set()
        if "mask" not in self.allows and lineup.mask is not None and not bool(lineup.mask.all()):
            asked.add("mask")
        asked |= {"order"} if lineup.order is not None else set()
        asked |= {"newcomers"} if lineup.newcomers else set()
        asked |= {"weights"} if lineup.weights is not None else set()
        if wrong := sorted(asked - self.allows):
            able = ", ".join(sorted(self.allows)) or "none of mask, order, newcomers, weights"
            raise SpecError(
                f"{type(self).__name__} was asked for {', '.join(wrong)}, which it cannot express. Allowed: {able}."
            )
