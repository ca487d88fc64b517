"""Files of tensors, read without unpickling anything but tensors and plain values."""

from __future__ import annotations

import io
import pickle  # noqa: TID251  (its error class alone: torch raises it where it refuses to unpickle)
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from wsabench.errors import CheckpointError

Weights = Mapping[str, torch.Tensor]
"""A state dictionary: tensors by name."""


def read_plain(content: bytes, where: str) -> Any:
    """Return what `torch.save` wrote, where it is made of tensors and plain values only.

    Args:
        content: The file's bytes.
        where: The file's name, for messages.

    Raises:
        CheckpointError: It is damaged, or it holds objects that would have to be unpickled; the message names them.
    """
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        names = _pickled_classes(content)
        if names:
            raise CheckpointError(
                f"{where} holds more than tensors: opening it would unpickle {', '.join(names)}, which can run any "
                "code, so it is not opened. Save the weights alone, torch.save(network.state_dict(), PATH), or wrap "
                "the agent in a factory of yours and name it as python:package.module:factory."
            ) from error
        raise _damaged(where, str(error).splitlines()[0]) from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise _damaged(where, str(error).splitlines()[0] if str(error) else type(error).__name__) from error


def read_safetensors(content: bytes, where: str) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file.

    Raises:
        CheckpointError: It is damaged.
    """
    try:
        return safetensors.torch.load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise _damaged(where, str(error)) from error


def only_tensors(value: Any, where: str) -> dict[str, torch.Tensor]:
    """Return a state dictionary in float32, or refuse anything else.

    Raises:
        CheckpointError: It is no mapping from names to tensors, or one is not finite.
    """
    if not isinstance(value, Mapping) or not value or not all(isinstance(one, torch.Tensor) for one in value.values()):
        raise CheckpointError(f"{where} holds no state dictionary (names with tensors). Save network.state_dict().")
    weights = {str(name): one.detach().to("cpu", torch.float32) for name, one in value.items()}
    for name, one in weights.items():
        if not bool(one.isfinite().all()):
            raise CheckpointError(f"{where} is damaged: {name} is not finite. Restore it, or train again.")
    return weights


def read_file(path: Path) -> bytes:
    """Return a file's bytes.

    Raises:
        CheckpointError: There is no such file.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise CheckpointError(f"The agent's file {path} {what}. Give the path of a file.")
    return path.read_bytes()


def _pickled_classes(content: bytes) -> list[str]:
    """Return the names of what the file would import."""
    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(content)))
    except (RuntimeError, ValueError, EOFError, KeyError, IndexError, pickle.UnpicklingError):
        return []


def _damaged(where: str, reason: str) -> CheckpointError:
    return CheckpointError(f"{where} is damaged, or no file that torch.save wrote: {reason} Restore it.")
