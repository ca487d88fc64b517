"""Files that a frozen campaign handed over act here as they act in its clone.

`campaign/actions.json` was recorded by the clone's own code: for 1,000 stored observations of Pong
(`campaign/observations.npz`, 1,003 frames, stacks of 4) the greedy action of each agent, a hexadecimal digit each.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from wsabench.agents import load_agent
from wsabench.hashing import file_hash
from wsabench.resources import data_dir

pytestmark = pytest.mark.oracle

HERE = Path(__file__).parent / "campaign"
RECORDED = json.loads((HERE / "actions.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def stacks() -> torch.Tensor:
    """Observations, uint8, shape (1000, 4, 84, 84)."""
    frames = np.load(HERE / "observations.npz")["frames"]
    windows = np.lib.stride_tricks.sliding_window_view(frames, 4, axis=0)
    return torch.from_numpy(np.ascontiguousarray(windows.transpose(0, 3, 1, 2)))


@pytest.mark.parametrize("name", RECORDED)
def test_an_agent_of_the_campaign_acts_as_in_its_clone(name: str, stacks: torch.Tensor, one_thread: None) -> None:
    path, recorded = data_dir("baselines") / name, RECORDED[name]
    assert file_hash(path) == recorded["sha256"], "another file than the one whose actions were recorded"
    model = load_agent(path)._model
    with torch.no_grad():
        logits = torch.cat([model(model.prepare(part, None)).logits for part in stacks.split(100)])
    found = "".join(format(action, "x") for action in logits.argmax(dim=1).tolist())
    differing = [step for step, pair in enumerate(zip(found, recorded["actions"], strict=True)) if len(set(pair)) > 1]
    # Another type of CPU may round the two best actions of a step the other way where they are nearly equal.
    best = logits.topk(2, dim=1).values
    assert all(float(best[step, 0] - best[step, 1]) < 1e-3 for step in differing), differing
    assert len(differing) <= recorded["near"]


def test_the_recorded_actions_are_varied() -> None:
    assert all(len(set(recorded["actions"])) > 1 and len(recorded["actions"]) == 1000 for recorded in RECORDED.values())
