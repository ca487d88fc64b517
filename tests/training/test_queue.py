"""A queue of real runs, killed in the middle: expert, frames, encoders, an agent over them, handed over."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from wsabench.agents import load_agent
from wsabench.training.queue import Places
from wsabench.training.queue.record import read_record

pytestmark = pytest.mark.e2e

QUEUE = """
[[run]]
id = "expert"
kind = "train"
game = "pong"
agent = "e2e"
steps = 24576
evaluate_every = 0
[[run]]
id = "frames"
kind = "frames"
game = "pong"
after = ["expert"]
data = "mixed"
expert = "run:expert"
frames = 400
[[run]]
id = "encoders"
kind = "pretrain"
game = "pong"
after = ["frames"]
frames = "run:frames"
steps = { ae = 20, sr = 20, transporter = 20, vos = 20 }
[[run]]
id = "wsa"
kind = "train"
game = "pong"
agent = "wsa"
after = ["encoders"]
encoders = "run:encoders"
steps = 4096
[[run]]
id = "random"
kind = "train"
game = "pong"
agent = "wsa-random"
steps = 2048
"""


def command(queue: Path, out: Path, *options: str) -> list[str]:
    code = "import sys; from wsabench.cli import main; sys.exit(main())"
    return [sys.executable, "-c", code, "train", "--queue", str(queue), "--out", str(out), *options]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_queue_that_is_killed_goes_on_to_agents_that_play(tmp_path: Path) -> None:
    queue, places = tmp_path / "queue.toml", Places(tmp_path / "out")
    queue.write_text(QUEUE)
    first = subprocess.Popen(command(queue, places.root, "--parallel", "1"))
    curve = places.run("expert") / "curve.csv"
    # A checkpoint is written every ten updates: killed after eleven, a run goes on at 20,480 steps.
    while first.poll() is None and not (curve.exists() and len(curve.read_text().splitlines()) > 11):
        time.sleep(0.5)
    first.kill()
    assert first.wait() == -9
    subprocess.run(command(queue, places.root), check=True)
    record = read_record(places.record("expert"))
    assert record is not None
    assert [session.from_steps for session in record.sessions] == [0, 20480]
    assert len(curve.read_text().splitlines()) == 1 + 12

    baselines = tmp_path / "baselines"
    subprocess.run(command(queue, places.root, "--export", str(baselines)), check=True)
    for name in ("e2e", "wsa", "wsa-random"):
        policy = load_agent(baselines / "pong" / f"{name}-seed0.safetensors", "pong")
        assert policy.meta.training["stored_dtype"] == "float16"
    loaded = load_agent(baselines / "pong" / "wsa-seed0.safetensors").meta.encoder_hashes
    assert loaded == load_agent(places.agent("wsa")).meta.encoder_hashes
    assert loaded != load_agent(baselines / "pong" / "wsa-random-seed0.safetensors").meta.encoder_hashes
    assert "| `wsa` | wsa | 0 | 4,096 |" in (baselines / "RUNS.md").read_text()
    assert np.isfinite(record.final["return_unclipped"])
