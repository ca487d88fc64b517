"""A policy that takes its time and leaves a mark where it plays; a worker process can import it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
from scripted_policies import Sampler

from wsabench.types import LaneBatch

MARKS = "WSABENCH_TEST_MARKS"
"""Environment variable: the folder where it leaves its marks."""
RAYLET = "RAY_RAYLET_PID"
"""Environment variable that Ray sets in its workers: the process that stands for their node."""
_SECONDS = 0.02


class Slow(Sampler):
    """Draws, slowly; each process that plays it leaves a file with the name of its node."""

    def draw(self, observations: np.ndarray, lanes: LaneBatch) -> np.ndarray:
        if node := os.environ.get(RAYLET):
            (Path(os.environ[MARKS]) / node).touch()
        time.sleep(_SECONDS)
        return super().draw(observations, lanes)


one, another = Slow("one"), Slow("another")
