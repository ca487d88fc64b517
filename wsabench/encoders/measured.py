"""Files of encoders that come with their weights: their standardisation on a game, and which weights it belongs to.

The weights stay where they are: in a package, or in a TorchScript file beside.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError

from wsabench.encoders.encoder import Encoder
from wsabench.encoders.ready import ReadyEncoder, redraw, weights_hash
from wsabench.encoders.standardisation import Calibration, Standardisation, measure_standardisation
from wsabench.errors import CheckpointError
from wsabench.resources import atomic_path

FORMAT = "wsabench-standardisation-1"
_HEADER = "standardisation"
"""One key: the order of several is not fixed, and with it the file's hash."""


class MeasuredEncoder(NamedTuple):
    """An encoder that came with its weights, measured on a game.

    Attributes:
        encoder: In evaluation mode, float32, without gradients.
        standardisation: Of its embeddings.
        metadata: The file's header: `format`, `name`, `game`, `weights` (their hash), `seed` (None: not redrawn).
        content: The file.
    """

    encoder: Encoder
    standardisation: Standardisation
    metadata: Mapping[str, Any]
    content: bytes

    @property
    def content_hash(self) -> str:
        """SHA-256 of the file, hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()

    def save(self, path: Path) -> None:
        """Write the file.

        Raises:
            StorageError: It cannot be written.
        """
        with atomic_path(path) as temporary:
            temporary.write_bytes(self.content)


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
    encoder, weights = _build(ready, game, seed)
    standardisation = measure_standardisation(encoder, calibration.stack, calibration.inputs)
    header = {"format": FORMAT, "name": ready.name, "game": game, "weights": weights, "seed": seed}
    tensors = {key: value.contiguous() for key, value in standardisation.tensors().items()}
    content = safetensors.torch.save(tensors, {_HEADER: json.dumps(header, sort_keys=True)})
    return MeasuredEncoder(encoder, standardisation, header, content)


def read_header(path: Path) -> Mapping[str, Any] | None:
    """Return the header of a standardisation file, None for any other readable safetensors file.

    Raises:
        CheckpointError: The file is damaged.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {}).get(_HEADER, "null"))
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {error}. Restore it, or make it again.") from error
    return header if isinstance(header, dict) and header.get("format") == FORMAT else None


def load_measured(path: Path, ready: ReadyEncoder, game: str) -> MeasuredEncoder:
    """Read a standardisation file and build its encoder.

    Raises:
        CheckpointError: It is of another encoder or game, or its weights are not those that were measured.
        SpecError: A package is missing.
    """
    header = read_header(path)
    if header is None:
        raise CheckpointError(f"{path} is not a standardisation file of this version ({FORMAT}). Train again.")
    for key, wanted in (("name", ready.name), ("game", game)):
        if header.get(key) != wanted:
            raise CheckpointError(f"{path} holds {key} {header.get(key)!r}, not {wanted!r}. Choose another file.")
    encoder, weights = _build(ready, game, header.get("seed"))
    if weights != header.get("weights"):
        raise CheckpointError(
            f"{path} belongs to other weights of the encoder {ready.name!r} than those installed: "
            f"{str(header.get('weights'))[:12]}... were measured, {weights[:12]}... are there. Install the versions of "
            "then, restore its file, or train again."
        )
    content = path.read_bytes()
    tensors = safetensors.torch.load(content)
    standardisation = _standardisation(path, encoder, tensors)
    return MeasuredEncoder(encoder, standardisation, header, content)


def _standardisation(path: Path, encoder: Encoder, tensors: Mapping[str, torch.Tensor]) -> Standardisation:
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    wanted = Standardisation.shapes(encoder, has_half_shift="half_shift" in tensors)
    if shapes != wanted or not all(bool(value.isfinite().all()) for value in tensors.values()):
        raise CheckpointError(f"{path} does not fit the encoder {encoder.name}. Restore it, or train again.")
    return Standardisation(**{name: value.float() for name, value in tensors.items()})


def _build(ready: ReadyEncoder, game: str, seed: int | None) -> tuple[Encoder, str]:
    """Return an encoder and the hash of its weights."""
    encoder = ready.build(game).eval().requires_grad_(requires_grad=False)
    if seed is None:
        return encoder, ready.content(game)
    return redraw(encoder, seed).eval(), weights_hash(encoder)
