"""How fast lanes are beside ale-py's own vector environment and the bare emulator.

All contestants take turns in short rounds, so that what else the machine does hits them alike; a row is the median.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import ale_py
import numpy as np
import numpy.typing as npt

from wsabench.emulator.console import Console
from wsabench.emulator.making import make_vec
from wsabench.protocol import Protocol
from wsabench.seeding import generator
from wsabench.types import BenchRow

_SHIFT = "hue-rotate@3"

Actions = npt.NDArray[np.int64]
PlaySteps = Callable[[Actions], None]
"""Plays steps with actions of shape (steps, N)."""


def benchmark_env(game: str = "breakout", num_envs: int = 16, seconds: float = 3.0, rounds: int = 9) -> list[BenchRow]:
    """Measure steps a second, all on the same random actions.

    Args:
        game: Id of any single-player ROM.
        num_envs: Lanes stepped together.
        seconds: Time for each row, about, all rounds together.
        rounds: How often the contestants take turns.

    Returns:
        Median steps/s over all lanes; the ratio is the median over rounds of own speed / peer's speed.
    """
    contestants, envs = _contestants(game, num_envs)
    try:
        speeds = _take_turns([play for _, _, play in contestants], num_envs, seconds, rounds, envs[0].num_actions)
    finally:
        for env in envs:
            env.close()
    by_name = {name: speeds[place] for place, (name, _, _) in enumerate(contestants)}
    return [
        {
            "name": name,
            "peer": peer,
            "value": float(np.median(by_name[name])),
            "unit": "steps/s",
            "ratio": float(np.median(by_name[name] / by_name[peer])) if peer else None,
        }
        for name, peer, _ in contestants
    ]


class _Lanes:
    """Our lanes as a contestant."""

    def __init__(self, game: str, num_envs: int, perturbation: str, num_workers: int) -> None:
        protocol = Protocol(noop_max=0, stall_steps=0, fire_on_life_loss=False)
        self._env = make_vec(game, num_envs, perturbation, seed=0, num_workers=num_workers, protocol=protocol)
        self._env.reset()
        self.close = self._env.close
        self.num_actions = int(self._env.single_action_space.n)  # pyright: ignore[reportAttributeAccessIssue]

    def play(self, actions: Actions) -> None:
        """Play the steps."""
        for row in actions:
            self._env.step(row)


class _AlePy:
    """ale-py's own vector environment as a contestant."""

    def __init__(self, game: str, num_envs: int, num_threads: int) -> None:
        self._env = ale_py.AtariVectorEnv(
            game, num_envs, num_threads=num_threads, noop_max=0, reward_clipping=False, use_fire_reset=True
        )
        self._env.reset(seed=0)
        self.num_actions = int(self._env.single_action_space.n)  # pyright: ignore[reportAttributeAccessIssue]

    def play(self, actions: Actions) -> None:
        """Play the steps."""
        for row in actions:
            self._env.step(row)

    def close(self) -> None:
        """Let go of the emulators."""
        self._env.close()


class _Bare:
    """The emulator alone, from Python: no observation, one lane after the other."""

    def __init__(self, game: str) -> None:
        self._console = Console(game, Protocol())
        self._console.power_on(0)
        self.num_actions = len(self._console.actions)

    def play(self, actions: Actions) -> None:
        """Play as many steps as all lanes together do."""
        ale, buttons = self._console.ale, self._console.actions
        for action in actions.ravel().tolist():
            for _ in range(4):
                ale.act(buttons[action])
            if ale.game_over():
                ale.reset_game()

    def close(self) -> None:
        """Do nothing."""


def _contestants(game: str, num_envs: int) -> tuple[list[tuple[str, str, PlaySteps]], list[Any]]:
    """Return name, peer and how to play of each contestant, and the environments to close."""
    one, two = "AtariVectorEnv, 1 thread", "AtariVectorEnv, 2 threads"
    named: list[tuple[str, str, Any]] = [
        ("bare emulator, 1 process", "", _Bare(game)),
        (one, "bare emulator, 1 process", _AlePy(game, num_envs, 1)),
        (two, "", _AlePy(game, num_envs, 2)),
        ("lanes clean, in process", one, _Lanes(game, num_envs, "clean", 0)),
        (f"lanes {_SHIFT}, in process", one, _Lanes(game, num_envs, _SHIFT, 0)),
        ("lanes clean, 2 workers", two, _Lanes(game, num_envs, "clean", 2)),
        (f"lanes {_SHIFT}, 2 workers", two, _Lanes(game, num_envs, _SHIFT, 2)),
    ]
    return [(name, peer, env.play) for name, peer, env in named], [env for _, _, env in named]


def _take_turns(
    contestants: list[PlaySteps], num_envs: int, seconds: float, rounds: int, num_actions: int
) -> npt.NDArray[np.float64]:
    """Return steps a second, shape (contestants, rounds); each round is as many steps as fit its share of time."""
    draws = generator(0, "benchmark")
    warm_up = draws.integers(num_actions, size=(8, num_envs))
    num_steps = []
    for play in contestants:
        start = time.perf_counter()
        play(warm_up)
        pace = len(warm_up) / (time.perf_counter() - start)
        num_steps.append(max(4, int(pace * seconds / rounds)))
    actions = draws.integers(num_actions, size=(max(num_steps), num_envs))
    speeds = np.empty((len(contestants), rounds))
    for turn in range(rounds):
        for place, play in enumerate(contestants):
            start = time.perf_counter()
            play(actions[: num_steps[place]])
            speeds[place, turn] = num_steps[place] * num_envs / (time.perf_counter() - start)
    return speeds
