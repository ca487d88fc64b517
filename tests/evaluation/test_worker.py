"""A worker process as it starts: it loads what its agents need, and no more."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys
from multiprocessing import Pipe
from threading import Thread
from wsabench.evaluation.contestants import find_contestants
from wsabench.evaluation.pool.worker import WantAgent, WantTasks, work
from wsabench.evaluation.rollout import EpisodeTask, Handout
from wsabench.protocol import Protocol

here, there = Pipe()
(contestant,) = find_contestants(sys.argv[1], ["pong"], [0], Protocol(max_frames=40))
agents, told = [(0, contestant), None], []


def answer():
    tasks = [EpisodeTask(0, 0, 7, "clean", ())]
    while agents:
        message = here.recv()
        told.append(type(message).__name__)
        if isinstance(message, WantAgent):
            here.send(agents.pop(0))
        elif isinstance(message, WantTasks):
            here.send(Handout([tasks.pop()] if tasks else [], is_last=True))


Thread(target=answer).start()
work(there)
heavy = {"torch", "pandas", "pyarrow", "scipy.stats", "matplotlib"}
print("EpisodeOutcome" in told, sorted(heavy & sys.modules.keys()))
"""
"""Plays an episode as a worker does, a thread being its parent."""


@pytest.mark.parametrize("agent", ["random", "torchless:still"])
def test_a_worker_whose_agents_need_no_torch_and_no_tables_loads_none(
    agent: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("agents")
    (folder / "torchless.py").write_text("def still(observations):\n    return [0] * len(observations)\n")
    code = f"import sys; sys.path.append({str(folder)!r})\n{CODE}"
    done = subprocess.run([sys.executable, "-c", code, agent], capture_output=True, text=True, check=True)
    assert done.stdout == "True []\n"
