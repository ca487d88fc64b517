"""Run a small bench in a process of its own, writing down what is played and finished.

Usage: run_bench.py OUT LOG WORKERS
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from wsabench.evaluation import SilentReporter, run
from wsabench.protocol import Protocol
from wsabench.results import ResultSet

SETTINGS: dict[str, Any] = {
    "suite": "color-shift",
    "agents": ("scripted_policies:sampler", "scripted_policies:attender"),
    "games": ("breakout",),
    "perturbations": ("clean", "hue-rotate@1", "hue-rotate@3", "value@2", "value@4"),
    "episodes": 2,
    "protocol": Protocol(max_frames=60),
    "seed": 5,
}


class LogReporter(SilentReporter):
    """Writes a line the moment an episode ends or a job's shard stands."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def episode_finished(self, job: Any, episodic_return: float, length: int) -> None:
        os.write(self._file, f"played {job.key}\n".encode())

    def job_finished(self, job: Any, returns: Any) -> None:
        os.write(self._file, f"finished {job.key}\n".encode())


def run_small(out: Path, workers: int = 0, **changes: Any) -> ResultSet:
    return run(**{**SETTINGS, **changes}, workers=workers, out=out)


if __name__ == "__main__":
    run_small(Path(sys.argv[1]), int(sys.argv[3]), reporter=LogReporter(Path(sys.argv[2])))
