"""A command ends when all is done, whatever code of a user left; one that ends inside such code says where."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

CALL = "\nimport sys\nfrom wsabench.cli import main\nsys.argv = ['wsabench', *sys.argv[1:]]\nsys.exit(main())\n"


def called(folder: Path, code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, after some code."""
    return subprocess.run(
        [sys.executable, "-c", code + CALL, *words],
        cwd=folder,
        env={**os.environ, "WSABENCH_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_threads_and_processes_that_go_on_are_named_and_keep_nothing_from_ending(tmp_path: Path) -> None:
    code = (
        "import multiprocessing, threading, time\n"
        "threading.Thread(target=time.sleep, args=(600,), name='keeps-going').start()\n"
        "process = multiprocessing.get_context('fork').Process(target=time.sleep, args=(600,), name='plays-on')\n"
        "process.start()\n"
        "print(process.pid, flush=True)\n"
    )
    begin = time.monotonic()
    done = called(tmp_path, code, "show", "breakou")
    assert time.monotonic() - begin < 45
    assert done.returncode == 2
    error, note = done.stderr.splitlines()
    assert error.startswith("wsabench: error: Unknown name 'breakou'")
    assert note.startswith(
        "wsabench: note: all is done, and code that was loaded goes on in process plays-on, thread keeps-going."
    )
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


def test_threads_that_end_by_themselves_are_not_told_of(tmp_path: Path) -> None:
    code = (
        "import threading, time\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "pool = ThreadPoolExecutor(2)\n"
        "pool.submit(print, 'done', flush=True).result()\n"
        "threading.Thread(target=time.sleep, args=(1,)).start()\n"
    )
    done = called(tmp_path, code, "list", "suites", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("done\n{")


@pytest.mark.e2e
@pytest.mark.slow
def test_a_run_whose_policy_leaves_a_thread_ends_with_its_results(tmp_path: Path) -> None:
    (tmp_path / "threaded.py").write_text(
        "import threading, time\nimport numpy as np\n"
        "threading.Thread(target=time.sleep, args=(600,), name='of-the-policy').start()\n"
        "def policy(observations):\n    return np.zeros(len(observations), int)\n"
    )
    words = ["--perturbations", "clean", "--episodes", "1", "--protocol", "max_frames=40", "--out", "out"]
    done = called(tmp_path, "", "run", "--suite", "smoke", "-a", "threaded:policy", *words, "--workers", "0")
    assert done.returncode == 0, done.stderr
    assert "Result set: out" in done.stdout
    assert "goes on in thread of-the-policy." in done.stderr


@pytest.mark.e2e
def test_a_module_that_ends_the_command_in_this_process_is_shown(tmp_path: Path) -> None:
    (tmp_path / "crashing.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    done = called(tmp_path, "", "run", "--suite", "smoke", "-a", "crashing:policy", "--workers", "0")
    assert done.returncode == -11
    assert "Fatal Python error: Segmentation fault" in done.stderr
    assert f'File "{tmp_path}/crashing.py", line 2' in done.stderr
