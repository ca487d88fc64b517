"""Where a queue keeps its runs, and the locks that keep two processes off one of them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from wsabench.agents import AGENT_FILE
from wsabench.errors import StorageError
from wsabench.resources import make_dir, state_dir

LOCK_SECONDS = 5.0
"""How long a lock is waited for: longer than a look at it, or the end of a killed process, takes."""
_RETRY_SECONDS = 0.1


class Places:
    """The folder of a queue.

    `runs/ID/` holds what a run makes, with `record.json`, `progress.json` and `log.txt`; `state/` the frames, and the
    unfinished work of pre-training.
    """

    def __init__(self, root: Path) -> None:
        """Bind to a folder; nothing is written yet."""
        self.root = root.resolve()

    @property
    def state(self) -> Path:
        """Where runs keep frames and unfinished work."""
        return self.root / "state"

    @property
    def lock(self) -> Path:
        """Held by the process that works through the queue."""
        return self.root / "queue.lock"

    @property
    def info(self) -> Path:
        """What that process says of itself."""
        return self.root / "queue.json"

    def run(self, run_id: str) -> Path:
        """Return the folder of a run."""
        return self.root / "runs" / run_id

    def record(self, run_id: str) -> Path:
        """Return the record of a run."""
        return self.run(run_id) / "record.json"

    def progress(self, run_id: str) -> Path:
        """Return the file that a run under way renews."""
        return self.run(run_id) / "progress.json"

    def log(self, run_id: str) -> Path:
        """Return what a run wrote to its standard output and error."""
        return self.run(run_id) / "log.txt"

    def run_lock(self, run_id: str) -> Path:
        """Return the file that a run's process holds."""
        return self.run(run_id) / "run.lock"

    def agent(self, run_id: str) -> Path:
        """Return the newest network of a `train` run."""
        return self.run(run_id) / AGENT_FILE

    def encoders(self, run_id: str) -> Path:
        """Return the encoders that a `pretrain` run made, or that a `train` run reads."""
        return self.run(run_id) / "encoders"


def default_out(name: str) -> Path:
    """Return where a queue works unless told otherwise: below the state folder."""
    return state_dir() / "queues" / name


@contextlib.contextmanager
def held(path: Path, refusal: str = "") -> Iterator[None]:
    """Hold a lock file, which the system frees when the process ends in any way; wait `LOCK_SECONDS` for it.

    Args:
        path: The file; made where it is missing.
        refusal: What to say where another process holds it.

    Raises:
        StorageError: Another process holds it.
    """
    make_dir(path.parent)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        until = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= until:
                    raise StorageError(refusal) from error
                time.sleep(_RETRY_SECONDS)
        yield
    finally:
        os.close(handle)


def is_held(path: Path) -> bool:
    """Return whether a process holds a lock file."""
    if not path.is_file():
        return False
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
