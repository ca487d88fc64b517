"""Encoder files: weights and standardisation as safetensors, where they came from in the header."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from wsabench.encoders.catalogue import ENCODERS, build_encoder
from wsabench.encoders.encoder import Encoder
from wsabench.encoders.ready import ready_encoders
from wsabench.encoders.standardisation import Standardisation
from wsabench.errors import CheckpointError
from wsabench.resources import atomic_path, data_dir

FORMAT = "wsabench-encoder-1"


class LoadedEncoder(NamedTuple):
    """An encoder file's content.

    Attributes:
        encoder: In evaluation mode, float32, without gradients.
        standardisation: Of its embeddings.
        metadata: The header: `format`, `name`, `size`, `game`, and what training wrote (`steps`, `seed`, versions).
        content_hash: SHA-256 of the file, hexadecimal.
    """

    encoder: Encoder
    standardisation: Standardisation
    metadata: Mapping[str, str]
    content_hash: str


def encoder_path(game: str, name: str, directory: Path | None = None) -> Path:
    """Return where the file of an encoder is: in `directory`, or among the shipped baselines."""
    return (directory or data_dir("baselines") / game / "encoders") / f"{name}.safetensors"


def save_encoder(
    path: Path,
    encoder: Encoder,
    standardisation: Standardisation,
    metadata: Mapping[str, str],
    *,
    size: str = "compact",
) -> None:
    """Write an encoder in half precision.

    Args:
        path: File that is written.
        encoder: Trained encoder.
        standardisation: Of its embeddings.
        metadata: Text for the header; must have `game`.
        size: The architecture's size.

    Raises:
        StorageError: The file cannot be written.
    """
    tensors = {f"encoder.{name}": value for name, value in encoder.state_dict().items() if value.is_floating_point()}
    tensors |= standardisation.tensors()
    halves = {name: value.detach().half().contiguous() for name, value in tensors.items()}
    header = {**metadata, "format": FORMAT, "name": encoder.name, "size": size}
    with atomic_path(path) as temporary:
        save_file(halves, temporary, header)


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
        command = f"wsabench pretrain --game {game or 'GAME'} --out FOLDER"
        raise CheckpointError(
            f"The encoder file {path} is missing. A trained agent needs the one it was trained on: restore that file. "
            f"For a new agent pre-train encoders with `{command}` and give that folder: "
            "`wsabench train --encoders FOLDER`."
        )
    tensors, metadata = _read(path)
    _check_known(path, metadata)
    for key, wanted in (("name", name), ("game", game)):
        if wanted is not None and metadata.get(key) != wanted:
            raise CheckpointError(f"{path} holds {key} {metadata.get(key)!r}, not {wanted!r}. Choose another file.")
    found = metadata.get("size", "compact")
    if size is not None and metadata["name"] in ENCODERS and found != size:
        raise CheckpointError(
            f"{path} holds an encoder of size {found!r}; {size!r} is needed. Pre-train encoders of that size, or set "
            f"encoder_size = {found!r}."
        )
    encoder = _build(metadata)
    _check_shapes(path, encoder, tensors)
    encoder.load_state_dict(
        {k.removeprefix("encoder."): v for k, v in tensors.items() if k.startswith("encoder.")}, strict=False
    )
    encoder.eval().requires_grad_(requires_grad=False)
    standardisation = Standardisation(tensors["mean"], tensors["scale"], tensors.get("half_shift"))
    return LoadedEncoder(encoder, standardisation, metadata, hashlib.sha256(path.read_bytes()).hexdigest())


def read_architecture(path: Path) -> str:
    """Return the name of the architecture in an encoder file.

    Raises:
        CheckpointError: It is missing, damaged, or holds something else.
    """
    if not path.is_file():
        raise CheckpointError(f"The encoder file {path} is missing. Correct its path, or restore it.")
    _, metadata = _read(path)
    _check_known(path, metadata)
    return metadata["name"]


def _check_known(path: Path, metadata: Mapping[str, str]) -> None:
    name = metadata.get("name")
    if metadata.get("format") != FORMAT or (name not in ENCODERS and name not in ready_encoders()):
        raise CheckpointError(f"{path} is not an encoder file of this version ({FORMAT}). Choose another file.")


def _build(metadata: Mapping[str, str]) -> Encoder:
    """Build the architecture: one of ours, or one of another package."""
    name = metadata["name"]
    if name in ENCODERS:
        former = {"output": "gaussians", "gaussian": "half"} if name == "okk" else None  # what this format means
        return build_encoder(name, seed=0, size=metadata.get("size", "compact"), options=former)
    return ready_encoders()[name].build(metadata.get("game", ""))


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - not a mapping
            return tensors, dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} is damaged: {error}. Restore it, or pre-train again.") from error


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
