"""Files that a frozen campaign handed over act here as they act in its clone.

`campaign/actions.json` was recorded by the clone's own code: for 1,000 stored observations of Pong
(`campaign/observations.npz`, 1,003 frames, stacks of 4) the greedy action of each agent, a hexadecimal digit each
(`campaign/record.py`).
`campaign/embeddings.npz` holds what the clone's code made of the same observations with the encoders of Pong: two
numbers an observation, the embedding's products with cos(i) and cos(2 i) over its elements i = 1, 2, ..., divided by
the square root of their number.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from wsabench.agents import load_agent
from wsabench.encoders import EncoderBank
from wsabench.hashing import file_hash
from wsabench.resources import data_dir
from wsabench.training.queue import read_records, records_path
from wsabench.training.queue.record import final_returns

pytestmark = pytest.mark.oracle

HERE = Path(__file__).parent / "campaign"
RECORDED = json.loads((HERE / "actions.json").read_text(encoding="utf-8"))
ENCODERS = ("ae", "sr", "oke", "okk", "vos")


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
    policy = load_agent(path)
    model, bank = policy._model, policy._bank
    with torch.no_grad():
        logits = torch.cat([model(model.prepare(part, bank)).logits for part in stacks.split(100)])
    found = "".join(format(action, "x") for action in logits.argmax(dim=1).tolist())
    differing = [step for step, pair in enumerate(zip(found, recorded["actions"], strict=True)) if len(set(pair)) > 1]
    # Another type of CPU may round the two best actions of a step the other way where they are nearly equal; embeddings
    # are in half precision.
    best = logits.topk(2, dim=1).values
    near = 1e-3 if bank is None else 0.01
    assert all(float(best[step, 0] - best[step, 1]) < near for step in differing), differing
    assert len(differing) <= recorded["near"]


def test_the_recorded_actions_are_varied() -> None:
    assert all(len(set(recorded["actions"])) > 1 and len(recorded["actions"]) == 1000 for recorded in RECORDED.values())


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_of_the_campaign_embeds_as_in_its_clone(name: str, stacks: torch.Tensor, one_thread: None) -> None:
    folder = data_dir("baselines") / "pong" / "encoders"
    recorded = np.load(HERE / "embeddings.npz")
    assert file_hash(folder / f"{name}.safetensors") == recorded[f"{name}.sha256"], "another file than the recorded one"
    bank = EncoderBank.load("pong", directory=folder)
    parts = [bank.embed(part, [name])[name] for part in stacks.split(100)]
    embeddings = torch.cat(parts).flatten(1).double().numpy()
    elements = np.arange(1, embeddings.shape[1] + 1)
    basis = np.stack([np.cos(elements), np.cos(2 * elements)], axis=1) / np.sqrt(len(elements))
    # Embeddings are float16: another type of CPU rounds some of them to the neighbouring value.
    np.testing.assert_allclose(embeddings @ basis, recorded[name], atol=0.005)
    assert recorded[name].std(axis=0).min() > 0.05, "all observations look the same to it"


def test_curves_and_rows_of_the_campaign_say_what_its_records_say() -> None:
    baselines = data_dir("baselines")
    records = read_records(records_path(baselines, "campaign-1"))
    rows = (baselines / "RUNS.md").read_text(encoding="utf-8").splitlines()
    trained = [one for one in records.values() if one.kind == "train" and one.handed_over]
    assert len(trained) >= 8
    for record in trained:
        (curve,) = (name for name in record.handed_over if name.endswith("-curve.csv"))
        assert final_returns(baselines / curve) == record.final, record.id
        assert int(pd.read_csv(baselines / curve)["steps"].iloc[-1]) == record.steps
        (row,) = (row for row in rows if row.startswith(f"| `{record.id}` |"))
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[1:4] == [record.name, str(record.seed), f"{record.steps:,}"]
        assert cells[5:8] == [
            *(f"{record.final[key]:.1f}" for key in ("return_unclipped", "return_clipped")),
            f"[curve]({curve})",
        ]
