"""Safetensors files with one header key of sorted JSON and hashes that find any damage.

Safetensors writes several header keys in random order; one key, with its JSON sorted, makes equal content equal bytes.
Torch is loaded when tensors are read or written, not before: a process that plays without it gets no copy of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from safetensors import SafetensorError

from wsabench.errors import CheckpointError

if TYPE_CHECKING:
    import torch

HEADER_HASH = "header_sha256"
"""The header's own hash: of its sorted JSON without this key."""


class WeightsFile(NamedTuple):
    """A safetensors file, read once as a whole.

    Attributes:
        metadata: The text that the header holds, by key; not yet checked.
        tensors: As the file has them; not yet checked.
        file_hash: SHA-256 of the file's bytes, hexadecimal.
    """

    metadata: Mapping[str, str]
    tensors: dict[str, torch.Tensor]
    file_hash: str


def json_hash(value: Mapping[str, Any]) -> str:
    """Return the SHA-256 of JSON values, hexadecimal; the order of keys does not matter."""
    return hashlib.sha256(_sorted_json(value).encode()).hexdigest()


def tensors_hash(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the SHA-256 of tensors with their names, types and shapes, hexadecimal; their order does not matter."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        # Flat first: a 1x1 kernel with channels last counts as contiguous, but its last stride is not 1.
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def sealed_file(key: str, header: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Return a safetensors file's bytes, which depend on nothing but the values given.

    Args:
        key: The one key of the file's metadata.
        header: What stands there, JSON values; the hash of it is added.
        tensors: The tensors, on the CPU.
    """
    import safetensors.torch

    plain = json.loads(json.dumps(header))  # as it will be read: keys are text, and sorted as text
    text = _sorted_json({**plain, HEADER_HASH: json_hash(plain)})
    ordered = {name: tensors[name].detach().contiguous() for name in sorted(tensors)}
    return safetensors.torch.save(ordered, {key: text})


def read_weights(path: Path, remedy: str) -> WeightsFile:
    """Read a safetensors file.

    Args:
        path: The file.
        remedy: How to mend it, a sentence for the message.

    Raises:
        CheckpointError: It cannot be read as safetensors.
    """
    import safetensors.torch

    try:
        content = path.read_bytes()
        tensors = safetensors.torch.load(content)
        start = 8 + int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8:start]).get("__metadata__")
    except (OSError, SafetensorError, ValueError, KeyError) as error:  # KeyError: a number type that torch lacks
        raise CheckpointError(f"{path} is damaged: {error}. {remedy}") from error
    return WeightsFile(metadata or {}, tensors, hashlib.sha256(content).hexdigest())


def read_sealed(path: Path, text: str, remedy: str) -> dict[str, Any]:
    """Return a header that `sealed_file` wrote.

    Args:
        path: The file, for the message.
        text: The text under its key.
        remedy: How to mend it, a sentence for the message.

    Raises:
        CheckpointError: It is not, to the letter, what was written.
    """
    header = parse_header(text)
    stated = header.pop(HEADER_HASH, None)
    # To the letter: other letters may mean the same JSON.
    if stated != json_hash(header) or text != _sorted_json({**header, HEADER_HASH: stated}):
        raise CheckpointError(f"{path} is damaged: its header is not the one that was saved. {remedy}")
    return header


def parse_header(text: str) -> dict[str, Any]:
    """Return the JSON object in a header's text; empty where there is none."""
    try:
        header = json.loads(text)
    except ValueError:
        return {}
    return header if isinstance(header, dict) else {}


def _sorted_json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True)


@contextlib.contextmanager
def refused_writes() -> Iterator[None]:
    """Turn the error of safetensors for a file that it cannot write into that of the operating system.

    It stands inside `atomic_path`, which says the rest.

    Raises:
        OSError: The block could not write (full disk, no permission).
    """
    try:
        yield
    except SafetensorError as error:
        raise OSError(str(error).rstrip(".")) from error
