"""Image operators without randomness and memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wsabench.perturb.stages import Image

ImageOperator = Callable[[Image], Image]
"""From a frame to the changed frame of the same shape; its argument may be overwritten and returned."""


@dataclass(frozen=True, slots=True)
class PureImage:
    """An operator that gives the same for the same frame: its own state."""

    operator: ImageOperator

    def start_image(self, generator: np.random.Generator, shape: tuple[int, ...]) -> PureImage:
        """Return itself; draws nothing."""
        del generator, shape
        return self

    def apply(self, image: Image) -> Image:
        """Return the changed frame."""
        return self.operator(image)

    def preview(self, image: Image) -> Image:
        """Return the changed frame."""
        return self.operator(image)
