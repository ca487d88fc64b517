"""Opaque blocks over the screen, standing still or moving."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt

from wsabench.perturb.corruption import OWN_CHOICE
from wsabench.perturb.kinds import Probability, Range, kind
from wsabench.perturb.palette import luminance
from wsabench.perturb.stages import Image


@kind("image.occlusion", source=f"{OWN_CHOICE}, after cutout (DeVries and Taylor 2017)")
@dataclass(frozen=True, slots=True)
class Occlusion:
    """Cover the screen with `blocks` opaque blocks of its own shape and of grey level `gray`; fraction 0: identity.

    Each has fraction / blocks of the screen's area. Their places are uniformly random, drawn once in each episode; they
    may overlap, so that several of them cover `fraction` of the screen at most.
    """

    fraction: Probability
    """Share of the screen's area that all blocks together have; their sides are rounded to pixels."""
    blocks: Annotated[int, Range(1, 16)]
    """How many there are."""
    gray: Annotated[int, Range(0, 255)]
    """Their grey level."""
    speed: int = 0
    """Largest speed along each axis in native pixels per step; 0: they stand still."""

    def start_image(self, generator: np.random.Generator, shape: tuple[int, ...]) -> _OcclusionState:
        """Place the blocks; return the state for an episode."""
        side = math.sqrt(self.fraction / self.blocks)
        size = (round(shape[0] * side), round(shape[1] * side))
        room = (shape[0] - size[0], shape[1] - size[1])
        return _OcclusionState(Bouncing(generator, self.blocks, room, self.speed), size, self.gray)


@kind("image.moving_occlusion", source=OWN_CHOICE)
@dataclass(frozen=True, slots=True)
class MovingOcclusion(Occlusion):
    """Cover the screen as `image.occlusion` does, with blocks that move straight on; fraction 0: identity.

    Each moves 1 to `speed` native pixels per step along each axis, and turns back at the edges.
    """

    speed: Annotated[int, Range(1, 50)] = 1
    """Largest speed along each axis in native pixels per step."""


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
            generator: Draws two uniform numbers and four integers for each thing.
            num_things: How many there are.
            room: Largest row and column, shape (2,) or (num_things, 2).
            speed: Largest speed along each axis, in native pixels per step; all from 1 to this are equally likely.
                0: all stand still.
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
"""One byte for each row, the highest bit at the left, as the console itself draws them."""

Mask = npt.NDArray[np.bool_]


@functools.lru_cache(maxsize=8)
def figures(scale: int) -> tuple[Mask, ...]:
    """Return which pixels of each figure are set, bool, shape (8 * scale, 8 * scale)."""
    masks = (np.unpackbits(np.array(rows, np.uint8)[:, None], axis=1).astype(bool) for rows in _FIGURES)
    return tuple(mask.repeat(scale, axis=0).repeat(scale, axis=1) for mask in masks)


@kind("image.distractor_sprites", source=f"{OWN_CHOICE}, after the Distracting Control Suite (Stone et al. 2021)")
@dataclass(frozen=True, slots=True)
class DistractorSprites:
    """Draw `count` figures of 8x8 pixels, each enlarged `scale` times, which move straight on; count 0: identity.

    Their shapes and colours are random, drawn once in each episode. They move 1 to `speed` native pixels per step along
    each axis, and turn back at the edges.
    """

    count: Annotated[int, Range(0, 64)]
    """How many there are."""
    scale: Annotated[int, Range(1, 8)]
    """Native pixels for each of a figure's 8x8."""
    speed: Annotated[int, Range(0, 50)]
    """Largest speed along each axis in native pixels per step; 0: they stand still."""

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
