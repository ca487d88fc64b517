"""Agents of other libraries inside their own wrappers, against our lanes with the view that the loader declares."""

from __future__ import annotations

import dataclasses
from collections import deque
from pathlib import Path
from typing import Any

import ale_py
import cv2
import gymnasium
import numpy as np
import pytest
import torch
from torch import nn

from wsabench.agents import load_agent
from wsabench.emulator import Lane
from wsabench.perturb import compile_perturbation
from wsabench.protocol import PROTOCOLS, Protocol
from wsabench.seeding import generator
from wsabench.types import LaneBatch

sb3 = pytest.importorskip("stable_baselines3")
from stable_baselines3.common.atari_wrappers import (  # noqa: E402
    EpisodicLifeEnv,
    FireResetEnv,
    MaxAndSkipEnv,
    NoopResetEnv,
)
from stable_baselines3.common.env_util import make_atari_env  # noqa: E402
from stable_baselines3.common.vec_env import VecFrameStack, VecTransposeImage  # noqa: E402

GAMES = {"breakout": "Breakout", "ms_pacman": "MsPacman", "pong": "Pong"}
"""With lives and FIRE; with lives and without FIRE; with FIRE and without lives."""
NUM_EPISODES = 5
GAP = 1e-4
NO_STALL = {"stall_steps": 0}


@pytest.fixture(autouse=True)
def registered() -> None:
    gymnasium.register_envs(ale_py)


def noops_of(seed: int) -> int:
    return int(generator(seed, "noops").integers(1, 30, endpoint=True))


def batch(seed: int, is_start: bool) -> LaneBatch:
    return LaneBatch(np.zeros(1, np.int64), (generator(seed, "policy"),), np.array([is_start]), ((),))


class Sb3Wrappers:
    """One environment as Stable-Baselines3 evaluates; ends with the game."""

    def __init__(self, name: str, seed: int) -> None:
        venv = make_atari_env(f"{name}NoFrameskip-v4", n_envs=1, seed=seed)
        wrapper: Any = venv.envs[0]  # pyright: ignore
        while not isinstance(wrapper, NoopResetEnv):
            wrapper = wrapper.env
        wrapper.override_num_noops = noops_of(seed)
        self.env = VecTransposeImage(VecFrameStack(venv, n_stack=4))

    def reset(self) -> np.ndarray:
        return np.asarray(self.env.reset())[0]

    def step(self, action: int) -> tuple[np.ndarray, float | None]:
        observations, _, dones, infos = self.env.step(np.array([action]))
        if dones[0] and "episode" in infos[0]:
            return np.asarray(observations)[0], float(infos[0]["episode"]["r"])
        return np.asarray(observations)[0], None


class CleanRlWrappers:
    """One environment as CleanRL makes it: the same wrappers, then resize, grey and stack of gymnasium before 1.0."""

    def __init__(self, name: str, seed: int) -> None:
        env: Any = gymnasium.make(f"{name}NoFrameskip-v4")
        env = self.counted = gymnasium.wrappers.RecordEpisodeStatistics(env)
        env = NoopResetEnv(env, noop_max=30)
        env.override_num_noops = noops_of(seed)
        env = EpisodicLifeEnv(MaxAndSkipEnv(env, skip=4))
        if "FIRE" in env.unwrapped.get_action_meanings():
            env = FireResetEnv(env)
        self.env, self.seed, self.frames = env, seed, deque(maxlen=4)

    def see(self, screen: np.ndarray) -> np.ndarray:
        small = cv2.resize(screen, (84, 84), interpolation=cv2.INTER_AREA)
        return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)

    def reset(self, seed: int | None = None) -> np.ndarray:
        screen, _ = self.env.reset(seed=self.seed if seed is None else None)
        self.frames.extend([self.see(screen)] * 4)
        return np.stack(self.frames)

    def step(self, action: int) -> tuple[np.ndarray, float | None]:
        screen, _, terminated, truncated, info = self.env.step(action)
        self.frames.append(self.see(screen))
        if "episode" in info:
            return np.stack(self.frames), float(np.asarray(info["episode"]["r"]).item())
        return (self.reset(0) if terminated or truncated else np.stack(self.frames)), None


def compare(
    policy: Any, wrappers: Any, game: str, seed: int, logits_of: Any, max_steps: int | None = None
) -> dict[str, Any]:
    """Play one episode in both; return what was seen, after asserting that it is the same."""
    protocol = Protocol.from_dict({**Protocol().to_dict(), **policy.abilities.view, **NO_STALL})
    lane = Lane(compile_perturbation("clean", game), protocol)
    lane.reset(seed)
    theirs = wrappers.reset()
    drawn, steps, decided, restarts, total = generator(seed, "test"), 0, 0, 0, None
    while steps != max_steps:
        np.testing.assert_array_equal(lane.observation, theirs, err_msg=f"{game}, seed {seed}, step {steps}")
        ours, _ = policy.scores(lane.observation[None], batch(seed, steps == 0 or lane.restarted))
        other = logits_of(torch.from_numpy(theirs[None].copy()))
        best = ours[0].topk(2).values
        if best[0] - best[1] > GAP:
            decided += 1
            assert int(ours[0].argmax()) == int(other[0].argmax())
        action = int(drawn.choice(len(ours[0]), p=ours[0].double().softmax(0).numpy()))
        theirs, total = wrappers.step(action)
        lane.step(action)
        steps, restarts = steps + 1, restarts + lane.restarted
        if total is not None or lane.end is not None:
            assert (lane.end, lane.episode_return) == ("game_over", total)
            break
    return {"steps": steps, "decided": decided, "restarts": restarts, "return": total}


@pytest.mark.oracle
@pytest.mark.slow
@pytest.mark.parametrize("game", GAMES)
def test_an_agent_of_stable_baselines3_sees_and_plays_as_in_its_own_wrappers(game: str, tmp_path: Path) -> None:
    venv = VecFrameStack(make_atari_env(f"{GAMES[game]}NoFrameskip-v4", n_envs=4, seed=0), n_stack=4)
    model = sb3.PPO("CnnPolicy", venv, n_steps=64, batch_size=64, n_epochs=2, seed=0, device="cpu")
    model.learn(2048)
    model.save(tmp_path / "ppo.zip")
    policy = load_agent(f"sb3:{tmp_path / 'ppo.zip'}", game=game)

    def logits_of(observations: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return model.policy.get_distribution(observations).distribution.logits

    seen = [
        compare(policy, Sb3Wrappers(GAMES[game], seed), game, seed, logits_of) for seed in range(0, 2 * NUM_EPISODES, 2)
    ]
    assert sum(one["decided"] for one in seen) > 0.5 * sum(one["steps"] for one in seen)
    assert sum(one["restarts"] for one in seen) == {"breakout": 20, "ms_pacman": 10, "pong": 0}[game]


@pytest.mark.oracle
@pytest.mark.parametrize("wrappers", [Sb3Wrappers, CleanRlWrappers])
def test_the_first_steps_are_seen_alike(wrappers: Any, tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = CleanRlPpo(4)
    torch.save(network.state_dict(), tmp_path / "a.pt")
    policy: Any = load_agent(f"cleanrl:{tmp_path}/a.pt", game="breakout")
    if wrappers is Sb3Wrappers:
        policy.abilities = dataclasses.replace(policy.abilities, view=dict(PROTOCOLS["sb3"]))

    def logits_of(observations: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return network.actor(network.network(observations / 255.0))

    seen = compare(policy, wrappers("Breakout", 4), "breakout", 4, logits_of, max_steps=70)
    assert seen["restarts"] > 0


class CleanRlPpo(nn.Module):
    """The network of CleanRL's ppo_atari, layer by layer."""

    def __init__(self, num_actions: int) -> None:
        super().__init__()
        self.network = nn.Sequential(
            *(nn.Conv2d(4, 32, 8, stride=4), nn.ReLU(), nn.Conv2d(32, 64, 4, stride=2), nn.ReLU()),
            *(nn.Conv2d(64, 64, 3, stride=1), nn.ReLU(), nn.Flatten(), nn.Linear(64 * 7 * 7, 512), nn.ReLU()),
        )
        self.actor, self.critic = nn.Linear(512, num_actions), nn.Linear(512, 1)
        with torch.no_grad():
            for layer in self.modules():
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    nn.init.orthogonal_(layer.weight, 2**0.5)


@pytest.mark.oracle
@pytest.mark.slow
@pytest.mark.parametrize("game", GAMES)
def test_an_agent_of_cleanrl_sees_and_plays_as_in_its_own_wrappers(game: str, tmp_path: Path) -> None:
    num_actions = gymnasium.make(f"{GAMES[game]}NoFrameskip-v4").action_space.n  # pyright: ignore
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = CleanRlPpo(int(num_actions))
    torch.save(network.state_dict(), tmp_path / "ppo_atari.cleanrl_model")
    policy = load_agent(f"cleanrl:{tmp_path / 'ppo_atari.cleanrl_model'}", game=game)

    def logits_of(observations: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return network.actor(network.network(observations / 255.0))

    seen = [
        compare(policy, CleanRlWrappers(GAMES[game], seed), game, seed, logits_of)
        for seed in range(0, 2 * NUM_EPISODES, 2)
    ]
    assert sum(one["decided"] for one in seen) > 0.5 * sum(one["steps"] for one in seen)
    assert sum(one["restarts"] for one in seen) == {"breakout": 20, "ms_pacman": 10, "pong": 0}[game]
