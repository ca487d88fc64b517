"""Working through a queue: which run starts when, and what happens when one fails or this process is told to stop."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from wsabench.errors import SpecError, WorkerError
from wsabench.machine import available_cores
from wsabench.resources import make_dir, write_text
from wsabench.training.queue.options import check_queue
from wsabench.training.queue.places import Places, held
from wsabench.training.queue.progress import closed
from wsabench.training.queue.record import (
    RunRecord,
    damage,
    is_finished,
    now,
    read_record,
    require_same_settings,
    write_record,
)
from wsabench.training.queue.spec import Queue, QueueRun, of_shard

MAX_DEATHS = 3
"""Times that a run's process may be killed from outside before the run counts as failed."""
STOP_SECONDS = 10.0
"""How long runs have for writing their records when the queue stops."""
POLL_SECONDS = 0.2
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class Child(Protocol):
    """A run's process: `subprocess.Popen` is one."""

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the exit code.

        Raises:
            subprocess.TimeoutExpired: It runs for longer.
        """
        ...

    def send_signal(self, sig: int, /) -> None:
        """Send it a signal."""
        ...

    def kill(self) -> None:
        """Kill it."""
        ...


Spawn = Callable[[Sequence[str], Path], Child | None]
"""Starts a command with its log; None where there is no place for it now."""
Command = Callable[[Queue, QueueRun, Places, str], Sequence[str]]


class Result(NamedTuple):
    """How a queue ended."""

    finished: tuple[str, ...]
    failed: tuple[str, ...]
    skipped: tuple[str, ...]
    """Runs that were not started, because one that they depend on failed."""


@dataclass(frozen=True, kw_only=True)
class QueueOptions:
    """How a queue is worked through."""

    parallel: int | None = None
    """Runs at once; None: as many as cores may be used."""
    shard: tuple[int, int] | None = None
    """Only the `i`-th of `n` parts, by whole games."""
    command: Command | None = None
    """Makes the command line of a run's process; tests replace it."""
    spawn: Spawn | None = None
    """Starts a run's process elsewhere; None: on this machine."""
    tell: Callable[[str], None] = lambda text: None
    """Gets one line when a run starts or ends."""
    after_each: Callable[[], None] = lambda: None
    """Is called at the beginning and when a run has ended."""


def run_queue(queue: Queue, out: Path, options: QueueOptions | None = None) -> Result:
    """Work through a queue: every run that is not finished, as many at once as asked for, in the order of the file.

    Each run is a process with one thread. A run that was interrupted goes on from its last checkpoint; one that failed
    earlier is tried again; a finished one is not repeated.

    Args:
        queue: The queue; everything in it is checked before the first run starts.
        out: The queue's folder.
        options: How many at once, which shard, who is told.

    Returns:
        What finished (earlier or now), failed, and was skipped.

    Raises:
        SpecError: An option of a run does not fit, or differs from what lies in the folder.
        StorageError: Another process works on this folder, or it cannot be written.
        UnknownNameError: A name in the file does not exist.
        KeyboardInterrupt: The process was told to stop; the runs under way were stopped before.
    """
    chosen = options or QueueOptions()
    parallel = available_cores() if chosen.parallel is None else chosen.parallel
    if parallel < 1:
        raise SpecError(f"--parallel is {parallel}. Allowed: integers from 1.")
    places, runs = Places(out), of_shard(queue, chosen.shard)
    check_queue(queue)
    check_records(queue, places)
    make_dir(places.root)
    refusal = (
        f"Another process works through the queue in {places.root}: {_owner(places)}. Wait for it, look with "
        "--status, or give this one an --out of its own."
    )
    with held(places.lock, refusal):
        write_text(places.info, json.dumps({"pid": os.getpid(), "parallel": parallel, "started": now()}))
        return _Scheduler(queue, runs, places, parallel, chosen).run()


def check_records(queue: Queue, places: Places) -> None:
    """Refuse a folder whose runs were begun with other options.

    Raises:
        SpecError: One was.
        StorageError: A record is damaged.
    """
    for run in queue.runs:
        if (record := read_record(places.record(run.id))) is not None:
            require_same_settings(queue, run, record)


def _owner(places: Places) -> str:
    try:
        info = json.loads(places.info.read_text(encoding="utf-8"))
        return f"process {info['pid']}, since {info['started']}"
    except (OSError, ValueError, KeyError):
        return "it has not said which"


def device_of(run: QueueRun, record: RunRecord | None) -> str:
    """Return the device of a run: its own option, else the one it was begun on, else a GPU where there is one."""
    from wsabench.training.device import choose_device

    if "device" in run.options:
        return str(choose_device(str(run.options["device"])))
    if record is not None and record.sessions and not record.sessions[-1].is_lost and run.kind == "train":
        return record.device
    return str(choose_device("auto"))


def child_command(queue: Queue, run: QueueRun, places: Places, device: str) -> Sequence[str]:
    """Return the command line of a run's process."""
    words = ["-m", "wsabench.training.queue.child", str(queue.path), run.id, str(places.root), device, str(os.getpid())]
    return [sys.executable, *words]


class _Scheduler:
    """The state of a queue that is being worked through."""

    def __init__(
        self, queue: Queue, runs: Sequence[QueueRun], places: Places, parallel: int, options: QueueOptions
    ) -> None:
        self._queue, self._runs, self._places, self._parallel = queue, runs, places, parallel
        self._tell, self._after_each = options.tell, options.after_each
        self._command = options.command or child_command
        self._spawn = options.spawn or _spawn_here
        self._children: dict[str, Child] = {}
        self._deaths: dict[str, int] = {}
        self._ended: dict[str, str] = {}
        """State of every run that will not start again: finished, failed, skipped, unneeded."""

    def run(self) -> Result:
        """Work until nothing is left."""
        with _stoppable():
            try:
                self._look_at_what_is_there()
                self._after_each()
                while self._start_what_can() or self._children:
                    time.sleep(POLL_SECONDS)
                    self._reap()
            finally:
                self._stop()
        told = {state: tuple(run.id for run in self._runs if self._ended.get(run.id) == state) for state in _STATES}
        return Result(told["finished"], told["failed"], told["skipped"])

    def _look_at_what_is_there(self) -> None:
        for run in self._runs:
            record = read_record(self._places.record(run.id))
            if record is None or record.outcome != "finished":
                continue
            if wrong := damage(record, self._places.root):
                self._fail(run, f"It was finished, but {wrong}. Remove {self._places.run(run.id)} to run it again.")
            else:
                self._ended[run.id] = "finished"

    def _start_what_can(self) -> bool:
        """Start runs while there is room; return whether there is more to look at."""
        has_started = False
        for run in self._runs:
            if run.id in self._ended or run.id in self._children:
                continue
            before = [self._ended.get(one) for one in run.after]
            if bad := [one for one, state in zip(run.after, before, strict=True) if state in ("failed", "skipped")]:
                self._ended[run.id] = "skipped"
                self._tell(f"skipped {run.id}: it depends on {', '.join(bad)}")
            elif self._is_unneeded(run):
                self._ended[run.id] = "unneeded"
            elif all(before) and len(self._children) < self._parallel:
                has_started = True
                if is_finished(read_record(self._places.record(run.id)), self._places):
                    self._ended[run.id] = "finished"  # taken over meanwhile
                else:
                    self._start(run)
        return has_started

    def _is_unneeded(self, run: QueueRun) -> bool:
        """Whether a run only made frames for runs that are finished already."""
        return run.kind == "frames" and is_unneeded(run, self._queue, lambda one: self._ended.get(one) == "finished")

    def _start(self, run: QueueRun) -> None:
        folder = make_dir(self._places.run(run.id))
        device = device_of(run, read_record(self._places.record(run.id)))
        child = self._spawn(self._command(self._queue, run, self._places, device), folder / "log.txt")
        if child is None:
            return
        self._children[run.id] = child
        self._tell(f"started {run.id} ({run.kind}, {device}); log: {folder / 'log.txt'}")

    def _reap(self) -> None:
        """Take note of processes that have ended."""
        for run_id, child in list(self._children.items()):
            if (code := child.poll()) is None:
                continue
            del self._children[run_id]
            self._note_end(self._queue[run_id], code)
            self._after_each()

    def _note_end(self, run: QueueRun, code: int) -> None:
        record = read_record(self._places.record(run.id))
        if code == 0 and is_finished(record, self._places) and record is not None:
            self._ended[run.id] = "finished"
            self._tell(f"finished {run.id}: {record.steps:,} steps in {record.hours:.1f} hours{_returned(record)}")
        elif code < 0 or code == 130:
            self._deaths[run.id] = self._deaths.get(run.id, 0) + 1
            how = f"was killed by signal {-code}" if code < 0 else "was interrupted"
            if self._deaths[run.id] < MAX_DEATHS:
                self._tell(f"{run.id} {how}; it goes on from its last checkpoint")
            else:
                self._fail(run, f"Its process {how}, {MAX_DEATHS} times.")
        elif record is not None and record.outcome == "failed":
            self._fail(run, record.reason)
        else:
            self._fail(run, f"Its process ended with exit code {code}. {_last_line(self._places.log(run.id))}".strip())

    def _fail(self, run: QueueRun, reason: str) -> None:
        self._ended[run.id] = "failed"
        path = self._places.record(run.id)
        record = closed(read_record(path), self._places) or RunRecord.of(run)
        if record.outcome != "finished":  # what was finished and then damaged stays as it was recorded
            write_record(path, replace(record, outcome="failed", reason=reason))
        self._tell(f"failed {run.id}: {reason}")

    def _stop(self) -> None:
        """End the runs that are under way: asked first, killed after some seconds."""
        for child in self._children.values():
            child.send_signal(signal.SIGTERM)
        until = time.monotonic() + STOP_SECONDS
        for child in self._children.values():
            try:
                child.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._children.clear()


def _spawn_here(command: Sequence[str], log: Path) -> Child:
    """Start a run's process on this machine."""
    return start_child(command, log, {})


def start_child(command: Sequence[str], log: Path, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a run's process, with one thread.

    Args:
        command: What to run.
        log: Where its output is added.
        variables: Environment variables beside those of this process.
    """
    environment = {**os.environ, **variables, **dict.fromkeys(THREAD_VARIABLES, "1")}
    with log.open("ab") as file:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment)


_STATES = ("finished", "failed", "skipped", "unneeded")


def is_unneeded(run: QueueRun, queue: Queue, is_done: Callable[[str], bool]) -> bool:
    """Return whether every run that comes after one is done; false where there is none."""
    readers = [one.id for one in queue.runs if run.id in one.after]
    return bool(readers) and all(is_done(one) for one in readers)


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM interrupt as Ctrl-C does; a second signal does not disturb the stopping."""

    def interrupt(number: int, frame: object) -> None:
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt

    before: Mapping[int, Any] = {one: signal.signal(one, interrupt) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _returned(record: RunRecord) -> str:
    return f", return {record.final['return_unclipped']:.1f}" if record.final else ""


def _last_line(log: Path) -> str:
    """Return the last line of a log with what it says, or nothing."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    told = [line.strip() for line in lines if line.strip()]
    return f"Its log ends with: {told[-1]}" if told else ""


def failure(result: Result) -> WorkerError | None:
    """Return the error that names what failed and what was skipped; None where all went well."""
    if not result.failed:
        return None
    text = f"{len(result.failed)} of the runs failed: {', '.join(result.failed)}."
    if result.skipped:
        text += f" {len(result.skipped)} that depend on them were skipped: {', '.join(result.skipped)}."
    return WorkerError(f"{text} --status says why; the same command tries them again.")
