"""Clean scores that model cards and results.json state, and what a run says of them, on a hub's cache made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from msgspec import structs
from notebook import Notebook

from wsabench.agents.elsewhere.cards import stated_score
from wsabench.evaluation import run
from wsabench.summary.stated import stated_notes
from wsabench.summary.summarise import summarise
from wsabench.types import StatedScore

ZOO = """---
library_name: stable-baselines3
tags:
- BreakoutNoFrameskip-v4
- deep-reinforcement-learning
model-index:
- name: DQN
  results:
  - metrics:
    - type: mean_reward
      value: 398.00 +/- 16.30
      name: mean_reward
    task:
      type: reinforcement-learning
      name: reinforcement-learning
    dataset:
      name: BreakoutNoFrameskip-v4
      type: BreakoutNoFrameskip-v4
---

# **DQN** Agent playing **BreakoutNoFrameskip-v4**
"""
CLEANRL = """---
tags: [Pong-v5, custom-implementation]
library_name: cleanrl
model-index:
- name: PPO
  results:
  - task:
      type: reinforcement-learning
    dataset:
      name: Pong-v5
    metrics:
    - name: mean_reward
      verified: false
      value: '-20.80 +/- 0.40'  # over ten
      type: mean_reward
---
"""


@pytest.mark.parametrize(
    ("text", "mean", "deviation"),
    [
        (ZOO, 398.0, 16.3),
        (CLEANRL, -20.8, 0.4),
        (ZOO.replace("398.00 +/- 16.30", "1,398.5"), 1398.5, None),
        (ZOO.replace("398.00 +/- 16.30", '"398.00 ± 16.30"'), 398.0, 16.3),
        ("\ufeff" + ZOO.replace("---\n", "--- \n"), 398.0, 16.3),
    ],
)
def test_a_card_states_a_score(text: str, mean: float, deviation: float | None, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    assert stated_score(tmp_path / "a.zip") == StatedScore(mean=mean, deviation=deviation, source="README.md")


TWO = ZOO.replace("    task:\n", "    - type: mean_reward\n      value: 3.0\n    task:\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# PPO\n",
        ZOO.replace("---\n", ""),
        ZOO.replace("mean_reward", "accuracy"),
        ZOO.replace("398.00", "unknown"),
        TWO,
    ],
)
def test_other_notes_state_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    (tmp_path / "results.json").write_text("[1, ")
    assert stated_score(tmp_path / "a.zip") is None


def test_results_of_a_zoo_say_more_than_the_card(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(ZOO)
    found = {"mean_reward": "21.0", "std_reward": 0, "n_eval_episodes": 10, "is_deterministic": True}
    (tmp_path / "results.json").write_text(json.dumps(found))
    assert stated_score(tmp_path / "a.zip") == StatedScore(
        mean=21.0, deviation=0.0, episodes=10, is_greedy=True, source="results.json"
    )
    (tmp_path / "results.json").write_text(json.dumps({"mean_reward": float("nan")}))
    assert stated_score(tmp_path / "a.zip") == StatedScore(mean=398.0, deviation=16.3, source="README.md")


COMMIT = "0123456789abcdef0123456789abcdef01234567"
SHAPES = {0: (32, 4, 8, 8), 2: (64, 32, 4, 4), 4: (64, 64, 3, 3), 7: (512, 3136), 9: (4, 512)}


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in the hub's cache with an agent of CleanRL."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / "models--cleanrl--BreakoutNoFrameskip-v4-dqn_atari-seed1"
    folder = repository / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    draw = torch.Generator().manual_seed(0)
    weights = {f"network.{k}.weight": torch.randn(shape, generator=draw) * 0.03 for k, shape in SHAPES.items()}
    weights |= {f"network.{k}.bias": torch.zeros(shape[0]) for k, shape in SHAPES.items()}
    torch.save(weights, folder / "dqn_atari.cleanrl_model")
    return folder


@pytest.mark.e2e
def test_a_run_says_when_its_clean_score_is_far_from_the_stated_one(snapshot: Path, tmp_path: Path) -> None:
    address = "hf:cleanrl/BreakoutNoFrameskip-v4-dqn_atari-seed1"
    (snapshot / "README.md").write_text(ZOO)
    reporter = Notebook()
    result = run(
        agents=[f"mine={address}"],
        games=["breakout"],
        perturbations=["clean", "hue-rotate@1"],
        episodes=3,
        workers=0,
        protocol={"max_frames": 160},
        out=tmp_path / "out",
        reporter=reporter,
    )
    (note,) = [note for note in reporter.notes if "README.md states" in note]
    assert "far from the 398 +/- 16.3 that README.md states (taken as of 10 episodes)" in note
    for hint in ("(here sampled; --action-selection)", "(here 4; --frame-skip)", "(here 0; --sticky)", "here resized"):
        assert hint in note
    assert note in summarise(result).notes
    (entry,) = result.manifest.plan.agents
    assert entry.stated_score is not None
    near = structs.replace(entry, stated_score=structs.replace(entry.stated_score, mean=0.5, deviation=2.0))
    plan = structs.replace(result.manifest.plan, agents=(near,))
    assert stated_notes(result.episodes, structs.replace(result.manifest, plan=plan)) == []
