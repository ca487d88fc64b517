"""Encoders in TorchScript files, `.ts` or `.pt`, which say in the file what they read.

A TorchScript file is a program: loading one is running it. Load files only from where you would install software.
"""

from __future__ import annotations

import io
import json
import lzma
import struct
import warnings
import zipfile
import zlib
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
        content = io.BytesIO()  # a file's name would become part of its content
        torch.jit.save(traced, content, _extra_files={METADATA: json.dumps({"reads": reads})})
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getvalue())


def load_torchscript(path: Path) -> TorchScriptEncoder:
    """Read an encoder from a TorchScript file, which runs it; its name is the file's stem.

    Raises:
        CheckpointError: The file is missing, damaged or no TorchScript, does not say what it reads, or does not embed.
    """
    return run_torchscript(read_torchscript(path), path)


def read_torchscript(path: Path) -> bytes:
    """Return a TorchScript file's content, without running it.

    Raises:
        CheckpointError: It is missing or cannot be read.
    """
    if not path.is_file():
        raise CheckpointError(f"The encoder file {path} is missing. Correct its path, or restore it.")
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}. Restore it.") from error


def run_torchscript(content: bytes, path: Path) -> TorchScriptEncoder:
    """Build the encoder in a TorchScript file's content; this runs it. `path` names it.

    Raises:
        CheckpointError: It is damaged or no TorchScript, does not say what it reads, or does not embed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            module = torch.jit.load(io.BytesIO(content), map_location="cpu")
    except (OSError, RuntimeError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    encoder = TorchScriptEncoder(path.stem, module, stated_reads(content, path), ())
    encoder.shape = _measured_shape(encoder, path)
    return encoder.eval().requires_grad_(requires_grad=False)


def stated_reads(content: bytes, path: Path) -> Reads:
    """Return what a TorchScript file's content says that its encoder reads, without running it. `path` names it.

    Raises:
        CheckpointError: It is damaged, or does not say it.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [name for name in archive.namelist() if name.endswith(f"/extra/{METADATA}")]
            stated = json.loads(archive.read(names[0])) if names else None
    except _ZIP_ERRORS as error:
        raise _damaged(path, str(error)) from error
    reads: Any = stated.get("reads") if isinstance(stated, dict) else None
    if reads not in get_args(Reads):
        raise CheckpointError(
            f"{path} says that it reads {reads!r}. Allowed: {', '.join(get_args(Reads))}. Write it with "
            "wsabench.encoders.save_torchscript(module, path, reads=...)."
        )
    return reads


_ZIP_ERRORS = (
    zipfile.BadZipFile,
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
)
"""What the standard library raises for damaged archives."""


def _damaged(path: Path, reason: str) -> CheckpointError:
    first = (reason.strip().splitlines() or ["no reason given"])[0]
    return CheckpointError(f"{path} is damaged, or no TorchScript: {first}. Give a file of torch.jit.save.")


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
