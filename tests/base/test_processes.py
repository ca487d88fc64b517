"""Worker processes of every pool: they leave the program's main module alone, and nothing of them is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wsabench.errors import SpecError, WorkerError
from wsabench.processes import here, how_it_ended, output_to_errors, shared
from wsabench.stats.claims.comparisons import holm

SCRIPT = """
from operator import methodcaller
from wsabench.processes import started

print("begins", flush=True)
with started(2, methodcaller("send", "here"), (), "worker") as workers:
    print(*(worker.connection.recv() for worker in workers))
"""
FORKING = """
import os, sys, time
from wsabench.processes import serve, started

def work(connection):
    def play():
        child = os.fork()
        if child == 0:
            try:
                connection.send("from a child")
            except OSError:
                time.sleep(3600)
        print("a worker prints", flush=True)
        os.write(1, b"and writes\\n")
        connection.send((os.getpid(), child))
    serve(connection, play)
"""
RUN_FORKING = """
import json, os, sys, time
import forking
from wsabench.processes import started

begun = time.monotonic()
with started(2, forking.work, (), "worker") as workers:
    pids = [pid for worker in workers for pid in worker.connection.recv()]
    if sys.argv[1] == "killed":
        print(json.dumps(pids), flush=True)
        os.kill(os.getpid(), 9)
    begun = time.monotonic()
print(json.dumps([time.monotonic() - begun, *pids]))
"""


def test_a_script_without_main_guard_may_start_workers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "begins\nhere here\n"), done.stderr


@pytest.mark.parametrize("end", ["ended", "killed"])
def test_what_workers_forked_ends_with_them_and_delays_nobody(end: str, tmp_path: Path) -> None:
    (tmp_path / "forking.py").write_text(FORKING, encoding="utf-8")
    (tmp_path / "script.py").write_text(RUN_FORKING, encoding="utf-8")
    command = [sys.executable, str(tmp_path / "script.py"), end]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == (0 if end == "ended" else -signal.SIGKILL), done.stderr
    numbers = json.loads(done.stdout)  # and nothing else: what workers print goes elsewhere
    assert (done.stderr.count("a worker prints"), done.stderr.count("and writes\n")) == (2, 2)
    if end == "ended":
        assert numbers.pop(0) < 4
    deadline = time.monotonic() + 10
    while any(is_alive(pid) for pid in numbers):
        assert time.monotonic() < deadline, "a process is left"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie, which whoever adopted it will clear away."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_output_goes_to_errors_inside_and_comes_back(capfd: pytest.CaptureFixture[str]) -> None:
    with output_to_errors():
        print("a")  # noqa: T201 - that is the point
        os.write(1, b"b\n")
    os.write(1, b"c\n")
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("c\n", "a\nb\n")


def test_a_module_in_the_current_directory_is_not_what_a_worker_starts_with(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "signal.py").write_text("raise SystemExit('the wrong file')\n", encoding="utf-8")
    command = [sys.executable, str(tmp_path / "script.py")]
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "begins\nhere here\n"), done.stderr


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (None, "stopped answering"),
        (0, "ended with exit code 0"),
        (-9, "was killed by signal 9, perhaps for lack of memory"),
        (-11, "was killed by signal 11 (Segmentation fault)"),
    ],
)
def test_an_end_is_put_into_words(code: int | None, text: str) -> None:
    assert how_it_ended(code) == text


def test_shared_work_is_found_in_the_order_of_the_items_and_its_errors_are_the_workers():
    families = [[0.01 * place, 0.5] for place in range(1, 8)]
    with shared(1, "worker") as alone:
        assert alone is here
    with shared(2, "worker") as share:
        found = [values.tolist() for values in share(holm, families)]
        assert found == [values.tolist() for values in here(holm, families)]
        assert share(holm, []) == []
        with pytest.raises(SpecError, match="Allowed: 0 to 1"):
            share(holm, [[2.0]])


def test_a_worker_that_ends_while_it_shares_work_is_said():
    with shared(2, "worker") as share, pytest.raises(WorkerError, match="ended with exit code 7"):
        share(os._exit, [7, 7, 7])


def test_a_warm_worker_has_the_surroundings_that_a_new_one_would_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Those of this moment, and not those in which the tests' server of `warm_workers` began."""
    monkeypatch.setenv("WSABENCH_TEST_WORD", "now")
    monkeypatch.chdir(tmp_path)
    with shared(2, "worker") as share:
        assert share(os.getenv, ["WSABENCH_TEST_WORD"]) == ["now"]
        assert share(os.path.abspath, ["."]) == [str(tmp_path)]
        share(print, ["said"])
    assert capfd.readouterr() == ("", "said\n")
