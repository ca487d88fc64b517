"""The ledger of a result set: what each of its writers wrote, with checksums, so that damage is found.

Every process that writes has a file of its own, `ledger/WRITER.jsonl`, to which it only appends. A line says of a file
how many bytes it has and their SHA-256, or of the manifest's plan its hash:

    {"plan": "9f0e..."}
    {"file": "episodes/wsa-seed0--pong--clean.parquet", "bytes": 6144, "sha256": "51c2..."}

A line is on the disk before its file gets its name, so a file that is there always has a line, whenever a run was
killed. A file may have several lines, of several writers too, as it may be written again; it is whole where it equals
any of them, because an older content can only be there where the newer one never got its name. What cannot be read as a
line, such as the last one of a writer that was killed while it wrote, vouches for nothing. A line of a file that is not
there means nothing: the job is not finished, or its file was deleted to be played again.

The ledger finds damage. It does not find forgery: whoever can write a shard can write a line.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec

from wsabench.errors import ResultSetError
from wsabench.hashing import bytes_hash, json_hash
from wsabench.resources import make_dir, writing

LEDGER_DIR = "ledger"


class Entry(NamedTuple):
    """What a writer said of a file."""

    num_bytes: int
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Return the entry of a file's content."""
        return cls(len(content), bytes_hash(content))


class _Line(msgspec.Struct):
    """A line of a ledger; of a file, or of a plan."""

    file: str = ""
    bytes: int = -1
    sha256: str = ""
    plan: str = ""


@dataclass(frozen=True, slots=True)
class Ledger:
    """All ledgers of a result set as one."""

    num_writers: int = 0
    """Files of ledgers; 0 for a result set of an earlier version, which has none."""
    entries: dict[str, set[Entry]] = field(default_factory=dict)
    """What writers said of each file; files are relative to the result set, with `/` between folders."""
    plans: set[str] = field(default_factory=set)
    """Hashes of the plans that manifests had, see `plan_hash`."""

    @property
    def is_kept(self) -> bool:
        """Whether the result set has a ledger at all."""
        return self.num_writers > 0

    def why_not(self, file: str, content: bytes) -> str | None:
        """Say what is wrong with a file.

        Args:
            file: The file, relative to the result set, `episodes/NAME.parquet`.
            content: Its bytes.

        Returns:
            None where a writer wrote just that, or there is no ledger; else the end of a sentence about the file.
        """
        if not self.is_kept:
            return None
        entries = self.entries.get(file)
        if entries is None:
            return f"is in no {LEDGER_DIR}/*.jsonl"
        found = Entry.of(content)
        if found in entries:
            return None
        sizes = sorted({entry.num_bytes for entry in entries})
        if found.num_bytes not in sizes:
            return f"has {found.num_bytes} bytes, and was written with {' or '.join(map(str, sizes))}"
        return f"has another checksum than it was written with (SHA-256 {found.sha256[:16]}...)"


def read_ledger(directory: Path) -> Ledger:
    """Read all ledgers of a result set.

    Args:
        directory: The directory of the result set.

    Returns:
        What they say together; nothing where there is none.

    Raises:
        ResultSetError: A ledger cannot be read at all.
    """
    files = sorted((directory / LEDGER_DIR).glob("*.jsonl"))
    ledger = Ledger(num_writers=len(files))
    for path in files:
        for line in _lines(path):
            if line.plan:
                ledger.plans.add(line.plan)
            if line.file:
                ledger.entries.setdefault(line.file, set()).add(Entry(line.bytes, line.sha256))
    return ledger


def plan_hash(content: Mapping[str, Any]) -> str:
    """Return the hash of the plan of a manifest, however the file is laid out.

    Args:
        content: The plain values of the manifest, as they stand in the file.
    """
    return json_hash(content["plan"], 64)


class LedgerWriter:
    """Appends to a ledger of its own; the file is made with the first line."""

    def __init__(self, directory: Path) -> None:
        """Name the ledger; nothing is written yet.

        Args:
            directory: The directory of the result set.
        """
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
        self.path = directory / LEDGER_DIR / name
        self._directory = directory
        self._handle: int | None = None
        self._plan = ""

    def close(self) -> None:
        """Close the file; a later line opens it again."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def record(self, file: str, content: bytes) -> None:
        """Say what a file holds that is about to get its name, or that is copied with it.

        Args:
            file: The file, relative to the result set with `/` between folders.
            content: Its bytes.

        Raises:
            StorageError: The line cannot be written; the ledger is as it was.
        """
        self._append([_line_of(file, content)])

    def record_plan(self, content: Mapping[str, Any]) -> None:
        """Say which plan the manifest has that is about to be written; the same one twice running is said once.

        Args:
            content: The manifest's plain values.

        Raises:
            StorageError: The line cannot be written; the ledger is as it was.
        """
        if (plan := plan_hash(content)) != self._plan:
            self._append([{"plan": plan}])
            self._plan = plan

    def adopt(self, folders: Iterable[str], content: Mapping[str, Any]) -> None:
        """Begin the ledger of a result set that has none, with what lies in it.

        Args:
            folders: The folders with its files.
            content: The plain values of its manifest.

        Raises:
            StorageError: A file cannot be read, or the lines cannot be written.
        """
        lines = []
        for folder in folders:
            for path in sorted((self._directory / folder).glob("[!.]*")):
                if path.is_file():
                    with writing(self.path):
                        lines.append(_line_of(f"{folder}/{path.name}", path.read_bytes()))
        self._append([{"plan": plan_hash(content)}, *lines])

    def _append(self, lines: Sequence[Mapping[str, str | int]]) -> None:
        """Append lines; they are on the disk when this returns."""
        rest = "".join(json.dumps(line) + "\n" for line in lines).encode()
        with writing(self.path):
            if self._handle is None:
                make_dir(self.path.parent)
                self._handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            before = os.fstat(self._handle).st_size
            try:
                while rest:  # a disk that gets full takes a part, and refuses the rest
                    rest = rest[os.write(self._handle, rest) :]
                os.fsync(self._handle)
            except OSError:
                os.ftruncate(self._handle, before)
                raise


def _line_of(file: str, content: bytes) -> dict[str, str | int]:
    """Return the line of a file."""
    entry = Entry.of(content)
    return {"file": file, "bytes": entry.num_bytes, "sha256": entry.sha256}


def _lines(path: Path) -> Iterator[_Line]:
    """Yield the lines of a ledger that can be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ResultSetError(f"{path} cannot be read ({error.strerror}). Restore it from a copy.") from error
    for text in content.split(b"\n")[:-1]:  # what follows the last line break was not written to its end
        try:
            yield msgspec.json.decode(text, type=_Line)
        except (msgspec.DecodeError, RecursionError):
            continue
