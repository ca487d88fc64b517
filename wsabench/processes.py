"""Worker processes: how they start, what holds inside them, and how a failure in one reaches its parent."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import ModuleType, TracebackType
from typing import Any, NamedTuple

from wsabench import errors
from wsabench.errors import WorkerError, WsabenchError

_JOIN_SECONDS = 10.0


class Worker(NamedTuple):
    """A worker process and the connection to it."""

    number: int
    process: SpawnProcess
    connection: Connection
    """This process's end of the pipe."""

    def how_it_ended(self) -> str:
        """Say how a process ended that is gone."""
        self.process.join(_JOIN_SECONDS)
        return how_it_ended(self.process.exitcode)


@contextmanager
def started(number: int, work: Callable[..., None], arguments: tuple[Any, ...], name: str) -> Iterator[list[Worker]]:
    """Start worker processes; when the block ends well they may end by themselves, otherwise they are ended.

    Each has an interpreter of its own, because a fork would copy torch's threads half. They do not run the program's
    main module again, so a script without an `if __name__ == "__main__"` guard does not start itself over and over, and
    Ctrl-C is not for them.

    Args:
        number: How many.
        work: What they run, with a connection to this process and the arguments; `serve` belongs into it.
        arguments: What else it gets; must be picklable.
        name: What the processes are called; a number is added.
    """
    context = multiprocessing.get_context("spawn")
    workers: list[Worker] = []
    try:
        for index in range(number):
            here, there = context.Pipe()
            process = context.Process(target=work, args=(there, *arguments), name=f"{name}-{index}", daemon=True)
            with _hidden_main(), _ignored_interrupts():
                process.start()
            there.close()
            workers.append(Worker(index, process, here))  # pyright: ignore[reportArgumentType]
        yield workers
        for worker in workers:
            worker.process.join(_JOIN_SECONDS)
    finally:
        for worker in workers:
            worker.connection.close()
            worker.process.terminate()
            worker.process.join(_JOIN_SECONDS)
            worker.process.close()


def serve(connection: Connection, work: Callable[[], None]) -> None:
    """Do a worker process's work; an error is sent to the parent as a `Failure`.

    Args:
        connection: To the parent.
        work: What to do.
    """
    ignore_interrupts()
    with Reporting() as told:
        work()
    if told.failure is not None:
        with suppress(OSError):  # the parent is gone, and that was the failure
            connection.send(told.failure)


def ignore_interrupts() -> None:
    """Leave Ctrl-C, which reaches every process of a terminal, to the parent; the first call of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def single_thread() -> Iterator[None]:
    """Let torch and OpenCV use one thread and one order inside, on a GPU too, and what they used before afterwards.

    Sums of floats depend on it, so they are the same every time; and one thread each is what processes beside each
    other share the cores best with. Torch is left alone where nothing has loaded it.
    """
    import cv2

    torch = sys.modules.get("torch")
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    with _torch_alike(torch) if torch else nullcontext():
        try:
            yield
        finally:
            cv2.setNumThreads(threads)


@contextmanager
def _torch_alike(torch: Any) -> Iterator[None]:
    """Let torch use one thread and deterministic kernels inside."""
    cudnn = torch.backends.cudnn
    before = torch.get_num_threads(), cudnn.deterministic, cudnn.benchmark
    torch.set_num_threads(1)
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cudnn.deterministic, cudnn.benchmark = before[1:]


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
