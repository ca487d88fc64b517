"""The fault suite: whatever happens to a run, going on gives exactly the table of an undisturbed one.

`make test-faults` runs it whole; `WSABENCH_FAULT_TRIES` says how often faults at random moments strike. Runs are forked
from this process, which makes many tries affordable; a few of them are new interpreters, as a user's are.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fault_bench import FAULTS, FEW, NEEDS_MOUNT, Bench, can_mount, has_failed, markdown, measure, tries_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(0)]

TRIES = int(os.environ.get("WSABENCH_FAULT_TRIES", "3"))
TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
VENV = Path(sys.executable).parents[1]

UNSHARED = """
set -e
readonly() { mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"; }
mount -t tmpfs -o ro tmpfs /dev/shm
readonly "$2"
readonly "$3"
: > "$1/nobody"
mount --bind "$1/nobody" /etc/passwd
if touch /dev/shm/x "$2/x" "$3/x" 2> /dev/null; then exit 9; fi
cd "$1"
exec env -i PATH="$PATH" LANG=C PYTHONPATH="$2:$2/tests" OMP_NUM_THREADS=1 "$3/bin/python" -B -O -m wsabench \\
    run --suite "$2/tests/three_cells.toml" --agents sampler=scripted_policies:sampler,random --workers 2 --out out
"""
"""A namespace of its own, with a folder to write, the package and the environment; nothing else is told of it."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Undisturbed runs to hold others against."""
    return Bench(tmp_path_factory.mktemp("faults"), seed=TRIES, forks=True)


@pytest.fixture(scope="module")
def fresh_bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The same with a new interpreter for each run."""
    return Bench(tmp_path_factory.mktemp("fresh"), seed=TRIES)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_loses_nothing(fault: str, bench: Bench) -> None:
    if fault in NEEDS_MOUNT and not can_mount():
        pytest.skip("only root may mount; `file-limit` stands in for a full disk")
    row = measure(bench, fault, tries_of(fault, TRIES))
    assert not has_failed(row), markdown([row])


@pytest.mark.parametrize("fault", ["killed-run", "interrupted", "terminated"])
def test_a_fault_of_a_new_interpreter_loses_nothing(fault: str, fresh_bench: Bench) -> None:
    row = measure(fresh_bench, fault, min(TRIES, FEW))
    assert not has_failed(row), markdown([row])


def test_a_run_without_shared_memory_home_assertions_and_a_place_in_its_install(tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("only root may mount")
    command = ["unshare", "-m", "bash", "-c", UNSHARED, "bash", str(tmp_path), str(ROOT), str(VENV)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert "all done" in done.stderr
