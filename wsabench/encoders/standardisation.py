"""Standardisation of embeddings: mean per position, scale per channel, measured once on random play and then frozen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import nn

from wsabench.encoders.encoder import Encoder
from wsabench.errors import ShapeError

SMALLEST_RELATIVE_SCALE = 0.05
"""Smallest scale relative to the median one: a nearly silent channel must not explode under a perturbation."""
BATCH = 64


class Standardisation(NamedTuple):
    """`(embedding - mean) / scale`.

    Attributes:
        mean: float32, the embedding's shape.
        scale: float32, shape (C, 1, 1) for maps, (D,) for vectors; positive.
    """

    mean: torch.Tensor
    scale: torch.Tensor


def encoder_input(stack: torch.Tensor, encoder: Encoder, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return what `encoder` reads: the stack or its newest frame, luminance in [0, 1].

    Args:
        stack: Observations, uint8, shape (N, 4, 84, 84), newest last.
        encoder: The encoder.
        dtype: Of the result.
    """
    pixels = stack if encoder.reads == "stack" else stack[:, -1:]
    return pixels.to(dtype).div_(255).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def measure_standardisation(encoder: Encoder, frames: torch.Tensor) -> Standardisation:
    """Measure mean and scale of an encoder's embeddings.

    The scale is the root mean square of the deviations from the mean, over samples and positions of a channel.

    Args:
        encoder: The encoder, float32; used in evaluation mode.
        frames: Observations of random play, uint8, shape (M, 4, 84, 84).

    Raises:
        ShapeError: The frames have another shape.
    """
    check_stack(frames)
    encoder.eval()
    embeddings = [encoder(encoder_input(batch, encoder)).double() for batch in frames.split(BATCH)]
    count = len(frames)
    mean = sum((e.sum(0) for e in embeddings), torch.zeros(encoder.shape, dtype=torch.float64)) / count
    inner = tuple(range(2, 1 + len(encoder.shape)))
    squares = [(e - mean).square() for e in embeddings]
    variance = sum(((s.mean(inner) if inner else s).sum(0) for s in squares), torch.zeros(encoder.shape[0])) / count
    scale = variance.sqrt()
    alive = scale[scale > 1e-8]
    floor = SMALLEST_RELATIVE_SCALE * alive.median() if len(alive) else torch.tensor(1.0)
    scale = scale.clamp(min=float(floor))
    return Standardisation(mean.float(), scale.float().reshape(-1, *(1 for _ in inner)))


@torch.no_grad()
def set_batch_norm_statistics(encoder: Encoder, frames: torch.Tensor) -> None:
    """Set the running statistics of an encoder's batch normalisations to those of `frames`.

    Args:
        encoder: Changed in place and left in evaluation mode.
        frames: Observations, uint8, shape (M, 4, 84, 84).
    """
    norms = [layer for layer in encoder.modules() if isinstance(layer, nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = None
    if norms:
        encoder.train()
        _consume(encoder(encoder_input(batch, encoder)) for batch in frames.split(BATCH))
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    encoder.eval()


def check_stack(stack: torch.Tensor) -> None:
    """Check that a tensor holds observations.

    Raises:
        ShapeError: It is not uint8 of shape (N, 4, 84, 84).
    """
    if stack.dtype != torch.uint8 or stack.ndim != 4 or tuple(stack.shape[1:]) != (4, 84, 84):
        found = f"{stack.dtype} of shape {tuple(stack.shape)}"
        raise ShapeError(f"Encoders got {found}. Allowed: torch.uint8 of shape (N, 4, 84, 84), newest frame last.")


def _consume(items: Iterable[object]) -> None:
    for _ in items:
        pass
