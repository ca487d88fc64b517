"""Whether our PPO learns as Stable-Baselines3's does: the same network and hyper-parameters, on Catch.

Run in a checkout: `python benchmarks/learning_agreement.py --seeds 3`. One core, some minutes. Prints mean returns of
the last 50 games of training (the best is 1, chance -0.7) and the step at which they first exceed 0.9.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from catch import CatchVector  # pyright: ignore[reportMissingImports]

from wsabench.agents import load_spec
from wsabench.training import PPOPreset
from wsabench.training.run import make_trainer

PRESET = PPOPreset(
    name="agreement",
    num_envs=16,
    rollout_steps=32,
    minibatch_size=128,
    learning_rate=1e-3,
    anneal_clip=False,
)
WINDOW = 50
LEARNED = 0.9
Curve = list[tuple[int, float]]
"""Steps, and the mean return of the last games."""


class CatchVecEnv(VecEnv):
    """Catch as Stable-Baselines3 steps it: lanes that end start a new game at once."""

    def __init__(self, num_envs: int, seed: int) -> None:
        self.games = CatchVector(num_envs)
        super().__init__(num_envs, self.games.single_observation_space, self.games.single_action_space)
        self._draws = np.random.Generator(np.random.PCG64(seed))
        self._actions = np.zeros(num_envs, np.int64)
        self.returns: deque[float] = deque(maxlen=WINDOW)

    def reset(self) -> np.ndarray:
        return self._start(np.ones(self.num_envs, bool))

    def _start(self, mask: np.ndarray) -> np.ndarray:
        seeds = self._draws.integers(2**31, size=self.num_envs)
        return self.games.reset(seed=seeds, options={"reset_mask": mask})[0]

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        observations, rewards, ended, _, infos = self.games.step(self._actions)
        details: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for lane in np.flatnonzero(ended):
            self.returns.append(float(infos["episode_return"][lane]))
            details[lane] = {"terminal_observation": observations[lane].copy(), "TimeLimit.truncated": False}
        if ended.any():
            observations = self._start(ended)
        return observations, rewards.astype(np.float32), ended, details

    def close(self) -> None:
        self.games.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs


class Record(BaseCallback):
    """Writes a learning curve."""

    def __init__(self, envs: CatchVecEnv) -> None:
        super().__init__()
        self.envs, self.curve = envs, Curve()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.curve.append((self.num_timesteps, float(np.mean(self.envs.returns))))


def learn_theirs(seed: int, steps: int) -> Curve:
    envs = CatchVecEnv(PRESET.num_envs, seed)
    model = PPO(
        "CnnPolicy",
        envs,
        learning_rate=lambda left: PRESET.learning_rate * left,
        n_steps=PRESET.rollout_steps,
        batch_size=PRESET.minibatch_size,
        n_epochs=PRESET.epochs,
        gamma=PRESET.discount,
        gae_lambda=PRESET.gae_lambda,
        clip_range=PRESET.clip,
        ent_coef=PRESET.entropy_coefficient,
        vf_coef=PRESET.value_coefficient,
        max_grad_norm=PRESET.max_gradient_norm,
        policy_kwargs={"optimizer_kwargs": {"eps": 1e-5}},
        seed=seed,
        device="cpu",
    )
    record = Record(envs)
    model.learn(steps, callback=record)
    return record.curve


def learn_ours(seed: int, steps: int) -> Curve:
    preset = PPOPreset.from_dict({**PRESET.to_dict(), "total_steps": steps})
    with tempfile.TemporaryDirectory() as folder:
        envs = CatchVector(preset.num_envs)
        trainer = make_trainer(load_spec("e2e"), preset, "catch", seed, envs, None, Path(folder))
        trainer.start()
        rows = [trainer.run_update() for _ in range(preset.num_updates)]
    return [(int(row["steps"]), float(row["return_unclipped_mean_50"])) for row in rows]


def learned_at(curve: Curve) -> int | None:
    return next((steps for steps, mean in curve if mean > LEARNED), None)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40_000)
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    for name, learn in (("stable-baselines3", learn_theirs), ("wsabench", learn_ours)):
        for seed in range(options.seeds):
            curve = learn(seed, options.steps)
            quarters = [curve[len(curve) * part // 4 - 1] for part in range(1, 5)]
            shown = "  ".join(f"{steps}: {mean:+.2f}" for steps, mean in quarters)
            print(f"{name:18} seed {seed}  {shown}  above {LEARNED} at {learned_at(curve)}", flush=True)


if __name__ == "__main__":
    main()
