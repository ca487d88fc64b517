"""Claims of a result set: who plays which job, where several processes work in one directory, on one machine or many.

A claim is a file `claims/NAME.json` that says which process has the job and since when; while it has it, the file is
written again every few seconds. Only the first of several processes can make it. One that was not renewed for
`STALE_SECONDS`, or whose process is known to be gone, is stale, and another process takes it over.

Nothing here trusts clocks of different machines: what is compared are times at which the file system wrote two files of
the same folder. Nothing needs locks of the file system either, which shared disks may lack or only pretend to have. A
claim is ended once, by its own process or by one that takes it over: whichever first makes the file that stands for the
end of just this claim (`_ending`).

What a report claims about agents is another thing, see `wsabench.summary`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from wsabench.errors import ResultSetError, StorageError
from wsabench.resources import make_dir, writing

CLAIMS_DIR = "claims"
STALE_SECONDS = 60.0
"""A claim that was not renewed for so long is stale."""
_BEATS = 6
"""How often a claim is renewed while it would become stale."""
_PROCESS = "@process-"
"""Before the name of the claim by which a process says that it is here; no job begins like this."""
_POLLS = 60
"""How often a process that waits looks while a claim would become stale."""


class Claim(NamedTuple):
    """What stands in a claim."""

    host: str
    """Name of the machine, for people."""
    machine: str
    """Stands for the running system in which `process` means something."""
    process: int
    """Its process id."""
    start: str
    """When it was claimed, UTC, ISO 8601."""
    token: str
    """A text that only this claim has; empty where the claim cannot be read."""

    @property
    def is_dead(self) -> bool:
        """Whether its process was one of this running system and is gone."""
        if os.name != "posix" or self.process <= 0 or self.machine != _machine():
            return False
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):  # another user's process, or no number of one
            pass
        return False

    def describe(self) -> str:
        """Return who has it, for messages."""
        return f"process {self.process} on {self.host} (since {self.start})"


class _Seen(NamedTuple):
    """A claim as it was found."""

    claim: Claim
    renewed: float
    """When, by the clock of the file system."""


class _Clock:
    """The clock that dates the files of a folder; it is asked by writing a file, and not every time."""

    def __init__(self, write: Callable[[str, bytes], Path], seconds: float) -> None:
        self._write, self._seconds = write, seconds
        self._asked, self._ahead = -math.inf, 0.0

    def now(self) -> float:
        """Return the time, in seconds since the epoch."""
        here = time.monotonic()
        if here - self._asked > self._seconds:
            probe = self._write("clock", b"")
            try:
                with writing(probe):
                    self._asked, self._ahead = here, probe.stat().st_mtime - here
            finally:
                probe.unlink(missing_ok=True)
        return here + self._ahead


class Claims:
    """The claims of one process in one directory; they are renewed by a thread until they are released."""

    def __init__(self, directory: Path, *, stale_seconds: float = STALE_SECONDS) -> None:
        """Name the process; nothing is written yet.

        Args:
            directory: The result set, where the folder `claims` stands.
            stale_seconds: Seconds without renewal after which a claim is stale, the same in all processes of a folder.
        """
        self._folder = directory / CLAIMS_DIR
        self._stale = stale_seconds
        self._held: dict[str, str] = {}
        """Token by name."""
        self._presence = f"{_PROCESS}{os.getpid()}-{secrets.token_hex(4)}"
        self._clock = _Clock(self._written, stale_seconds / _BEATS)
        self._guard = threading.RLock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Say that this process is here, and begin to renew.

        Raises:
            StorageError: The folder cannot be written.
        """
        self._announce()
        self._thread = threading.Thread(target=self._renew_for_ever, name="wsabench-claims", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Release everything; the last process removes the folder."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        for name in list(self._held):
            self.release(name)
        self._remove_what_is_left()

    def take(self, name: str) -> bool:
        """Claim a job, or anything else of that name.

        Returns:
            False while another process has it. A process that takes over a stale claim gets True like one that comes
            first; what the other one finished before is for the caller to look at, afterwards.

        Raises:
            ResultSetError: A claim that is there cannot be read.
            StorageError: The claim cannot be written.
        """
        if self.holds(name):
            return True
        if self._create(name):
            return True
        seen = self._look(name)
        if seen is None:
            return self._create(name)
        if not self._is_stale(seen):
            return False
        with self._ending(name, seen.claim.token) as is_ours:
            if not is_ours:
                return False
            token, content = self._content()
            temporary = self._written(name, content)
            with writing(self._path(name)):
                temporary.replace(self._path(name))
        with self._guard:
            self._held[name] = token
        return True

    def holds(self, name: str) -> bool:
        """Whether this process still has what it claimed; no where it slept so long that another one took it over."""
        with self._guard:
            token = self._held.get(name)
        if token is None:
            return False
        seen = self._look(name)
        if seen is None or seen.claim.token != token:
            with self._guard:
                self._held.pop(name, None)
            return False
        return True

    def release(self, name: str) -> None:
        """Give up a claim; nothing happens where this process does not have it (any more)."""
        with self._guard:
            token = self._held.pop(name, None)
        if token is None:
            return
        with suppress(OSError, StorageError), self._ending(name, token) as is_ours:
            if is_ours:
                self._path(name).unlink(missing_ok=True)

    def is_free(self, name: str) -> bool:
        """Whether `take` might get it: no other process has it, or its claim is stale."""
        seen = self._look(name)
        return seen is None or self._is_stale(seen)

    def others(self) -> list[Claim]:
        """Return the other processes that are in the directory now."""
        names = [path.stem for path in self._folder.glob(f"{_PROCESS}*.json") if path.stem != self._presence]
        found = [seen for name in sorted(names) if (seen := self._look(name)) is not None]
        return [seen.claim for seen in found if not self._is_stale(seen)]

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Hold a claim inside the block; wait for it first.

        Raises:
            ResultSetError: Others have had it for twice the time after which a claim is stale, or it cannot be read.
            StorageError: The claim cannot be written.
        """
        deadline = time.monotonic() + 2 * self._stale
        while not self.take(name):
            if time.monotonic() > deadline:
                raise ResultSetError(
                    f"{self._path(name)} is held by another process. Wait until it ends, or delete the folder "
                    f"{self._folder} if there is none."
                )
            time.sleep(min(0.05, self._stale / _POLLS))
        try:
            yield
        finally:
            self.release(name)

    def pause(self) -> None:
        """Wait a little, a second at most, for others to get on."""
        time.sleep(min(1.0, self._stale / _POLLS))

    def _announce(self) -> None:
        """Claim the name of this process; a last other one may just be removing the folder."""
        for is_last in (False, False, True):
            make_dir(self._folder)
            try:
                self._create(self._presence)
                return
            except StorageError as error:
                if is_last or not isinstance(error.__cause__, FileNotFoundError):
                    raise

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _content(self) -> tuple[str, bytes]:
        """Return a new token and what a claim made now holds."""
        token = secrets.token_hex(8)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        values = {
            "host": socket.gethostname(),
            "machine": _machine(),
            "process": os.getpid(),
            "start": now,
            "token": token,
            "heartbeat": now,
        }
        return token, _encoded(values)

    def _written(self, name: str, content: bytes) -> Path:
        """Write content under a name of its own beside the claim."""
        temporary = self._folder / f".{name}.{secrets.token_hex(4)}.tmp"
        with writing(temporary):
            try:
                temporary.write_bytes(content)
            except FileNotFoundError:  # this process slept, and the last other one removed the folder
                make_dir(self._folder)
                temporary.write_bytes(content)
        return temporary

    def _create(self, name: str) -> bool:
        """Make a claim where there is none; whole from its first moment on."""
        token, content = self._content()
        temporary = self._written(name, content)
        try:
            with writing(self._path(name)):
                is_made = _linked(temporary, self._path(name), content)
        finally:
            temporary.unlink(missing_ok=True)
        if is_made:
            with self._guard:
                self._held[name] = token
        return is_made

    def _look(self, name: str) -> _Seen | None:
        """Read a claim. It is opened and not only looked at: that is when shared disks ask their server."""
        try:
            with self._path(name).open("rb") as file:
                renewed = os.fstat(file.fileno()).st_mtime
                content = file.read(10_000)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ResultSetError(f"{self._path(name)} cannot be read ({error.strerror}). Delete it.") from error
        return _Seen(_claim_of(content), renewed)

    def _is_stale(self, seen: _Seen) -> bool:
        return seen.claim.is_dead or self._clock.now() - seen.renewed > self._stale

    @contextmanager
    def _ending(self, name: str, token: str) -> Iterator[bool]:
        """Say whether it is this process that ends a claim, which one alone ever is; it does so inside the block.

        The file that stands for the end goes when the claim is another one, or none. A process that had looked earlier
        may make that file again later, but finds another claim than it meant.
        """
        end = self._folder / f".{name}.{token or 'unreadable'}.end"
        self._remove_abandoned(end)
        with writing(end):
            is_first = _created(end, b"")
        if not is_first:
            yield False
            return
        try:
            seen = self._look(name)
            yield seen is not None and seen.claim.token == token
        finally:
            end.unlink(missing_ok=True)

    def _remove_abandoned(self, end: Path) -> None:
        """Remove the mark of a process that was killed between making it and what it stands for."""
        with suppress(FileNotFoundError):
            if self._clock.now() - end.stat().st_mtime > self._stale:
                end.unlink(missing_ok=True)

    def _renew_for_ever(self) -> None:
        while not self._closing.wait(self._stale / _BEATS):
            self.renew()

    def renew(self) -> None:
        """Renew all claims now; those that another process took over are forgotten, and so is a disk that is full."""
        with self._guard:
            held = list(self._held.items())
        for name, token in held:
            with suppress(OSError, StorageError):
                if not self._renew_one(name, token) and name == self._presence:
                    self._create(name)

    def _renew_one(self, name: str, token: str) -> bool:
        """Write a claim again, in the file that is read: where another one takes its name meanwhile, that one stays.

        Returns:
            False where there is none.
        """
        try:
            file = self._path(name).open("r+b", buffering=0)
        except FileNotFoundError:
            return False
        with file:
            content = file.read(10_000)
            if _claim_of(content).token == token:
                values = json.loads(content) | {"heartbeat": datetime.now(UTC).isoformat(timespec="seconds")}
                file.seek(0)
                file.write(_encoded(values))  # as long as before
        return True

    def _remove_what_is_left(self) -> None:
        """Remove the folder where nobody else is there, with what killed processes left in it."""
        with suppress(OSError, ResultSetError):
            if not self._folder.is_dir() or self.others():
                return
            for path in self._folder.iterdir():
                seen = self._look(path.stem) if path.suffix == ".json" else None
                if seen is None or self._is_stale(seen):
                    path.unlink(missing_ok=True)
            self._folder.rmdir()


def _encoded(values: dict[str, Any]) -> bytes:
    return json.dumps(values).encode() + b"\n"


def _claim_of(content: bytes) -> Claim:
    """Return what stands in a claim; one without a token where it is no such text."""
    try:
        values = json.loads(content)
        return Claim(**{key: kind(values[key]) for key, kind in _KINDS.items()})
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return Claim("an unknown host", "", 0, "an unknown time", "")


_KINDS: dict[str, type[Any]] = {"host": str, "machine": str, "process": int, "start": str, "token": str}


def _linked(temporary: Path, path: Path, content: bytes) -> bool:
    """Give a written file its name, unless the name is taken; return whether it was free."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    except OSError:  # file systems without hard links
        return _created(path, content)
    return True


def _created(path: Path, content: bytes) -> bool:
    """Make a file unless there is one; return whether there was none."""
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return False
    try:
        os.write(handle, content)
    finally:
        os.close(handle)
    return True


def _machine() -> str:
    """Return a text that stands for this running system, within which numbers of processes are unique."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
