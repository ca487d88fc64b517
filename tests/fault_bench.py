"""What a run does when something goes wrong at a random moment; prints a table of faults as Markdown.

Usage: fault_bench.py [--tries N] [--seed S] [FAULT ...]

Each fault strikes a run of two cheap policies in a process of its own. Afterwards the same command is given again until
it ends well, and then: the table is exactly that of an undisturbed run, no job that was finished was written again, and
no process, temporary file or shared memory is left.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
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
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from wsabench.results import load_result

TESTS = Path(__file__).parent
MARK = "WSABENCH_FAULT_MARK"
SUITE = """
summary = "Short episodes of five cells"
games = ["breakout"]
perturbations = ["clean", "hue-rotate@1", "hue-rotate@3", "value@2", "value@4"]

[profiles.quick]
train_seeds = [0]
episodes = 2
protocol = { max_frames = 160 }
"""
AGENTS = ("sampler=scripted_policies:sampler", "attender=scripted_policies:attender")
FAILED = "**failed**"
STOP_SECONDS = 5.0
PATIENCE = 300.0
"""Seconds after which a run is taken to hang."""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    errors: str


class Row(NamedTuple):
    """One line of the table."""

    fault: str
    outcomes: Counter[str]
    seconds: float
    """The mean time of a try, going on included."""


class Bench:
    """Runs that are disturbed, and the undisturbed one that they are held against."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.folder = folder
        self.random = np.random.default_rng(seed)
        self.suite = folder / "short.toml"
        self.suite.write_text(SUITE, encoding="utf-8")
        self._shared_memory = shared_memory()
        begun = time.monotonic()
        self.must(self.folder / "undisturbed")
        self.duration = time.monotonic() - begun
        self.reference = load_result(self.folder / "undisturbed")

    def command(self, out: Path, *more: str, agents: Sequence[str] = AGENTS) -> list[str]:
        """Return the command line of a run."""
        words = ["run", "--suite", str(self.suite), "--agents", ",".join(agents), "--out", str(out), *more]
        return [sys.executable, "-m", "wsabench", *words, *([] if "--workers" in more else ["--workers", "2"])]

    @contextlib.contextmanager
    def begun(self, out: Path, *more: str, agents: Sequence[str] = AGENTS, limits: Any = None) -> Iterator[Running]:
        """Start a run; at the end nothing of it is left, or that is an error."""
        mark = uuid.uuid4().hex
        paths = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), MARK: mark, "OMP_NUM_THREADS": "1"}
        before = finished(out)
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            process = subprocess.Popen(
                self.command(out, *more, agents=agents),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                preexec_fn=limits,
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
        left = left_after(5.0, lambda: shared_memory() - self._shared_memory)
        assert not left, f"shared memory is left: {left}"

    def place(self) -> Path:
        """Return a new place for a result set."""
        return self.folder / uuid.uuid4().hex[:8]

    def moment(self) -> float:
        """Return a random moment of a run, in seconds from its start."""
        return float(self.random.uniform(0.0, 1.05 * self.duration))


class Running:
    """A run in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes], mark: str, stdout: Any, stderr: Any) -> None:
        self.process, self.mark = process, mark
        self._stdout, self._stderr = stdout, stderr

    def wait(self, seconds: float = PATIENCE) -> Ended:
        """Wait for the end."""
        code = self.process.wait(seconds)
        return Ended(code, *(os.pread(file.fileno(), 2**20, 0).decode() for file in (self._stdout, self._stderr)))

    def is_over_after(self, seconds: float) -> bool:
        """Whether the run ends within some seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.poll() is not None

    def workers(self) -> list[int]:
        """Return the ids of its worker processes."""
        return [
            pid for pid in marked(self.mark) if pid != self.process.pid and b"spawn_main" in read_proc(pid, "cmdline")
        ]


def read_proc(pid: int, name: str) -> bytes:
    """Return a file of a process's folder; nothing where it is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def marked(mark: str) -> list[int]:
    """Return the processes that were started, by whatever way, by the run with this mark."""
    pids = [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()]
    wanted = f"{MARK}={mark}".encode()
    return [pid for pid in pids if wanted in read_proc(pid, "environ")]


def shared_memory() -> set[str]:
    """Return the names of shared memory and semaphores."""
    return {one.name for one in Path("/dev/shm").glob("*")}


def left_after(seconds: float, what: Callable[[], Any]) -> Any:
    """Return what is left after some seconds at most."""
    deadline = time.monotonic() + seconds
    while (left := what()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def finished(out: Path) -> dict[str, tuple[int, int]]:
    """Return the shards of finished jobs, with inode and time of writing."""
    shards = {path.name: path.stat() for path in out.glob("episodes/*.parquet")}
    return {name: (one.st_ino, one.st_mtime_ns) for name, one in shards.items()}


def killed_run(bench: Bench) -> str:
    """SIGKILL of the run."""
    out = bench.place()
    with bench.begun(out) as running:
        was_killed = not running.is_over_after(bench.moment())
        running.process.kill()
        running.process.wait()
    bench.must(out)
    bench.check(out)
    return "goes on, equal table" if was_killed else "had ended"


def killed_worker(bench: Bench) -> str:
    """SIGKILL of a worker."""
    return _lost_worker(bench, signal.SIGKILL, "was killed by signal 9")


def stopped_worker(bench: Bench) -> str:
    """SIGSTOP of a worker."""
    return _lost_worker(bench, signal.SIGSTOP, "made no step for", "--worker-timeout", "5")


def _lost_worker(bench: Bench, number: int, message: str, *options: str) -> str:
    """Send one worker a signal; the run ends well by itself."""
    out = bench.place()
    with bench.begun(out, *options) as running:
        struck = False
        if not running.is_over_after(bench.moment()):
            deadline = time.monotonic() + PATIENCE
            while not (workers := running.workers()) and running.process.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            with contextlib.suppress(ProcessLookupError):
                if workers:
                    os.kill(int(bench.random.choice(workers)), number)
                    struck = True
        ended = running.wait()
    assert ended.code == 0, ended.errors
    bench.check(out)
    if message in ended.errors:
        return "said, played again, equal table"
    return "had nothing left to do" if struck else "had ended"


def interrupted(bench: Bench) -> str:
    """SIGINT."""
    return _signalled(bench, signal.SIGINT, 130)


def terminated(bench: Bench) -> str:
    """SIGTERM."""
    return _signalled(bench, signal.SIGTERM, 143)


def _signalled(bench: Bench, number: signal.Signals, code: int) -> str:
    """Send the run a signal; it stops soon, and goes on later."""
    out = bench.place()
    with bench.begun(out, limits=heed_interrupts) as running:
        was_stopped = not running.is_over_after(bench.moment())
        begun = time.monotonic()
        if was_stopped:
            running.process.send_signal(number)
        ended = running.wait()
        seconds = time.monotonic() - begun
    if not was_stopped:
        assert ended.code == 0, ended.errors
    elif ended.code != 0:  # it may have been about to end
        assert ended.code in (code, -number), ended
        assert seconds < STOP_SECONDS, f"it took {seconds:.1f} s to stop"
        assert ended.code == -number or "Traceback" not in ended.errors, ended.errors
    bench.must(out)
    bench.check(out)
    return f"stops within {STOP_SECONDS:g} s, goes on, equal table" if was_stopped else "had ended"


def heed_interrupts() -> None:
    """Let a child hear Ctrl-C, where whoever started this process lets it ignore that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def full_disk(bench: Bench) -> str:
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
    return "one message, goes on, equal table" if ended.code else "all fitted"


def read_only(bench: Bench) -> str:
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
    return "one message, goes on, equal table"


def two_runs(bench: Bench) -> str:
    """Two runs in one directory."""
    out = bench.place()
    with bench.begun(out) as first, bench.begun(out) as second:
        ends = first.wait(), second.wait()
        codes = sorted(one.code for one in ends)
        assert codes in ([0, 0], [0, 2]), ends
        assert all("Traceback" not in one.errors for one in ends)
    bench.must(out)
    bench.check(out)
    return "second refused, equal table" if codes == [0, 2] else "second joined, equal table"


def full_tables(bench: Bench) -> str:
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
    return "one message, goes on, equal table"


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


def harmful(name: str) -> Callable[[Bench], str]:
    """Return the fault of a policy that does harm beside one that does none."""

    def play(bench: Bench) -> str:
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
        return f"{'named' if message and code else 'harmless'}, others equal, exit code {code}"

    play.__doc__ = f"A policy: {name.replace('_', ' ')}."
    return play


FAULTS: dict[str, Callable[[Bench], str]] = {
    "killed-run": killed_run,
    "killed-worker": killed_worker,
    "stopped-worker": stopped_worker,
    "interrupted": interrupted,
    "terminated": terminated,
    "full-disk": full_disk,
    "file-limit": full_tables,
    "read-only": read_only,
    "two-runs": two_runs,
    **{f"policy-{name}": harmful(name) for name in POLICIES},
}
"""Faults by name: each strikes once, checks everything, and says what came of it."""
MANY = ("killed-run", "killed-worker", "interrupted", "terminated")
"""Faults that strike at random moments, of which there are many; of the others a few tries show all."""
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
    return number if fault in MANY else min(number, 3)


def measure(bench: Bench, fault: str, tries: int) -> Row:
    """Let a fault strike some times; what does not hold is an outcome that begins with `FAILED`."""
    outcomes: Counter[str] = Counter()
    begun = time.monotonic()
    for _ in range(tries):
        try:
            outcomes[FAULTS[fault](bench)] += 1
        except (AssertionError, subprocess.TimeoutExpired) as error:
            sys.stderr.write(f"{traceback.format_exc()}\n")
            outcomes[f"{FAILED}: {str(error).splitlines()[0]}"] += 1
    return Row((FAULTS[fault].__doc__ or fault).rstrip("."), outcomes, (time.monotonic() - begun) / tries)


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
    parser.add_argument("--tries", type=int, default=20, help="of faults at random moments; at most 3 of the others")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"default: all of {', '.join(FAULTS)}")
    options = parser.parse_args()
    chosen = options.faults or [name for name in FAULTS if name not in NEEDS_MOUNT or can_mount()]
    folder = Path(tempfile.mkdtemp(prefix="wsabench-faults-"))
    try:
        bench = Bench(folder, options.seed)
        rows = []
        for name in chosen:
            rows.append(measure(bench, name, tries_of(name, options.tries)))
            sys.stderr.write(markdown(rows[-1:]).splitlines()[-1] + "\n")
        sys.stdout.write(markdown(rows) + "\n")
        if any(has_failed(row) for row in rows):
            sys.exit(1)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
