"""Hashes that say whether two things are the same: SHA-256 of plain values, bytes and files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from wsabench.errors import StorageError


def json_hash(value: Any, digits: int) -> str:
    """Return the hash of plain values, whatever the order of their keys.

    Args:
        value: What JSON can hold; tuples count as lists.
        digits: How many hexadecimal digits are kept.

    Returns:
        The first digits of the SHA-256 of the value, written as JSON with sorted keys and without spaces.

    Raises:
        ValueError: A number is not finite.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def text_hash(text: str, digits: int = 64) -> str:
    """Return the first `digits` hexadecimal digits of the SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def bytes_hash(content: bytes | bytearray, digits: int = 64) -> str:
    """Return the first `digits` hexadecimal digits of the SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()[:digits]


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits.

    Raises:
        StorageError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror}. Restore it.") from error
