"""Reading and writing entries of the leaderboard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from wsabench.errors import ResultSetError, StorageError
from wsabench.leaderboard.checking import checked
from wsabench.leaderboard.result import EntryResult, as_result
from wsabench.leaderboard.schema import SCHEMA_VERSION, Entry, EntryJob, Episodes, SuiteVersion, Training
from wsabench.resources import expanded, write_text

__all__ = [
    "Entry",
    "EntryJob",
    "EntryResult",
    "Episodes",
    "SuiteVersion",
    "Training",
    "as_result",
    "checked",
    "entry_text",
    "link_of",
    "read_entry",
    "write_entry",
]

MAX_BYTES = 64 * 2**20
"""Largest file that is read."""
_LINE_WIDTH = 120
_SHOWN = 80


def read_entry(path: str | Path) -> Entry:
    """Read an entry and check that it can be true (see `wsabench.leaderboard.checking.checked`).

    Args:
        path: The JSON file.

    Raises:
        ResultSetError: It is too large, no JSON, of another schema version, a field is missing, unknown or of another
            type, or it cannot be true; the message names the file and the place.
        StorageError: It cannot be read.
    """
    file = expanded(path)
    try:
        size = file.stat().st_size
        content = b"" if size > MAX_BYTES else file.read_bytes()
    except OSError as error:
        raise StorageError(f"Cannot read the entry {file}: {error.strerror}. Give what `submit` wrote.") from error
    if size > MAX_BYTES:
        raise ResultSetError(f"{file} has {size:,} bytes. Allowed: entries of up to {MAX_BYTES:,}.")
    try:
        return checked(_decoded(content))
    except ResultSetError as error:
        raise ResultSetError(f"{file} is no valid entry of the leaderboard: {error}") from error


def _decoded(content: bytes) -> Entry:
    """Return the text of a file as an entry, strictly checked for its form only."""
    try:
        values = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_object, parse_constant=_no_constant)
        version = values.get("schema_version") if isinstance(values, dict) else None
        if type(version) is int and version != SCHEMA_VERSION:
            raise ResultSetError(
                f"its schema version is {version}; this version of wsabench reads {SCHEMA_VERSION}. "
                "Use the wsabench that wrote it, or submit the run again."
            )
        return msgspec.convert(values, Entry)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ResultSetError(f"{str(error).rstrip('.')}. Write it with `wsabench submit`.") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; a key that stands twice has two meanings, one for each reader."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:_SHOWN]!r} stands twice in one object")
        found[key] = value
    return found


def _no_constant(text: str) -> None:
    """Refuse what Python reads as a number and JSON does not have."""
    raise ValueError(f"{text} is no number of JSON")


def write_entry(path: str | Path, entry: Entry) -> None:
    """Check an entry and write it, to a temporary name first.

    Args:
        path: The JSON file; its folder must exist.
        entry: The entry.

    Raises:
        ResultSetError: It cannot be true.
        StorageError: The file cannot be written.
    """
    write_text(expanded(path), entry_text(checked(entry)))


def entry_text(entry: Entry) -> str:
    """Return the text of an entry: JSON in the order of the declared fields, a list of plain values on one line."""
    return _text(msgspec.to_builtins(entry), "") + "\n"


def _text(value: Any, indent: str) -> str:
    """Return a value as JSON whose plain lists and short objects take one line."""
    if isinstance(value, list | tuple | dict):
        inside = value.values() if isinstance(value, dict) else value
        is_plain = not any(isinstance(one, list | tuple | dict) for one in inside)
        line = json.dumps(value, ensure_ascii=False, allow_nan=False)
        if not value or (is_plain and (not isinstance(value, dict) or len(line) + len(indent) <= _LINE_WIDTH)):
            return line
        deeper = indent + " "
        if isinstance(value, dict):
            parts = [f"{json.dumps(key, ensure_ascii=False)}: {_text(one, deeper)}" for key, one in value.items()]
        else:
            parts = [_text(one, deeper) for one in value]
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        return f"{opening}\n{deeper}" + f",\n{deeper}".join(parts) + f"\n{indent}{closing}"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def link_of(text: str | None) -> str | None:
    """Return a text that a page may link to: an address of the web without spaces, quotes or control characters.

    Args:
        text: `paper`, `code` or `checkpoint` of an entry.

    Returns:
        The address; None where it is another text, which is shown and not linked.
    """
    if text is None or not text.startswith(("https://", "http://")):
        return None
    return text if text.isprintable() and not set(text) & set(" \"'<>`\\") else None
