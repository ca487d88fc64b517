"""Standard networks, built from the names and shapes of their weights; nothing is unpickled and nothing drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from wsabench.agents.elsewhere.tensors import Weights
from wsabench.errors import CheckpointError

STRIDES = {8: 4, 4: 2, 3: 1}
"""Strides of NatureCNN by the size of the kernel; a state dictionary does not say them."""

Activation = Callable[[Tensor], Tensor]
State = tuple[Tensor, Tensor]
"""Hidden and cell state of a recurrent network, each of shape (layers, N, size)."""


class Scores(NamedTuple):
    """What a network says of each row."""

    logits: Tensor
    """Log probabilities up to a constant, or action values; shape (N, num_actions)."""
    values: Tensor | None
    """Expected return, shape (N,)."""
    state: State | None = None
    """What a recurrent network remembers; None for others."""


class Network(Protocol):
    """A network from elsewhere, ready to be asked."""

    num_actions: int
    stack: int
    """Frames it sees."""
    size: int
    """Height and width of a frame."""
    state_shape: tuple[int, int] | None
    """Layers and size of its recurrent state; None where it has none."""

    def __call__(self, observations: Tensor, state: State | None) -> Scores:
        """Return what it says of observations, uint8, shape (N, stack, size, size), newest last."""
        ...


class Convolutions:
    """The three convolutions of NatureCNN (Mnih et al. 2015), each with ReLU, and the linear layer behind them."""

    def __init__(self, weights: Weights, convolutions: Sequence[str], linear: str, scale: float = 255.0) -> None:
        """Take the weights.

        Args:
            weights: All of the network.
            convolutions: Names of the convolutions, without `.weight`.
            linear: Name of the linear layer.
            scale: What pixels are divided by.

        Raises:
            CheckpointError: A layer is missing, or has another shape than NatureCNN's.
        """
        self._layers = []
        for name in convolutions:
            kernel, bias = weight(weights, f"{name}.weight", 4), weight(weights, f"{name}.bias", 1)
            height, width = kernel.shape[2:]
            if height != width or height not in STRIDES:
                raise CheckpointError(
                    f"The convolution {name} has a {height}x{width} kernel. Known: those of NatureCNN (8x8, 4x4, 3x3), "
                    "whose strides are known. Wrap other networks as python:package.module:factory, or as torchscript:."
                )
            self._layers.append((kernel, bias, STRIDES[height]))
        self._linear, self._bias = weight(weights, f"{linear}.weight", 2), weight(weights, f"{linear}.bias", 1)
        self._scale = scale
        self.stack = int(self._layers[0][0].shape[1])
        self.size = self._input_size(linear)
        self.width = int(self._linear.shape[0])

    def __call__(self, observations: Tensor) -> Tensor:
        """Return the features of observations, uint8, shape (N, stack, size, size): (N, width)."""
        x = observations.to(torch.float32)
        if self._scale != 1:
            x = x / self._scale
        for kernel, bias, stride in self._layers:
            x = functional.relu(functional.conv2d(x, kernel, bias, stride=stride))
        return functional.relu(functional.linear(x.flatten(1), self._linear, self._bias))

    def _input_size(self, linear: str) -> int:
        """Return the one size of frames for which the linear layer fits."""
        channels = int(self._layers[-1][0].shape[0])
        for size in range(84, 36, -1):
            if channels * self._side(size) ** 2 == self._linear.shape[1]:
                return size
        raise CheckpointError(
            f"The layer {linear} takes {self._linear.shape[1]} numbers, which frames of no size up to 84x84 give."
        )

    def _side(self, size: int) -> int:
        for kernel, _, stride in self._layers:
            size = (size - int(kernel.shape[2])) // stride + 1
        return size


class Impala:
    """The residual network of IMPALA (Espeholt et al. 2018) with one linear layer, as CleanRL builds it."""

    def __init__(self, weights: Weights, sequences: Sequence[str], linear: str) -> None:
        """Take the weights of the convolution sequences and the linear layer.

        Raises:
            CheckpointError: A layer is missing or has another shape.
        """
        self._sequences = [
            [
                (weight(weights, f"{name}.{layer}.weight", 4), weight(weights, f"{name}.{layer}.bias", 1))
                for layer in ("conv", "res_block0.conv0", "res_block0.conv1", "res_block1.conv0", "res_block1.conv1")
            ]
            for name in sequences
        ]
        self._linear, self._bias = weight(weights, f"{linear}.weight", 2), weight(weights, f"{linear}.bias", 1)
        self.stack = int(self._sequences[0][0][0].shape[1])
        self.width = int(self._linear.shape[0])
        channels, self.size = int(self._sequences[-1][0][0].shape[0]), 84
        side = self.size
        for _ in self._sequences:
            side = (side + 1) // 2
        if channels * side**2 != self._linear.shape[1]:
            raise CheckpointError(
                f"The layer {linear} takes {self._linear.shape[1]} numbers; 84x84 frames give {channels * side**2}."
            )

    def __call__(self, observations: Tensor) -> Tensor:
        """Return the features of observations, uint8, shape (N, stack, 84, 84): (N, width)."""
        x = observations.to(torch.float32) / 255.0
        for first, *blocks in self._sequences:
            x = functional.max_pool2d(functional.conv2d(x, *first, padding=1), kernel_size=3, stride=2, padding=1)
            for one, other in (blocks[:2], blocks[2:]):
                inner = functional.conv2d(functional.relu(x), *one, padding=1)
                x = functional.conv2d(functional.relu(inner), *other, padding=1) + x
        return functional.relu(functional.linear(functional.relu(x.flatten(1)), self._linear, self._bias))


class Layers:
    """Linear layers with an activation between them, and one behind the last where asked."""

    def __init__(self, weights: Weights, names: Sequence[str], activation: Activation, ends_activated: bool) -> None:
        """Take the weights; no names: the input is passed on."""
        self._layers = [(weight(weights, f"{one}.weight", 2), weight(weights, f"{one}.bias", 1)) for one in names]
        self._activation = activation
        self._ends_activated = ends_activated

    @property
    def width(self) -> int:
        """How many numbers the last layer gives."""
        return int(self._layers[-1][0].shape[0])

    def __call__(self, x: Tensor) -> Tensor:
        """Return the output, shape (N, width)."""
        for place, (matrix, bias) in enumerate(self._layers):
            x = functional.linear(x, matrix, bias)
            if self._ends_activated or place < len(self._layers) - 1:
                x = self._activation(x)
        return x


class Lstm:
    """An LSTM of one or more layers, one step at a time, gates in torch's order."""

    def __init__(self, weights: Weights, name: str) -> None:
        """Take the weights of `torch.nn.LSTM`.

        Raises:
            CheckpointError: A layer is missing or has another shape.
        """
        count = sum(one.startswith(f"{name}.weight_ih_l") for one in weights)
        self._layers = [
            (
                *(weight(weights, f"{name}.weight_{kind}_l{layer}", 2) for kind in ("ih", "hh")),
                *(weight(weights, f"{name}.bias_{kind}_l{layer}", 1) for kind in ("ih", "hh")),
            )
            for layer in range(count)
        ]
        self.state_shape = (count, int(self._layers[0][1].shape[1]))

    def __call__(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the output, shape (N, size), and the state after it."""
        hidden, cells = [], []
        for layer, (inwards, onwards, bias_in, bias_on) in enumerate(self._layers):
            h, c = state[0][layer], state[1][layer]
            gates = functional.linear(x, inwards, bias_in) + functional.linear(h, onwards, bias_on)
            let_in, forget, new, let_out = gates.chunk(4, dim=1)
            c = forget.sigmoid() * c + let_in.sigmoid() * new.tanh()
            x = let_out.sigmoid() * c.tanh()
            hidden.append(x)
            cells.append(c)
        return x, (torch.stack(hidden), torch.stack(cells))


def weight(weights: Weights, name: str, dimensions: int) -> Tensor:
    """Return a weight.

    Raises:
        CheckpointError: It is missing or has another number of dimensions.
    """
    found: Any = weights.get(name)
    if found is None or found.ndim != dimensions:
        told = "is missing" if found is None else f"has shape {tuple(found.shape)}"
        raise CheckpointError(f"The weight {name} {told}; {dimensions} dimensions were expected.")
    return found


def numbered(weights: Weights, prefix: str) -> list[str]:
    """Return the names of the layers `PREFIX.0`, `PREFIX.2`, ... that have a weight, in their order."""
    places = sorted(
        int(name.removeprefix(f"{prefix}.").removesuffix(".weight"))
        for name in weights
        if name.startswith(f"{prefix}.")
        and name.endswith(".weight")
        and name.removeprefix(f"{prefix}.").removesuffix(".weight").isdigit()
    )
    return [f"{prefix}.{place}" for place in places]
