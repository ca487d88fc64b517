"""Fog, by the plasma fractal of ImageNet-C."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt

from wsabench.perturb.corruption import IMAGENET_C
from wsabench.perturb.kinds import Range, kind
from wsabench.perturb.stages import Image

MAP_SIZE = 256
"""Side of the fractal, a power of two that no screen of the console exceeds (250 lines at most); larger frames of other
environments get the next power of two."""

Heights = npt.NDArray[np.float64]


@kind("image.fog", source=f"{IMAGENET_C}, `fog`, with a new fractal for every picture")
@dataclass(frozen=True, slots=True)
class Fog:
    """Add fog, a plasma fractal f: (x + density * f) * m / (m + density); density 0: identity.

    x and f are in 0..1, and m is the largest x of the frame. The fractal is drawn once in each episode; its roughness
    falls by `decay` at each halving of the scale.
    """

    density: Annotated[float, Range(0, 10)]
    """Weight of the fractal."""
    decay: Annotated[float, Range(1, 5)]
    """By how much the fractal's roughness falls at each halving of the scale; less: finer structure."""

    def start_image(self, generator: np.random.Generator, shape: tuple[int, ...]) -> _FogState:
        """Draw the fractal; return the state for an episode."""
        size = max(MAP_SIZE, 1 << (max(shape[:2]) - 1).bit_length())
        fractal = plasma_fractal(generator, size, self.decay)[: shape[0], : shape[1]]
        return _FogState(self.density, fractal)


class _FogState:
    """Fog over one lane and episode."""

    def __init__(self, density: float, fractal: Heights) -> None:
        self._density = 255 * density
        luminance = (self._density * fractal).astype(np.float32)
        self._layers = {2: luminance, 3: np.repeat(luminance[..., None], 3, axis=2)}

    def apply(self, image: Image) -> Image:
        """Return the frame in fog."""
        brightest = float(image.max())
        if not (brightest and self._density):
            return image
        scale = brightest / (brightest + self._density)
        layer = self._layers[image.ndim]
        cv2.addWeighted(image, scale, layer, scale, 0, dst=image, dtype=cv2.CV_8U)
        return image

    def preview(self, image: Image) -> Image:
        """Return the picture in fog."""
        return self.apply(image)


def plasma_fractal(generator: np.random.Generator, size: int, decay: float) -> Heights:
    """Return a height map of the diamond-square algorithm that continues across its edges.

    Args:
        generator: Draws `size**2 - 1` uniform numbers.
        size: Side of the map, a power of two.
        decay: Divides the random offset at each halving of the step.

    Returns:
        0 to 1, both reached, shape (size, size).

    References:
        A. Fournier, D. Fussell, L. Carpenter 1982, "Computer rendering of stochastic models"; offsets (first 10,000,
        uniform) and averaging as in ImageNet-C's `plasma_fractal`.
    """
    heights = np.zeros((size, size))
    step, offset = size, 100.0 * 100.0
    while step >= 2:
        half = step // 2
        corners = heights[::step, ::step]
        pairs = corners + np.roll(corners, -1, axis=0)
        _fill(heights[half::step, half::step], pairs + np.roll(pairs, -1, axis=1), offset, generator)
        centres = heights[half::step, half::step]
        across = corners + np.roll(corners, -1, axis=1)
        _fill(heights[::step, half::step], centres + np.roll(centres, 1, axis=0) + across, offset, generator)
        along = corners + np.roll(corners, -1, axis=0)
        _fill(heights[half::step, ::step], centres + np.roll(centres, 1, axis=1) + along, offset, generator)
        # ImageNet-C scales its uniform offset by the square of its `wibble`, which it divides at each halving.
        step, offset = half, offset / decay**2
    heights -= heights.min()
    return heights / heights.max()


def _fill(target: Heights, sums: Heights, offset: float, generator: np.random.Generator) -> None:
    """Write a quarter of each sum of four neighbours plus a uniform offset."""
    target[...] = sums / 4 + generator.uniform(-offset, offset, size=sums.shape)
