"""Fusions of adapted embeddings: every encoder is brought to a vector of one width before they are combined."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from wsabench.agents.networks.adapters import NewcomerAdapter, make_adapter
from wsabench.agents.networks.fusions.base import Fused, Fusion, Shapes
from wsabench.agents.networks.grouping import Adapters, make_adapters
from wsabench.agents.networks.network import AS_TRAINED, Initialiser, Lineup
from wsabench.agents.spec import AgentSpec


class AdaptedFusion(Fusion):
    """Adapts, lets newcomers join, exchanges places; what is made of the vectors is the subclass's.

    Attributes:
        names: The fused encoders, in order.
        adapters: The adapter of each.
    """

    names: tuple[str, ...]
    adapters: Adapters

    def __init__(self, spec: AgentSpec, shapes: Shapes, make: Initialiser) -> None:
        """Build the adapters."""
        super().__init__(spec, shapes, make)
        self.names = spec.encoders
        fused = {name: tuple(shapes[name]) for name in spec.encoders}
        self.adapters = make_adapters(fused, lambda shape: make_adapter(shape, spec, make))

    @abc.abstractmethod
    def combine(
        self, adapted: Tensor, embeddings: Mapping[str, Tensor], mask: Tensor | None, given: Tensor | None
    ) -> Fused:
        """Combine adapted embeddings.

        Args:
            adapted: What stands in each place, shape (N, num_places, width).
            embeddings: As `forward` has them, for the context.
            mask: True where a place takes part, bool, shape (N, num_places); None: all do.
            given: Weights of the places instead of computed ones, as `Lineup.weights`; always None where the fusion
                does not allow `weights`.

        Returns:
            The feature, and weights of the places.
        """

    def forward(self, embeddings: Mapping[str, Tensor], lineup: Lineup = AS_TRAINED) -> Fused:
        """Combine; see `Fusion.forward`."""
        self.check_lineup(lineup)
        by_name = self.adapters(embeddings)
        adapted = torch.stack([by_name[name] for name in self.names], dim=1)
        if lineup.newcomers:
            joined = [newcomer.adapter(embeddings[newcomer.name]) for newcomer in lineup.newcomers]
            adapted = torch.cat([adapted, torch.stack(joined, dim=1).to(adapted.dtype)], dim=1)
        if lineup.order is None:
            return self.combine(adapted, embeddings, lineup.mask, lineup.weights)
        placed = adapted.take_along_dim(lineup.order[:, :, None], dim=1)
        mask, given = (
            None if one is None else one.take_along_dim(lineup.order, dim=1) for one in (lineup.mask, lineup.weights)
        )
        fused = self.combine(placed, embeddings, mask, given)
        # A weight belongs to an encoder, wherever it stands.
        weights = None if fused.weights is None else fused.weights.scatter(1, lineup.order, fused.weights)
        return fused._replace(weights=weights)

    def windows(self, name: str, maps: Tensor) -> Tensor:
        """Return an encoder's maps as they are read fastest; see `Fusion.windows`."""
        return self.adapters.windows(name, maps)

    def newcomer_adapter(self, shape: tuple[int, ...]) -> NewcomerAdapter:
        """Return the mean of the trained adapters for embeddings of `shape`."""
        layers = [self.adapters[name].last for name in self.names]
        return NewcomerAdapter(layers, math.prod(shape))
