"""Trainable adapters: from an embedding of any shape to a vector of the common width."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from wsabench.agents.network import Initialiser


class LinearAdapter(nn.Module):
    """Flatten, one linear layer, ReLU."""

    def __init__(self, size: int, width: int, make: Initialiser) -> None:
        super().__init__()
        self.linear = make.linear(size, width)

    def forward(self, embedding: Tensor) -> Tensor:
        """Map (N, size) or (N, channels, height, width) to (N, width)."""
        return functional.relu(self.linear(flattened(embedding)))

    @property
    def last(self) -> nn.Linear:
        """The layer that gives the vector."""
        return self.linear


class MapAdapter(nn.Module):
    """A convolution that shrinks a map, then flatten, one linear layer, ReLU."""

    def __init__(self, shape: tuple[int, int, int], channels: int, cells: int, width: int, make: Initialiser) -> None:
        """Build for maps (channels, height, width) of `shape`; the convolution leaves `cells` x `cells`."""
        super().__init__()
        kernel, stride = reduction(shape[1], cells)
        self.convolution = make.convolution(shape[0], channels, kernel, stride)
        out = (shape[1] - kernel) // stride + 1
        self.project = LinearAdapter(channels * out * out, width, make)

    def forward(self, embedding: Tensor) -> Tensor:
        """Map (N, *shape) to (N, width)."""
        return self.project(functional.relu(self.convolution(embedding)))

    @property
    def last(self) -> nn.Linear:
        """The layer that gives the vector."""
        return self.project.linear


def flattened(embedding: Tensor) -> Tensor:
    """Return embeddings as vectors, (N, size); maps with channels last, as they lie in memory, which copies nothing."""
    return embedding.permute(0, 2, 3, 1).flatten(1) if embedding.dim() == 4 else embedding


def reduction(size: int, cells: int) -> tuple[int, int]:
    """Return kernel and stride that bring a side of `size` to `cells`, or leave it if it is smaller already.

    >>> reduction(21, 10), reduction(42, 10), reduction(10, 10)
    ((3, 2), (6, 4), (1, 1))
    """
    stride = max(1, size // cells)
    kernel = max(1, size - stride * (cells - 1))
    return kernel, stride


def make_adapter(shape: tuple[int, ...], width: int, channels: int, cells: int, make: Initialiser) -> nn.Module:
    """Return the adapter for an embedding: linear for vectors and for maps that are small already."""
    if len(shape) == 3:
        return MapAdapter((shape[0], shape[1], shape[2]), channels, cells, width, make)
    return LinearAdapter(shape[0], width, make)
