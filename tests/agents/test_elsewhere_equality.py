"""Agents of other libraries inside their own wrappers, against our lanes with the view that the loader declares.

Agents of Stable-Baselines3 are trained by it, those of CleanRL are its networks saved as its scripts save them; what
the other loaders open is one of these networks.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections import deque
from pathlib import Path
from typing import Any

import ale_py
import cleanrl_networks
import cv2
import gymnasium
import numpy as np
import pytest
import torch

from wsabench.agents import load_agent
from wsabench.emulator import Lane
from wsabench.errors import CheckpointError
from wsabench.perturb import compile_perturbation
from wsabench.protocol import PROTOCOLS, Protocol
from wsabench.seeding import generator
from wsabench.types import LaneBatch

pytestmark = [pytest.mark.oracle, pytest.mark.extra]

GAMES = {"breakout": "Breakout", "ms_pacman": "MsPacman", "pong": "Pong"}
"""With lives and FIRE; with lives and without FIRE; with FIRE and without lives."""
SEEDS = range(0, 10, 2)
CAP = 150
"""Steps of an episode, but for PPO and Breakout, whose episodes are played to the end."""
GAP = 1e-4
NO_STALL = {"stall_steps": 0}


@pytest.fixture(autouse=True)
def registered() -> None:
    gymnasium.register_envs(ale_py)


def of_sb3(module: str) -> Any:
    """Import a module of the library; a test fails where it is missing."""
    return importlib.import_module(f"stable_baselines3.common.{module}")


def noops_of(seed: int) -> int:
    return int(generator(seed, "noops").integers(1, 30, endpoint=True))


class Sb3Wrappers:
    """One environment as Stable-Baselines3 evaluates; ends with the game."""

    def __init__(self, name: str, seed: int) -> None:
        venv = of_sb3("env_util").make_atari_env(f"{name}NoFrameskip-v4", n_envs=1, seed=seed)
        wrapper: Any = venv.envs[0]
        while not isinstance(wrapper, of_sb3("atari_wrappers").NoopResetEnv):
            wrapper = wrapper.env
        wrapper.override_num_noops = noops_of(seed)
        self.monitor = wrapper.env
        self.env = of_sb3("vec_env").VecTransposeImage(of_sb3("vec_env").VecFrameStack(venv, n_stack=4))

    def reset(self) -> np.ndarray:
        return np.asarray(self.env.reset())[0]

    def step(self, action: int) -> tuple[np.ndarray, float | None]:
        observations, _, dones, infos = self.env.step(np.array([action]))
        if dones[0] and "episode" in infos[0]:
            return np.asarray(observations)[0], float(infos[0]["episode"]["r"])
        return np.asarray(observations)[0], None

    def so_far(self) -> float:
        return float(sum(self.monitor.rewards))


class CleanRlWrappers:
    """One environment as CleanRL makes it: the same wrappers, then resize, grey and stack of gymnasium before 1.0."""

    def __init__(self, name: str, seed: int) -> None:
        wrappers = of_sb3("atari_wrappers")
        env: Any = gymnasium.make(f"{name}NoFrameskip-v4")
        env = self.counted = gymnasium.wrappers.RecordEpisodeStatistics(env)
        env = wrappers.NoopResetEnv(env, noop_max=30)
        env.override_num_noops = noops_of(seed)
        env = wrappers.EpisodicLifeEnv(wrappers.MaxAndSkipEnv(env, skip=4))
        if "FIRE" in env.unwrapped.get_action_meanings():
            env = wrappers.FireResetEnv(env)
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

    def so_far(self) -> float:
        return float(self.counted.episode_returns)


class Episode:
    """One episode, in our lane and in the foreign library's wrappers."""

    def __init__(self, wrappers: Any, view: Any, game: str, seed: int, scores_of: Any) -> None:
        protocol = Protocol.from_dict({**Protocol().to_dict(), **view, **NO_STALL})
        self.lane = Lane(compile_perturbation("clean", game), protocol)
        self.lane.reset(seed)
        self.wrappers, self.scores_of = wrappers, scores_of
        self.theirs = wrappers.reset()
        self.place, self.seed, self.drawn = f"{game}, seed {seed}", seed, generator(seed, "test")
        self.starts, self.is_over = True, False


class Seen:
    """What was compared, over episodes."""

    def __init__(self) -> None:
        self.steps = self.decided = self.restarts = self.ended = 0

    def compare(self, policy: Any, episodes: list[Episode], max_steps: int | None = None) -> None:
        """Play episodes beside each other, and assert that what is seen, chosen and scored is the same in both.

        What is played is drawn from the foreign library's scores, so that episodes differ; what the policy, loaded as
        greedy, would choose is held against the best of them.
        """
        step, generators = 0, [generator(one.seed, "policy") for one in episodes]
        while step != max_steps and (playing := [row for row, one in enumerate(episodes) if not one.is_over]):
            lanes = LaneBatch(
                np.array(playing),
                tuple(generators[row] for row in playing),
                np.array([episodes[row].starts for row in playing]),
                ((),) * len(playing),
            )
            ours = policy.act(np.stack([episodes[row].lane.observation for row in playing]), lanes).actions
            for row, action in zip(playing, ours, strict=True):
                self._step(episodes[row], int(action), f"{episodes[row].place}, step {step}")
            step += 1

    def _step(self, one: Episode, ours: int, place: str) -> None:
        np.testing.assert_array_equal(one.lane.observation, one.theirs, err_msg=place)
        with torch.no_grad():
            scores = one.scores_of(torch.from_numpy(one.theirs[None].copy()), one.starts)[0]
        best = scores.topk(2).values
        if best[0] - best[1] > GAP:
            self.decided += 1
            assert ours == int(scores.argmax()), place
        action = int(one.drawn.choice(len(scores), p=scores.double().softmax(0).numpy()))
        one.theirs, total = one.wrappers.step(action)
        one.lane.step(action)
        one.starts = one.lane.restarted
        self.steps, self.restarts = self.steps + 1, self.restarts + one.lane.restarted
        if total is not None or one.lane.end is not None:
            assert (one.lane.end, one.lane.episode_return) == ("game_over", total), place
            self.ended, one.is_over = self.ended + 1, True
        else:
            assert one.lane.episode_return == one.wrappers.so_far(), place


def trained_by_sb3(algorithm: str, game: str, path: Path) -> Any:
    """Train an agent for a few steps, save it, and return the library's own model."""
    makes = {
        "PPO": ("stable_baselines3", "CnnPolicy", {"n_steps": 64, "batch_size": 64, "n_epochs": 2}, 2048),
        "A2C": ("stable_baselines3", "CnnPolicy", {"n_steps": 16}, 512),
        "DQN": ("stable_baselines3", "CnnPolicy", {"buffer_size": 600, "learning_starts": 64, "train_freq": 8}, 512),
        "QRDQN": ("sb3_contrib", "CnnPolicy", {"buffer_size": 600, "learning_starts": 64, "train_freq": 8}, 512),
        "RecurrentPPO": ("sb3_contrib", "CnnLstmPolicy", {"n_steps": 32, "batch_size": 32, "n_epochs": 2}, 256),
    }
    package, policy, settings, num_steps = makes[algorithm]
    venv = of_sb3("env_util").make_atari_env(f"{GAMES[game]}NoFrameskip-v4", n_envs=4, seed=0)
    venv = of_sb3("vec_env").VecFrameStack(venv, n_stack=4)
    make = getattr(importlib.import_module(package), algorithm)
    model = make(policy, venv, seed=0, device="cpu", **settings)
    model.learn(num_steps)
    model.save(path)
    return model


class Sb3Scores:
    """What a model of Stable-Baselines3 itself says of an observation."""

    def __init__(self, model: Any) -> None:
        self.policy, self.state = model.policy, None
        self.policy.set_training_mode(False)

    def __call__(self, observations: torch.Tensor, is_start: bool) -> torch.Tensor:
        if hasattr(self.policy, "q_net"):
            return self.policy.q_net(observations)
        if hasattr(self.policy, "quantile_net"):
            return self.policy.quantile_net(observations).mean(dim=1)
        if not hasattr(self.policy, "lstm_actor"):
            return self.policy.get_distribution(observations).distribution.logits
        if self.state is None:
            empty = torch.zeros(self.policy.lstm_actor.num_layers, 1, self.policy.lstm_actor.hidden_size)
            self.state = empty, empty
        starts = torch.tensor([float(is_start)])
        told, self.state = self.policy.get_distribution(observations, self.state, starts)
        return told.distribution.logits


@pytest.mark.slow
@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("algorithm", ["PPO", "A2C", "DQN", "QRDQN", "RecurrentPPO"])
@pytest.mark.usefixtures("one_thread")
def test_an_agent_of_stable_baselines3_sees_and_plays_as_in_its_own_wrappers(
    algorithm: str, game: str, tmp_path: Path, record_property: Any
) -> None:
    path, seen = tmp_path / "agent.zip", Seen()
    model = trained_by_sb3(algorithm, game, path)
    policy = load_agent(f"sb3:{path}", game=game, action_selection="greedy")
    view, name = policy.abilities.view, GAMES[game]
    is_whole = algorithm == "PPO" or game == "breakout"
    episodes = [Episode(Sb3Wrappers(name, seed), view, game, seed, Sb3Scores(model)) for seed in SEEDS]
    seen.compare(policy, episodes, None if is_whole else CAP)
    check_compared(seen, game, record_property, is_whole=is_whole)


def check_compared(seen: Seen, game: str, note: Any, *, is_whole: bool) -> None:
    """Check that enough was compared for the test to mean something; `--junitxml` keeps the numbers."""
    note("compared", f"{seen.steps} observations and returns, {seen.decided} actions, {seen.ended} whole episodes")
    assert seen.decided > 0.5 * seen.steps
    if is_whole:
        assert (seen.ended, seen.restarts) == (5, {"breakout": 20, "ms_pacman": 10, "pong": 0}[game])
    else:
        assert seen.steps > 0.7 * len(SEEDS) * CAP


@pytest.mark.slow
@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("network", ["Ppo", "Dqn", "C51", "QDagger", "ImpalaPpo"])
@pytest.mark.usefixtures("one_thread")
def test_an_agent_of_cleanrl_sees_and_plays_as_in_its_own_wrappers(
    network: str, game: str, tmp_path: Path, record_property: Any
) -> None:
    num_actions = int(gymnasium.make(f"{GAMES[game]}NoFrameskip-v4").action_space.n)  # pyright: ignore
    theirs, seen = cleanrl_network(network, num_actions), Seen()
    torch.save(theirs.state_dict(), tmp_path / "agent.cleanrl_model")
    policy = load_agent(f"cleanrl:{tmp_path / 'agent.cleanrl_model'}", game=game, action_selection="greedy")
    is_whole = network == "Ppo" or game == "breakout"
    seen.compare(policy, episodes_of(theirs, CleanRlWrappers, policy.abilities.view, game), None if is_whole else CAP)
    check_compared(seen, game, record_property, is_whole=is_whole)


def episodes_of(network: Any, wrappers: Any, view: Any, game: str) -> list[Episode]:
    """Return the episodes of a network without memory."""

    def scores_of(pixels: torch.Tensor, is_start: bool) -> torch.Tensor:
        return network.scores(pixels)

    return [Episode(wrappers(GAMES[game], seed), view, game, seed, scores_of) for seed in SEEDS]


class Logits(torch.nn.Module):
    """A network as a program: pixels 0..255 to logits."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.network.scores(pixels)


FACTORY = """
import cleanrl_networks, torch
from wsabench import Abilities, Protocol
from wsabench.protocol import PROTOCOLS

class Own:
    abilities = Abilities(view=PROTOCOLS["cleanrl"])
    def __init__(self, path, num_actions):
        self.network = cleanrl_networks.Ppo(num_actions)
        self.network.load_state_dict(torch.load(path, weights_only=True))
    def act(self, observations, lanes):
        with torch.no_grad():
            return self.network.scores(torch.from_numpy(observations)).argmax(1).numpy()

def make_agent(game):
    return Own({path!r}, {num_actions})
"""


def saved_as(scheme: str, network: Any, num_actions: int, name: str, folder: Path) -> str:
    """Save a network for a loader; return its address. Programs state their environment in their name."""
    file = folder / f"ppo-{name}NoFrameskip-v4"
    pixels = torch.zeros(1, 4, 84, 84, dtype=torch.uint8)
    if scheme == "torchscript":
        torch.jit.save(torch.jit.trace(Logits(network), pixels), f"{file}.pt")
        return f"torchscript:{file}.pt"
    if scheme == "onnx":
        axes = {"pixels": {0: "n"}}
        torch.onnx.export(
            Logits(network), (pixels,), f"{file}.onnx", input_names=["pixels"], dynamic_axes=axes, dynamo=False
        )
        return f"onnx:{file}.onnx"
    if scheme == "python":
        torch.save(network.state_dict(), f"{file}.pt")
        (folder / f"factory_of_{name}.py").write_text(
            FACTORY.replace("{path!r}", repr(f"{file}.pt")).replace("{num_actions}", str(num_actions))
        )
        return f"python:factory_of_{name}:make_agent"
    snapshot = folder / "hub" / f"models--cleanrl--{name}NoFrameskip-v4-ppo_atari-seed1" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    torch.save(network.state_dict(), snapshot / "ppo_atari.cleanrl_model")
    return f"hf:cleanrl/{name}NoFrameskip-v4-ppo_atari-seed1@{'0' * 40}"


@pytest.mark.slow
@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("scheme", ["torchscript", "onnx", "python", "hf"])
@pytest.mark.usefixtures("one_thread")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_network_of_any_other_address_sees_and_plays_as_in_its_own_wrappers(
    scheme: str, game: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.syspath_prepend(tmp_path)
    name, seen = GAMES[game], Seen()
    num_actions = int(gymnasium.make(f"{name}NoFrameskip-v4").action_space.n)  # pyright: ignore
    network = cleanrl_network("Ppo", num_actions)
    address = saved_as(scheme, network, num_actions, name, tmp_path)
    policy = load_agent(address, game=game, action_selection="greedy", trust=scheme == "torchscript")
    wrappers = Sb3Wrappers if scheme in ("torchscript", "onnx") else CleanRlWrappers
    is_whole = game == "breakout"
    seen.compare(policy, episodes_of(network, wrappers, policy.abilities.view, game), None if is_whole else CAP)
    check_compared(seen, game, record_property, is_whole=is_whole)


def cleanrl_network(name: str, num_actions: int) -> Any:
    """Return a network whose answers differ from frame to frame."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = getattr(cleanrl_networks, name)(num_actions)
        with torch.no_grad():
            for layer in network.modules():
                if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
                    torch.nn.init.orthogonal_(layer.weight, 2**0.5)
    return network


@pytest.mark.parametrize("wrappers", [Sb3Wrappers, CleanRlWrappers])
def test_the_first_steps_are_seen_alike(wrappers: Any, tmp_path: Path) -> None:
    network, seen = cleanrl_network("Ppo", 4), Seen()
    torch.save(network.state_dict(), tmp_path / "a.pt")
    policy: Any = load_agent(f"cleanrl:{tmp_path}/a.pt", game="breakout", action_selection="greedy")
    if wrappers is Sb3Wrappers:
        policy.abilities = dataclasses.replace(policy.abilities, view=dict(PROTOCOLS["sb3"]))
    seen.compare(policy, episodes_of(network, wrappers, policy.abilities.view, "breakout"), 70)
    assert seen.restarts > 0


def test_agents_trained_on_colour_are_refused_with_how_to_train(tmp_path: Path) -> None:
    """The first thing that many try: the library's CnnPolicy straight on Gymnasium's environment."""
    model = importlib.import_module("stable_baselines3").A2C(
        "CnnPolicy", gymnasium.make("ALE/Breakout-v5"), seed=0, device="cpu"
    )
    model.save(tmp_path / "raw.zip")
    with pytest.raises(CheckpointError, match=r"colour frames of shape \(3, 210, 160\).*make_atari_env.*VecFrameStack"):
        load_agent(f"sb3:{tmp_path}/raw.zip", game="breakout")
