"""Standardisation of embeddings: mean per position, scale per channel, measured once on random play and then frozen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import nn

from wsabench.encoders.encoder import Encoder
from wsabench.encoders.inference import half_precision_is_fast, inference_copy
from wsabench.errors import ShapeError
from wsabench.types import INPUT_SHAPES

SMALLEST_RELATIVE_SCALE = 0.05
"""Smallest scale relative to the median one: a nearly silent channel must not explode under a perturbation."""
BATCH = 64


InputTensors = Mapping[str, torch.Tensor]
"""Further inputs by name, uint8, each (N, *INPUT_SHAPES[name])."""


class Calibration(NamedTuple):
    """Observations of random play, on which encoders are measured once.

    Attributes:
        stack: uint8, shape (M, 4, 84, 84).
        inputs: Further inputs of the same steps, for encoders that read them.
    """

    stack: torch.Tensor
    inputs: InputTensors = {}  # noqa: RUF012 - never changed


class Standardisation(NamedTuple):
    """`(embedding - mean) / scale`.

    Attributes:
        mean: float32, the embedding's shape.
        scale: float32, shape (C, 1, 1) for maps, (D,) for vectors; positive.
        half_shift: By how much the mean is larger in bfloat16, float32, the embedding's shape; None: not known, taken
            as none. Most of what bfloat16 changes is alike in all frames; without it an agent that was trained in one
            type plays much the same in the other.
    """

    mean: torch.Tensor
    scale: torch.Tensor
    half_shift: torch.Tensor | None = None

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return what there is by name, as files hold it."""
        return {name: value for name, value in self._asdict().items() if value is not None}

    @staticmethod
    def shapes(encoder: Encoder, *, has_half_shift: bool) -> dict[str, tuple[int, ...]]:
        """Return the shapes that an encoder's standardisation must have."""
        shapes = {"mean": encoder.shape, "scale": (encoder.shape[0], *(1 for _ in encoder.shape[1:]))}
        return shapes | ({"half_shift": encoder.shape} if has_half_shift else {})


def encoder_input(
    stack: torch.Tensor,
    encoder: Encoder,
    dtype: torch.dtype = torch.float32,
    inputs: InputTensors | None = None,
) -> torch.Tensor:
    """Return what `encoder` reads: the stack, its newest frame or the frame in colour in [0, 1], or the memory's bytes.

    Args:
        stack: Observations, uint8, shape (N, 4, 84, 84), newest last.
        encoder: The encoder.
        dtype: Of the result, but for memory, which stays uint8.
        inputs: Further inputs of the same rows.

    Raises:
        ShapeError: An input that the encoder reads is missing, or has another shape or type.
    """
    if encoder.reads in INPUT_SHAPES:
        pixels = _checked_input(encoder, inputs or {}, len(stack))
        if encoder.reads == "ram":
            return pixels
    else:
        pixels = stack if encoder.reads == "stack" else stack[:, -1:]
    return pixels.to(dtype).div_(255).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def measure_standardisation(
    encoder: Encoder, frames: torch.Tensor, inputs: InputTensors | None = None
) -> Standardisation:
    """Measure mean and scale of an encoder's embeddings, and how bfloat16 moves the mean where the CPU has that.

    The scale is the root mean square of the deviations from the mean, over samples and positions of a channel.

    Args:
        encoder: The encoder, float32; used in evaluation mode.
        frames: Observations of random play, uint8, shape (M, 4, 84, 84).
        inputs: Further inputs of the same steps, for encoders that read them.

    Raises:
        ShapeError: The frames have another shape, an input is missing, or the embeddings are not what the encoder
            declares, or not finite.
    """
    check_stack(frames)
    encoder.eval()
    embeddings = [encoder(batch).double() for batch in _batches(encoder, frames, inputs)]
    _check_embedding(encoder, embeddings[0])
    count = len(frames)
    mean = sum((e.sum(0) for e in embeddings), torch.zeros(encoder.shape, dtype=torch.float64)) / count
    inner = tuple(range(2, 1 + len(encoder.shape)))
    squares = [(e - mean).square() for e in embeddings]
    variance = sum(((s.mean(inner) if inner else s).sum(0) for s in squares), torch.zeros(encoder.shape[0])) / count
    scale = variance.sqrt()
    alive = scale[scale > 1e-8]
    floor = SMALLEST_RELATIVE_SCALE * alive.median() if len(alive) else torch.tensor(1.0)
    scale = scale.clamp(min=float(floor))
    scale = scale.float().reshape(-1, *(1 for _ in inner))
    if encoder.needs_single or not half_precision_is_fast():
        return Standardisation(mean.float(), scale)
    half = inference_copy(encoder, torch.bfloat16)
    in_half = (half(batch).double().sum(0) for batch in _batches(encoder, frames, inputs, torch.bfloat16))
    half_mean = sum(in_half, torch.zeros(encoder.shape, dtype=torch.float64)) / count
    return Standardisation(mean.float(), scale, (half_mean - mean).float())


@torch.no_grad()
def set_batch_norm_statistics(encoder: Encoder, frames: torch.Tensor, inputs: InputTensors | None = None) -> None:
    """Set the running statistics of an encoder's batch normalisations to those of `frames`.

    Args:
        encoder: Changed in place and left in evaluation mode.
        frames: Observations, uint8, shape (M, 4, 84, 84).
        inputs: Further inputs of the same steps, for encoders that read them.
    """
    norms = [layer for layer in encoder.modules() if isinstance(layer, nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = None
    if norms:
        encoder.train()
        _consume(encoder(batch) for batch in _batches(encoder, frames, inputs))
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


def _check_embedding(encoder: Encoder, embedding: torch.Tensor) -> None:
    """Refuse embeddings that are not what an encoder declares."""
    if tuple(embedding.shape[1:]) != tuple(encoder.shape):
        raise ShapeError(
            f"The encoder {encoder.name!r} gave embeddings of shape {tuple(embedding.shape[1:])}. It declares "
            f"{tuple(encoder.shape)}: correct its `shape`."
        )
    if not bool(embedding.isfinite().all()):
        raise ShapeError(f"The encoder {encoder.name!r} gave numbers that are not finite. Correct its `forward`.")


def _batches(
    encoder: Encoder, frames: torch.Tensor, inputs: InputTensors | None, dtype: torch.dtype = torch.float32
) -> Iterator[torch.Tensor]:
    """Yield what the encoder reads of the frames, a batch at a time."""
    for start in range(0, len(frames), BATCH):
        rows = slice(start, start + BATCH)
        further = {name: value[rows] for name, value in (inputs or {}).items()}
        yield encoder_input(frames[rows], encoder, dtype, further)


def _checked_input(encoder: Encoder, inputs: InputTensors, num_rows: int) -> torch.Tensor:
    """Return the input that an encoder reads."""
    name = encoder.reads
    if name not in inputs:
        raise ShapeError(
            f"The encoder {encoder.name!r} reads {name}, which was not supplied. Ask lanes for it: "
            f"make_vec(..., inputs=[{name!r}])."
        )
    value, wanted = inputs[name], (num_rows, *INPUT_SHAPES[name])
    if value.dtype != torch.uint8 or tuple(value.shape) != wanted:
        found = f"{value.dtype} of shape {tuple(value.shape)}"
        raise ShapeError(f"The encoder {encoder.name!r} got {name} as {found}. Allowed: torch.uint8 of shape {wanted}.")
    return value


def _consume(items: Iterable[object]) -> None:
    for _ in items:
        pass
