"""Catch, drawn as Atari-like frames: a game small enough to be learned in seconds, with a known best return of 1."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode

GRID = 7


class CatchVector(gymnasium.vector.VectorEnv):
    """A ball falls, the paddle in the lowest row moves left, not at all or right; +1 for a catch, -1 otherwise.

    Observations are stacks like the lane's: uint8 (N, 4, 84, 84). Autoreset is DISABLED, as training asks for. A game
    has one to `rounds` balls, each an episode for the learner. With `max_steps` a game is cut after so many steps.
    The field has `grid` rows and columns; on a small one there is less to learn.
    """

    def __init__(self, num_envs: int, rounds: int = 1, max_steps: int | None = None, grid: int = GRID) -> None:
        self.num_envs = num_envs
        self.grid = grid
        self.rounds = rounds
        self.max_steps = max_steps
        self.single_observation_space = gymnasium.spaces.Box(0, 255, (4, 84, 84), np.uint8)
        self.single_action_space = gymnasium.spaces.Discrete(3)
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, num_envs)
        self.metadata = {"autoreset_mode": AutoresetMode.DISABLED}
        self._generators = [np.random.Generator(np.random.PCG64(lane)) for lane in range(num_envs)]
        self._ball = np.zeros((num_envs, 2), np.int64)
        self._paddle = np.zeros(num_envs, np.int64)
        self._rounds_left = np.zeros(num_envs, np.int64)
        self._length = np.zeros(num_envs, np.int64)
        self._return = np.zeros(num_envs)
        self._stack = np.zeros((num_envs, 4, 84, 84), np.uint8)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        mask = np.ones(self.num_envs, bool) if options is None else options["reset_mask"]
        for lane in np.flatnonzero(mask):
            if seed is not None:
                self._generators[lane] = np.random.Generator(np.random.PCG64(int(seed[lane])))
                self._return[lane], self._length[lane] = 0.0, 0
                self._rounds_left[lane] = self._generators[lane].integers(1, self.rounds, endpoint=True)
            self._drop(lane)
        return self._stack.copy(), {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        self._paddle = np.clip(self._paddle + np.asarray(actions) - 1, 0, self.grid - 1)
        self._ball[:, 0] += 1
        self._length += 1
        landed = self._ball[:, 0] == self.grid - 1
        rewards = np.where(landed, np.where(self._ball[:, 1] == self._paddle, 1.0, -1.0), 0.0)
        self._return += rewards
        self._rounds_left -= landed
        for lane in range(self.num_envs):
            self._draw(lane)
        over = self._rounds_left <= 0
        cut = ~landed & (np.zeros(self.num_envs, bool) if self.max_steps is None else self._length >= self.max_steps)
        end = np.where(over, "game_over", np.where(cut, "time_limit", "")).astype(object)
        infos = {"end": end, "episode_return": self._return.copy()}
        return self._stack.copy(), rewards, landed.copy(), cut, infos

    def close_extras(self, **kwargs: Any) -> None:
        pass

    def _drop(self, lane: int) -> None:
        """Start a new ball; the stack begins with this frame four times."""
        generator = self._generators[lane]
        self._ball[lane] = 0, generator.integers(self.grid)
        self._paddle[lane] = generator.integers(self.grid)
        self._stack[lane] = 0
        for _ in range(4):
            self._draw(lane)

    def _draw(self, lane: int) -> None:
        self._stack[lane, :3] = self._stack[lane, 1:]
        self._stack[lane, 3] = 0
        row, column = self._ball[lane]
        self._paint(lane, self.grid - 1, self._paddle[lane], 120)
        self._paint(lane, row, column, 255)

    def _paint(self, lane: int, row: int, column: int, grey: int) -> None:
        size = 84 // self.grid
        self._stack[lane, 3, row * size : (row + 1) * size, column * size : (column + 1) * size] = grey
