"""What every fusion takes and gives."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from wsabench.agents.network import Initialiser
from wsabench.agents.spec import AgentSpec

Shapes = Mapping[str, tuple[int, ...]]
"""Embedding shapes by encoder: (size,) for a vector, (channels, height, width) for a map."""


class Fused(NamedTuple):
    """A fusion's result."""

    feature: Tensor
    """What the heads read, shape (N, feature_size)."""
    weights: Tensor | None
    """Weights of the encoders, float32, shape (N, num_encoders); None for fusions without attention."""


class Fusion(nn.Module, abc.ABC):
    """Combines standardised embeddings; the embeddings' encoders are frozen and not part of it."""

    feature_size: int

    @abc.abstractmethod
    def __init__(self, spec: AgentSpec, shapes: Shapes, make: Initialiser) -> None:
        """Build adapters for embeddings of the given shapes."""
        super().__init__()

    @abc.abstractmethod
    def forward(self, embeddings: Mapping[str, Tensor], mask: Tensor | None = None) -> Fused:
        """Combine.

        Args:
            embeddings: By encoder, the context included, each (N, *shape).
            mask: True where an encoder takes part, bool, shape (N, num_encoders); at least one a row. None: all do.
        """
