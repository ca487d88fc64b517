"""The gate on the shipped baselines: the reference passes against itself, and a damaged agent makes it fail."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from wsabench.agents.checkpoint import read_checkpoint, save_checkpoint
from wsabench.cli import main

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ROOT / "results" / "smoke"
SHIPPED = ROOT / "baselines" / "breakout" / "e2e-seed0.safetensors"


def damage(path: Path, noise: float) -> Path:
    """Write the shipped agent with noise on every weight, `noise` standard deviations of its tensor large."""
    shipped = read_checkpoint(SHIPPED)
    rng = np.random.default_rng(0)
    weights = {
        name: value + noise * float(value.std()) * torch.from_numpy(rng.standard_normal(tuple(value.shape), np.float32))
        for name, value in shipped.weights.items()
        if value.numel() > 1
    }
    save_checkpoint(path, {**shipped.weights, **weights}, shipped.meta)
    return path


def test_the_reference_passes_against_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(SMOKE), "--against", str(SMOKE), "--strict"]) == 0
    assert "all tests rule out one" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "code"), [(0.0, 0), (0.5, 1)])
def test_a_damaged_agent_fails_and_an_undamaged_one_passes(
    noise: float, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = damage(tmp_path / "agent.safetensors", noise)
    run = ["run", "--suite", "smoke", "--agents", f"e2e={agent}", "--episodes", "12", "--seed", "7"]
    assert main([*run, "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    assert main(["check", str(tmp_path / "run"), "--against", str(SMOKE), "--agents", "e2e"]) == code
    printed = capsys.readouterr().out
    assert ("Regression: " in printed) == bool(code)
    assert "episodes of one checkpoint were compared, not paired" in " ".join(printed.split())
