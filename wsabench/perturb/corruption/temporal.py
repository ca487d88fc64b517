"""A picture that lags: frames that are lost, and pictures that freeze."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from wsabench.perturb.stages import Image


@dataclass(frozen=True, slots=True)
class FrameHold:
    """Now and then show the last frame again, for some steps; probability 0: identity.

    In every step in which nothing is held, the picture freezes with `probability` p: this step and the ones after it,
    `steps` k in all, show what was shown last. In the long run `p k / (1 - p + p k)` of all steps show a held frame.
    """

    shows_old_frames: ClassVar[bool] = True

    probability: float
    steps: int
    """Length of a freeze in steps; with 1, each newest frame is lost with `probability`, independently."""

    def start_image(self, generator: np.random.Generator, shape: tuple[int, ...]) -> _HoldState:
        """Return the state for an episode."""
        del shape
        return _HoldState(self.probability, self.steps, generator)


class _HoldState:
    """What is held in one lane and episode."""

    def __init__(self, probability: float, steps: int, generator: np.random.Generator) -> None:
        self._probability = probability
        self._steps = steps
        self._generator = generator
        self._remaining = 0
        self._is_held = False
        self._last: Image | None = None

    def apply(self, image: Image) -> Image:
        """Return the frame or the one held; draws one number in every step."""
        is_hit = self._generator.random() < self._probability
        if self._remaining == 0 and is_hit and self._last is not None:
            self._remaining = self._steps
        self._is_held = self._remaining > 0
        if self._is_held and self._last is not None:
            self._remaining -= 1
            np.copyto(image, self._last)
        else:
            self._last = image.copy()
        return image

    def preview(self, image: Image) -> Image:
        """Return the picture, or the held one: in grey, where the agent sees luminance and so no colours are kept."""
        if not self._is_held or self._last is None:
            return image
        held = self._last if self._last.ndim == image.ndim else self._last[..., None]
        return np.broadcast_to(held, image.shape).copy()
