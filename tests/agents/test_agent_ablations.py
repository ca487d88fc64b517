"""Ablations from a file of one's own: trained, stopped, resumed and loaded without any code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from catch import CatchVector

from wsabench.agents import load_agent, read_checkpoint
from wsabench.agents.networks.tuned import TunedAgent
from wsabench.progress import SilentReporter
from wsabench.training import PPOPreset, frozen, train
from wsabench.training.presets import PRESETS
from wsabench.types import LaneBatch

TINY = PPOPreset(
    name="compact", total_steps=64, num_envs=4, rollout_steps=8, minibatch_size=32, epochs=1, checkpoint_updates=1
)
FILE = """
name = "mine"
kind = "wsa"
encoders = ["okk", "ae"]
context = "ae"
encoder_source = "random"
[presets.compact]
width = 8
adapter_channels = 2
adapter_cells = 4
"""


def catch(game: str, num_envs: int) -> CatchVector:
    return CatchVector(num_envs)


def lanes(count: int) -> LaneBatch:
    return LaneBatch(
        ids=np.arange(count),
        generators=tuple(np.random.default_rng(lane) for lane in range(count)),
        episode_starts=np.zeros(count, np.bool_),
        encoder_operations=((),) * count,
    )


class Stopping(SilentReporter):
    """Ends the run after its first update, as Ctrl-C would."""

    def advance(self, n: int, **fields: float | str) -> None:
        if n:
            raise KeyboardInterrupt


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "option",
    [
        "tune_encoders = true",
        'attention = "random"',
        pytest.param('attention = "uniform"', marks=SLOW),
        pytest.param('score_layer = "per_encoder"', marks=SLOW),
        pytest.param('score_layer = "additive"', marks=SLOW),
        pytest.param('embeddings = "raw"', marks=SLOW),
        pytest.param('kind = "dpa"', marks=SLOW),
    ],
)
def test_an_ablation_trains_resumes_and_loads(option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "compact", TINY)
    monkeypatch.setattr(frozen, "CALIBRATION_OBSERVATIONS", 64)
    path = tmp_path / "mine.toml"
    path.write_text(FILE.replace('kind = "wsa"', option) if "kind" in option else FILE + option)
    options: dict[str, Any] = {"out": tmp_path / "run", "make_envs": catch}
    run = train(str(path), "catch", 0, **options)
    whole = read_checkpoint(run / "agent.safetensors").weights
    policy = load_agent(run)
    assert policy.abilities.attends_to == ("okk", "ae")
    assert isinstance(policy._model, TunedAgent) == ("tune" in option)
    observations, _ = CatchVector(20).reset(seed=list(range(20)))
    assert len(policy.act(observations, lanes(20)).actions) == 20
    # In halves: the same weights.
    halves: dict[str, Any] = {"out": tmp_path / "halves", "make_envs": catch}
    with pytest.raises(KeyboardInterrupt):
        train(str(path), "catch", 0, reporter=Stopping(), **halves)
    resumed = read_checkpoint(train(str(path), "catch", 0, **halves) / "agent.safetensors").weights
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
