"""Fusions of embeddings in their own form: vectors as they are, maps shrunk, none projected to a common width."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional

from wsabench.agents.networks.adapters import make_reducer, plan_reduction, reduced_shape
from wsabench.agents.networks.fusions.base import Fused, Fusion, Shapes
from wsabench.agents.networks.grouping import make_adapters
from wsabench.agents.networks.network import AS_TRAINED, Initialiser, Lineup
from wsabench.agents.spec import AgentSpec


class ShrunkFusion(Fusion):
    """Shrinks maps; what is made of vectors and maps is the subclass's.

    Every encoder has its own inputs in what comes next, so none can be left out, join, or change places.

    Attributes:
        names: The fused encoders, in order.
        shapes: Shape of what each gives to the subclass.
        cells: Height and width that the agent shrinks maps to.
        adapters: What shrinks those maps that are larger.
    """

    def __init__(self, spec: AgentSpec, shapes: Shapes, make: Initialiser) -> None:
        """Build what shrinks maps."""
        super().__init__(spec, shapes, make)
        self.names = spec.encoders
        self.cells = spec.adapter_cells
        fused = {name: tuple(shapes[name]) for name in spec.encoders}
        self.adapters = make_adapters(fused, lambda shape: make_reducer(shape, spec, make))
        self.shapes = {name: _shrunk_shape(shape, spec) for name, shape in fused.items()}

    @abc.abstractmethod
    def combine(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        """Return the feature (N, feature_size) of vectors and shrunk maps by encoder, each (N, *shape)."""

    def forward(self, embeddings: Mapping[str, Tensor], lineup: Lineup = AS_TRAINED) -> Fused:
        """Combine; see `Fusion.forward`."""
        self.check_lineup(lineup)
        shrunk = self.adapters(embeddings)
        return Fused(self.combine({name: shrunk.get(name, embeddings[name]) for name in self.names}), None)

    def windows(self, name: str, maps: Tensor) -> Tensor:
        """Return an encoder's maps as they are read fastest; see `Fusion.windows`."""
        return self.adapters.windows(name, maps)

    @property
    def num_numbers(self) -> int:
        """How many numbers the embeddings hold together."""
        return sum(math.prod(shape) for shape in self.shapes.values())


def _shrunk_shape(shape: tuple[int, ...], spec: AgentSpec) -> tuple[int, ...]:
    how = plan_reduction(shape, spec)
    return shape if how is None else reduced_shape((shape[0], shape[1], shape[2]), how)


def brought_to(embedding: Tensor, cells: int) -> Tensor:
    """Return maps of another size as maps of `cells` x `cells`, by area: means of what falls into a cell."""
    if embedding.shape[2:] == (cells, cells):
        return embedding
    return functional.adaptive_avg_pool2d(embedding, cells)


def reshaped(vector: Tensor, cells: int) -> Tensor:
    """Return vectors (N, size) as maps of `cells` x `cells`, row by row, channel by channel; the last filled with 0."""
    area = cells * cells
    filled = functional.pad(vector, (0, -vector.shape[1] % area))
    return filled.unflatten(1, (-1, cells, cells))
