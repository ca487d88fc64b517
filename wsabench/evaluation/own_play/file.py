"""The file of an agent's own play: mean embeddings, those of random steps, mean attention, a hash of all that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
from safetensors.numpy import save_file

from wsabench.errors import StorageError
from wsabench.resources import atomic_path
from wsabench.sealed import refused_writes
from wsabench.types import Embedding

FORMAT = "wsabench-own-play-2"
_HEADER = "own_play"
_MEAN, _MOMENTS, _ATTENTION = "mean.", "moments.", "attention."


class OwnPlayReference(NamedTuple):
    """Where an agent's own play is kept, and what it must be; it travels to worker processes."""

    path: Path
    content_hash: str
    """Hash of everything in the file, 64 hexadecimal digits."""
    num_steps: int
    """Steps that the means are over."""
    num_episodes: int

    def load(self) -> StoredOwnPlay:
        """Return the play.

        Raises:
            StorageError: The file is missing, damaged, or another than it was.
        """
        play = StoredOwnPlay(self.path)
        if play.content_hash != self.content_hash:
            raise StorageError(
                f"The agent's own play {self.path} was replaced during the run: its hash is {play.content_hash[:12]}, "
                f"{self.content_hash[:12]} is expected. Start the same run again."
            )
        return play


class StoredOwnPlay:
    """An agent's own play, read from its file: `wsabench.types.OwnPlay`. Kept steps stay on disk until asked for."""

    def __init__(self, path: Path) -> None:
        """Open a file and check it.

        Raises:
            StorageError: It is missing, damaged or something else.
        """
        try:
            self._file = safetensors.safe_open(path, framework="numpy")
            header = json.loads((self._file.metadata() or {}).get(_HEADER, "{}"))
            arrays = {name: self._file.get_tensor(name) for name in self._file.keys()}  # noqa: SIM118 - not a mapping
        except (OSError, safetensors.SafetensorError, ValueError) as error:
            raise StorageError(f"The agent's own play {path} cannot be read: {error}. {_REMEDY}") from error
        stated = header.pop("content_hash", None) if isinstance(header, dict) else None
        if stated is None or header.get("format") != FORMAT or stated != arrays_hash(arrays, header):
            raise StorageError(f"The agent's own play {path} is damaged: it is not what was saved. {_REMEDY}")
        self.content_hash: str = stated
        self.identity: Mapping[str, Any] = header["identity"]
        self.num_steps: int = header["num_steps"]
        self.num_episodes: int = header["num_episodes"]
        self.num_moments: int = header["num_moments"]
        self._means = _named(arrays, _MEAN)
        self._attention = {name: float(value[0]) for name, value in _named(arrays, _ATTENTION).items()}

    def mean(self, name: str) -> Embedding:
        """Return an encoder's mean embedding over all steps, float32."""
        return self._means[name].copy()

    def moment(self, name: str, index: int) -> Embedding:
        """Return an encoder's embedding at one of the kept steps, float32."""
        return self._file.get_slice(_MOMENTS + name)[index : index + 1][0].astype(np.float32)

    def attention(self) -> Mapping[str, float]:
        """Return the mean weight of each fused encoder over all steps; empty for an agent without attention."""
        return self._attention


_REMEDY = "Remove it; the next run plays it again."


class OwnPlayContent(NamedTuple):
    """What is kept of an agent's own play."""

    means: Mapping[str, Embedding]
    """The mean embedding of each encoder, by name, float32."""
    moments: Mapping[str, np.ndarray]
    """The embeddings of the kept steps in the order of play, by encoder: float16, shape (num_moments, *embedding)."""
    num_steps: int
    num_episodes: int
    attention: Mapping[str, float]
    """The mean weight of each fused encoder, by name; empty for an agent without attention."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of the file by name."""
        arrays = {_MEAN + name: np.ascontiguousarray(value) for name, value in sorted(self.means.items())}
        arrays |= {_MOMENTS + name: np.ascontiguousarray(value) for name, value in sorted(self.moments.items())}
        return arrays | {_ATTENTION + name: np.array([value]) for name, value in sorted(self.attention.items())}


def _named(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return the arrays of one kind by encoder."""
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def write_own_play(path: Path, content: OwnPlayContent, identity: Mapping[str, Any]) -> None:
    """Write a file of own play.

    Args:
        path: The file.
        content: What is kept.
        identity: Plain values that decide the play.

    Raises:
        StorageError: It cannot be written.
    """
    arrays = content.arrays()
    header: dict[str, Any] = {
        "format": FORMAT,
        "identity": dict(identity),
        "num_steps": content.num_steps,
        "num_episodes": content.num_episodes,
        "num_moments": len(next(iter(content.moments.values()))),
    }
    header["content_hash"] = arrays_hash(arrays, header)
    with atomic_path(path) as temporary, refused_writes():
        save_file(arrays, temporary, {_HEADER: json.dumps(header, sort_keys=True)})


def arrays_hash(arrays: Mapping[str, np.ndarray], header: Mapping[str, Any] | None = None) -> str:
    """Return the SHA-256 of arrays with their names, types and shapes, and of a header, hexadecimal."""
    digest = hashlib.sha256(json.dumps(dict(header or {}), sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()
