"""What frames are collected from: one game that is stepped."""

from __future__ import annotations

from typing import Protocol as TypingProtocol

import numpy as np
import numpy.typing as npt

from wsabench.games import load_game
from wsabench.protocol import Protocol


class StepSource(TypingProtocol):
    """One game that is stepped: a lane, or whatever else has its methods."""

    @property
    def num_actions(self) -> int:
        """Number of actions."""
        ...

    def reset(self, seed: int) -> None:
        """Start a new game whose randomness is fixed by `seed`."""
        ...

    def step(self, action: int) -> bool:
        """Play one step and return whether the game ended."""
        ...

    def newest(self) -> npt.NDArray[np.uint8]:
        """Return the newest luminance frame, uint8, shape (84, 84)."""
        ...

    def stack(self) -> npt.NDArray[np.uint8]:
        """Return the observation that an expert sees, uint8, shape (4, 84, 84), newest last."""
        ...

    def ram(self) -> npt.NDArray[np.uint8]:
        """Return the emulator's memory, uint8, shape (128,)."""
        ...


class LaneSource:
    """A clean lane of a game under the evaluation protocol, as a source of frames; a lost life ends nothing."""

    def __init__(self, game: str) -> None:
        """Load the game.

        Raises:
            UnknownNameError: There is no such game.
        """
        from wsabench.emulator import Lane
        from wsabench.perturb import compile_perturbation, parse_perturbation

        self.game = load_game(game)
        self._lane = Lane(compile_perturbation(parse_perturbation("clean"), game), Protocol.evaluation())
        self.num_actions = self._lane.num_actions

    def reset(self, seed: int) -> None:
        """Start a new game."""
        self._lane.reset(seed)

    def step(self, action: int) -> bool:
        """Play one step and return whether the game ended."""
        self._lane.step(action)
        return self._lane.terminated or self._lane.truncated

    def newest(self) -> npt.NDArray[np.uint8]:
        """Return the newest frame, uint8, shape (84, 84)."""
        return self._lane.observation[-1]

    def stack(self) -> npt.NDArray[np.uint8]:
        """Return the observation, uint8, shape (4, 84, 84), newest last."""
        return self._lane.observation

    def ram(self) -> npt.NDArray[np.uint8]:
        """Return the console's memory, uint8, shape (128,)."""
        return self._lane.ram()
