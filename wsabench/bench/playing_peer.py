"""The peer of `wsabench bench run`: Stable-Baselines3's `evaluate_policy` on a SubprocVecEnv, as one would use it.

Its lanes are those of the library's own Atari wrappers for evaluation, with one more wrapper that perturbs. It has the
agent's own weights. Where there is a choice, it gets the faster one: frames are perturbed once per step, after
the maximum over frames, not once per frame.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from wsabench.agents import AgentSpec
from wsabench.perturb import list_perturbations

if TYPE_CHECKING:
    import gymnasium
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import VecEnv

PEER = "evaluate_policy on SubprocVecEnv"
CLEAN, HUE, NOISE = "clean", "hue-rotate@3", "gaussian-noise@3"
CELLS = (CLEAN, HUE, NOISE)
"""What the peer can show."""
_CELLS_SIDE = 7
"""The last convolution's maps are 7x7."""

Weights = Mapping[str, npt.NDArray[np.float32]]
Frame = npt.NDArray[np.uint8]


class PeerOrder(NamedTuple):
    """How a peer is built."""

    game: str
    weights: Weights
    """Weights by name, of an agent of kind `e2e` with heads `actor_critic` and no hidden units."""
    num_envs: int
    greedy: bool
    num_threads: int = 1
    """Number of torch threads in the process that evaluates."""


def can_be(spec: AgentSpec) -> bool:
    """Whether the peer's network can be that of an agent."""
    return spec.kind == "e2e" and spec.heads == "actor_critic" and not spec.head_units


class PeerSeat:
    """The peer, in a process of its own with one process for each environment."""

    def __init__(self, order: PeerOrder) -> None:
        """Start it."""
        self._process = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        self._process.submit(_sit, order).result()

    def use_threads(self, number: int) -> None:
        """Let torch use so many threads there."""
        self._process.submit(_use_threads, number).result()

    def measure(self, seconds: float) -> float:
        """Play all cells for so many seconds altogether; return steps per second over as many steps of each cell."""
        return self._process.submit(_measure, seconds).result()

    def actions(self, observations: Frame) -> npt.NDArray[np.int64]:
        """Return the greedy actions, int64, shape (N,), in observations, uint8, shape (N, 4, 84, 84)."""
        return self._process.submit(_actions, observations).result()

    def close(self) -> None:
        """End all its processes."""
        self._process.submit(_leave)
        self._process.shutdown()


def state_dict(weights: Weights) -> dict[str, npt.NDArray[np.float32]]:
    """Return an agent's weights as those of the library's `CnnPolicy`, which flattens channels first."""
    linear = weights["linear.weight"]
    width = len(linear)
    channels = linear.shape[1] // _CELLS_SIDE**2
    linear = linear.reshape(width, _CELLS_SIDE, _CELLS_SIDE, channels).transpose(0, 3, 1, 2).reshape(width, -1)
    found = {"linear.0.weight": linear, "linear.0.bias": weights["linear.bias"]}
    for place, name in ((0, "conv1"), (2, "conv2"), (4, "conv3")):
        found |= {f"cnn.{place}.{part}": weights[f"{name}.{part}"] for part in ("weight", "bias")}
    extractors = ("features_extractor", "pi_features_extractor", "vf_features_extractor")
    every = {f"{extractor}.{name}": value for extractor in extractors for name, value in found.items()}
    for ours, theirs in (("policy", "action_net"), ("value", "value_net")):
        every |= {f"{theirs}.{part}": weights[f"heads.{ours}.0.{part}"] for part in ("weight", "bias")}
    return every


def perturbers(seed: int) -> dict[str, Callable[[Frame], Frame]]:
    """Return what changes frames, uint8, shape (210, 160, 3), by cell, written as a user would."""
    import cv2

    known = {entry.name: entry.resolved(3) for entry in list_perturbations() if entry.has_severity}
    shift = round(float(known["hue-rotate"]["degrees"]) / 2)  # pyright: ignore[reportArgumentType] - OpenCV's half degrees
    deviation = np.float32(255 * float(known["gaussian-noise"]["deviation"]))  # pyright: ignore[reportArgumentType]
    generator = np.random.default_rng(seed)

    def rotate(frame: Frame) -> Frame:
        hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.uint16) + shift) % 180
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.uint8, copy=False)

    def add_noise(frame: Frame) -> Frame:
        noise = generator.standard_normal(frame.shape, dtype=np.float32)
        return (frame + deviation * noise).clip(0, 255).astype(np.uint8)

    return {CLEAN: lambda frame: frame, HUE: rotate, NOISE: add_noise}


def make_env(game: str, seed: int) -> gymnasium.Env[Any, Any]:
    """Return one environment of the peer, with the wrappers of the library's evaluation."""
    import ale_py
    import gymnasium
    from stable_baselines3.common.atari_wrappers import FireResetEnv, MaxAndSkipEnv, NoopResetEnv, WarpFrame
    from stable_baselines3.common.monitor import Monitor

    class Perturbed(gymnasium.ObservationWrapper[Any, Any, Any]):
        """Frames of the cell that is played."""

        def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
            super().__init__(env)
            self._by_cell = perturbers(seed)
            self._change = self._by_cell[CLEAN]

        def show(self, cell: str) -> None:
            """Show another cell from now on."""
            self._change = self._by_cell[cell]

        def observation(self, observation: Frame) -> Frame:
            """Change a frame."""
            return self._change(observation)

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    gymnasium.register_envs(ale_py)
    title = "".join(word.capitalize() for word in game.split("_"))
    env: gymnasium.Env[Any, Any] = Perturbed(
        MaxAndSkipEnv(NoopResetEnv(gymnasium.make(f"{title}NoFrameskip-v4"), noop_max=30), 4)
    )
    if "FIRE" in env.unwrapped.get_action_meanings():  # pyright: ignore[reportAttributeAccessIssue]
        env = FireResetEnv(env)
    return Monitor(WarpFrame(env))


class _Occupant(NamedTuple):
    """What a peer's process holds."""

    model: PPO
    envs: VecEnv
    greedy: bool


_OCCUPANTS: list[_Occupant] = []


class _TimeIsUp(Exception):
    """Ends an evaluation."""


def _sit(order: PeerOrder) -> None:
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import SubprocVecEnv, VecFrameStack

    makers = [partial(make_env, order.game, seed) for seed in range(order.num_envs)]
    envs = VecFrameStack(SubprocVecEnv(makers), 4)  # pyright: ignore[reportArgumentType]
    width = len(order.weights["linear.bias"])
    kwargs: dict[str, Any] = {"features_extractor_kwargs": {"features_dim": width}}
    model = PPO("CnnPolicy", envs, n_steps=2, batch_size=2, policy_kwargs=kwargs, device="cpu", seed=0)
    weights = {name: torch.from_numpy(np.ascontiguousarray(one)) for name, one in state_dict(order.weights).items()}
    model.policy.load_state_dict(weights, strict=True)
    _OCCUPANTS.append(_Occupant(model, envs, order.greedy))
    _use_threads(order.num_threads)


def _use_threads(number: int) -> None:
    import torch

    torch.set_num_threads(number)


def _measure(seconds: float) -> float:
    return len(CELLS) / sum(1 / _speed(cell, seconds / len(CELLS)) for cell in CELLS)


def _speed(cell: str, seconds: float) -> float:
    """Evaluate in one cell for so many seconds after the games have been started; return steps per second."""
    from stable_baselines3.common.evaluation import evaluate_policy

    _, envs, greedy = _OCCUPANTS[0]
    envs.env_method("show", cell)
    begun, count, passed = 0.0, 0, 0.0

    def watch(local: dict[str, Any], _: dict[str, Any]) -> None:
        """Called for each environment after each step: count from the second step on."""
        nonlocal begun, count, passed
        if local["i"] != envs.num_envs - 1:
            return
        if not begun:
            begun = time.perf_counter()
            return
        count, passed = count + envs.num_envs, time.perf_counter() - begun
        if passed >= seconds:
            raise _TimeIsUp

    model = _OCCUPANTS[0].model
    with suppress(_TimeIsUp):
        evaluate_policy(model, model.get_env() or envs, n_eval_episodes=10**6, deterministic=greedy, callback=watch)
    return count / passed


def _actions(observations: Frame) -> npt.NDArray[np.int64]:
    return np.asarray(_OCCUPANTS[0].model.predict(observations, deterministic=True)[0], np.int64)


def _leave() -> None:
    for occupant in _OCCUPANTS:
        occupant.envs.close()
