"""Encoders of other packages, found by the entry point group `wsabench.encoders`.

A package states a subclass of `Encoder` that can be built without arguments, weights included, and names it in its
`pyproject.toml`; the entry point's name is the encoder's, in agent specifications and tables:

    [project.entry-points."wsabench.encoders"]
    edges = "my_package:EdgesEncoder"

A class whose encoder depends on the game has a class method `for_game(game)` besides.
"""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from importlib import metadata
from typing import Any, get_args

from wsabench.encoders.encoder import Encoder, Reads, preserved_global_generator
from wsabench.errors import SpecError

GROUP = "wsabench.encoders"
ENCODER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
"""What encoders may be called; names become those of network parts, which allow no dots."""


@dataclass(frozen=True, slots=True)
class LoadedExtension:
    """An encoder class of another package."""

    name: str
    distribution: str
    version: str
    encoder: type[Encoder]

    @property
    def origin(self) -> str:
        """How messages name it."""
        return _origin(self.distribution, self.name)

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
            raise SpecError(f"{self.origin}: building it failed: {type(error).__name__}: {error}.") from error
        if not isinstance(encoder, Encoder):
            raise SpecError(f"{self.origin}: building it gave {encoder!r}. Allowed: a wsabench.encoders.Encoder.")
        encoder.name = self.name
        return encoder.eval()

    def content(self, game: str) -> str:
        """Return the SHA-256 of the distribution's version and of the encoder's weights, hexadecimal."""
        from wsabench.encoders.ready import weights_hash

        weights = weights_hash(self.build(game))
        return hashlib.sha256(f"{self.distribution} {self.version} {self.name} {weights}".encode()).hexdigest()


@functools.cache
def load_extensions() -> tuple[LoadedExtension, ...]:
    """Import the encoders of other packages, once; sorted by name.

    Raises:
        SpecError: A package cannot be imported or states something else; the message names its distribution.
    """
    loaded = [_load(entry) for entry in metadata.entry_points(group=GROUP)]
    return tuple(sorted(loaded, key=lambda one: (one.name, one.distribution)))


def _load(entry: metadata.EntryPoint) -> LoadedExtension:
    """Import one encoder and check it."""
    distribution = entry.dist.name if entry.dist else entry.module
    version = entry.dist.version if entry.dist else ""
    origin = _origin(distribution, entry.name)
    try:
        encoder = entry.load()
    except Exception as error:  # a foreign module may raise anything; the user must hear whose it is
        raise SpecError(
            f"{origin}: loading {entry.value!r} failed: {type(error).__name__}: {error}. "
            f"Correct the package, or uninstall {distribution!r}."
        ) from error
    _check(encoder, entry, origin)
    return LoadedExtension(entry.name, distribution, version, encoder)


def _check(encoder: Any, entry: metadata.EntryPoint, origin: str) -> None:
    """Refuse what is no encoder."""
    if ENCODER_NAME.fullmatch(entry.name) is None:
        raise SpecError(f"{origin}: the name is {entry.name!r}. Allowed: letters, digits, _ and -, a letter first.")
    if not (isinstance(encoder, type) and issubclass(encoder, Encoder)):
        raise SpecError(f"{origin}: {entry.value!r} is {encoder!r}. Allowed: a subclass of wsabench.encoders.Encoder.")
    reads, shape = getattr(encoder, "reads", None), getattr(encoder, "shape", None)
    if reads not in get_args(Reads):
        raise SpecError(f"{origin}: `reads` is {reads!r}. Allowed: {', '.join(get_args(Reads))}.")
    if not isinstance(shape, tuple) or len(shape) not in (1, 3) or not all(isinstance(n, int) for n in shape):
        raise SpecError(f"{origin}: `shape` is {shape!r}. Allowed: (size,), or (channels, height, width).")


def _origin(distribution: str, entry_point: str) -> str:
    """Return how messages name an entry point."""
    return f"The package {distribution!r} (entry point {GROUP}, {entry_point!r})"
