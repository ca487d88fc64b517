"""Shipped agents act as they did when they were trained: golden outputs, of `wsa` made by the campaign's own clone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from wsabench.agents import load_agent
from wsabench.encoders import EncoderBank

pytestmark = pytest.mark.oracle

GOLDEN = json.loads((Path(__file__).parent / "shipped_agents_golden.json").read_text())
STACK = torch.from_numpy(np.random.default_rng(0).integers(0, 100, (4, 4, 84, 84), dtype=np.uint8))


@pytest.mark.parametrize("name", GOLDEN)
def test_a_shipped_agent_gives_what_it_gave(name: str) -> None:
    kind, seed = name.split("-seed")
    model = load_agent(kind, game="breakout", train_seed=int(seed))._model
    with torch.no_grad():
        features = model.prepare(STACK, None) if kind == "e2e" else single_precision_features()
        output = model(features)
    for key, golden in GOLDEN[name].items():
        torch.testing.assert_close(getattr(output, key), torch.tensor(golden), atol=2e-3, rtol=2e-3)


def single_precision_features() -> dict[str, torch.Tensor]:
    """Return embeddings computed in float32, so that they do not depend on what the CPU can do."""
    embeddings = EncoderBank.load("breakout", dtype=torch.float32).embed(STACK)
    return {
        name: (value.permute(0, 2, 3, 1) if value.dim() == 4 else value).float().contiguous()
        for name, value in embeddings.items()
    }
