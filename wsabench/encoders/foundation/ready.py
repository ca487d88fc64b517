"""Encoders that come with their weights: foundation models, those of other packages, TorchScript files.

Nothing pre-trains them. What is measured of them is their standardisation on a game; it is kept in a small file whose
header names the weights, so that its content hash stands for both.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import get_args

import torch
from torch import nn

from wsabench.encoders.encoder import Encoder, Reads, initialise, preserved_global_generator
from wsabench.errors import SpecError
from wsabench.hashing import text_hash
from wsabench.registry import Added, load_added


@dataclass(frozen=True, slots=True)
class ReadyEncoder:
    """How to get an encoder that needs no pre-training."""

    name: str
    """The name in agent specifications."""
    reads: Reads
    build: Callable[[str], Encoder]
    """From a game's id to the encoder; raises SpecError where a package is missing or the game does not fit."""
    content: Callable[[str], str]
    """From a game's id to the SHA-256 of all that decides its embeddings, hexadecimal."""
    is_program: bool = False
    """Whether `build` runs a file: it must not before the file's hash was checked."""


@functools.cache
def ready_encoders() -> Mapping[str, ReadyEncoder]:
    """Return the encoders that come with their weights, by name: foundation models and those of other packages.

    Nothing of the models is loaded or looked for yet.

    Raises:
        SpecError: A package states something else than an encoder, or a name is taken.
    """
    found = {
        "imagenet": ReadyEncoder("imagenet", "rgb84", _build_imagenet, _imagenet_content),
        "language": ReadyEncoder("language", "ram", _build_language, _language_content),
    }
    from wsabench.encoders.catalogue import ENCODERS

    for loaded in load_extensions():
        if loaded.name in found or loaded.name in ENCODERS:
            raise SpecError(f"{loaded.added.origin}: the encoder's name {loaded.name!r} is taken. Choose another.")
        found[loaded.name] = ReadyEncoder(loaded.name, loaded.encoder.reads, loaded.build, loaded.content)
    return found


def redraw(encoder: Encoder, seed: int) -> Encoder:
    """Replace all weights of an encoder by random ones that depend on `seed` only: the control for every claim.

    Args:
        encoder: Changed in place. Its layers are convolutions, linear layers, embeddings, batch and layer norms.
        seed: Of the draw.

    Raises:
        SpecError: It has weights in other places, which would stay as they are.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn: set[int] = set()
    with torch.no_grad():
        initialise(encoder, seed)
        for layer in encoder.modules():
            if isinstance(layer, nn.Embedding):
                layer.weight.normal_(0, 0.02, generator=generator)  # as BERT draws its own
            elif isinstance(layer, nn.LayerNorm):
                layer.reset_parameters()
            if isinstance(layer, _REDRAWN):
                drawn |= {id(parameter) for parameter in layer.parameters(recurse=False)}
    left = [name for name, parameter in encoder.named_parameters() if id(parameter) not in drawn]
    if left or any(isinstance(layer, torch.jit.ScriptModule) for layer in encoder.modules()):
        what = f"its weights {', '.join(left[:3])}" if left else "a TorchScript module"
        raise SpecError(
            f"The encoder {encoder.name!r} has no random twin: {what} cannot be drawn anew. Leave it out of agents "
            'with encoder_source = "random" and of probes with twins.'
        )
    return encoder


_REDRAWN = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.BatchNorm2d, nn.Embedding, nn.LayerNorm)


def weights_hash(encoder: Encoder, *more: torch.Tensor) -> str:
    """Return the SHA-256 of an encoder's parameters and buffers, and of more tensors, hexadecimal."""
    digest = hashlib.sha256()
    for tensor in (*encoder.state_dict().values(), *more):
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


# Loaded when asked for: their packages are optional.


def _build_imagenet(game: str) -> Encoder:
    from wsabench.encoders.foundation.imagenet import load_imagenet

    del game
    return load_imagenet()


def _imagenet_content(game: str) -> str:
    from wsabench.encoders.foundation.imagenet import imagenet_content

    del game
    return imagenet_content()


def _build_language(game: str) -> Encoder:
    from wsabench.encoders.foundation.language import load_language

    return load_language(game)


def _language_content(game: str) -> str:
    from wsabench.encoders.foundation.language import language_content

    return language_content(game)


GROUP = "wsabench.encoders"
ENCODER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
"""What encoders may be called; names become those of network parts, which allow no dots."""


@dataclass(frozen=True, slots=True)
class LoadedExtension:
    """An encoder class of another package."""

    added: Added
    encoder: type[Encoder]

    @property
    def name(self) -> str:
        """The encoder's name."""
        return self.added.name

    def build(self, game: str) -> Encoder:
        """Return the encoder for a game.

        Raises:
            SpecError: Building it failed, or gave something else.
        """
        make = getattr(self.encoder, "for_game", None)
        try:
            with preserved_global_generator():
                encoder = self.encoder() if make is None else make(game)
        except Exception as error:  # foreign code may raise anything; the user must hear whose it is
            raise SpecError(f"{self.added.origin}: building it failed: {type(error).__name__}: {error}.") from error
        if not isinstance(encoder, Encoder):
            raise SpecError(f"{self.added.origin}: building it gave {encoder!r}. Allowed: a wsabench.encoders.Encoder.")
        encoder.name = self.name
        return encoder.eval()

    def content(self, game: str) -> str:
        """Return the SHA-256 of the distribution's version and of the encoder's weights, hexadecimal."""
        weights = weights_hash(self.build(game))
        return text_hash(f"{self.added.distribution} {self.added.version} {self.name} {weights}")


@functools.cache
def load_extensions() -> tuple[LoadedExtension, ...]:
    """Import the encoders of other packages, once; sorted by name.

    Raises:
        SpecError: A package cannot be imported or states something else; the message names its distribution.
    """
    loaded = [LoadedExtension(added, _checked(added)) for added in load_added(GROUP)]
    return tuple(sorted(loaded, key=lambda one: one.name))


def _checked(added: Added) -> type[Encoder]:
    """Refuse what is no encoder."""
    encoder, origin = added.content, added.origin
    if ENCODER_NAME.fullmatch(added.name) is None:
        raise SpecError(f"{origin}: the name is {added.name!r}. Allowed: letters, digits, _ and -, a letter first.")
    if not (isinstance(encoder, type) and issubclass(encoder, Encoder)):
        raise SpecError(f"{origin}: {added.value!r} is {encoder!r}. Allowed: a subclass of wsabench.encoders.Encoder.")
    reads, shape = getattr(encoder, "reads", None), getattr(encoder, "shape", None)
    if reads not in get_args(Reads):
        raise SpecError(f"{origin}: `reads` is {reads!r}. Allowed: {', '.join(get_args(Reads))}.")
    if not isinstance(shape, tuple) or len(shape) not in (1, 3) or not all(isinstance(n, int) for n in shape):
        raise SpecError(f"{origin}: `shape` is {shape!r}. Allowed: (size,), or (channels, height, width).")
    return encoder
