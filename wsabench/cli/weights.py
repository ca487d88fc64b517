"""What a safetensors file says about itself, read without torch: metadata, shapes, hash."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from wsabench.errors import CheckpointError


def read_header(path: Path) -> dict[str, Any]:
    """Return a weights file's metadata (JSON values decoded), tensor count, parameter count, size and SHA-256.

    Raises:
        CheckpointError: The file is missing, or is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="np") as file:
            shapes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118 - a safetensors file is no dict
            metadata = file.metadata() or {}
        content = path.read_bytes()
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is not a readable weights file: {error}. Reinstall wsabench, or train again."
        ) from error
    return {
        "metadata": {key: _decoded(value) for key, value in sorted(metadata.items())},
        "tensors": len(shapes),
        "parameters": sum(_product(shape) for shape in shapes),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _product(shape: list[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count
