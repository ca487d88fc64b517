"""Worker processes that step lanes at the same time, over shared memory."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from gymnasium.vector import AutoresetMode

from wsabench.emulator.group import LaneArrays, lay_out, num_bytes
from wsabench.emulator.worker import DONE, STEP
from wsabench.errors import SpecError, WorkerError
from wsabench.perturb import CompiledPerturbation
from wsabench.processes import Failure, how_it_ended
from wsabench.protocol import Protocol

_CLOSE_TIMEOUT_S = 5.0
_MOST_BYTES = 65_536
"""Read at once; most answers are one byte, and a failure with its traceback may come in parts."""
_PACKAGE_PARENT = str(Path(__file__).resolve().parents[2])


class _Worker:
    """One process and our end of its socket."""

    def __init__(self, number: int, first: int, stop: int, memory_fd: int) -> None:
        """Start the process for lanes `first` to `stop - 1`."""
        self.number = number
        self.first = first
        self.stop = stop
        self._connection, theirs = socket.socketpair()
        with theirs:
            # A fresh interpreter, not a fork: torch's threads in this process do no harm, and a script without the
            # `if __name__ == "__main__"` guard is not run again. `-P`: the working directory shadows no module.
            command = [sys.executable, "-P", "-m", "wsabench.emulator.worker", str(theirs.fileno()), str(memory_fd)]
            try:
                self.process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(), memory_fd), env=_environment()
                )
            except OSError as error:
                self._connection.close()
                raise WorkerError(f"Worker {number} could not be started: {error}. Use fewer workers, or 0.") from error

    def send(self, message: bytes) -> None:
        """Send one line.

        Raises:
            WorkerError: The process is gone.
        """
        try:
            self._connection.sendall(message)
        except OSError:
            self._fail()

    def receive(self) -> dict[str, Any]:
        """Wait for the answer.

        Raises:
            WorkerError: The process is gone, or failed by an error that is not meant for the user.
            WsabenchError: It refused; class and message are its own.
        """
        line = b""
        while not line.endswith(b"\n"):
            try:
                part = self._connection.recv(_MOST_BYTES)
            except OSError:
                part = b""
            if not part:
                self._fail()
            line += part
        if line == DONE:
            return {}
        answer = json.loads(line)
        if "failure" in answer:
            raise Failure(**answer["failure"]).to_error(self._identity, "The environment is closed. Make it again.")
        return answer

    def hang_up(self) -> None:
        """Close the socket, upon which the process ends."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)  # reaches it even if a fork holds a copy of the socket
        self._connection.close()

    def join(self) -> None:
        """Wait for the end of the process; kill it when it does not come."""
        try:
            self.process.wait(_CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _fail(self) -> NoReturn:
        """Say which worker is gone, and how it ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1)
        raise WorkerError(
            f"{self._identity} {how_it_ended(self.process.poll())}. "
            "The environment is closed. Make it again; if the machine ran out of memory, use fewer workers."
        )

    @property
    def _identity(self) -> str:
        """Which worker this is, as the beginning of a sentence."""
        return f"Worker {self.number} (process {self.process.pid}, lanes {self.first} to {self.stop - 1})"


class WorkerPool:
    """Lanes divided among worker processes; the same interface and the same results as one `LaneGroup`."""

    def __init__(
        self,
        perturbations: Sequence[CompiledPerturbation],
        protocol: Protocol,
        seeds: Sequence[int | None],
        num_workers: int,
        autoreset_mode: AutoresetMode,
        inputs: Sequence[str] = (),
    ) -> None:
        """Start the workers and load the games.

        Raises:
            SpecError: This operating system cannot share memory this way.
            WorkerError: A worker could not be started.
        """
        if os.name != "posix":
            raise SpecError("Worker processes need Linux or macOS. Allowed here: num_workers=0.")
        num_lanes = len(perturbations)
        bounds = np.linspace(0, num_lanes, num_workers + 1).astype(int).tolist()
        self._workers: list[_Worker] = []
        self._finalizer = weakref.finalize(self, _end, self._workers, os.getpid())  # also when dropped, or at exit
        with _anonymous_file(num_bytes(num_lanes, protocol, inputs)) as memory_fd:
            self.arrays: LaneArrays = lay_out(num_lanes, protocol, mmap.mmap(memory_fd, 0), inputs)
            try:
                for number in range(num_workers):
                    self._workers.append(_Worker(number, bounds[number], bounds[number + 1], memory_fd))
                answers = self._exchange(
                    {
                        worker: {
                            "start": {
                                "protocol": protocol.to_dict(),
                                "num_lanes": num_lanes,
                                "first": worker.first,
                                "stop": worker.stop,
                                "perturbations": [_named(p) for p in perturbations[worker.first : worker.stop]],
                                "seeds": list(seeds[worker.first : worker.stop]),
                                "autoreset_mode": autoreset_mode.value,
                                "inputs": list(inputs),
                            }
                        }
                        for worker in self._workers
                    }
                )
            except BaseException:
                self.close()
                raise
        self.num_actions = int(answers[0]["num_actions"])

    def reset(
        self, rows: Sequence[int], seeds: Sequence[int | None], perturbations: Sequence[CompiledPerturbation | None]
    ) -> None:
        """Reset the lanes of `rows`, each with its seed and, where given, a new perturbation.

        Raises:
            WorkerError: A worker died.
        """
        orders: dict[_Worker, dict[str, Any]] = {}
        for worker in self._workers:
            mine = [place for place, row in enumerate(rows) if worker.first <= row < worker.stop]
            if mine:
                orders[worker] = {
                    "reset": {
                        "rows": [rows[place] - worker.first for place in mine],
                        "seeds": [seeds[place] for place in mine],
                        "perturbations": [_named(perturbations[place]) for place in mine],
                    }
                }
        self._exchange(orders)

    def step(self) -> None:
        """Play one step of every lane with the actions that lie in the arrays.

        Raises:
            WorkerError: A worker died.
        """
        self._exchange(dict.fromkeys(self._workers))

    def close(self) -> None:
        """End the workers; never hangs, and may be called again."""
        self._finalizer()

    def _exchange(self, messages: Mapping[_Worker, dict[str, Any] | None]) -> list[dict[str, Any]]:
        """Send each worker its message (None: a step), then collect the answers.

        On any failure nothing is left running.
        """
        if not self._workers:
            raise WorkerError("The worker processes of this environment have ended. Make the environment again.")
        try:
            for worker, message in messages.items():
                worker.send(STEP if message is None else json.dumps(message).encode() + b"\n")
            return [worker.receive() for worker in messages]
        except BaseException:
            self.close()
            raise


def _end(workers: list[_Worker], owner_pid: int) -> None:
    """End workers and empty the list; does nothing in a fork of the process that started them."""
    if os.getpid() != owner_pid:
        return
    for worker in workers:
        worker.hang_up()
    for worker in workers:
        worker.join()
    workers.clear()


@contextlib.contextmanager
def _anonymous_file(size: int) -> Any:
    """Give the descriptor of a file without a name, in memory where possible; it is gone with its last user."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("wsabench-lanes")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    try:
        os.ftruncate(descriptor, size)
        yield descriptor
    finally:
        os.close(descriptor)


def _environment() -> dict[str, str]:
    """Return an environment in which the worker finds this package."""
    paths = [_PACKAGE_PARENT, os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def _named(perturbation: CompiledPerturbation | None) -> list[str] | None:
    """Return what a worker needs to compile the same perturbation."""
    if perturbation is None:
        return None
    return [perturbation.name, perturbation.content_hash, perturbation.game]
