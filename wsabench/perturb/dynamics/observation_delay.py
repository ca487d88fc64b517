"""Seeing late: what the agent gets as the newest frame is some steps old."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from wsabench.perturb.dynamics.control import DELAYS, Delay
from wsabench.perturb.kinds import kind
from wsabench.perturb.stages import Image


@kind("observation.delay", source=DELAYS)
@dataclass(frozen=True, slots=True)
class ObservationDelay:
    """Show at step t, as the newest frame, that of step t - k, with k = `steps`; the episode's first while t < k.

    0 is clean.
    """

    shows_old_frames: ClassVar[bool] = True
    draws_nothing: ClassVar[bool] = True

    steps: Delay

    def start_image(self, generator: np.random.Generator, shape: tuple[int, ...]) -> ObservationDelayState:
        """Return the state for an episode."""
        del generator, shape
        return ObservationDelayState(self.steps)


class ObservationDelayState:
    """Frames under way to the agent, oldest first."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._under_way: deque[Image] = deque()

    def apply(self, image: Image) -> Image:
        """Return the frame of `steps` calls ago, or the first; the caller may overwrite it."""
        if not self._steps:
            return image
        self._under_way.append(image.copy())
        if len(self._under_way) > self._steps:
            return self._under_way.popleft()
        return self._under_way[0].copy()

    def preview(self, image: Image) -> Image:
        """Return the image: a person before the screen sees it in time."""
        return image
