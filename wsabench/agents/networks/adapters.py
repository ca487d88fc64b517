"""Trainable adapters: from an embedding of any shape to a small map, and to a vector of the common width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsabench.agents.networks.network import Initialiser
from wsabench.agents.spec import AgentSpec

MapShape = tuple[int, int, int]
"""Channels, height, width."""


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


class Reduction(NamedTuple):
    """How a map is shrunk."""

    mixes: bool
    """Whether a 1x1 convolution to `channels` comes before the one that shrinks, with nothing between them."""
    channels: int
    kernel: tuple[int, int]
    """Height and width of the convolution that shrinks."""
    stride: tuple[int, int]


class MapReducer(nn.Module):
    """Convolutions that shrink a map, ReLU after the last."""

    def __init__(self, shape: MapShape, how: Reduction, make: Initialiser) -> None:
        """Build for maps of `shape`."""
        super().__init__()
        channels = shape[0]
        self.mix = None
        if how.mixes:
            self.mix, channels = make.convolution(channels, how.channels, 1), how.channels
        self.convolution = make.convolution(channels, how.channels, how.kernel, how.stride)
        self.shape: MapShape = reduced_shape(shape, how)
        self.is_joined = how.mixes and joining_saves(shape, how)
        """Whether both convolutions run as one, with the product of their kernels: the same function."""
        self.window = how.kernel if self.is_joined and how.kernel == how.stride else None
        """Height and width of the windows that this reads instead of maps as well, shape (N, window's size, height,
        width); None where windows overlap or the convolutions stay apart."""
        self._channels = shape[0]

    def forward(self, embedding: Tensor) -> Tensor:
        """Map (N, channels, height, width), or the map's windows, to (N, *self.shape)."""
        return self.shrink(embedding)

    def windows(self, maps: Tensor) -> Tensor:
        """Return what is read of maps with channels last, (N, height, width, channels), as it is read fastest.

        On a GPU that is the maps: measured, a step of training takes 1.3 times as long with windows there.
        """
        return maps if self.window is None or not maps.is_cpu else cut_out(maps, self.window)

    def shrink(self, embedding: Tensor) -> Tensor:
        """Return the shrunk map."""
        if self.mix is None:
            return functional.relu(self.convolution(embedding))
        if not self.is_joined:
            return functional.relu(self.convolution(self.mix(embedding)))
        weight, bias = joined_kernels(*_weights(self.mix), *_weights(self.convolution))
        if embedding.shape[1] != self._channels:
            return functional.relu(convolve(embedding, weight, bias))
        return functional.relu(functional.conv2d(embedding, weight, bias, self.convolution.stride))


class MapAdapter(MapReducer):
    """A reducer, then flatten, one linear layer, ReLU."""

    def __init__(self, shape: MapShape, how: Reduction, width: int, make: Initialiser) -> None:
        """Build for maps of `shape` and vectors of `width`."""
        super().__init__(shape, how, make)
        channels, height, columns = self.shape
        self.project = LinearAdapter(channels * height * columns, width, make)

    def forward(self, embedding: Tensor) -> Tensor:
        """Map (N, channels, height, width) to (N, width)."""
        return self.project(self.shrink(embedding))

    @property
    def last(self) -> nn.Linear:
        """The layer that gives the vector."""
        return self.project.linear


Adapter = LinearAdapter | MapReducer


def flattened(embedding: Tensor) -> Tensor:
    """Return embeddings as vectors, (N, size); maps with channels last, as they lie in memory, which copies nothing."""
    return embedding.permute(0, 2, 3, 1).flatten(1) if embedding.dim() == 4 else embedding


def reduction(size: int, cells: int) -> tuple[int, int]:
    """Return kernel and stride of style `compact`: a side of `size` comes to `cells`, a smaller one stays.

    The stride is as large as it can be, the kernel takes in all that is left.

    >>> reduction(21, 10), reduction(42, 10), reduction(10, 10)
    ((3, 2), (6, 4), (1, 1))
    """
    stride = max(1, size // cells)
    kernel = max(1, size - stride * (cells - 1))
    return kernel, stride


def exact_reduction(size: int, cells: int) -> tuple[int, int]:
    """Return kernel and stride of style `paper`: a side of `size` comes to `cells`, a smaller one stays.

    The stride is as large as it can be, the kernel as small as it can be without leaving pixels out.

    >>> exact_reduction(21, 16), exact_reduction(84, 16), exact_reduction(16, 16), exact_reduction(2, 16)
    ((6, 1), (5, 5), (1, 1), (1, 1))
    """
    if size <= cells:
        return 1, 1
    stride = size // cells
    return max(stride, size - stride * cells + 1), stride


def plan_reduction(shape: tuple[int, ...], spec: AgentSpec) -> Reduction | None:
    """Return how an agent shrinks embeddings of a shape; None: it takes them as they are.

    Style `paper` gives the adapters of Piccoli et al. 2026 for their maps (`adapter_channels` 16, `adapter_cells` 16):
    128x21x21 and 4x21x21 through 1x1 and 6x6 convolutions, 20x84x84 through 1x1 and 5x5 with stride 5.
    """
    if len(shape) != 3:
        return None
    channels, *sides = shape
    if spec.adapter_style == "paper":
        if max(sides) <= spec.adapter_cells:
            return None
        kept = min(max(channels // 4, spec.adapter_channels), 2 * spec.adapter_channels)
        (rows, down), (columns, right) = (exact_reduction(side, spec.adapter_cells) for side in sides)
        return Reduction(mixes=True, channels=kept, kernel=(rows, columns), stride=(down, right))
    (rows, down), (columns, right) = (reduction(side, spec.adapter_cells) for side in sides)
    return Reduction(mixes=False, channels=spec.adapter_channels, kernel=(rows, columns), stride=(down, right))


def reduced_shape(shape: MapShape, how: Reduction) -> MapShape:
    """Return the shape of a shrunk map."""
    rows, columns = (
        (side - kernel) // stride + 1 for side, kernel, stride in zip(shape[1:], how.kernel, how.stride, strict=True)
    )
    return how.channels, rows, columns


def joining_saves(shape: MapShape, how: Reduction) -> bool:
    """Tell whether one convolution with both kernels' product takes fewer products than one after the other.

    So it is for maps of few channels and where windows do not overlap; it also needs no map between the two, whose
    gradient is what costs most (20x84x84 through 1x1 and 5x5 with stride 5: a quarter of the time).
    """
    channels, height, width = shape
    out_channels, rows, columns = reduced_shape(shape, how)
    windows = rows * columns * how.kernel[0] * how.kernel[1] * out_channels
    return windows * channels < height * width * channels * out_channels + windows * out_channels


def joined_kernels(mix: Tensor, mix_bias: Tensor, kernel: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the convolution that does what a 1x1 convolution and the one after it do.

    Args:
        mix: Weight of the first, shape (..., M, C, 1, 1).
        mix_bias: Its bias, shape (..., M).
        kernel: Weight of the second, which must not be padded, shape (..., O, M, height, width).
        bias: Its bias, shape (..., O).

    Returns:
        Float32, shapes (..., O, C, height, width) and (..., O).
    """
    with torch.autocast(kernel.device.type, enabled=False):
        weight = torch.einsum("...omhw,...mc->...ochw", kernel, mix[..., 0, 0])
        return weight, bias + torch.einsum("...omhw,...m->...o", kernel, mix_bias)


def make_adapter(shape: tuple[int, ...], spec: AgentSpec, make: Initialiser) -> LinearAdapter | MapAdapter:
    """Return the adapter from embeddings of a shape to vectors of the agent's width."""
    how = plan_reduction(shape, spec)
    if how is not None:
        return MapAdapter(_map_shape(shape), how, spec.width, make)
    return LinearAdapter(math.prod(shape), spec.width, make)


def make_reducer(shape: tuple[int, ...], spec: AgentSpec, make: Initialiser) -> MapReducer | None:
    """Return what shrinks maps of a shape; None for vectors and for maps that stay as they are."""
    how = plan_reduction(shape, spec)
    return None if how is None else MapReducer(_map_shape(shape), how, make)


def _weights(layer: nn.Conv2d) -> tuple[Tensor, Tensor]:
    if layer.bias is None:
        raise TypeError("the adapters' convolutions have a bias")
    return layer.weight, layer.bias


def _map_shape(shape: tuple[int, ...]) -> MapShape:
    channels, height, width = shape
    return channels, height, width


class NewcomerAdapter(nn.Module):
    """Flatten, the mean of other adapters' linear layers, ReLU.

    The others read inputs of other lengths. Each weight matrix W_i (width, n_i) is brought to the newcomer's length n
    along its input by area interpolation: column j is the mean of the columns floor(j n_i / n) to
    ceil((j + 1) n_i / n) - 1. It is then scaled to its old Frobenius norm, which keeps the variance that it gives for
    white input; the mean of these matrices is the newcomer's weight, the mean of the biases its bias. Convolutions that
    shrink maps before the others' linear layers have no counterpart: the newcomer's embedding is flattened as it is,
    channels last.

    References:
        Piccoli et al. 2026, section on a changing number of pre-trained models, for the question; the paper does not
        say how such an adapter starts, this is our definition.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, others: Sequence[nn.Linear], size: int) -> None:
        """Take the mean of `others` for embeddings of `size` numbers."""
        super().__init__()
        with torch.no_grad():
            self.register_buffer("weight", torch.stack([_resized(o.weight.float(), size) for o in others]).mean(0))
            self.register_buffer("bias", torch.stack([o.bias.float() for o in others]).mean(0))

    def forward(self, embedding: Tensor) -> Tensor:
        """Map (N, *shape) to (N, width)."""
        flat = flattened(embedding)
        return functional.relu(functional.linear(flat, self.weight.to(flat.dtype), self.bias.to(flat.dtype)))


def _resized(weight: Tensor, size: int) -> Tensor:
    """Return a weight matrix for inputs of another length, with the same Frobenius norm."""
    resized = functional.adaptive_avg_pool1d(weight[None], size)[0]
    return resized * (weight.norm() / resized.norm().clamp(min=torch.finfo(torch.float32).tiny))


def cut_out(maps: Tensor, kernel: tuple[int, int]) -> Tensor:
    """Return the windows of maps, side by side from the upper left; what is left over at the far edges is dropped.

    Args:
        maps: Shape (N, height, width, channels).
        kernel: Height and width of a window.

    Returns:
        Shape (N, rows, columns, window height x window width x channels).
    """
    height, width = kernel
    rows, columns = maps.shape[1] // height, maps.shape[2] // width
    covered = maps[:, : rows * height, : columns * width]
    return covered.unflatten(1, (rows, height)).unflatten(3, (columns, width)).transpose(2, 3).flatten(3)


def convolve(windows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return what a convolution whose stride is its kernel gives on the maps.

    Args:
        windows: As `cut_out` gives them, with the last axis second: shape (N, size, rows, columns).
        weight: Shape (O, channels, window height, window width).
        bias: Shape (O,).

    Returns:
        Shape (N, O, rows, columns).
    """
    count, size, rows, columns = windows.shape
    samples = windows.permute(0, 2, 3, 1).reshape(-1, size)
    # Few outputs, many windows: the transposed product is the faster one.
    products = functional.linear(weight.permute(0, 2, 3, 1).flatten(1), samples)
    maps = (products + bias.to(products.dtype)[:, None]).unflatten(1, (count, rows, columns))
    return maps.transpose(0, 1)
