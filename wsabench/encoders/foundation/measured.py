"""Files of encoders that come with their weights: their standardisation on a game, and which weights it belongs to.

The weights stay where they are: in a package, or in a TorchScript file beside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from wsabench.encoders.encoder import Encoder
from wsabench.encoders.foundation.ready import ReadyEncoder, redraw, weights_hash
from wsabench.encoders.standardisation import Calibration, Standardisation, measure_standardisation
from wsabench.errors import CheckpointError
from wsabench.resources import atomic_path
from wsabench.sealed import json_hash, parse_header, read_sealed, read_weights, sealed_file, tensors_hash

FORMAT = "wsabench-standardisation-2"
OLD_FORMAT = "wsabench-standardisation-1"
"""Without hashes; still read, and known by the file's SHA-256."""
_KEY = "standardisation"
_CONTENT_HASH = "content_sha256"
_REMEDY = "Restore it, or make it again."

HashCheck = Callable[[str, str], None]
"""Takes an encoder's name and its content hash before it is built, and raises CheckpointError if it is not wanted."""


class StandardisationFile(NamedTuple):
    """A standardisation file, checked against its hashes.

    Attributes:
        header: `format`, `name`, `game`, `weights` (their hash), `seed` (None: not redrawn).
        tensors: The standardisation's.
        content_hash: SHA-256 of header and tensors, hexadecimal; of the file for files of the format
            `wsabench-standardisation-1`.
    """

    header: Mapping[str, Any]
    tensors: Mapping[str, torch.Tensor]
    content_hash: str


class MeasuredEncoder(NamedTuple):
    """An encoder that came with its weights, measured on a game.

    Attributes:
        encoder: In evaluation mode, float32, without gradients.
        standardisation: Of its embeddings.
        file: What its file holds.
    """

    encoder: Encoder
    standardisation: Standardisation
    file: StandardisationFile

    @property
    def content_hash(self) -> str:
        """SHA-256 of its weights, name, game and standardisation, hexadecimal."""
        return self.file.content_hash

    def save(self, path: Path) -> None:
        """Write the file.

        Raises:
            StorageError: It cannot be written.
        """
        header = {**self.file.header, _CONTENT_HASH: self.content_hash}
        with atomic_path(path) as temporary:
            temporary.write_bytes(sealed_file(_KEY, header, self.file.tensors))


def measure(ready: ReadyEncoder, game: str, calibration: Calibration, seed: int | None = None) -> MeasuredEncoder:
    """Build an encoder and measure its standardisation.

    Args:
        ready: Which one.
        game: The game's id.
        calibration: Observations of random play, and what the encoder reads beside them.
        seed: Of random weights in place of its own; None: its own.

    Raises:
        ShapeError: An input is missing, or the embeddings are not what the encoder declares.
        SpecError: Its package is missing, or it has no random twin.
    """
    encoder = _build(ready, game, seed)
    weights = ready.content(game) if seed is None else weights_hash(encoder)
    standardisation = measure_standardisation(encoder, calibration.stack, calibration.inputs)
    header = {"format": FORMAT, "name": ready.name, "game": game, "weights": weights, "seed": seed}
    tensors = standardisation.tensors()
    file = StandardisationFile(header, tensors, _content_hash(header, tensors))
    return MeasuredEncoder(encoder, standardisation, file)


def read_standardisation(path: Path) -> StandardisationFile | None:
    """Read a standardisation file; None for any other readable safetensors file.

    Raises:
        CheckpointError: The file is damaged.
    """
    file = read_weights(path, _REMEDY)
    text = file.metadata.get(_KEY, "")
    header = parse_header(text)
    if header.get("format") == OLD_FORMAT:
        return StandardisationFile(header, file.tensors, file.file_hash)
    if header.get("format") != FORMAT:
        return None
    header = read_sealed(path, text, _REMEDY)
    content_hash = _content_hash(header, file.tensors)
    if header.pop(_CONTENT_HASH, None) != content_hash:
        raise CheckpointError(f"{path} is damaged: its content is not what was saved. {_REMEDY}")
    return StandardisationFile(header, file.tensors, content_hash)


def load_measured(
    path: Path, stored: StandardisationFile, ready: ReadyEncoder, game: str, check: HashCheck | None = None
) -> MeasuredEncoder:
    """Build an encoder that was measured. Nothing of it is built or run before all hashes are as they must be.

    Args:
        path: The standardisation file, for messages.
        stored: Its content.
        ready: The encoder.
        game: The game's id.
        check: Asked whether the content hash is the right one; None: any is.

    Raises:
        CheckpointError: It is of another encoder or game, or its weights are not those that were measured.
        SpecError: A package is missing.
    """
    header = stored.header
    for key, wanted in (("name", ready.name), ("game", game)):
        if header.get(key) != wanted:
            raise CheckpointError(f"{path} holds {key} {header.get(key)!r}, not {wanted!r}. Choose another file.")
    if check is not None:
        check(ready.name, stored.content_hash)
    seed = header.get("seed")
    if seed is None:
        _check_weights(path, ready, header, ready.content(game))
    elif ready.is_program:
        raise CheckpointError(f"{path} is of a random twin; the encoder {ready.name!r} has none. Train again.")
    encoder = _build(ready, game, seed)
    if seed is not None:
        _check_weights(path, ready, header, weights_hash(encoder))
    return MeasuredEncoder(encoder, _standardisation(path, encoder, stored.tensors), stored)


def _check_weights(path: Path, ready: ReadyEncoder, header: Mapping[str, Any], found: str) -> None:
    if found != header.get("weights"):
        raise CheckpointError(
            f"{path} belongs to other weights of the encoder {ready.name!r} than those installed: "
            f"{str(header.get('weights'))[:12]}... were measured, {found[:12]}... are there. Install the versions of "
            "then, restore its file, or train again."
        )


def _content_hash(header: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> str:
    told = {key: header.get(key) for key in ("name", "game", "weights", "seed")}
    return json_hash({**told, "tensors": tensors_hash(tensors)})


def _standardisation(path: Path, encoder: Encoder, tensors: Mapping[str, torch.Tensor]) -> Standardisation:
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    wanted = Standardisation.shapes(encoder, has_half_shift="half_shift" in tensors)
    if shapes != wanted or not all(bool(value.isfinite().all()) for value in tensors.values()):
        raise CheckpointError(f"{path} does not fit the encoder {encoder.name}. Restore it, or train again.")
    return Standardisation(**{name: value.float() for name, value in tensors.items()})


def _build(ready: ReadyEncoder, game: str, seed: int | None) -> Encoder:
    """Return the encoder, redrawn if there is a seed."""
    encoder = ready.build(game).eval().requires_grad_(requires_grad=False)
    return encoder if seed is None else redraw(encoder, seed).eval()
