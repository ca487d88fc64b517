"""Pictures that lag: frames that are lost, and pictures that freeze."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from wsabench.perturb.corruption import OWN_CHOICE
from wsabench.perturb.kinds import Probability, Range, kind
from wsabench.perturb.stages import Image


@kind("image.frame_freeze", source=OWN_CHOICE)
@dataclass(frozen=True, slots=True)
class FrameHold:
    """Now and then hold the last picture, for some steps; probability 0: identity.

    In every step in which nothing is held, the picture freezes with `probability` p: this step and the ones after it,
    k = `steps` in all, show what was shown last. p k / (1 - p + p k) of all steps show a held picture.
    """

    shows_old_frames: ClassVar[bool] = True

    probability: Probability
    steps: Annotated[int, Range(1, 1000)]
    """Length of a freeze in steps."""

    def start_image(self, generator: np.random.Generator, shape: tuple[int, ...]) -> _HoldState:
        """Return the state for an episode."""
        del shape
        return _HoldState(self.probability, self.steps, generator)


@kind("image.frame_drop", source=f"{OWN_CHOICE}; the flickering of Hausknecht and Stone 2015 blanks the frame instead")
@dataclass(frozen=True, slots=True)
class FrameDrop(FrameHold):
    """Lose the newest frame with `probability` and show the one before again; 0: identity.

    Every step draws independently of the others.
    """

    steps: int = 1


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
