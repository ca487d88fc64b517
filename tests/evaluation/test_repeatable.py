"""Runs say which agents cannot be repeated, and what they keep of own policies; asking does not disturb play."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from notebook import Notebook
from torch import nn

from wsabench.errors import ResultSetError
from wsabench.evaluation import run
from wsabench.evaluation.contestants import find_contestants
from wsabench.hashing import bytes_hash
from wsabench.protocol import Protocol
from wsabench.report.tables.provenance import provenance_tables, steps_to_reproduce
from wsabench.results.records import ACTION_DIGITS
from wsabench.results.result import DRAWS, DRAWS_LEGEND, ResultSet
from wsabench.summary.summarise import summarise
from wsabench.types import LaneBatch

SHORT: dict[str, Any] = {
    "games": ["breakout"],
    "perturbations": ["clean", "hue-rotate@1"],
    "episodes": 1,
    "workers": 1,
    "protocol": {"max_frames": 60},
}


def played(out: Path, agents: Any, **more: Any) -> tuple[ResultSet, list[str]]:
    told = Notebook()
    return run(agents=agents, out=out, reporter=told, **{**SHORT, **more}), told.notes


def sampling_with_torch(observations: np.ndarray) -> np.ndarray:
    return torch.randint(4, (len(observations),)).numpy()


class Repeatable:
    version = "1"

    def act(self, observations: np.ndarray, lanes: LaneBatch) -> np.ndarray:
        return np.array([one.integers(4) for one in lanes.generators])


def test_an_agent_that_draws_of_its_own_is_marked_everywhere(tmp_path: Path) -> None:
    result, notes = played(tmp_path, {"loose": sampling_with_torch, "tight": Repeatable()})
    entries = {entry.agent: entry for entry in result.manifest.plan.agents}
    assert (entries["loose"].draws, entries["tight"].draws) == (True, False)
    assert [note for note in notes if note.startswith("loose answered otherwise")]
    assert not [note for note in notes if note.startswith("tight")]
    text = (tmp_path / "manifest.json").read_text()
    assert text.count('"draws": true') == text.count('"draws"') == 1
    summary = summarise(result)
    assert any(note.startswith("Not repeatable: loose answered") for note in summary.notes)
    (agents,) = [table for table in provenance_tables(summary, result.manifest) if table.title == "Agents"]
    assert [row[0] for row in agents.rows] == [f"loose {DRAWS}", "tight"]
    assert DRAWS_LEGEND in agents.caption
    assert any("but for loose, which cannot be repeated" in step.words for step in steps_to_reproduce(result.manifest))


class Counting:
    """Remembers every step that it was ever asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def act(self, observations: np.ndarray, lanes: LaneBatch) -> np.ndarray:
        self.asked += 1
        return np.full(len(observations), self.asked % 4)


def test_an_object_is_asked_on_a_copy() -> None:
    policy = Counting()
    (one,) = find_contestants({"own": policy}, ["breakout"], [0], Protocol())
    assert (one.draws, policy.asked) == (True, 0)


class Uncopied(Counting):
    def __deepcopy__(self, memo: Any) -> Any:
        raise RuntimeError("holds a socket")


def test_an_object_that_cannot_be_copied_is_asked_itself() -> None:
    policy = Uncopied()
    (one,) = find_contestants({"own": policy}, ["breakout"], [0], Protocol())
    assert (one.draws, policy.asked) == (True, 4)


def test_shared_generators_play_as_if_nobody_had_been_asked(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        tables = []
        for name in ("a", "b"):
            torch.manual_seed(5)
            tables.append(played(tmp_path / name, {"own": sampling_with_torch})[0].episodes)
        assert tables[0]["action_hash"].tolist() == tables[1]["action_hash"].tolist()
        torch.manual_seed(5)
        chosen = bytes(int(torch.randint(4, (16,))[0]) for _ in range(tables[0]["length"][0]))
    assert tables[0]["action_hash"][0] == bytes_hash(chosen, ACTION_DIGITS)


class Net(nn.Module):
    def __init__(self, bias: float) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 4)
        nn.init.zeros_(self.layer.weight)
        nn.init.constant_(self.layer.bias, bias)

    def forward(self, observations: np.ndarray) -> np.ndarray:
        return np.full(len(observations), int(self.layer.bias[0].item()))


def test_what_is_kept_is_announced_line_by_line_and_new_weights_are_not_old_ones(tmp_path: Path) -> None:
    agents = {"mine": Repeatable(), "net": Net(2.0)}
    played(tmp_path, agents)
    _, notes = played(tmp_path, agents)
    assert any(note.startswith("mine, version '1': 2 finished jobs kept. If its code was changed") for note in notes)
    assert [note for note in notes if note.startswith("net, hash ") and note.endswith(": 2 finished jobs kept.")]
    with pytest.raises(ResultSetError, match=r"checkpoint of net \(train seed 0\) on breakout is .* there and .* here"):
        played(tmp_path, {"mine": Repeatable(), "net": Net(3.0)})
