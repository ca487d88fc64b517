"""Vignetting: the picture darkens towards its corners, as behind a wide lens.

The worked example of a package that adds perturbations to wsabench: a kind in Python, and a family file that uses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt

from wsabench.perturb import Extension, Kind, Range, kind

KINDS: dict[str, Kind] = {}


@kind("vignette.darken", family="corruption", source="own choice", into=KINDS)
@dataclass(frozen=True)
class Vignette:
    """Multiply each pixel by 1 - strength * (r / R)^2; 0: clean.

    r is its distance from the centre, R that of the corners.
    """

    strength: Annotated[float, Range(0, 1)]

    def start_image(self, generator: np.random.Generator, shape: tuple[int, ...]) -> VignetteState:
        """Return the state for an episode: nothing is drawn, but the factors depend on the frame's shape.

        Args:
            generator: The lane's own for this stage.
            shape: Of the frames: (height, width) luminance, or (height, width, 3) RGB.
        """
        rows, columns = (np.linspace(-1, 1, size) ** 2 for size in shape[:2])
        distance = (rows[:, None] + columns[None, :]) / 2
        factors = 1 - self.strength * distance
        return VignetteState(factors if len(shape) == 2 else factors[..., None])


class VignetteState:
    """The factors of one lane, float64, shape (height, width) or (height, width, 1)."""

    def __init__(self, factors: npt.NDArray[np.float64]) -> None:
        """Keep the factors."""
        self._factors = factors

    def apply(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return what the agent gets, uint8, halves rounded up."""
        return np.floor(image * self._factors + 0.5).astype(np.uint8)

    def preview(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return what a person sees, RGB."""
        factors = self._factors if self._factors.ndim == 3 else self._factors[..., None]
        return np.floor(image * factors + 0.5).astype(np.uint8)


EXTENSION = Extension(kinds=KINDS, families=Path(__file__).parent / "families")
