"""Agents with code of their own are asked in another process: one that ends or hangs there ends or stops nothing."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from notebook import Notebook

from wsabench.cli import main
from wsabench.evaluation import run
from wsabench.evaluation.contestants import Terms, find_contestants
from wsabench.evaluation.pool.asking import asked_apart
from wsabench.protocol import Protocol
from wsabench.types import LaneBatch

SHORT: dict[str, Any] = {
    "games": ["breakout"],
    "perturbations": ["clean"],
    "episodes": 1,
    "workers": 1,
    "protocol": {"max_frames": 12},
}
POLICIES = """
import os, time
import numpy as np
import torch

def still(observations):
    return np.zeros(len(observations), np.int64)

def drawing(observations):
    return torch.randint(0, 4, (len(observations),)).numpy()

def leaving(observations):
    os._exit(9)  # not 0: should it end the tests, they have failed

def sleeping(observations):
    time.sleep(3600)

def raising(observations):
    raise ValueError("mine")
"""


@pytest.mark.e2e
def test_agents_that_end_or_hang_are_not_marked_and_the_others_are_asked_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "asked_policies.py").write_text(POLICIES, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    terms = Terms(protocol=Protocol(), asks_here=False)
    names = ("leaving", "drawing", "raising", "still", "random", "sleeping")
    references = [name if name == "random" else f"{name}=asked_policies:{name}" for name in names]
    found = find_contestants(references, ["breakout"], [0], terms)
    assert not any(one.draws for one in found)  # nobody has been asked
    *quick, slow = found
    notes: list[str] = []
    assert [one.name for one in asked_apart(quick, 0.0, notes.append) if one.draws] == ["drawing"]
    assert notes == []
    assert asked_apart([slow], 2.0, notes.append) == (replace(slow, hung=True),)
    (note,) = notes
    assert note.startswith("sleeping (train seed 0) on breakout gave no answer for 2 s (--worker-timeout 2)")
    assert multiprocessing.active_children() == []


class Slow:
    def act(self, observations: np.ndarray, lanes: LaneBatch) -> np.ndarray:
        time.sleep(0.5)
        return np.zeros(len(observations), np.int64)


def test_what_is_asked_in_this_process_is_told_of_after_the_time_limit(tmp_path: Path) -> None:
    told = Notebook()
    run(agents={"slow": Slow()}, out=tmp_path, reporter=told, worker_timeout=0.2, **SHORT)
    assert "slow on breakout is not ready after 0.2 s" in told.notes[0]


@pytest.mark.slow
@pytest.mark.e2e
def test_one_that_hangs_is_named_at_once_given_up_after_one_try_and_the_others_are_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "asked_policies.py").write_text(POLICIES, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    words = ["run", "-a", "bad=asked_policies:sleeping,random", "--games", "pong", "--perturbations", "clean"]
    words += ["--episodes", "1", "--workers", "1", "--worker-timeout", "3", "--out", str(tmp_path / "out")]
    assert main(words) == 2
    notes, _, message = capfd.readouterr().err.partition("error: ")
    who = "bad (train seed 0) on pong"
    assert notes.count(f"note: {who} gave no answer for 3 s (--worker-timeout 3)") == 1
    assert message.startswith(f"{who}: its worker process made no step for 1")
    assert "given up" in message
    assert len(list((tmp_path / "out" / "episodes").glob("random*.parquet"))) == 1
