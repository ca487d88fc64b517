"""A run killed at any moment goes on to exactly the table of an undisturbed run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from forked import Forked
from run_bench import SETTINGS, LogReporter, run_small

from wsabench.results import ResultSet, load_result

pytestmark = pytest.mark.e2e

TESTS = Path(__file__).parents[1]


Process = subprocess.Popen[bytes] | Forked


def fork(out: Path, log: Path, workers: int) -> Process:
    """Start a run in a process that is forked from this one, which imports nothing and measures no effects again."""
    return Forked(lambda: run_small(out, workers, reporter=LogReporter(log)), log.with_suffix(".txt"))


def start(out: Path, log: Path, workers: int) -> Process:
    """Start a run in a new process."""
    paths = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, str(TESTS / "run_bench.py"), str(out), str(log), str(workers)]
    return subprocess.Popen(command, env=environment)


def finished_shards(out: Path) -> set[str]:
    return {path.stem for path in (out / "episodes").glob("*.parquet")} if out.exists() else set()


def lines_of(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def kill_after_lines(process: Process, log: Path, num_lines: int, seconds: float) -> bool:
    """SIGKILL a run some time after its log has so many lines; False if it had ended by itself."""
    deadline = time.monotonic() + 120
    while process.poll() is None and len(lines_of(log)) < num_lines:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return kill_after_time(process, seconds)


def kill_after_time(process: Process, seconds: float) -> bool:
    """SIGKILL a run after a time; False if it had ended by itself."""
    try:
        assert process.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False


def check_kills(
    tmp_path: Path,
    reference: ResultSet,
    num_kills: int,
    worker_counts: tuple[int, ...],
    begin: Callable[[Path, Path, int], Process],
) -> None:
    """Kill a run so many times at random moments; whenever it comes to its end, compare and begin a new one."""
    moments = np.random.default_rng(num_kills)
    num_killed = num_begun = 0
    while num_killed < num_kills:
        out, log = tmp_path / f"killed{num_begun}", tmp_path / f"log{num_begun}"
        before, old_lines = finished_shards(out), lines_of(log)
        process = begin(out, log, worker_counts[num_killed % len(worker_counts)])
        if num_killed % 4 == 3:  # also while it starts: imports, manifest, pictures
            was_killed = kill_after_time(process, float(moments.uniform(0.0, 6.0)))
        else:
            wanted = len(old_lines) + int(moments.integers(1, 4))
            was_killed = kill_after_lines(process, log, wanted, float(moments.uniform(0.0, 0.1)))
        played = {line.split(" ")[1] for line in lines_of(log)[len(old_lines) :] if line.startswith("played")}
        assert not played & before, "a finished job was run twice"
        num_killed += was_killed
        if not was_killed:
            assert_equal(load_result(out), reference)
            num_begun += 1
    assert_equal(run_small(tmp_path / f"killed{num_begun}"), reference)
    assert not list(tmp_path.rglob("*.tmp"))


def assert_equal(result: ResultSet, reference: ResultSet) -> None:
    pd.testing.assert_frame_equal(result.episodes, reference.episodes, check_exact=True)
    pd.testing.assert_frame_equal(result.attention, reference.attention, check_exact=True)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> ResultSet:
    """An undisturbed run in this process."""
    return run_small(tmp_path_factory.mktemp("reference") / "out")


def test_the_reference_is_whole(reference: ResultSet) -> None:
    assert reference.is_complete
    assert len(reference.episodes) == 2 * len(SETTINGS["perturbations"]) * SETTINGS["episodes"]
    assert len(reference.attention) == 2 * len(SETTINGS["perturbations"])
    assert set(reference.episodes["end"]) == {"time_limit"}
    assert reference.episodes["length"].between(1, 15).all()


def test_three_kills(tmp_path: Path, reference: ResultSet) -> None:
    check_kills(tmp_path, reference, 3, (0,), fork)


@pytest.mark.slow
def test_twenty_kills(tmp_path: Path, reference: ResultSet) -> None:
    check_kills(tmp_path, reference, 20, (0, 1, 2), start)


# A worker process that is a new interpreter is compared in test_a_run_in_poor_surroundings.
def test_two_workers_and_another_order_give_the_same_table(tmp_path: Path, reference: ResultSet) -> None:
    turned = tuple(reversed(SETTINGS["agents"]))
    assert_equal(run_small(tmp_path / "out", workers=2, agents=turned), reference)


def test_a_finished_run_is_read_not_run(tmp_path: Path, reference: ResultSet) -> None:
    manifest = (reference.path / "manifest.json").read_bytes()
    shards = {path: path.stat().st_mtime_ns for path in reference.path.rglob("*.parquet")}
    again = run_small(reference.path)
    assert_equal(again, reference)
    assert (reference.path / "manifest.json").read_bytes() == manifest
    assert {path: path.stat().st_mtime_ns for path in reference.path.rglob("*.parquet")} == shards
