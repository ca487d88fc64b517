"""Convolutions in 8-bit integers, an experiment that wsabench does not use: see `half_precision_play.py`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

LARGEST = 127


class EightBits(nn.Module):
    """A chain of convolutions with ReLU, from bytes (pixel k stands for k / 255) to float32.

    Each channel of the maps between has a range of its own, between its largest value on calibration frames and that of
    all channels (their geometric mean), so that weights spread no further than they must. Weights have a step of their
    own for each output channel. The mean error on the calibration frames is undone.

    References:
        Xiao et al. 2023, "SmoothQuant", eq. 4 with alpha 0.5 (the ranges).
    """

    def __init__(self, chain: nn.Sequential, calibration: Tensor) -> None:
        """Measure ranges and the mean error on calibration bytes, shape (M, C, H, W)."""
        super().__init__()
        convolutions = [layer for layer in chain.modules() if isinstance(layer, nn.Conv2d)]
        maps, numbers = calibration.float() / 255, calibration.contiguous(memory_format=torch.channels_last)
        scale = torch.full((calibration.shape[1],), 1 / 255)
        self._steps: list[Callable[[Tensor], Tensor]] = []
        for layer in convolutions:
            maps = torch.relu(layer(maps))
            following = None if layer is convolutions[-1] else _channel_scales(maps)
            step = _step(layer, scale, following)
            numbers, scale = step(numbers), scale if following is None else following
            self._steps.append(step)
        self._correction = maps.mean(0) - numbers.mean(0)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the last layer's maps, float32."""
        maps = maps.contiguous(memory_format=torch.channels_last)
        for step in self._steps:
            maps = step(maps)
        return maps + self._correction


def _channel_scales(maps: Tensor) -> Tensor:
    """Return what one of 255 steps stands for in each channel."""
    largest = maps.amax((0, 2, 3))
    return (largest.clamp_min(largest.max() * 1e-3) * largest.max()).sqrt() / 255


def _step(layer: nn.Conv2d, scale: Tensor, following: Tensor | None) -> Callable[[Tensor], Tensor]:
    """Return the layer from numbers in steps of `scale` to numbers in steps of `following`; None: to values."""
    operations = torch.ops.onednn
    weight = layer.weight * scale[:, None, None]
    size = weight.abs().amax((1, 2, 3)) / LARGEST
    whole = (weight / size[:, None, None, None]).round().to(torch.int8)
    unit = torch.ones(()) if following is None else following
    size, bias = size / unit, (torch.zeros(()) if layer.bias is None else layer.bias) / unit
    stride, padding, ones = list(layer.stride), [int(side) for side in layer.padding], [1, 1]
    packed = operations.qconv_prepack(whole, size, 1.0, 0, stride, padding, ones, 1, None)
    zeros, kind = torch.zeros(len(size), dtype=torch.long), torch.float32 if following is None else torch.uint8

    def run(maps: Tensor) -> Tensor:
        geometry = (stride, padding, ones, 1, 1.0, 0, kind, "relu", [], "")
        return operations.qconv2d_pointwise(maps, 1.0, 0, packed, size, zeros, bias, *geometry)

    return run
