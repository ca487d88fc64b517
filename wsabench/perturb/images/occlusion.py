"""Opaque blocks over the screen, standing still or moving."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wsabench.perturb.images.motion import Bouncing
from wsabench.perturb.stages import Image


@dataclass(frozen=True, slots=True)
class Occlusion:
    """Cover the screen with grey blocks of its own shape, placed at random once an episode; fraction 0: identity.

    Blocks may overlap, so that several of them cover `fraction` of the screen at most; one covers just that, but for
    the rounding of its sides to pixels.
    """

    fraction: float
    """Share of the screen's area that all blocks together have, 0 to 1."""
    blocks: int
    """How many there are."""
    gray: int
    """Their grey level, 0 to 255."""
    speed: int = 0
    """Largest speed along each axis in native pixels a step; 0: they stand still."""

    def start_image(self, generator: np.random.Generator, shape: tuple[int, ...]) -> _OcclusionState:
        """Place the blocks; return the state for an episode."""
        side = math.sqrt(self.fraction / self.blocks)
        size = (round(shape[0] * side), round(shape[1] * side))
        room = (shape[0] - size[0], shape[1] - size[1])
        return _OcclusionState(Bouncing(generator, self.blocks, room, self.speed), size, self.gray)


class _OcclusionState:
    """Blocks in one lane and episode."""

    def __init__(self, paths: Bouncing, size: tuple[int, int], gray: int) -> None:
        self._paths = paths
        self._size = size
        self._gray = gray
        self._step = -1

    def apply(self, image: Image) -> Image:
        """Move the blocks on and cover the frame."""
        self._step += 1
        return self.preview(image)

    def preview(self, image: Image) -> Image:
        """Cover the picture where the blocks are."""
        height, width = self._size
        for top, left in self._paths.at(max(self._step, 0)).tolist():
            image[top : top + height, left : left + width] = self._gray
        return image
