"""Colour changes that are drawn while playing: a new palette each episode, new colours every few frames."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from wsabench.perturb.color import NUM_COLORS, Colors, reorder_palette
from wsabench.perturb.stages import ColorStage, Fixed


@dataclass(frozen=True, slots=True)
class RandomPalette:
    """Another palette each episode: each of the 128 colours uniformly from all RGB values, independently."""

    ignores_input: bool = True
    period: int = 0

    def draw(self, generator: np.random.Generator) -> ColorStage:
        """Return a palette; odd indices show the colour of the even one below."""
        colors = generator.integers(0, 256, size=(NUM_COLORS, 3), dtype=np.uint8)
        return Fixed(functools.partial(_always, np.repeat(colors, 2, axis=0)), ignores_input=True)


def _always(palette: Colors, rgb: Colors) -> Colors:
    """Return `palette`."""
    del rgb
    return palette


@dataclass(frozen=True, slots=True)
class Strobe:
    """Another random permutation of the 128 colours every `period` emulated frames, from the episode's start."""

    period: int
    ignores_input: bool = False

    def draw(self, generator: np.random.Generator) -> ColorStage:
        """Return a permutation of the colours."""
        return Fixed(functools.partial(reorder_palette, order=generator.permutation(NUM_COLORS)))
