"""What a run does when something goes wrong at a random moment; prints a table of faults as Markdown.

Usage: fault_bench.py [--tries N] [--seconds S] [--seed S] [--fork] [FAULT ...]

Each fault strikes a run of two cheap policies in a process of its own. Afterwards the same command is given again until
it ends well, and then: the table is exactly that of an undisturbed run, no job that was finished was written again, and
no process, temporary file or shared memory is left. A run that was stopped goes on with the next try, which may stop it
again, so that many tries take little time. With `--fork` runs are forked from this process, which has loaded
everything, and those that are stopped play in their own process: a try takes a second instead of ten, and the moments
fall into the work instead of into imports.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import io
import json
import math
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
from signals import heed_interrupts

from wsabench import processes
from wsabench.cli import main as run_command
from wsabench.errors import ResultSetError
from wsabench.results import load_result

TESTS = Path(__file__).parent
MARK = "WSABENCH_FAULT_MARK"
SUITE = """
summary = "Short episodes of five cells"
games = ["breakout"]
perturbations = ["clean", "hue-rotate@1", "hue-rotate@3", "value@2", "value@4"]

[profiles.quick]
train_seeds = [0]
episodes = 4
protocol = { max_frames = 200 }
"""
COMM = 15
"""Characters that Linux keeps of a process's name."""
AGENTS = ("sampler=scripted_policies:sampler", "attender=scripted_policies:attender")
FAILED = "**failed**"
STOP_SECONDS = 5.0
PATIENCE = 300.0
"""Seconds after which a run is taken to hang."""
WORKERS = (0, 2)
"""Of runs that are stopped: half play in their own process, half in processes of their own."""
STRIKES = 4
"""Most worker processes of one run that are killed, one after the other."""

Outcomes = list[str]
"""What came of the strikes of a try, one text each."""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    errors: str


class Duration(NamedTuple):
    """How long an undisturbed run takes, in seconds."""

    start: float
    """Until it begins to write results."""
    play: float
    """From then on."""


class Row(NamedTuple):
    """One line of the table."""

    fault: str
    outcomes: Counter[str]
    seconds: float
    """The mean time of a try, going on included."""


class Bench:
    """Runs that are disturbed, and the undisturbed one that they are held against."""

    def __init__(self, folder: Path, seed: int = 0, *, forks: bool = False) -> None:
        self.folder = folder
        self.forks = forks
        self.random = np.random.default_rng(seed)
        self.suite = folder / "short.toml"
        self.suite.write_text(SUITE, encoding="utf-8")
        self._shared_memory = shared_memory()
        self._unfinished: Path | None = None
        self.undisturbed = folder / "undisturbed"
        if forks:
            cv2.setNumThreads(1)  # before: a fork would wait for threads that it does not have
            assert self.ended_here(folder / "loading").code == 0
        self.durations = {workers: self._measured(workers) for workers in WORKERS}
        self.reference = load_result(self.undisturbed)

    def _measured(self, workers: int) -> Duration:
        """Measure the undisturbed run."""
        shutil.rmtree(self.undisturbed, ignore_errors=True)
        begun = time.monotonic()
        with self.begun(self.undisturbed, "--workers", str(workers)) as running:
            running.wait_until(lambda: ledgers(self.undisturbed) > 0)
            start = time.monotonic() - begun
            ended = running.wait()
        assert ended.code == 0, ended.errors
        return Duration(start, time.monotonic() - begun - start)

    def words(self, out: Path, *more: str, agents: Sequence[str] = AGENTS) -> list[str]:
        """Return the command of a run, after the program."""
        words = ["run", "--suite", str(self.suite), "--agents", ",".join(agents), "--out", str(out), *more]
        return [*words, *([] if "--workers" in more else ["--workers", "2"])]

    @contextlib.contextmanager
    def begun(self, out: Path, *more: str, agents: Sequence[str] = AGENTS, limits: Any = None) -> Iterator[Running]:
        """Start a run; at the end nothing of it is left, or that is an error."""
        mark = uuid.uuid4().hex
        paths = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), MARK: mark, "OMP_NUM_THREADS": "1"}
        before = finished(out)
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            words = self.words(out, *more, agents=agents)
            process = (
                Forked(partial(run_forked, words, environment, stdout.fileno(), stderr.fileno(), limits))
                if self.forks
                else subprocess.Popen(
                    [sys.executable, "-m", "wsabench", *words],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    start_new_session=True,
                    preexec_fn=limits,
                )
            )
            running = Running(process, mark, stdout, stderr)
            try:
                yield running
            except BaseException:
                process.kill()
                process.wait()
                raise
        orphans = left_after(5.0, lambda: marked(mark))
        assert not orphans, f"processes are left: {orphans}"
        after = finished(out)
        assert before == {name: after.get(name) for name in before}, "a finished job was written again"

    def ended(self, out: Path, *more: str, agents: Sequence[str] = AGENTS, limits: Any = None) -> Ended:
        """Run a command to its end."""
        with self.begun(out, *more, agents=agents, limits=limits) as running:
            return running.wait()

    def ended_here(self, out: Path) -> Ended:
        """Run the command in this process, which is quicker where nothing is to be killed."""
        with (
            contextlib.redirect_stdout(io.StringIO()) as shown,
            contextlib.redirect_stderr(io.StringIO()) as errors,
        ):
            code = run_command(self.words(out, "--workers", "0"))
        return Ended(code, shown.getvalue(), errors.getvalue())

    def must(self, out: Path, *more: str) -> Ended:
        """Run a command that has to end well."""
        ended = self.ended(out, *more)
        assert ended.code == 0, ended.errors
        return ended

    def check(self, out: Path, only: str | None = None) -> None:
        """Hold a result set, or the jobs of one agent in it, against the undisturbed run; nothing else may be left."""
        found, wanted = load_result(out), self.reference
        for name in ("episodes", "attention"):
            tables = [getattr(one, name) for one in (found, wanted)]
            if only is not None:
                tables = [one[one["agent"] == only].reset_index(drop=True) for one in tables]
            pd.testing.assert_frame_equal(*tables, check_exact=True)
        assert not list(out.rglob("*.tmp")), "temporary files are left"
        left = left_after(5.0, lambda: unused(shared_memory() - self._shared_memory))
        assert not left, f"shared memory is left: {left}"

    def place(self) -> Path:
        """Return a new place for a result set."""
        return self.folder / uuid.uuid4().hex[:8]

    def unfinished(self) -> Path:
        """Return the place of the run that was stopped last, or a new one."""
        self._unfinished = self._unfinished or self.place()
        return self._unfinished

    def settle(self, is_over: bool = False) -> Outcomes:
        """Check the run that was stopped last, and before let it come to its end if it has not."""
        out, self._unfinished = self._unfinished, None
        if out is not None:
            if not is_over:
                self.must(out)
            self.check(out)
            shutil.rmtree(out)
        return []

    def drop(self) -> None:
        """Begin anew after what did not hold."""
        self._unfinished = None

    def is_over_at_a_moment(self, running: Running, out: Path, workers: int) -> bool:
        """Wait for a random moment, as often of the whole run as of its play; whether the run ends before."""
        start, play = self.durations[workers]
        if self.random.uniform() < 0.5:
            return running.is_over_after(float(self.random.uniform(0.0, 1.05 * (start + play))))
        before = ledgers(out)
        running.wait_until(lambda: ledgers(out) > before)
        return running.is_over_after(float(self.random.uniform(0.0, 1.05 * play)))


class Forked:
    """A process that this one forked, as `subprocess.Popen` shows one."""

    def __init__(self, work: Callable[[], int]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            code = 99
            try:
                code = work()
            finally:
                os._exit(code)

    def poll(self) -> int | None:
        """Return how it ended; None where it has not."""
        if self.returncode is None and (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
            self.returncode = os.waitstatus_to_exitcode(ended[1])
        return self.returncode

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait for the end."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("fork", timeout)
            time.sleep(0.002)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, to nobody where it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


def run_forked(
    words: Sequence[str], environment: dict[str, str], stdout: int, stderr: int, limits: Callable[[], None] | None
) -> int:
    """Run a command in a process that was just forked."""
    os.setsid()
    os.environ.update(environment)
    Path("/proc/self/comm").write_text(environment[MARK][:COMM], encoding="ascii")  # a fork keeps it
    processes.multiprocessing = SimpleNamespace(get_context=lambda _: ForkedContext)
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
    if limits is not None:
        limits()
    code = run_command(words)
    sys.stdout.flush()
    return code


class ForkedWorker(multiprocessing.get_context("fork").Process):
    """A worker process that knows as little of its parent as a new interpreter does."""

    def run(self) -> None:
        connection = self._args[0]
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in [int(one.name) for one in Path("/proc/self/fd").iterdir()]:
            with contextlib.suppress(OSError):  # the list's own
                if number > 2 and number != connection.fileno() and os.fstat(number):
                    os.dup2(nothing, number)  # not closed: what owns it would close another file of this number
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        super().run()


class ForkedContext:
    """Starts worker processes by forking."""

    Pipe = staticmethod(multiprocessing.Pipe)
    Process = ForkedWorker


class Running:
    """A run in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes] | Forked, mark: str, stdout: Any, stderr: Any) -> None:
        self.process, self.mark = process, mark
        self._stdout, self._stderr = stdout, stderr

    def wait(self, seconds: float = PATIENCE) -> Ended:
        """Wait for the end."""
        code = self.process.wait(seconds)
        return Ended(code, *(os.pread(file.fileno(), 2**20, 0).decode() for file in (self._stdout, self._stderr)))

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, or the run has ended."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None and not holds():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def is_over_after(self, seconds: float) -> bool:
        """Whether the run ends within some seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.poll() is not None

    def workers(self) -> list[int]:
        """Return the ids of its worker processes."""
        return [
            pid
            for pid in marked(self.mark)
            if pid != self.process.pid and (is_named(pid, self.mark) or b"spawn_main" in read_proc(pid, "cmdline"))
        ]

    def workers_at_work(self) -> list[int]:
        """Return those that have loaded what they need: from then on they lead a group of their own."""
        return [pid for pid in self.workers() if leads_group(pid)]


def leads_group(pid: int) -> bool:
    """Whether a process is there and leads a process group."""
    with contextlib.suppress(ProcessLookupError):
        return os.getpgid(pid) == pid
    return False


def read_proc(pid: int, name: str) -> bytes:
    """Return a file of a process's folder; nothing where it is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def all_processes() -> list[int]:
    """Return the ids of all processes."""
    return [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()]


def marked(mark: str) -> list[int]:
    """Return the processes that were started, by whatever way, by the run with this mark."""
    wanted = f"{MARK}={mark}".encode()
    return [pid for pid in all_processes() if wanted in read_proc(pid, "environ") or is_named(pid, mark)]


def is_named(pid: int, mark: str) -> bool:
    """Whether a process is one that was forked by the run with this mark, and not gone."""
    return read_proc(pid, "comm").decode().strip() == mark[:COMM] and bool(read_proc(pid, "cmdline"))


def shared_memory() -> set[str]:
    """Return the names of shared memory and semaphores."""
    return {one.name for one in Path("/dev/shm").glob("*")}


def unused(names: set[str]) -> set[str]:
    """Return which shared memory no living process has: what others on this machine use is not left by a run.

    Files are told by their numbers, because a semaphore gets its name only after it is in use.
    """
    maps = [line.split() for pid in all_processes() if names for line in read_proc(pid, "maps").splitlines()]
    used = {int(fields[4]) for fields in maps if b"/dev/shm/" in fields[-1] or fields[-1] == b"(deleted)"}
    found = set()
    for name in names:
        with contextlib.suppress(OSError):  # it is gone
            if Path("/dev/shm", name).stat().st_ino not in used:
                found.add(name)
    return found


def left_after(seconds: float, what: Callable[[], Any]) -> Any:
    """Return what is left after some seconds at most."""
    deadline = time.monotonic() + seconds
    while (left := what()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def ledgers(out: Path) -> int:
    """Return how many processes have begun to write into a result set."""
    return len(list(out.glob("ledger/*.jsonl")))


def finished(out: Path) -> dict[str, tuple[int, int]]:
    """Return the shards of finished jobs, with inode and time of writing."""
    shards = {path.name: path.stat() for path in out.glob("episodes/*.parquet")}
    return {name: (one.st_ino, one.st_mtime_ns) for name, one in shards.items()}


def written_twice(out: Path) -> list[str]:
    """Return the files of a result set that were written more than once."""
    lines = [json.loads(line) for path in out.glob("ledger/*.jsonl") for line in path.read_text().splitlines()]
    counts = Counter(line["file"] for line in lines if "file" in line)
    return [name for name, count in counts.items() if count > 1]


def killed_run(bench: Bench) -> Outcomes:
    """SIGKILL of the run."""
    return _stopped_run(bench, signal.SIGKILL, -signal.SIGKILL)


def interrupted(bench: Bench) -> Outcomes:
    """SIGINT."""
    return _stopped_run(bench, signal.SIGINT, 130)


def terminated(bench: Bench) -> Outcomes:
    """SIGTERM."""
    return _stopped_run(bench, signal.SIGTERM, 143)


def _stopped_run(bench: Bench, number: signal.Signals, code: int) -> Outcomes:
    """Stop a run at a random moment; it goes on with the next try, or when the bench settles."""
    out = bench.unfinished()
    workers = int(bench.random.choice(WORKERS))
    with bench.begun(out, "--workers", str(workers), limits=heed_interrupts) as running:
        was_stopped = not bench.is_over_at_a_moment(running, out, workers)
        begun = time.monotonic()
        running.process.send_signal(number)  # to nobody where it has ended
        ended = running.wait()
        seconds = time.monotonic() - begun
    if ended.code == 0:  # before, or it was about to
        return [*bench.settle(is_over=True), "had ended, equal table"]
    assert was_stopped, ended
    assert ended.code in (code, -number), ended  # the latter while it has not come to heed it
    if number == signal.SIGKILL:
        return ["goes on, equal table"]
    assert seconds < STOP_SECONDS, f"it took {seconds:.1f} s to stop"
    assert ended.code == -number or "Traceback" not in ended.errors, ended.errors
    return [f"stops within {STOP_SECONDS:g} s, goes on, equal table"]


def killed_worker(bench: Bench) -> Outcomes:
    """SIGKILL of a worker."""
    strikes = int(bench.random.integers(1, STRIKES + 1))
    return _lost_workers(bench, strikes, signal.SIGKILL, "was killed by signal 9")


def stopped_worker(bench: Bench) -> Outcomes:
    """SIGSTOP of a worker."""
    return _lost_workers(bench, 1, signal.SIGSTOP, "made no step for", "--worker-timeout", "5")


def _lost_workers(bench: Bench, strikes: int, number: int, message: str, *options: str) -> Outcomes:
    """Send workers of one run a signal, one after the other; each is replaced, or the run ends and goes on."""
    out, struck = bench.place(), 0
    with bench.begun(out, *options) as running:
        while struck < strikes and running.process.poll() is None:
            # Half of them while it plays: most of a short run passes in starting interpreters.
            chosen = running.workers if bench.random.uniform() < 0.5 else running.workers_at_work
            running.wait_until(lambda: bool(chosen()))  # noqa: B023 - called before the next turn
            running.is_over_after(float(bench.random.uniform(0.0, bench.durations[2].play)))
            with contextlib.suppress(ProcessLookupError):
                if workers := chosen():
                    os.kill(int(bench.random.choice(workers)), number)
                    struck += 1
        ended = running.wait()
    said = ended.errors.count(message)
    assert said <= struck, ended.errors
    if ended.code == 0:
        assert not written_twice(out), "a finished job was played twice"
    else:
        assert ended.code == 2, ended
        assert "given up" in ended.errors or "before it played, again" in ended.errors, ended.errors
        assert "Traceback" not in ended.errors, ended.errors
        bench.must(out)
    bench.check(out)
    way = "played again" if ended.code == 0 else "twice in a row: exit code 2, goes on"
    outcomes = [f"said, {way}, equal table"] * said + ["had nothing to play again, equal table"] * (struck - said)
    return outcomes or ["had ended"]


def flipped_bit(bench: Bench) -> Outcomes:
    """A flipped bit in a shard."""

    def flip(content: bytes) -> bytes:
        changed = bytearray(content)
        changed[bench.random.integers(len(content))] ^= 1 << int(bench.random.integers(8))
        return bytes(changed)

    return _damaged(bench, flip)


def cut_short(bench: Bench) -> Outcomes:
    """A shard cut short."""
    return _damaged(bench, lambda content: content[: bench.random.integers(len(content))])


def _damaged(bench: Bench, damage: Callable[[bytes], bytes]) -> Outcomes:
    """Damage a shard or two of a finished run: who reads it refuses it by name, and a run plays just these again."""
    out = bench.place()
    shutil.copytree(bench.undisturbed, out)
    shards = sorted([*out.glob("episodes/*.parquet"), *out.glob("attention/*.parquet")])
    number = bench.random.integers(1, 3)
    chosen = [shards[place] for place in bench.random.choice(len(shards), number, replace=False)]
    for shard in chosen:
        shard.write_bytes(damage(shard.read_bytes()))
    before = finished(out)
    refused = ""
    try:
        load_result(out)
    except ResultSetError as error:
        refused = str(error)
    assert any(f"{shard} is damaged: it has " in refused for shard in chosen), refused or "nobody noticed"
    ended = bench.ended_here(out)
    assert ended.code == 0, ended
    for name in {shard.name for shard in chosen}:  # of two shards of one job the first that is read is said
        assert any(f"{shard} is damaged: it has " in ended.errors for shard in chosen if shard.name == name), ended
    after = finished(out)
    played = {name for name in after if after[name] != before[name]}
    assert played == {shard.name for shard in chosen}, "other jobs were played than the damaged ones"
    bench.check(out)
    shutil.rmtree(out)
    return ["refused by name, played again, equal table"]


def full_disk(bench: Bench) -> Outcomes:
    """A disk that fills up."""
    out = bench.place()
    size = int(bench.random.integers(24, 96))
    with mounted(out, "tmpfs", f"size={size}k"):
        ended = bench.ended(out)
        if ended.code != 0:
            assert ended.code == 2, ended
            assert ended.errors.count("wsabench: error: Cannot write") == 1, ended.errors
            assert "Traceback" not in ended.errors
        remount(out, "size=64m")
        bench.must(out)
        bench.check(out)
    return ["one message, goes on, equal table" if ended.code else "all fitted"]


def read_only(bench: Bench) -> Outcomes:
    """A directory that cannot be written."""
    out = bench.place()
    with mounted(out, "tmpfs", "size=64m", flags=1):
        ended = bench.ended(out)
        assert ended.code == 2, ended
        assert ended.errors.count("wsabench: error:") == 1, ended.errors
        assert "Read-only file system" in ended.errors
        assert "Traceback" not in ended.errors
        remount(out, "size=64m")
        bench.must(out)
        bench.check(out)
    return ["one message, goes on, equal table"]


def two_runs(bench: Bench) -> Outcomes:
    """Two runs in one directory."""
    out = bench.place()
    with bench.begun(out) as first, bench.begun(out) as second:
        ends = first.wait(), second.wait()
        codes = sorted(one.code for one in ends)
        assert codes in ([0, 0], [0, 2]), ends
        assert all("Traceback" not in one.errors for one in ends)
    assert not written_twice(out), "a job was played by both"
    bench.must(out)
    bench.check(out)
    return ["second refused, equal table" if codes == [0, 2] else "second joined, equal table"]


def full_tables(bench: Bench) -> Outcomes:
    """A limit on the size of files (a stand-in for a full disk where nothing can be mounted)."""
    out = bench.place()

    def limit() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, resource.RLIM_INFINITY))

    ended = bench.ended(out, limits=limit)
    assert ended.code == 2, ended
    assert "Traceback" not in ended.errors, ended.errors
    bench.must(out)
    bench.check(out)
    return ["one message, goes on, equal table"]


POLICIES: dict[str, tuple[int, str]] = {
    "raising": (2, "ValueError: boom"),
    "answering_nonsense": (2, "answering_nonsense"),
    "sleeping": (2, "made no step for"),
    "exiting": (2, "ended with exit code 0"),
    "killed": (2, "was killed by signal 9, perhaps for lack of memory"),
    "crashing": (2, "signal 11"),
    "eating": (2, "MemoryError"),
    "forking": (0, ""),
    "doubling": (0, ""),
    "printing": (0, "from C\n"),
}
"""Exit code and message of a run with each of `faulty_policies`."""


def harmful(name: str) -> Callable[[Bench], Outcomes]:
    """Return the fault of a policy that does harm beside one that does none."""

    def play(bench: Bench) -> Outcomes:
        out = bench.place()
        code, message = POLICIES[name]
        workers = str(int(bench.random.integers(1, 3)))
        agents = (f"bad=faulty_policies:{name}", AGENTS[0])
        words = ("--workers", workers, "--worker-timeout", "5", "--json")
        ended = bench.ended(out, *words, agents=agents)
        assert ended.code == code, ended
        assert message in ended.errors, ended.errors
        assert code == 0 or "bad" in ended.errors.rpartition("wsabench: error:")[2], ended.errors
        assert "Traceback" not in ended.errors, ended.errors
        if code == 0:
            json.loads(ended.out)
        bench.check(out, "sampler")
        return [f"{'named' if message and code else 'harmless'}, others equal, exit code {code}"]

    play.__doc__ = f"A policy: {name.replace('_', ' ')}."
    return play


FAULTS: dict[str, Callable[[Bench], Outcomes]] = {
    "killed-run": killed_run,
    "killed-worker": killed_worker,
    "stopped-worker": stopped_worker,
    "interrupted": interrupted,
    "terminated": terminated,
    "flipped-bit": flipped_bit,
    "cut-short": cut_short,
    "full-disk": full_disk,
    "file-limit": full_tables,
    "read-only": read_only,
    "two-runs": two_runs,
    **{f"policy-{name}": harmful(name) for name in POLICIES},
}
"""Faults by name: each strikes once, checks everything, and says what came of it."""
MANY = ("killed-run", "killed-worker", "interrupted", "terminated", "flipped-bit", "cut-short")
"""Faults that strike at random moments or places, of which there are many; of the others a few tries show all."""
FEW = 3
"""How often those strike at most."""
NEEDS_MOUNT = ("full-disk", "read-only")


def can_mount() -> bool:
    """Whether this process may mount file systems."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with mounted(Path(folder), "tmpfs", "size=16k"):
                return True
        except OSError:
            return False


@contextlib.contextmanager
def mounted(path: Path, kind: str, options: str, flags: int = 0) -> Iterator[None]:
    """Mount a file system at a path."""
    path.mkdir(exist_ok=True)
    _mount(kind, path, flags, options)
    try:
        yield
    finally:
        ctypes.CDLL(None).umount2(os.fsencode(path), 2)


def remount(path: Path, options: str) -> None:
    """Change a mounted file system, and make it writable."""
    _mount("tmpfs", path, 32, options)


def _mount(kind: str, path: Path, flags: int, options: str) -> None:
    system = ctypes.CDLL(None, use_errno=True)
    if system.mount(kind.encode(), os.fsencode(path), kind.encode(), flags, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))


def tries_of(fault: str, number: int) -> int:
    """Return how often a fault strikes where those at random moments strike so often."""
    return number if fault in MANY else min(number, FEW)


def measure(bench: Bench, fault: str, tries: int, seconds: float = math.inf) -> Row:
    """Let a fault strike some times, or for so long; what does not hold is an outcome that begins with `FAILED`."""
    outcomes: Counter[str] = Counter()
    begun = time.monotonic()

    def keep(strike: Callable[[], Outcomes]) -> None:
        try:
            outcomes.update(strike())
        except (AssertionError, subprocess.TimeoutExpired) as error:
            sys.stderr.write(f"{traceback.format_exc()}\n")
            outcomes[f"{FAILED}: {(str(error) or repr(error)).splitlines()[0]}"] += 1
            bench.drop()

    while outcomes.total() < tries and time.monotonic() - begun < seconds:
        keep(lambda: FAULTS[fault](bench))
    keep(bench.settle)
    return Row((FAULTS[fault].__doc__ or fault).rstrip("."), outcomes, (time.monotonic() - begun) / outcomes.total())


def has_failed(row: Row) -> bool:
    """Whether something did not hold in a try."""
    return any(text.startswith(FAILED) for text in row.outcomes)


def markdown(rows: Sequence[Row]) -> str:
    """Return the table."""
    lines = ["| fault | tries | outcome | seconds a try |", "| --- | ---: | --- | ---: |"]
    for row in rows:
        outcome = "; ".join(f"{text} ({count})" for text, count in row.outcomes.most_common())
        lines.append(f"| {row.fault} | {sum(row.outcomes.values())} | {outcome} | {row.seconds:.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--tries", type=int, default=20, help="of faults at random moments or places; at most 3 of the others"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop each fault after so long")
    parser.add_argument("--fork", action="store_true", help="fork runs instead of starting them")
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"default: all of {', '.join(FAULTS)}")
    options = parser.parse_args()
    chosen = options.faults or [name for name in FAULTS if name not in NEEDS_MOUNT or can_mount()]
    folder = Path(tempfile.mkdtemp(prefix="wsabench-faults-"))
    try:
        bench = Bench(folder, options.seed, forks=options.fork)
        rows = []
        for name in chosen:
            rows.append(measure(bench, name, tries_of(name, options.tries), options.seconds))
            sys.stderr.write(markdown(rows[-1:]).splitlines()[-1] + "\n")
        sys.stdout.write(markdown(rows) + "\n")
        if any(has_failed(row) for row in rows):
            sys.exit(1)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
