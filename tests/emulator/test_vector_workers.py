"""Worker processes: the same trajectories, clear errors, nothing left behind."""

import gc
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import pytest

from wsabench.emulator import make_vec
from wsabench.errors import UnknownNameError, WorkerError
from wsabench.protocol import Protocol

NAMES = ["clean", "hue-rotate@3", "strobe@3", "gaussian-noise@3+sticky-actions@2", "strobo-mode-blocks"]
"""Colours, noise, control channel and memory that are drawn while playing."""


def trajectory(num_workers: int) -> list[bytes]:
    """Return everything that 30 steps and a partial reset show."""
    protocol = Protocol.training().with_changes(max_frames=80)
    env = make_vec("breakout", 5, NAMES, 3, num_workers, protocol, "same_step")
    observations, infos = env.reset()
    shown = [observations.tobytes(), repr(infos).encode()]
    for step, actions in enumerate(np.random.default_rng(0).integers(4, size=(30, 5))):
        if step == 15:
            mask = np.array([False, True, False, True, True])
            options = {"reset_mask": mask, "perturbations": [None, "clean", None, None, "contrast@2"]}
            observations, infos = env.reset(seed=[None, 8, None, None, 9], options=options)
            shown += [observations.tobytes(), repr(infos).encode()]
        *arrays, infos = env.step(actions)
        shown += [array.tobytes() for array in arrays]
        shown.append(repr(infos).encode())
    names = list(env.perturbation_names)
    env.close()
    assert names == ["clean", "clean", *NAMES[2:4], "contrast@2"]
    return shown


def test_the_number_of_workers_does_not_matter():
    assert trajectory(3) == trajectory(0)  # 3: of one and of two lanes


def worker_pids(env) -> list[int]:
    """Return the process ids of the workers."""
    return [worker.process.pid for worker in env._lanes._workers]


def is_running(pid: int) -> bool:
    """Whether a process runs (one that ended and was not waited for does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


# How the end by any signal is told is tested in test_processes.py.
@pytest.mark.parametrize("signal_number", [signal.SIGKILL, pytest.param(signal.SIGSEGV, marks=pytest.mark.slow)])
def test_a_killed_worker_is_named(signal_number):
    env = make_vec("pong", 3, num_workers=2, seed=0)
    env.reset()
    pids = worker_pids(env)
    os.kill(pids[1], signal_number)
    while is_running(pids[1]):
        time.sleep(0.01)
    with pytest.raises(WorkerError, match=rf"Worker 1 \(process {pids[1]}, lanes 1 to 2\) was killed by signal"):
        env.step(np.zeros(3, np.int64))
    assert not any(is_running(pid) for pid in pids)
    with pytest.raises(WorkerError, match=r"have ended. Make the environment again"):
        env.step(np.zeros(3, np.int64))
    with pytest.raises(WorkerError, match="have ended"):
        env.reset()
    env.close()


def test_an_error_in_a_worker_keeps_class_message_and_traceback(tmp_path, monkeypatch):
    env = make_vec("pong", 2, num_workers=1, seed=0)
    (tmp_path / "families").mkdir()
    (tmp_path / "families" / "mine.toml").write_text(
        '[my-invert]\nfamily = "color"\nkind = "palette.invert"\nsummary = "Mine"\n'
    )
    monkeypatch.setenv("WSABENCH_PERTURBATIONS", str(tmp_path))  # for this process; the worker has started
    with pytest.raises(UnknownNameError, match="Unknown perturbation 'my-invert'") as caught:
        env.reset(options={"perturbations": "my-invert"})
    assert "worker.py" in "".join(traceback.format_exception(caught.value))
    env.close()


def test_a_foreign_error_in_a_worker_is_one_message(capfd):
    env = make_vec("pong", 3, num_workers=2, seed=0)
    pids = worker_pids(env)
    with pytest.raises(
        WorkerError, match=r"Worker 0 \(process \d+, lanes 0 to 0\) failed: IndexError: .*\. "
    ) as caught:
        env._lanes._exchange({env._lanes._workers[0]: {"reset": {"rows": [9], "seeds": [0], "perturbations": [None]}}})
    assert "group.py" in "".join(traceback.format_exception(caught.value))
    assert "Traceback" not in capfd.readouterr().err
    assert not any(is_running(pid) for pid in pids)
    env.close()


def test_a_stopped_worker_does_not_make_close_hang(monkeypatch):
    monkeypatch.setattr("wsabench.emulator.workers._CLOSE_TIMEOUT_S", 0.3)
    env = make_vec("pong", 2, num_workers=2, seed=0)
    env.reset()
    pids = worker_pids(env)
    os.kill(pids[0], signal.SIGSTOP)
    start = time.monotonic()
    env.close()
    assert time.monotonic() - start < 10
    assert not any(is_running(pid) for pid in pids)


@pytest.mark.usefixtures("new_interpreters")
def test_more_workers_than_lanes_is_as_many_as_lanes_and_close_leaves_none_behind():
    def num_open_files() -> int:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    before = num_open_files()
    env = make_vec("pong", 2, num_workers=7, seed=0)
    env.reset()
    pids = worker_pids(env)
    assert len(pids) == 2
    assert all(is_running(pid) for pid in pids)
    env.close()
    env.close()
    assert not any(is_running(pid) for pid in pids)
    del env
    assert num_open_files() == before


def test_an_environment_that_is_dropped_ends_its_workers():
    env = make_vec("pong", 2, num_workers=1, seed=0)
    pids = worker_pids(env)
    del env
    gc.collect()
    assert not any(is_running(pid) for pid in pids)


# No `if __name__ == "__main__"`: a script without it must work too.
SCRIPT = """
import time
from wsabench.emulator import make_vec
env = make_vec("pong", 2, num_workers=2, seed=0)
env.reset()
print(*[worker.process.pid for worker in env._lanes._workers], flush=True)
time.sleep(60)
"""


def test_workers_end_with_a_killed_parent(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 2
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while any(is_running(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_running(pid) for pid in pids)
