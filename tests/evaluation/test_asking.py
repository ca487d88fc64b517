"""Agents with code of their own are asked in another process: one that ends or hangs there ends or stops nothing."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from wsabench.evaluation.contestants import Terms, find_contestants
from wsabench.evaluation.pool.asking import asked_apart
from wsabench.protocol import Protocol

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
    assert [one.name for one in asked_apart(quick, 0.0) if one.draws] == ["drawing"]
    assert asked_apart([slow], 0.5) == (slow,)
    assert multiprocessing.active_children() == []
