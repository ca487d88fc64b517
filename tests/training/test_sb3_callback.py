"""The callback for Stable-Baselines3 on real trainings of its PPO and DQN on Breakout."""

from __future__ import annotations

import json
import multiprocessing
import random  # noqa: TID251  (whose state must stay as it was)
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from wsabench.errors import CheckpointError, ResultSetError, SpecError, UnknownNameError, WorkerError
from wsabench.evaluation import run
from wsabench.results.result import load_result

pytestmark = [pytest.mark.extra, pytest.mark.e2e]
CELLS = ["clean", "invert"]


def environments(name: str = "BreakoutNoFrameskip-v4") -> Any:
    import ale_py
    import gymnasium
    from stable_baselines3.common.env_util import make_atari_env
    from stable_baselines3.common.vec_env import VecFrameStack

    gymnasium.register_envs(ale_py)
    return VecFrameStack(make_atari_env(name, n_envs=2, seed=3), n_stack=4)


def made_ppo(**policy: Any) -> Any:
    from stable_baselines3 import PPO

    return PPO(
        "CnnPolicy", environments(), n_steps=32, batch_size=32, n_epochs=1, seed=1, device="cpu", policy_kwargs=policy
    )


def made_callback(out: Path, **options: Any) -> Any:
    from wsabench.sb3 import RobustnessCallback

    options = {"suite": "smoke", "perturbations": CELLS, "every": 64, "episodes": 1} | options
    return RobustnessCallback(out, **options)


def recorded(model: Any) -> list[dict[str, Any]]:
    """Keep all that the logger of a model writes."""
    from stable_baselines3.common.logger import KVWriter, Logger

    kept: list[dict[str, Any]] = []

    class Keeping(KVWriter):
        def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
            kept.append({**key_values, "step": step})

    model.set_logger(Logger(None, [Keeping()]))
    return kept


def state(model: Any) -> dict[str, torch.Tensor]:
    weights = {name: value.clone() for name, value in model.policy.state_dict().items()}
    optimizer = model.policy.optimizer.state_dict()["state"]
    return weights | {f"adam {k} {name}": value for k, part in optimizer.items() for name, value in part.items()}


def next_draws() -> tuple[float, ...]:
    """What Python's, NumPy's and torch's global generators draw next."""
    return random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002


@pytest.mark.parametrize("policy", [{}, {"activation_fn": nn.Mish}], ids=["standard", "opened by the library"])
def test_training_is_the_same_to_the_bit_and_the_logger_gets_what_the_saved_policies_score(
    policy: dict[str, Any], tmp_path: Path
) -> None:
    alone = made_ppo(**policy).learn(128)
    drawn = next_draws()
    model, callback = made_ppo(**policy), made_callback(tmp_path / "out")
    kept = recorded(model)
    model.learn(128, callback=callback)
    assert next_draws() == drawn
    for name, value in state(alone).items():
        assert torch.equal(value, state(model)[name]), name

    table = pd.read_csv(tmp_path / "out" / "robustness.csv")
    assert table["steps"].tolist() == [64, 64, 128, 128]
    assert table["cell"].tolist() == CELLS * 2
    assert [row.mean_return for row in callback.rows] == table["mean_return"].tolist()
    for steps in (64, 128):
        result = load_result(tmp_path / "out" / f"steps-{steps:010d}")
        (told,) = [row for row in kept if row["step"] == steps]
        means = result.episodes.groupby("perturbation")["return"].mean()
        for cell in CELLS:
            assert told[f"wsabench/{cell}"] == means[cell]
            assert told[f"wsabench/{cell}/normalised_score"] == pytest.approx((means[cell] - 1.7) / (30.5 - 1.7))
        (entry,) = result.manifest.plan.agents
        assert (entry.view["start"], entry.view["luminance"]) == ("steps", "maximum")
    assert not (tmp_path / "out" / "BreakoutNoFrameskip-v4-check.zip").exists()
    file = tmp_path / "out" / "BreakoutNoFrameskip-v4-steps-0000000128.zip"
    again = run(
        suite="smoke",
        agents={"policy": f"sb3:{file}"},
        perturbations=CELLS,
        episodes=1,
        trust=True,
        workers=1,
        out=tmp_path / "again",
    )
    pd.testing.assert_frame_equal(again.episodes, result.episodes)


def test_agents_with_action_values_play_greedily(tmp_path: Path) -> None:
    from stable_baselines3 import DQN

    model = DQN("CnnPolicy", environments(), buffer_size=200, learning_starts=50, train_freq=8, seed=1, device="cpu")
    model.learn(64, callback=made_callback(tmp_path / "out", perturbations=["clean"]))
    manifest = json.loads((tmp_path / "out" / "steps-0000000064" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["plan"]["protocol"]["action_selection"] == "greedy"


def test_mistakes_are_found_before_the_first_step(tmp_path: Path) -> None:
    from wsabench.sb3 import RobustnessCallback

    with pytest.raises(SpecError, match=r"every is 0\. Allowed: integers from 1"):
        RobustnessCallback(tmp_path, every=0)
    model = made_ppo()
    with pytest.raises(UnknownNameError, match="hue-rotate"):
        model.learn(64, callback=made_callback(tmp_path / "a", perturbations=["clean", "hue-rotat@3"]))
    with pytest.raises(CheckpointError, match="BreakoutNoFrameskip-v4, not on pong"):
        model.learn(64, callback=made_callback(tmp_path / "b", game="pong"))
    (tmp_path / "c" / "steps-0000000064").mkdir(parents=True)
    with pytest.raises(ResultSetError, match="holds results of another training, steps-0000000064"):
        model.learn(64, callback=made_callback(tmp_path / "c"))
    assert model.num_timesteps == 0


class Waiting(nn.Module):
    """A layer that waits for ever where training does not run."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        if multiprocessing.parent_process() is not None:
            time.sleep(3600)
        return values.relu()


def test_a_policy_that_waits_for_ever_elsewhere_is_told_of_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wsabench.sb3

    monkeypatch.setattr(wsabench.sb3, "WORKER_TIMEOUT", 3.0)
    model = made_ppo(activation_fn=Waiting, net_arch=[8])  # without a layer nobody calls it
    with pytest.warns(UserWarning, match="was ended"), pytest.raises(WorkerError, match="no answer came for 3 s"):
        model.learn(64, callback=made_callback(tmp_path / "a"))
    assert model.num_timesteps == 0


def test_a_missing_package_is_named_with_its_extra() -> None:
    code = "import sys; sys.modules['stable_baselines3'] = None; import wsabench.sb3"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'wsabench[sb3]'" in done.stderr
