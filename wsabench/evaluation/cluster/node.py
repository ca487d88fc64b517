"""What stands on a node: facts of it, and a relay between a worker process there and the driver."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from wsabench.errors import StorageError, WsabenchError
from wsabench.evaluation.cluster.luggage import Depot, Parcel
from wsabench.evaluation.pool.worker import work
from wsabench.evaluation.rollout import Handout
from wsabench.hashing import bytes_hash, json_hash
from wsabench.processes import Crew, Failure, Worker
from wsabench.resources import PACKAGE_DIR
from wsabench.results.provenance import ENGINE_VERSION, decisive_versions
from wsabench.version import __version__

_POLL_SECONDS = 5.0
"""For how long a relay waits for its worker process before it says that there is nothing."""
_ENTRY_POINTS = "wsabench."
"""What the groups of entry points begin with by which other packages add to this one."""


def facts(games: Sequence[str], shared: str | None = None) -> dict[str, str]:
    """Return what decides bits on this machine, as texts by name: versions, this package's code, ROMs.

    Args:
        games: The games of the run.
        shared: A file on a disk that all machines share; None where none is needed.
    """
    from wsabench.emulator.rom_files import rom_hash

    added = {
        entry.dist.name: entry.dist.version
        for group in metadata.entry_points().groups
        if group.startswith(_ENTRY_POINTS)
        for entry in metadata.entry_points(group=group)
        if entry.dist is not None
    }
    own = {"wsabench": __version__, "code of wsabench": code_hash(), "engine of wsabench": str(ENGINE_VERSION)}
    roms = {f"ROM of {game}": rom_hash(game)[:12] for game in games}
    disk = {} if shared is None else {f"{Path(shared).parent} is": "there" if Path(shared).exists() else "not there"}
    return {**own, **decisive_versions(), **added, **roms, **disk}


def host() -> str:
    """Return this machine's name."""
    return socket.gethostname()


def code_hash() -> str:
    """Return a hash of this package's modules, 12 digits: two checkouts may have the same version."""
    files = sorted(PACKAGE_DIR.rglob("*.py"))
    return json_hash({path.relative_to(PACKAGE_DIR).as_posix(): bytes_hash(path.read_bytes()) for path in files}, 12)


@dataclass(frozen=True, slots=True)
class Ended:
    """The worker process is gone; all that it sent came before."""

    how: str
    """How it ended, as the end of a sentence."""


class Order(NamedTuple):
    """A contestant to be played."""

    number: int
    parcel: Parcel
    contents: Mapping[str, Any]
    """Where each content can be had, by its hash."""


class Relay:
    """Stands on a node beside a worker process, which is the same as that of a run on one machine.

    What the worker sends is fetched by `poll`, what it is told comes by `answer`, so that it knows nothing of clusters.
    """

    def __init__(
        self,
        get: Callable[[Any], bytes],
        places: Mapping[str, str],
        contents: Mapping[str, Any],
        keep_steps: bool,
        own_path: str | None,
    ) -> None:
        """Unpack the catalogue and start the worker process.

        Args:
            get: Returns a content from where it can be had.
            places: SHA-256 of each file of the catalogue, by its place.
            contents: Where each content can be had, by its hash.
            keep_steps: Whether every step is recorded.
            own_path: A folder to look for modules in, last; None for none.
        """
        self._get = get
        self._failures: list[Any] = []
        self._worker: Worker | None = None
        if own_path is not None and own_path not in sys.path:
            sys.path.append(own_path)
        try:
            self._depot = Depot()
            self._depot.unpack(places, lambda content_hash: get(contents[content_hash]))
        except StorageError as error:
            self._failures.append(Failure.of(StorageError(f"{host()}: {error}")))
            return
        os.environ.update(self._depot.environment())
        self._crew = Crew(work, (keep_steps,), "wsabench-run")
        self._crew.__enter__()
        self._worker = self._crew.start(0)

    def poll(self) -> list[Any]:
        """Return what the worker sent; nothing where it is silent for some seconds."""
        messages, self._failures = self._failures, []
        worker = self._worker
        if worker is None or messages:
            return messages
        with suppress(EOFError, OSError):
            if worker.connection.poll(_POLL_SECONDS):
                while True:
                    messages.append(worker.connection.recv())
                    if not worker.connection.poll():
                        return messages
            return messages if not worker.has_ended else [*messages, self._end(worker)]
        return [*messages, self._end(worker)]

    def answer(self, content: Handout | Order | None) -> None:
        """Tell the worker what it asked for."""
        if self._worker is None:
            return
        reply: Any = content
        if isinstance(content, Order):
            try:
                self._depot.unpack(content.parcel.places, lambda found: self._get(content.contents[found]))
            except WsabenchError as error:
                self._failures.append(Failure.of(StorageError(f"{host()}: {error}")))
                return
            reply = content.number, content.parcel.opened(self._depot.folder)
        with suppress(OSError):  # it is gone, which `poll` tells
            self._worker.connection.send(reply)

    def _end(self, worker: Worker) -> Ended:
        """Clear up after the worker process."""
        how = worker.how_it_ended()
        self._crew.end(worker)
        self._crew.__exit__()
        self._depot.close()
        return Ended(how)
