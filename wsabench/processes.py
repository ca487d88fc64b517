"""Worker processes: how they start, what holds inside them, and how a failure in one reaches its parent."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnContext
from types import ModuleType, TracebackType
from typing import NamedTuple

from wsabench import errors
from wsabench.errors import WorkerError, WsabenchError


def spawn_context() -> SpawnContext:
    """Return what makes processes with an interpreter of their own; a fork would copy torch's threads half."""
    return multiprocessing.get_context("spawn")


@contextmanager
def starting() -> Iterator[None]:
    """Start spawned processes inside the block.

    They do not run the program's main module again, so a script without an `if __name__ == "__main__"` guard does not
    start itself over and over, and Ctrl-C is not for them: the parent ends them.
    """
    with _hidden_main(), _ignored_interrupts():
        yield


def ignore_interrupts() -> None:
    """Leave Ctrl-C, which reaches every process of a terminal, to the parent; the first call of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def single_thread() -> Iterator[None]:
    """Let torch and OpenCV use one thread inside, as many as before after; sums of floats depend on it.

    Torch is left alone where nothing has loaded it.
    """
    import cv2

    torch = sys.modules.get("torch")
    before = cv2.getNumThreads(), torch.get_num_threads() if torch else 0
    cv2.setNumThreads(1)
    if torch:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        if torch:
            torch.set_num_threads(before[1])


class Failure(NamedTuple):
    """An error of a worker process, as plain texts that travel by pickle or JSON."""

    kind: str
    """Name of the error's class: the nearest one of `wsabench.errors`, else its own."""
    is_ours: bool
    """Whether that is a class of `wsabench.errors`."""
    message: str
    traceback: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Describe an error that was raised."""
        ours = [kind for kind in type(error).__mro__ if kind.__module__ == errors.__name__]
        kind = ours[0] if ours else type(error)
        return cls(kind.__name__, bool(ours), str(error), "".join(traceback.format_exception(error)))

    def to_error(self, worker: str, advice: str) -> WsabenchError:
        """Return what the parent raises; its cause shows the worker's traceback.

        Args:
            worker: Which worker it was, as the beginning of a sentence.
            advice: What to do about an error that is not meant for the user, as whole sentences.

        Returns:
            An error of the same class and message if that is one of ours, else a `WorkerError` that names both.
        """
        if self.is_ours:
            error: WsabenchError = getattr(errors, self.kind)(self.message)
        else:
            what = f"{self.kind}: {self.message}".rstrip(".: ")
            error = WorkerError(f"{worker} failed: {what}. {advice}")
        error.__cause__ = _RemoteTraceback(f"\n{self.traceback}")
        return error


class Reporting:
    """A block of a worker process; an error that leaves it is kept in `failure` instead, for the parent to hear of."""

    failure: Failure | None = None

    def __enter__(self) -> Reporting:
        """Begin without a failure."""
        self.failure = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Keep an error; what ends the process (an interrupt, an exit) goes on."""
        if not isinstance(error, Exception):
            return False
        self.failure = Failure.of(error)
        return True


def how_it_ended(exit_code: int | None) -> str:
    """Say how a worker process ended, from its exit code; None: it is still there."""
    if exit_code is None:
        return "stopped answering"
    if exit_code < 0:
        return f"was killed by signal {-exit_code}, perhaps for lack of memory"
    return f"ended with exit code {exit_code}"


class _RemoteTraceback(Exception):
    """The traceback of another process; shown as the cause of the error that this process raises."""


@contextmanager
def _hidden_main() -> Iterator[None]:
    """Hide the program's main module, whose file a spawned process would run again."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _ignored_interrupts() -> Iterator[None]:
    """Let a process that starts inherit that Ctrl-C is not for it."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
