"""A scripted game for encoder tests: two squares move on a static background, and the RAM says where they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NUM_STEPS = 40


@dataclass(frozen=True)
class Variable:
    index: int
    encoding: str = "raw"
    confidence: str = "verified"


VARIABLES = {
    "x": Variable(0),
    "y": Variable(1),
    "noise": Variable(2),
    "constant": Variable(3),
    "side": Variable(4, "bit 7"),
    "guessed": Variable(0, confidence="annotated"),
}


class SpriteSource:
    """Random play with `num_actions` directions; an episode lasts 40 steps."""

    num_actions = 4

    def __init__(self) -> None:
        background = np.random.default_rng(3).integers(0, 60, (12, 12))
        self._background = np.kron(background, np.ones((7, 7))).astype(np.uint8)

    def reset(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._place = self._rng.integers(5, 70, (2, 2))
        self._noise, self._step = 0, 0

    def step(self, action: int) -> bool:
        move = np.array([(3, 0), (-3, 0), (0, 3), (0, -3)][action])
        self._place = np.clip(self._place + np.stack([move, self._rng.integers(-4, 5, 2)]), 2, 76)
        self._noise = int(self._rng.integers(256))
        self._step += 1
        return self._step == NUM_STEPS

    def stack(self) -> npt.NDArray[np.uint8]:
        return np.stack([self.newest()] * 4)

    def newest(self) -> npt.NDArray[np.uint8]:
        frame = self._background.copy()
        for (y, x), size, level in zip(self._place, (6, 4), (250, 170), strict=True):
            frame[y : y + size, x : x + size] = level
        return frame

    def ram(self) -> npt.NDArray[np.uint8]:
        ram = np.zeros(128, np.uint8)
        y, x = self._place[0]
        ram[:5] = x, y, self._noise, 7, 255 if x > 38 else 3
        return ram


def make_sprites(game: str) -> SpriteSource:
    """Make the scripted game, whatever it is called."""
    return SpriteSource()
