"""Encoder files: weights and standardisation as safetensors, what they are and where they came from in the header.

An encoder is known by its content hash: that of what decides its function. Equal encoders have equal ones, whenever
and by whatever version they were written; where they came from is no part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from wsabench.encoders.catalogue import ENCODERS, FURTHER_STAGES, SIZES, build_encoder, encoder_class
from wsabench.encoders.encoder import Encoder
from wsabench.encoders.foundation.ready import ready_encoders
from wsabench.encoders.standardisation import Standardisation
from wsabench.errors import CheckpointError, SpecError, UnknownNameError
from wsabench.resources import atomic_path, encoders_dir
from wsabench.sealed import WeightsFile, json_hash, read_sealed, read_weights, sealed_file, tensors_hash

FORMAT = "wsabench-encoder-2"
OLD_FORMAT = "wsabench-encoder-1"
"""With a header key for each text, in random order, and no hash; still read, and known by the file's SHA-256."""
_KEY = "encoder"
_CONTENT_HASH = "content_sha256"
_REMEDY = "Restore it, or pre-train again."
_OLD_OPTIONS: Mapping[str, Mapping[str, str]] = {"okk": {"output": "gaussians", "gaussian": "half"}}
"""What files of the old format mean, by architecture: its function when they were written."""


class LoadedEncoder(NamedTuple):
    """An encoder file's content.

    Attributes:
        encoder: In evaluation mode, float32, without gradients.
        standardisation: Of its embeddings.
        metadata: Text from the header: `format`, `name`, `size`, `game`, and what training wrote (`steps`, `seed`,
            versions).
        content_hash: SHA-256 of what decides its function, hexadecimal: tensors (standardisation included), name, size
            and options of the architecture, and the game for an architecture of another package. Of the whole file for
            files of the format `wsabench-encoder-1`.
    """

    encoder: Encoder
    standardisation: Standardisation
    metadata: Mapping[str, str]
    content_hash: str


def encoder_path(game: str, name: str, directory: Path | None = None) -> Path:
    """Return where the file of an encoder is: in `directory`, or among the shipped or fetched baselines."""
    return (directory or encoders_dir(game)) / f"{name}.safetensors"


def save_encoder(
    path: Path,
    encoder: Encoder,
    standardisation: Standardisation,
    metadata: Mapping[str, str],
    *,
    size: str = "compact",
) -> None:
    """Write an encoder in half precision; equal values give equal bytes.

    Args:
        path: File that is written.
        encoder: Trained encoder; its `options` are written too.
        standardisation: Of its embeddings.
        metadata: Where it came from, text; must have `game`.
        size: The architecture's size.

    Raises:
        StorageError: The file cannot be written.
    """
    tensors = {f"encoder.{name}": value for name, value in encoder.state_dict().items() if value.is_floating_point()}
    tensors |= standardisation.tensors()
    halves = {name: value.detach().half().contiguous() for name, value in tensors.items()}
    architecture = {"name": encoder.name, "size": size, "options": dict(encoder.options), "game": metadata["game"]}
    provenance = {key: text for key, text in metadata.items() if key not in {"format", *architecture}}
    header = {"format": FORMAT, **architecture, "provenance": provenance}
    header[_CONTENT_HASH] = _content_hash(architecture, halves)
    with atomic_path(path) as temporary:
        temporary.write_bytes(sealed_file(_KEY, header, halves))


def load_encoder(
    path: Path, *, name: str | None = None, game: str | None = None, size: str | None = None
) -> LoadedEncoder:
    """Read an encoder file.

    Args:
        path: The file.
        name: The encoder it must hold; None: any.
        game: The game it must be pre-trained for; None: any.
        size: The size its architecture must have; None: any.

    Raises:
        CheckpointError: It is missing, damaged, or holds something else.
    """
    if not path.is_file():
        further = f" --stages {path.stem}" if path.stem in FURTHER_STAGES else ""
        command = f"wsabench pretrain --game {game or 'GAME'}{further} --out FOLDER"
        raise CheckpointError(
            f"The encoder file {path} is missing. A trained agent needs the one it was trained on: restore that file. "
            f"For a new agent pre-train encoders with `{command}` and give that folder: "
            "`wsabench train --encoders-dir FOLDER`."
        )
    metadata, options, tensors, content_hash = _read(path)
    for key, wanted in (("name", name), ("game", game)):
        if wanted is not None and metadata.get(key) != wanted:
            raise CheckpointError(f"{path} holds {key} {metadata.get(key)!r}, not {wanted!r}. Choose another file.")
    found = metadata.get("size", "compact")
    if size is not None and metadata["name"] in ENCODERS and found != size:
        raise CheckpointError(
            f"{path} holds an encoder of size {found!r}; {size!r} is needed. Pre-train encoders of that size, or set "
            f"encoder_size = {found!r}."
        )
    encoder = _build(path, metadata, options)
    _check_shapes(path, encoder, tensors)
    encoder.load_state_dict(
        {k.removeprefix("encoder."): v for k, v in tensors.items() if k.startswith("encoder.")}, strict=False
    )
    encoder.eval().requires_grad_(requires_grad=False)
    standardisation = Standardisation(tensors["mean"], tensors["scale"], tensors.get("half_shift"))
    return LoadedEncoder(encoder, standardisation, metadata, content_hash)


def read_architecture(path: Path) -> str:
    """Return the name of the architecture in an encoder file.

    Raises:
        CheckpointError: It is missing, damaged, or holds something else.
    """
    if not path.is_file():
        raise CheckpointError(f"The encoder file {path} is missing. Correct its path, or restore it.")
    return _read(path).metadata["name"]


class _Content(NamedTuple):
    """What an encoder file holds, checked against its hashes; tensors as float32."""

    metadata: Mapping[str, str]
    options: Mapping[str, str]
    tensors: Mapping[str, torch.Tensor]
    content_hash: str


def _read(path: Path) -> _Content:
    file = read_weights(path, _REMEDY)
    is_new = _KEY in file.metadata
    content = _read_new(path, file) if is_new else _read_old(file)
    name = content.metadata.get("name")
    known = name in ENCODERS or name in ready_encoders()
    if content.metadata.get("format") != (FORMAT if is_new else OLD_FORMAT) or not known:
        raise CheckpointError(
            f"{path} is not an encoder file of this version ({FORMAT}, or {OLD_FORMAT}). Choose another file."
        )
    return content


def _read_new(path: Path, file: WeightsFile) -> _Content:
    header = read_sealed(path, file.metadata[_KEY], _REMEDY)
    stated, options, provenance = (header.pop(key, None) for key in (_CONTENT_HASH, "options", "provenance"))
    if header.get("format") != FORMAT or not (isinstance(options, dict) and isinstance(provenance, dict)):
        return _Content({}, {}, {}, "")  # of another version
    if stated != _content_hash({**header, "options": options}, file.tensors):
        raise CheckpointError(f"{path} is damaged: its content is not what was saved. {_REMEDY}")
    metadata = {key: str(text) for key, text in {**provenance, **header}.items()}
    return _Content(metadata, options, _single(file.tensors), stated)


def _read_old(file: WeightsFile) -> _Content:
    name, size = file.metadata.get("name", ""), file.metadata.get("size", "compact")
    options = {}
    if name in ENCODERS and size in SIZES:
        declared = encoder_class(name, size).OPTIONS
        options = {key: value for key, value in _OLD_OPTIONS.get(name, {}).items() if key in declared}
    return _Content(file.metadata, options, _single(file.tensors), file.file_hash)


def _single(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.float() for name, value in tensors.items()}


def _content_hash(architecture: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the hash of what decides an encoder's function; `game` is part of it for other packages' only."""
    keys = ("name", "size", "options") if architecture.get("name") in ENCODERS else ("name", "size", "options", "game")
    return json_hash({**{key: architecture.get(key) for key in keys}, "tensors": tensors_hash(tensors)})


def _build(path: Path, metadata: Mapping[str, str], options: Mapping[str, str]) -> Encoder:
    """Build the architecture: one of ours, or one of another package."""
    name = metadata["name"]
    if name not in ENCODERS:
        encoder = ready_encoders()[name].build(metadata.get("game", ""))
    else:
        try:
            encoder = build_encoder(name, 0, metadata.get("size", "compact"), options)
        except (SpecError, UnknownNameError) as error:
            raise CheckpointError(f"{path} cannot be built here: {error} Choose another file.") from error
    if dict(encoder.options) != dict(options):
        raise CheckpointError(
            f"{path} holds the encoder {name!r} with the options {dict(options)}; here it has {dict(encoder.options)}. "
            "Use the version that wrote it, or pre-train again."
        )
    return encoder


def _check_shapes(path: Path, encoder: Encoder, tensors: Mapping[str, torch.Tensor]) -> None:
    state = encoder.state_dict()
    wanted = {f"encoder.{name}": tuple(value.shape) for name, value in state.items() if value.is_floating_point()}
    wanted |= Standardisation.shapes(encoder, has_half_shift="half_shift" in tensors)
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    if wanted != found:
        wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        raise CheckpointError(
            f"{path} does not fit the encoder {encoder.name}: {', '.join(wrong[:4])}. Pre-train again."
        )
    if not all(bool(torch.isfinite(value).all()) for value in tensors.values()):
        raise CheckpointError(f"{path} holds numbers that are not finite. Restore it, or pre-train again.")
