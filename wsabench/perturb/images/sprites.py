"""Distractors: small figures that move over the screen and have nothing to do with the game."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wsabench.perturb.images.motion import Bouncing
from wsabench.perturb.palette import luminance
from wsabench.perturb.stages import Image

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
