"""Workers that are lost in every way are noticed, named and replaced, and every episode is played once."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_workers
import pytest
from notebook import Notebook

from wsabench.evaluation.contestants import Contestant
from wsabench.evaluation.plan import Plan
from wsabench.evaluation.pool import executor
from wsabench.evaluation.pool.board import TaskBoard
from wsabench.evaluation.pool.executor import execute
from wsabench.protocol import Protocol
from wsabench.results.records import Job
from wsabench.types import Abilities

SILENT_SECONDS = 2.0


class ListStore:
    """Keeps what would be written."""

    keeps_steps = False

    def __init__(self) -> None:
        self.written: list[tuple[str, list[int]]] = []

    def write_job(self, job: Job, outcomes: Any, encoders: Any) -> None:
        self.written.append((job.agent, sorted(one.episode for one in outcomes)))


def make_plan(names: tuple[str, ...], folder: Path) -> Plan:
    contestants = tuple(Contestant(name, 0, "breakout", "import", str(folder / name), Abilities()) for name in names)
    jobs = tuple(Job(name, 0, "breakout", "color", "clean", None, (0, 2, 4), "f") for name in names)
    compiled: Any = {("breakout", "clean"): SimpleNamespace(encoder_operations=())}
    return Plan(
        suite=SimpleNamespace(name="s"),  # pyright: ignore[reportArgumentType]
        profile="quick",
        protocol=Protocol(),
        seed=0,
        num_episodes=3,
        games=("breakout",),
        perturbations=("clean",),
        contestants=contestants,
        compiled=compiled,
        effects={},
        refused={},
        misfits={},
        skipped=(),
        jobs=jobs,
    )


def test_every_kind_of_loss_is_said_and_made_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "work", fake_workers.work)
    plan = make_plan(("cut", "stopped", "holding", "whole"), tmp_path)
    store: Any = ListStore()
    notebook = Notebook()
    try:
        execute(plan, TaskBoard(plan, (), store, notebook), 1, notebook, worker_timeout=SILENT_SECONDS)
    finally:
        os.kill(int((tmp_path / "holding.child").read_text()), signal.SIGKILL)
    assert sorted(store.written) == [(name, [0, 1, 2]) for name in ("cut", "holding", "stopped", "whole")]
    said = {note.partition(" ")[0]: note for note in notebook.notes}
    assert len(notebook.notes) == len(said) == 3
    assert "its worker process ended with exit code 5 (by os._exit" in said["cut"]
    assert "its worker process ended with exit code 6 (by os._exit" in said["holding"]
    assert "made no step for 2 s and was ended (--worker-timeout 2) after about 3 steps of clean" in said["stopped"]
    pids = [int((tmp_path / name).read_text()) for name in ("cut", "stopped", "holding")]
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
