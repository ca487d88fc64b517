"""Worker processes that begin with their modules loaded: forked from a server that has loaded them.

Like the new interpreters that `wsabench.processes` starts they know nothing of the process that asks for them but its
environment, folder, module path and where it prints. They begin in milliseconds; a new one loads for seconds.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.reduction import DupFd
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

from wsabench import processes
from wsabench.emulator import worker, workers


class _Surroundings:
    """What a new process has of the one that starts it; taken over when it is unpickled, before anything is loaded."""

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Any, ...]]:
        return _take_over, (dict(os.environ), DupFd(1), DupFd(2))


def _take_over(environment: Mapping[str, str], *streams: Any) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for number, stream in enumerate(streams, start=1):
        given = stream.detach()
        os.dup2(given, number)
        os.close(given)
    np.random.seed()  # noqa: NPY002 - as a new interpreter's, which is not that of its sister


class _Process(multiprocessing.get_context("forkserver").Process):
    """A process from the server."""

    def __init__(self, **options: Any) -> None:
        start_server()
        self._surroundings = _Surroundings()  # the first attribute: it is unpickled first
        super().__init__(**options)


class _Context:
    """Stands for `multiprocessing.get_context("spawn")`."""

    Pipe = staticmethod(multiprocessing.Pipe)
    Process = _Process


class _LaneProcess:
    """Stands for the `subprocess.Popen` of a worker process that steps lanes."""

    def __init__(self, command: Sequence[str], pass_fds: Sequence[int], env: Mapping[str, str], **_: object) -> None:
        assert command[1:4] == ["-P", "-m", worker.__name__]
        with mock.patch.dict(os.environ, env, clear=True):
            self._process = _Process(target=_step_lanes, args=[_Given(number) for number in pass_fds])
            self._process.daemon = True  # ends with this process, whatever a test leaves behind
            self._process.start()
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        self._process.join(timeout)
        if self.poll() is None:
            raise subprocess.TimeoutExpired("a warm worker", timeout or 0.0)
        return self.poll()

    def kill(self) -> None:
        self._process.kill()


class _Given:
    """A file that the process gets too, under another number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Callable[[Any], int], tuple[Any]]:
        return _detached, (DupFd(self.number),)


def _detached(given: Any) -> int:
    return given.detach()


def _step_lanes(*numbers: int) -> None:
    worker.main([str(number) for number in numbers])


_SUBPROCESS = SimpleNamespace(Popen=_LaneProcess, DEVNULL=subprocess.DEVNULL, TimeoutExpired=subprocess.TimeoutExpired)


@contextmanager
def warm_workers() -> Iterator[None]:
    """Start worker processes from a server inside; it starts with the first of them, and ends with the block."""
    use_warm_workers()
    try:
        yield
    finally:
        cold_workers()
        server: Any = forkserver._forkserver
        server._stop()


def use_warm_workers() -> None:
    """Start them from the server."""
    processes.multiprocessing = SimpleNamespace(get_context=lambda _: _Context)
    workers.subprocess = _SUBPROCESS


def cold_workers() -> None:
    """Start them as users do, as new interpreters."""
    processes.multiprocessing = multiprocessing
    workers.subprocess = subprocess


def after_fork() -> None:
    """Let a fork of the process that started the server use the same one."""
    server: Any = forkserver._forkserver
    if server._forkserver_pid is not None:
        server.ensure_running = lambda: None  # it would look for a child of its own


def start_server() -> None:
    """Start the server, if it does not run."""
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    forkserver.set_forkserver_preload(["warm_modules"])
    with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(paths)):
        forkserver._forkserver.ensure_running()
