"""Every fusion once more: one observation, one encoder, one number after the other where that is bearable."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def values(module: Any, name: str) -> Array:
    return dict(module.state_dict())[name].double().numpy()


def relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


def convolve(image: Array, kernel: Array, bias: Array, stride: Sequence[int], padding: int = 0) -> Array:
    """Return a convolution of (C, H, W), window by window."""
    image = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))
    rows = (image.shape[1] - kernel.shape[2]) // stride[0] + 1
    columns = (image.shape[2] - kernel.shape[3]) // stride[1] + 1
    out = np.zeros((len(kernel), rows, columns))
    for y in range(rows):
        for x in range(columns):
            top, left = y * stride[0], x * stride[1]
            window = image[:, top : top + kernel.shape[2], left : left + kernel.shape[3]]
            for channel in range(len(kernel)):
                out[channel, y, x] = (window * kernel[channel]).sum() + bias[channel]
    return out


def flat(value: Array) -> Array:
    """Flatten; maps row by row, in each pixel channel by channel."""
    return np.array([value[c, y, x] for y in range(value.shape[1]) for x in range(value.shape[2])
                     for c in range(value.shape[0])]) if value.ndim == 3 else value  # fmt: skip


def linear(module: Any, name: str, x: Array) -> Array:
    weight, bias = values(module, f"{name}.weight"), values(module, f"{name}.bias")
    return np.array([sum(w * v for w, v in zip(row, x, strict=True)) + b for row, b in zip(weight, bias, strict=True)])


def shrink(fusion: Any, name: str, value: Array) -> Array:
    """Run the convolutions of an encoder's adapter, if it has any."""
    state = fusion.state_dict()
    if f"adapters.{name}.convolution.weight" not in state:
        return value
    adapter = fusion.adapters[name]
    if f"adapters.{name}.mix.weight" in state:
        value = convolve(value, values(adapter, "mix.weight"), values(adapter, "mix.bias"), (1, 1))
    kernel, bias = values(adapter, "convolution.weight"), values(adapter, "convolution.bias")
    return relu(convolve(value, kernel, bias, adapter.convolution.stride))


def adapt(fusion: Any, name: str, value: Array) -> Array:
    shrunk = flat(shrink(fusion, name, value))
    is_map = f"adapters.{name}.project.linear.weight" in fusion.state_dict()
    return relu(linear(fusion, f"adapters.{name}.{'project.' if is_map else ''}linear", shrunk))


def attend(scores: Sequence[float], adapted: Sequence[Array]) -> tuple[Array, Array]:
    total = sum(math.exp(score) for score in scores)
    weights = np.array([math.exp(score) / total for score in scores])
    return sum((w * s for w, s in zip(weights, adapted, strict=True)), np.zeros_like(adapted[0])), weights


def slow_wsa(fusion: Any, e: Mapping[str, Array], names: Sequence[str], context: str) -> tuple[Array, Array]:
    """Steps 1 to 5 of facts: adapters, context, one scoring layer with a leaky ReLU of slope 0.2, softmax, sum."""
    adapted = [adapt(fusion, name, e[name]) for name in names]
    c = relu(linear(fusion, "context.linear", flat(e[context])))
    raw = [float(linear(fusion, "score", np.concatenate([c, s]))[0]) for s in adapted]
    return attend([score if score > 0 else 0.2 * score for score in raw], adapted)


def slow_additive(fusion: Any, e: Mapping[str, Array], names: Sequence[str], context: str) -> tuple[Array, Array]:
    """As `slow_wsa`, with a_i = v . tanh(W [c; s_i] + b)."""
    adapted = [adapt(fusion, name, e[name]) for name in names]
    c = relu(linear(fusion, "context.linear", flat(e[context])))
    v = values(fusion, "score.weight")[0]
    hidden = [linear(fusion, "hidden", np.concatenate([c, s])) for s in adapted]
    return attend([sum(a * math.tanh(h) for a, h in zip(v, one, strict=True)) for one in hidden], adapted)


def slow_dpa(fusion: Any, e: Mapping[str, Array], names: Sequence[str], context: str) -> tuple[Array, Array]:
    adapted = [adapt(fusion, name, e[name]) for name in names]
    c = relu(linear(fusion, "context.linear", flat(e[context])))
    return attend([float((c * s).sum()) / math.sqrt(len(c)) for s in adapted], adapted)


def slow_fix(fusion: Any, e: Mapping[str, Array], names: Sequence[str], _: str) -> tuple[Array, None]:
    return np.concatenate([adapt(fusion, name, e[name]) for name in names]), None


def slow_lin(fusion: Any, e: Mapping[str, Array], names: Sequence[str], _: str) -> tuple[Array, None]:
    return np.concatenate([flat(shrink(fusion, name, e[name])) for name in names]), None


def pooled(value: Array, cells: int) -> Array:
    """Bring a map to cells x cells: each cell is the mean of the pixels that it touches."""
    channels, height, width = value.shape
    out = np.zeros((channels, cells, cells))
    for y in range(cells):
        for x in range(cells):
            rows = slice(y * height // cells, -(-(y + 1) * height // cells))
            columns = slice(x * width // cells, -(-(x + 1) * width // cells))
            out[:, y, x] = value[:, rows, columns].mean((1, 2))
    return out


def slow_cnn(fusion: Any, e: Mapping[str, Array], names: Sequence[str], _: str) -> tuple[Array, None]:
    maps = []
    for name in names:
        value = shrink(fusion, name, e[name])
        if value.ndim == 3:
            maps.append(pooled(value, fusion.cells))
            continue
        channels = math.ceil(len(value) / fusion.cells**2)
        filled = np.zeros(channels * fusion.cells**2)
        filled[: len(value)] = value
        maps.append(filled.reshape(channels, fusion.cells, fusion.cells))
    hidden = np.concatenate(maps)
    for layer in fusion.convolutions:
        hidden = relu(convolve(hidden, values(layer, "weight"), values(layer, "bias"), (1, 1), padding=1))
    return flat(hidden), None


def slow_mix(fusion: Any, e: Mapping[str, Array], names: Sequence[str], _: str) -> tuple[Array, None]:
    shrunk = [shrink(fusion, name, e[name]) for name in names]
    parts = [value for value in shrunk if value.ndim == 1]
    if maps := [pooled(value, fusion.cells) for value in shrunk if value.ndim == 3]:
        kernel, bias = values(fusion, "convolution.weight"), values(fusion, "convolution.bias")
        parts.append(flat(relu(convolve(np.concatenate(maps), kernel, bias, (1, 1), padding=1))))
    return np.concatenate(parts), None


def slow_res(fusion: Any, e: Mapping[str, Array], names: Sequence[str], _: str) -> tuple[Array, None]:
    joined, _none = slow_lin(fusion, e, names, _)
    inputs, recurrent = values(fusion, "input_weight"), values(fusion, "state_weight")
    state = np.zeros(len(recurrent))
    for _iteration in range(10):
        state = np.array([math.tanh((u * joined).sum() + (w * state).sum()) for u, w in
                          zip(inputs, recurrent, strict=True)])  # fmt: skip
    return state, None


SLOW = {
    "wsa": slow_wsa,
    "wsa-additive": slow_additive,
    "dpa": slow_dpa,
    "lin": slow_lin,
    "fix": slow_fix,
    "cnn": slow_cnn,
    "mix": slow_mix,
    "res": slow_res,
}
