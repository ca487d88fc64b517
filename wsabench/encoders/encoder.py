"""What an encoder is, what pre-trains it, and the layers they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import ClassVar, Literal, NamedTuple, cast

import torch
from torch import nn

from wsabench.errors import SpecError

SCREEN = 84
STACK = 4
Reads = Literal["stack", "newest", "rgb84", "ram"]


class Encoder(nn.Module, ABC):
    """A network from observations to one embedding; frozen once it is pre-trained.

    Attributes:
        name: Short name, also the file's.
        reads: `stack` (N, 4, 84, 84), `newest` (N, 1, 84, 84), `rgb84` (N, 3, 84, 84) or `ram` (N, 128). `ram` is
            privileged: agents with such an encoder are marked in every table and left out of claims about pixels.
        shape: Shape of one embedding: (C, H, W), or (D,) for a vector.
        needs_single: Whether it must compute in float32, also where bfloat16 is faster.
        OPTIONS: Values that each option of this kind of encoder allows, the default first.
        options: The value of every option, as files keep it.
    """

    OPTIONS: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({})

    name: str
    reads: Reads
    shape: tuple[int, ...]
    needs_single: bool = False
    options: Mapping[str, str] = MappingProxyType({})

    @classmethod
    def resolve_options(cls, options: Mapping[str, str] | None) -> dict[str, str]:
        """Return the value of every option, the default where none is given.

        Raises:
            SpecError: This kind of encoder has no such option, or the option has no such value.
        """
        chosen = {option: values[0] for option, values in cls.OPTIONS.items()}
        for option, value in (options or {}).items():
            if option not in cls.OPTIONS:
                known = ", ".join(cls.OPTIONS) or "none"
                raise SpecError(f"The encoder {cls.name!r} has no option {option!r}. Allowed: {known}.")
            if value not in cls.OPTIONS[option]:
                allowed = ", ".join(cls.OPTIONS[option])
                raise SpecError(f"The option {option!r} of the encoder {cls.name!r} is {value!r}. Allowed: {allowed}.")
            chosen[option] = value
        return chosen

    @abstractmethod
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Embed observations.

        Args:
            pixels: As `reads` says: luminance in [0, 1], oldest frame first, shape (N, 4, 84, 84) or (N, 1, 84, 84);
                RGB in [0, 1], shape (N, 3, 84, 84); or memory, uint8, shape (N, 128).

        Returns:
            Embeddings, shape (N, *shape), not yet standardised.
        """


class PretextBatch(NamedTuple):
    """What a self-supervised loss sees.

    Attributes:
        first: Observations, luminance in [0, 1], shape (N, 4, 84, 84).
        second: Observations of the same episodes some steps later, same shape.
        background: Mean frame of random play, shape (1, 84, 84).
        draws: Uniform random numbers in [0, 1), shape (N, `Pretext.num_draws`).
    """

    first: torch.Tensor
    second: torch.Tensor
    background: torch.Tensor
    draws: torch.Tensor = torch.empty(0)


class Pretext(nn.Module, ABC):
    """One or more encoders together with what only their self-supervised loss needs.

    Attributes:
        name: Name of the pre-training stage.
        learning_rate: Of Adam, at the start.
        batch_size: Observations in each training step.
        max_gradient_norm: Gradients are clipped to this norm; None: not clipped.
        offsets: Smallest and largest number of steps between `first` and `second`.
        num_draws: How many random numbers the loss uses for each observation.
    """

    name: str
    learning_rate: float
    batch_size: int
    max_gradient_norm: float | None = None
    offsets: tuple[int, int] = (1, 1)
    num_draws: int = 0

    def learning_rate_at(self, step: int) -> float:
        """Return Adam's step size after `step` optimiser steps; constant unless a stage has a schedule."""
        return self.learning_rate

    def initialise_heads(self) -> None:
        """Set the weights that do not start at random; called after all were drawn."""

    def encoders(self) -> tuple[Encoder, ...]:
        """Return the encoders that this stage trains: `encoder`, unless a stage says otherwise."""
        return (cast("Encoder", self.encoder),)

    @abstractmethod
    def loss(self, batch: PretextBatch, step: int) -> dict[str, torch.Tensor]:
        """Return scalars: `loss`, which is minimised, and its parts.

        Args:
            batch: The observations.
            step: Number of optimiser steps made so far.
        """


def conv(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, *, padding: int | None = None, norm: bool = False
) -> nn.Sequential:
    """Return convolution, batch normalisation if asked for, and ReLU; padding None keeps the size (at stride 1)."""
    pad = kernel // 2 if padding is None else padding
    layers: list[nn.Module] = [nn.Conv2d(in_channels, out_channels, kernel, stride, pad, bias=not norm)]
    if norm:
        layers.append(nn.BatchNorm2d(out_channels))
    return nn.Sequential(*layers, nn.ReLU())


def initialise(module: nn.Module, seed: int) -> None:
    """Draw every weight anew from `seed`, independent of torch's global generator.

    Convolutions and linear layers are orthogonal with gain sqrt(2), as PPO implementations draw theirs, with zero bias.
    """
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.orthogonal_(layer.weight, gain=2**0.5, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)


@contextmanager
def preserved_global_generator() -> Iterator[None]:
    """Leave torch's global generator as it was: layers draw from it when they are built."""
    with torch.random.fork_rng(devices=[]):
        yield


def pixel_weights(frames: torch.Tensor, background: torch.Tensor, strength: float) -> torch.Tensor:
    """Return weights of a reconstruction loss that attend to what differs from the background; their mean is 1.

    A ball of five pixels hardly counts in a plain mean squared error; `strength` 0 is that plain error.

    Args:
        frames: Luminance in [0, 1], shape (N, 1, 84, 84).
        background: The mean frame, shape (1, 84, 84).
        strength: Additional weight of a pixel that differs from the background by 1.

    Returns:
        Shape (N, 1, 84, 84), float32, without gradient.
    """
    weights = 1 + strength * (frames - background).abs()
    return (weights / weights.mean()).detach()
