"""Worker processes: how they start, what holds inside them, and how a failure in one reaches its parent."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NamedTuple, Protocol, TypeVar

from wsabench import errors
from wsabench.errors import WorkerError, WsabenchError

Item = TypeVar("Item")
Found = TypeVar("Found")

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_END_SECONDS = 5.0
"""How long processes that have nothing left to do may take to end by themselves."""
_POLL_SECONDS = 0.01
_OOM_SCORE = 500
"""Of a worker process on Linux: when memory runs out, the system ends it and not the process that keeps results."""

_GUARDIAN = """
import os, signal, sys
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
for group in groups:
    for end in (os.killpg, os.kill):
        try:
            end(group, signal.SIGKILL)
        except OSError:
            pass
"""
"""Ends process groups that are still written down when the process at the other end of its input is gone."""


class Worker:
    """A worker process and the connection to it."""

    is_up = True
    """Whether the process runs; a worker on a cluster first waits for a place, one of this machine never does."""
    is_to_blame = True
    """Whether what it plays may be the reason for its end."""

    def __init__(self, number: int, process: SpawnProcess, connection: Connection) -> None:
        """Keep what was started.

        Args:
            number: Tells it from the others.
            process: The process, started.
            connection: This process's end of the pipe.
        """
        self.number = number
        self.process = process
        self.connection = connection

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone; children of it may be left."""
        return self.process.exitcode is not None

    def how_it_ended(self) -> str:
        """Say how a process ended that is gone or about to be."""
        _wait_for([self], _END_SECONDS)
        return how_it_ended(self.process.exitcode)


class Crew:
    """Worker processes that are started one by one and ended together; nothing they started outlives them.

    Each has an interpreter of its own, because a fork would copy torch without its threads. They do not run the
    program's main module again, so a script without an `if __name__ == "__main__"` guard does not start itself over and
    over, and Ctrl-C is not for them. Each leads a process group that ends with it, also where this process is killed.
    """

    patience = 0.0
    """Seconds to wait while there is no place for any worker; on this machine there always is one."""

    def __init__(self, work: Callable[..., None], arguments: tuple[Any, ...], name: str) -> None:
        """Prepare; nothing is started.

        Args:
            work: What they run, with a connection to this process and the arguments; `serve` belongs into it.
            arguments: What else it gets; must be picklable.
            name: What the processes are called; a number is added.
        """
        self._work, self._arguments, self._name = work, arguments, name
        self._workers: list[Worker] = []
        self._guardian: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Crew:
        """Start the guardian, which ends the workers where this process cannot."""
        if hasattr(os, "killpg"):
            self._guardian = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _GUARDIAN],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        """End what is left at once."""
        try:
            for worker in list(self._workers):
                self.end(worker)
        finally:
            if self._guardian is not None and self._guardian.stdin is not None:
                with suppress(OSError):
                    self._guardian.stdin.close()
                self._guardian.wait()

    def start(self, number: int) -> Worker:
        """Start a worker process.

        Args:
            number: Tells it from the others.
        """
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=self._work, args=(there, *self._arguments), name=f"{self._name}-{number}")
        worker = Worker(number, process, here)  # pyright: ignore[reportArgumentType]
        self._workers.append(worker)
        with _hidden_main(), _safe_path(), _held_signals():
            process.start()
            self._guard("+", worker)
        there.close()
        return worker

    def kill(self, worker: Worker) -> None:
        """Kill a worker process and all that it started; what it had sent can still be received."""
        _kill_group(worker.process)
        _shut(worker.connection)

    def end(self, worker: Worker) -> None:
        """Kill a worker process, if it is still there, with all that it started, and forget it."""
        if worker not in self._workers:
            return
        if worker.process.pid is not None:
            self.kill(worker)
            _wait_for([worker], _END_SECONDS)
            self._guard("-", worker)
            if worker.has_ended:
                worker.process.close()
        worker.connection.close()
        self._workers.remove(worker)

    def let_go(self) -> None:
        """Let workers that have nothing left to do end by themselves, for a short time."""
        _wait_for(self._workers, _END_SECONDS)

    def _guard(self, sign: str, worker: Worker) -> None:
        """Tell the guardian of a worker's group."""
        if self._guardian is None or self._guardian.stdin is None:
            return
        with suppress(OSError):  # somebody ended it
            self._guardian.stdin.write(f"{sign}{worker.process.pid}\n".encode())
            self._guardian.stdin.flush()


@contextmanager
def started(number: int, work: Callable[..., None], arguments: tuple[Any, ...], name: str) -> Iterator[list[Worker]]:
    """Start worker processes; when the block ends well they may end by themselves, otherwise they are ended.

    Args:
        number: Number of worker processes.
        work: What they run, with a connection to this process and the arguments; `serve` belongs into it.
        arguments: What else it gets; must be picklable.
        name: What the processes are called; a number is added.
    """
    with Crew(work, arguments, name) as crew:
        yield [crew.start(index) for index in range(number)]
        crew.let_go()


def _kill_group(process: SpawnProcess) -> None:
    """Kill a process and its group. A process that is just starting leads no group yet, and has no children."""
    if process.pid is None:
        return
    if hasattr(os, "killpg"):
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def _wait_for(workers: Iterable[Worker], seconds: float) -> None:
    """Wait for the end of processes; their children do not count, which may hold what `join` would wait for."""
    deadline = time.monotonic() + seconds
    for worker in workers:
        while not worker.has_ended and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)


def _shut(connection: Connection) -> None:
    """Let nothing more come through a connection: who reads from it, in another thread too, finds its end."""
    if os.name == "posix":  # it is a socket
        with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as end:
            end.shutdown(socket.SHUT_RDWR)


def serve(connection: Connection, work: Callable[[], None]) -> None:
    """Do a worker process's work; an error is sent to the parent as a `Failure`.

    What the work prints goes to standard error, because standard output belongs to the parent. A process that it forks
    has no part in the connection.

    Args:
        connection: To the parent.
        work: What to do.
    """
    _settle()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=connection.close)
    with Reporting() as told, output_to_errors():
        work()
    if told.failure is not None:
        with suppress(OSError):  # the parent is gone, and that was the failure
            connection.send(told.failure)


def _settle() -> None:
    """Become what a worker process is: the leader of a group of its own that hears no Ctrl-C."""
    ignore_interrupts()
    if os.environ.get(_SAFE_PATH) == _FOR_START:
        del os.environ[_SAFE_PATH]
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    if hasattr(os, "setsid"):
        with suppress(OSError):  # it leads one
            os.setsid()
    with suppress(OSError):  # only Linux has it
        Path("/proc/self/oom_score_adj").write_text(f"{_OOM_SCORE}\n", encoding="ascii")


@contextmanager
def output_to_errors() -> Iterator[None]:
    """Let all that this process prints inside go to standard error, also what code in C prints."""
    outside, original, kept = sys.stdout, sys.__stdout__, None
    if original is not None:  # else its number may be that of another file by now
        with suppress(OSError, ValueError):
            original.flush()
        kept = os.dup(1)
        errors_end = os.open(os.devnull, os.O_WRONLY) if sys.__stderr__ is None else os.dup(2)
        os.dup2(errors_end, 1)
        os.close(errors_end)
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = outside
        if original is not None and kept is not None:
            with suppress(OSError, ValueError):
                original.flush()  # what code printed that had kept the stream
            with suppress(OSError, TypeError, AttributeError):  # no C library to be had by that way on Windows
                ctypes.CDLL(None).fflush(None)  # C keeps what it prints to no terminal, until the process ends
            os.dup2(kept, 1)
            os.close(kept)


def ignore_interrupts() -> None:
    """Leave Ctrl-C, which reaches every process of a terminal, to the parent; the first call of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def single_thread() -> Iterator[None]:
    """Let torch and OpenCV use one thread inside, and torch deterministic kernels on a GPU; then all is as before.

    The order in which floats are summed depends on both, so results are the same every time; and processes side by side
    share the cores best with one thread each. Where nothing has loaded torch it is left alone; if something loads it
    inside, it begins with one thread.
    """
    import cv2

    torch = sys.modules.get("torch")
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    with _torch_alike(torch) if torch else _one_thread_each():
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
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    if exit_code == -signal.SIGKILL:
        return f"was killed by signal {-exit_code}, perhaps for lack of memory"
    return f"was killed by signal {-exit_code} ({signal.strsignal(-exit_code)})"


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


_SAFE_PATH = "PYTHONSAFEPATH"
_FOR_START = "wsabench"


@contextmanager
def _safe_path() -> Iterator[None]:
    """Let a process that starts look for no module in the current directory before it has the parent's module path."""
    is_set = bool(os.environ.get(_SAFE_PATH))
    if not is_set:
        os.environ[_SAFE_PATH] = _FOR_START
    try:
        yield
    finally:
        if not is_set:
            del os.environ[_SAFE_PATH]


@contextmanager
def _held_signals() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back inside: a process that starts inherits that, and none is lost here."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # it would let them through when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Share(Protocol):
    """Calls a function with each of some items, wherever; returns what it found, in their order."""

    def __call__(self, function: Callable[[Item], Found], items: Sequence[Item], /) -> list[Found]:
        """Call it; function, items and what is found must be picklable."""
        ...


def here(function: Callable[[Item], Found], items: Sequence[Item], /) -> list[Found]:
    """Call a function with each item in this process.

    Args:
        function: What to call.
        items: What it is called with, one after the other.
    """
    return [function(item) for item in items]


def call(function: Callable[[], Found], /) -> Found:
    """Call a function: lets different ones, each with its arguments (`functools.partial`), share workers.

    Args:
        function: What to call.
    """
    return function()


@contextmanager
def shared(number: int, name: str) -> Iterator[Share]:
    """Start worker processes that share work; with fewer than two everything is done here.

    Args:
        number: Number of worker processes.
        name: What the processes are called; a number is added.

    Yields:
        A function that shares calls among them; it raises a WorkerError where one of them dies or fails.
    """
    if number < 2:
        yield here
        return
    with _one_thread_each(), Crew(_share, (), name) as crew:
        workers = [crew.start(index) for index in range(number)]
        yield partial(_among, workers)
        for worker in workers:
            worker.connection.close()
        crew.let_go()


def _among(workers: Sequence[Worker], function: Callable[[Item], Found], items: Sequence[Item], /) -> list[Found]:
    """Give each worker the next item when it is done with the last."""
    found: dict[int, Found] = {}
    at_work: dict[Any, tuple[Worker, int]] = {}
    left = iter(enumerate(items))

    def give(worker: Worker) -> None:
        if (one := next(left, None)) is not None:
            with suppress(BrokenPipeError, ConnectionResetError):  # said when its answer does not come
                worker.connection.send((function, one[1]))
            at_work[worker.connection] = worker, one[0]

    for worker in workers:
        give(worker)
    while at_work:
        for connection in wait(list(at_work)):
            worker, place = at_work.pop(connection)
            found[place] = _answer_of(worker)
            give(worker)
    return [found[place] for place in range(len(items))]


def _answer_of(worker: Worker) -> Any:
    try:
        answer = worker.connection.recv()
    except (EOFError, ConnectionResetError) as error:
        raise WorkerError(f"A worker process {worker.how_it_ended()}. Start again with more memory free.") from error
    if isinstance(answer, Failure):
        raise answer.to_error("A worker process", "This is a fault of wsabench: please report it.")
    return answer


def _share(connection: Connection) -> None:
    """Answer until nothing comes any more; the entry point of a worker process."""
    serve(connection, partial(_answer_all, connection))


def _answer_all(connection: Connection) -> None:
    while True:
        try:
            function, item = connection.recv()
        except EOFError:
            return
        connection.send(function(item))


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let processes that start inside use one thread each for products of matrices; the cores are theirs already."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
