"""Environments with worker processes in poor surroundings: inside workers of pools, with few files, on one core."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import hashlib
import json
import multiprocessing
import os

import numpy as np

from wsabench import make_vec

NAMES = ["hue-rotate@3+gaussian-noise@3", "sticky-actions@2"]


def play(num_workers):
    before = len(os.listdir("/proc/self/fd"))
    envs = make_vec("breakout", len(NAMES), NAMES, 0, num_workers)
    shown = hashlib.sha256(envs.reset()[0].tobytes())
    for actions in np.random.default_rng(0).integers(4, size=(20, len(NAMES))):
        for values in envs.step(actions)[:4]:
            shown.update(values.tobytes())
    envs.close()
    del envs  # and with it the memory that it showed
    left = len(os.listdir("/proc/self/fd")) - before
    return shown.hexdigest(), multiprocessing.current_process().daemon, left


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    found = [play(1)]
    for pool_of in ("fork", "spawn"):
        with multiprocessing.get_context(pool_of).Pool(1) as pool:
            found.append(pool.apply(play, (1,)))
    print(json.dumps({"alone": play(0)[0], "found": found, "is_debug": __debug__}))
"""


def few_files() -> None:
    """Allow 64 open files and one core."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


@pytest.mark.skipif(sys.platform != "linux", reason="counts open files and chooses cores as Linux does")
def test_workers_play_inside_daemonic_workers_of_pools(tmp_path: Path) -> None:
    """Pools that fork and that spawn; start method `spawn`, 64 open files, one core, `python -O`, LANG=C, no HOME."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    environment = {"PATH": os.environ["PATH"], "LANG": "C", "LC_ALL": "C", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-O", str(script)],
        cwd=tmp_path,
        env=environment | {"OMP_NUM_THREADS": "1"},
        preexec_fn=few_files,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert not told["is_debug"]
    assert [daemon for _, daemon, _ in told["found"]] == [False, True, True]
    assert {digest for digest, _, _ in told["found"]} == {told["alone"]}
    assert [left for _, _, left in told["found"]] == [0, 0, 0]
    assert done.stderr == ""
