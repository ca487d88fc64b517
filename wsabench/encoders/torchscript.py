"""Encoders in TorchScript files, `.ts` or `.pt`, which say in the file what they read.

A TorchScript file is a program: loading one is running it. Load files only from where you would install software.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any, get_args

import torch

from wsabench.encoders.encoder import SCREEN, STACK, Encoder, Reads
from wsabench.errors import CheckpointError, SpecError
from wsabench.resources import atomic_path
from wsabench.types import INPUT_SHAPES

SUFFIXES = (".ts", ".pt")
METADATA = "wsabench.json"
"""Name of the extra file inside a TorchScript file that holds `{"reads": ...}`."""


class TorchScriptEncoder(Encoder):
    """A TorchScript module; in float32, because constants inside it keep their type."""

    needs_single = True

    def __init__(self, name: str, module: torch.nn.Module, reads: Reads, shape: tuple[int, ...]) -> None:
        """Wrap a module from what `reads` says to embeddings (N, *shape)."""
        super().__init__()
        self.name, self.reads, self.shape = name, reads, shape
        self.module = module

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the module's embeddings, shape (N, *shape)."""
        return self.module(pixels)


def save_torchscript(module: torch.nn.Module, path: Path, *, reads: Reads) -> None:
    """Write a module as an encoder file.

    Args:
        module: From what `reads` says (see `Encoder.forward`) to embeddings (N, D) or (N, C, H, W); traced.
        path: Ends in `.ts` or `.pt`.
        reads: What it reads.

    Raises:
        SpecError: `reads` is something else.
        StorageError: The file cannot be written.
    """
    if reads not in get_args(Reads):
        raise SpecError(f"An encoder reads {reads!r}. Allowed: {', '.join(get_args(Reads))}.")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch means to replace TorchScript
        traced = torch.jit.trace(module.eval(), _example(reads, 2))
        with atomic_path(path) as temporary:
            torch.jit.save(traced, str(temporary), _extra_files={METADATA: json.dumps({"reads": reads})})


def load_torchscript(path: Path) -> TorchScriptEncoder:
    """Read an encoder from a TorchScript file; its name is the file's stem.

    Raises:
        CheckpointError: The file is missing, damaged or no TorchScript, does not say what it reads, or does not embed.
    """
    if not path.is_file():
        raise CheckpointError(f"The encoder file {path} is missing. Correct its path, or restore it.")
    extra: dict[str, Any] = {METADATA: ""}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            module = torch.jit.load(str(path), map_location="cpu", _extra_files=extra)
        stated = json.loads(extra[METADATA] or "{}")
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"{path} is damaged, or no TorchScript: {reason}. Give a file of torch.jit.save."
        ) from error
    reads: Any = stated.get("reads") if isinstance(stated, dict) else None
    if reads not in get_args(Reads):
        raise CheckpointError(
            f"{path} says that it reads {reads!r}. Allowed: {', '.join(get_args(Reads))}. Write it with "
            "wsabench.encoders.save_torchscript(module, path, reads=...)."
        )
    encoder = TorchScriptEncoder(path.stem, module, reads, ())
    encoder.shape = _measured_shape(encoder, path)
    return encoder.eval().requires_grad_(requires_grad=False)


def _measured_shape(encoder: TorchScriptEncoder, path: Path) -> tuple[int, ...]:
    """Return the shape of one embedding, from a try."""
    try:
        with torch.no_grad():
            embedding = encoder(_example(encoder.reads, 2))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise CheckpointError(f"{path} failed on {encoder.reads}: {reason}. Correct the module.") from error
    if not isinstance(embedding, torch.Tensor) or embedding.ndim not in (2, 4) or len(embedding) != 2:
        found = tuple(embedding.shape) if isinstance(embedding, torch.Tensor) else type(embedding).__name__
        raise CheckpointError(f"{path} gave {found} for two observations. Allowed: (2, size), or (2, C, H, W).")
    return tuple(embedding.shape[1:])


def _example(reads: Reads, num_rows: int) -> torch.Tensor:
    if reads == "ram":
        return torch.zeros(num_rows, *INPUT_SHAPES["ram"], dtype=torch.uint8)
    channels = {"stack": STACK, "newest": 1, "rgb84": 3}[reads]
    return torch.zeros(num_rows, channels, SCREEN, SCREEN)
