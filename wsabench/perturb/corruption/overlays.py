"""Opaque blocks over the screen, standing still or moving."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wsabench.perturb.palette import luminance
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


Places = npt.NDArray[np.int64]
"""Row and column of each thing's upper left corner, int64, shape (num_things, 2)."""


class Bouncing:
    """Straight paths, reflected at the edges; where a thing is follows from the step alone."""

    def __init__(self, generator: np.random.Generator, num_things: int, room: npt.ArrayLike, speed: int) -> None:
        """Draw starts and velocities.

        Args:
            generator: Draws two uniform numbers and four integers a thing.
            num_things: How many there are.
            room: Largest row and column, shape (2,) or (num_things, 2).
            speed: Largest speed along each axis, in native pixels a step, each from 1 on as likely; 0: all stand still.
        """
        self._room = np.broadcast_to(np.asarray(room, np.int64), (num_things, 2))
        # A larger thing with the same draw covers a smaller one: floor(u (H - h + 1)) falls no faster than h grows.
        self._start = np.floor(generator.random((num_things, 2)) * (self._room + 1)).astype(np.int64)
        size = generator.integers(min(1, speed), speed, size=(num_things, 2), endpoint=True)
        self._velocity = size * (2 * generator.integers(0, 2, size=(num_things, 2)) - 1)

    def at(self, step: int) -> Places:
        """Return where everything is at a step."""
        period = np.maximum(2 * self._room, 1)
        phase = (self._start + step * self._velocity) % period
        return np.minimum(phase, 2 * self._room - phase)


SIDE = 8
"""Rows and columns of a figure before it is scaled."""

_FIGURES = (
    (0x3C, 0x7E, 0xDB, 0xFF, 0xFF, 0xFF, 0xDB, 0x91),  # ghost
    (0x18, 0x3C, 0x7E, 0xDB, 0xFF, 0x24, 0x5A, 0xA5),  # invader
    (0x18, 0x18, 0x3C, 0x3C, 0x7E, 0xFF, 0xDB, 0x81),  # ship
    (0x3C, 0x7E, 0xFF, 0xFF, 0xFF, 0xFF, 0x7E, 0x3C),  # ball
    (0x18, 0x18, 0x18, 0xFF, 0xFF, 0x18, 0x18, 0x18),  # cross
    (0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF),  # brick
)
"""One byte a row, the highest bit at the left, as the console itself draws them."""

Mask = npt.NDArray[np.bool_]


@functools.lru_cache(maxsize=8)
def figures(scale: int) -> tuple[Mask, ...]:
    """Return which pixels of each figure are set, bool, shape (8 * scale, 8 * scale)."""
    masks = (np.unpackbits(np.array(rows, np.uint8)[:, None], axis=1).astype(bool) for rows in _FIGURES)
    return tuple(mask.repeat(scale, axis=0).repeat(scale, axis=1) for mask in masks)


@dataclass(frozen=True, slots=True)
class DistractorSprites:
    """Draw figures of random shape and colour on random straight paths; count 0: identity."""

    count: int
    """How many there are."""
    scale: int
    """Native pixels for each of a figure's 8x8."""
    speed: int
    """Largest speed along each axis in native pixels a step."""

    def start_image(self, generator: np.random.Generator, shape: tuple[int, ...]) -> _SpritesState:
        """Draw figures, colours and paths; return the state for an episode."""
        side = SIDE * self.scale
        paths = Bouncing(generator, self.count, (shape[0] - side, shape[1] - side), self.speed)
        masks = [figures(self.scale)[which] for which in generator.integers(0, len(_FIGURES), size=self.count)]
        colors = generator.integers(0, 256, size=(self.count, 3), dtype=np.uint8)
        return _SpritesState(paths, masks, colors)


class _SpritesState:
    """Distractors in one lane and episode."""

    def __init__(self, paths: Bouncing, masks: list[Mask], colors: npt.NDArray[np.uint8]) -> None:
        self._paths = paths
        self._masks = masks
        self._inks = {2: luminance(colors), 3: colors}
        self._step = -1

    def apply(self, image: Image) -> Image:
        """Move the figures on and draw them on the frame."""
        self._step += 1
        return self.preview(image)

    def preview(self, image: Image) -> Image:
        """Draw the figures where they are; luminance frames show the luminance of their colours."""
        places = self._paths.at(max(self._step, 0)).tolist()
        for (top, left), mask, ink in zip(places, self._masks, self._inks[image.ndim], strict=True):
            image[top : top + len(mask), left : left + len(mask)][mask] = ink
        return image
