"""Worker processes of every pool: they leave the program's main module alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
from operator import methodcaller
from wsabench.processes import started

print("begins", flush=True)
with started(2, methodcaller("send", "here"), (), "worker") as workers:
    print(*(worker.connection.recv() for worker in workers))
"""


def test_a_script_without_main_guard_may_start_workers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "begins\nhere here\n"), done.stderr
