"""Commands that play, in surroundings that are not as they should be, and when they are told to stop."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import pandas as pd
import pytest
from signals import heed_interrupts

from wsabench.cli import main
from wsabench.cli.terminal.own_code import own_code
from wsabench.errors import SpecError
from wsabench.results import load_result

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
WRONG = "raise SystemExit('the wrong file was run')\n"
POLICY = """
import ctypes
import numpy as np

def still(observations):
    print("from Python")
    ctypes.CDLL(None).puts(b"from C")
    return np.zeros(len(observations), np.int64)
still.version = "1"
"""
REFUSING = """
import _multiprocessing, _posixshmem, errno, os, sys

ALLOWED = (os.environ["WRITABLE"] + "/", "/dev/null", "/dev/urandom", "/proc/")
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.utime"}

def refuse(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) or "/dev/shm" in str(path)
        paths = [path] if writes else []
    else:
        paths = arguments[: 2 if event == "os.rename" else 1] if event in CHANGES else []
    for path in paths:
        if isinstance(path, (str, bytes)) and not os.path.abspath(os.fsdecode(path)).startswith(ALLOWED):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

def lack(*_, **__):
    raise OSError(errno.ENOSYS, "there is no shared memory here")

class Lacking(_multiprocessing.SemLock):
    __new__ = lack

_multiprocessing.SemLock, _posixshmem.shm_open = Lacking, lack
sys.addaudithook(refuse)
"""
"""For every interpreter that starts: nothing can be written outside one folder, and there is no shared memory."""
IN_SPAWNED = """
import multiprocessing, sys, tempfile
from pathlib import Path

import wsabench

for place in (Path(wsabench.__file__).parent, Path("/dev/shm"), Path.home(), Path("/tmp"), Path(sys.prefix)):
    try:
        tempfile.TemporaryFile(dir=place).close()
    except OSError:
        continue
    sys.exit(f"{place} can be written")
try:
    multiprocessing.get_context("spawn").Lock()
    sys.exit("semaphores can be had")
except OSError:
    multiprocessing.set_start_method("spawn")
from wsabench.cli import main
sys.exit(main())
"""
STUCK = """
import sys, time
from wsabench.cli.terminal import stopping
stopping.STOP_SECONDS = float(sys.argv[1])
stopping._SAME_SECONDS = 0.1
with stopping.stopping():
    print("begins", flush=True)
    while True:
        try:
            time.sleep(3600)
        except KeyboardInterrupt:
            print("heard", flush=True)
"""


def few_files() -> None:
    """Allow 64 open files and one core."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


@pytest.mark.e2e
def test_a_run_in_poor_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One core, 64 open files, LANG=C, no HOME, `python -O`, a policy that prints, files called like packages."""
    (tmp_path / "ale_py.py").write_text(WRONG, encoding="utf-8")
    (tmp_path / "tempfile.py").write_text(WRONG, encoding="utf-8")
    (tmp_path / "my_policy.py").write_text(POLICY, encoding="utf-8")
    words = ["run", "--suite", str(TESTS / "three_cells.toml"), "--agents", "still=my_policy:still,random"]
    words += ["--protocol", "max_frames=80"]
    environment = {"PATH": os.environ["PATH"], "LANG": "C", "LC_ALL": "C", "PYTHONPATH": str(ROOT)}
    # As the installed command is started: the current directory is not on the module path.
    code = "import sys; sys.path.pop(0); from wsabench.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-O", "-c", code, *words, "--workers", "1", "--out", "out", "--json"],
        cwd=tmp_path,
        env=environment | {"OMP_NUM_THREADS": "1"},
        preexec_fn=few_files,
        capture_output=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["episodes"] == 2 * 3 * 2
    assert b"from Python\n" in done.stderr
    assert b"from C\n" in done.stderr
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main([*words, "--workers", "0", "--out", "plain"]) == 0
    poor, plain = load_result(tmp_path / "out"), load_result(tmp_path / "plain")
    pd.testing.assert_frame_equal(poor.episodes, plain.episodes, check_exact=True)


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="refuses shared memory where Linux has it")
def test_a_run_and_its_report_where_nothing_else_can_be_written_and_nothing_is_shared(tmp_path: Path) -> None:
    """No /dev/shm, read-only install and home, spawn, 64 open files, one core, `python -O`, LANG=C, two workers."""
    for folder in ("site", "tmp"):
        (tmp_path / folder).mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(REFUSING, encoding="utf-8")
    paths = os.pathsep.join(str(path) for path in (tmp_path / "site", ROOT, TESTS))
    environment = {"PATH": os.environ["PATH"], "LANG": "C", "LC_ALL": "C", "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    environment |= {"WRITABLE": str(tmp_path), "TMPDIR": str(tmp_path / "tmp")}
    run = ["run", "--suite", str(TESTS / "three_cells.toml"), "--agents", "sampler=scripted_policies:sampler,random"]
    for words in ([*run, "--workers", "2", "--out", "out"], ["report", "out", "--format", "html,csv,md"]):
        done = subprocess.run(
            [sys.executable, "-O", "-c", IN_SPAWNED, *words],
            cwd=tmp_path,
            env=environment,
            preexec_fn=few_files,
            capture_output=True,
            timeout=280,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        assert b"Traceback" not in done.stderr
    assert main([*run, "--workers", "0", "--out", str(tmp_path / "plain")]) == 0
    poor, plain = load_result(tmp_path / "out"), load_result(tmp_path / "plain")
    pd.testing.assert_frame_equal(poor.episodes, plain.episodes, check_exact=True)
    assert (tmp_path / "out" / "report" / "report.html").stat().st_size > 10_000


def test_the_current_directory_is_searched_last_and_only_for_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    for references in (["random", "e2e"], ["mine=./agent.safetensors"], ["sb3:agent.zip"]):
        with own_code(references):
            assert sys.path == before
    for reference in ("policies:still", "mine=policies:still", "python:policies:make"):
        with own_code(["random", reference]):
            assert sys.path == [*before, str(tmp_path)]
    assert sys.path == before


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["record", "--agent", "random"], None),
        (["record", "--agent", "policies:still"], "last"),
        (["verify", "entry.json", "--checkpoint", "sb3:agent.zip"], None),
        (["verify", "entry.json", "--checkpoint", "mine=policies:still"], "last"),
        (["verify", str(ROOT / "results" / "smoke")], None),
    ],
)
def test_record_and_verify_search_the_current_directory_as_run_does(
    words: list[str], place: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def play(*_: object, **__: object) -> NoReturn:
        seen.append(list(sys.path))
        raise SpecError("That is enough.")

    monkeypatch.setattr("wsabench.evaluation.recording.record_episode", play)
    monkeypatch.setattr("wsabench.leaderboard.verifying.verify", play)
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert main(words) == 2
    assert seen == [before if place is None else [*before, str(tmp_path)]]
    assert sys.path == before


def test_python_m_runs_no_file_of_the_current_directory(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text(WRONG, encoding="utf-8")
    command = [sys.executable, "-m", "wsabench", "--version"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("wsabench ")


@pytest.mark.parametrize(
    ("seconds", "numbers", "code"),
    [
        ("0.5", [signal.SIGINT], 130),
        ("0.5", [signal.SIGTERM], 143),
        ("60", [signal.SIGINT, signal.SIGINT], 130),
        ("60", [signal.SIGTERM, signal.SIGINT], 143),
    ],
)
def test_a_command_that_cannot_stop_is_ended_in_time_or_by_a_second_signal(
    seconds: str, numbers: list[signal.Signals], code: int
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK, seconds],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
        for number in numbers:
            time.sleep(0.3)  # it is about to sleep, or has heard the first
            process.send_signal(number)
        out, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == code
    assert out == "heard\n"
    word = "interrupted" if code == 130 else "terminated"
    assert (
        errors == f"wsabench: {word}. What was finished, if anything, is kept; the same command goes on from there.\n"
    )
