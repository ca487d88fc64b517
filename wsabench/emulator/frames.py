"""From captured screens to observations: what a lane does with the last two screens of a step.

Under ale-py's rules: a place that is not captured in a step keeps its content, and what `NEWEST` then holds is the
maximum that was made last.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from wsabench.emulator.console import Picture
from wsabench.emulator.kernel import area_taps, blank_screens, compare, present, push, resize, update
from wsabench.perturb import ImageState
from wsabench.protocol import Luminance

Bytes = npt.NDArray[np.uint8]

NEWEST, BEFORE = 0, 1
"""Places of the last screen of a step and of the one before."""


def make_frames(
    height: int, width: int, size: int, grayscale: bool, luminance: Luminance
) -> LuminanceFrames | ColorFrames:
    """Return frames for a screen and a square observation, in luminance or RGB.

    Args:
        height: Of the screen.
        width: Of the screen.
        size: Height and width of the observation.
        grayscale: Luminance observations.
        luminance: Where grey is made.
    """
    if not grayscale:
        return ColorFrames(height, width, size)
    if luminance == "frames":
        return LuminanceFrames(height, width, size)
    return GreyedFrames(height, width, size, is_resized_first=luminance == "resized")


class LuminanceFrames:
    """Frames in luminance, by the compiled kernel."""

    def __init__(self, height: int, width: int, size: int) -> None:
        """Start with black screens."""
        self.image_shape: tuple[int, ...] = (height, width)
        """Of the native frame: (height, width), in colour with a last 3."""
        self._screens = blank_screens(height, width)
        self._places = list(self._screens.indices)
        self._tables: list[Bytes | None] = [None, None]
        self._last_words = np.zeros((height, width // 8), np.uint64)
        self._taps = area_taps(height, width, size)
        self._frame = np.zeros((size, size), np.uint8)
        self._has_newest = False
        self._is_stale = True

    def capture(self, place: int, picture: Picture, table: Bytes) -> None:
        """Take a screen, seen through a luminance table, uint8, shape (256,)."""
        picture.getScreen(self._places[place])
        if table is not self._tables[place]:
            self._tables[place] = self._screens.tables[place] = table
        if place == NEWEST:
            self._has_newest = True

    def clear_before(self) -> None:
        """Make the place before the newest black, whatever its palette indices."""
        self._tables[BEFORE] = None
        self._screens.tables[BEFORE] = 0

    def restart(self) -> None:
        """Forget what was computed: the stack was cleared, or the operators are new."""
        self._is_stale = True

    def push(self, observation: Bytes, images: Sequence[ImageState]) -> None:
        """Shift the stack and put the maximum of both places on top, changed by the operators and resized."""
        screens, is_stale = self._screens, self._is_stale
        if self._has_newest and not images and self._taps is not None:
            present(screens, is_stale, self._taps, self._frame, observation)
            self._has_newest = self._is_stale = False
            return
        self._is_stale = not self._has_newest
        if self._has_newest:
            update(screens, is_stale)
        else:
            before = cv2.LUT(screens.indices[BEFORE], screens.tables[BEFORE])
            cv2.max(screens.luminance, before, dst=screens.luminance)
        self._has_newest = False
        image = screens.luminance
        if images:
            image = image.copy()  # the maximum stays, for steps that end before a capture
            for state in images:
                image = state.apply(image)
        if self._taps is None:
            push_resized(image, observation)
            return
        image = np.require(image, requirements=("C", "W"))
        compare(image.view(np.uint64), self._last_words, screens.has_changed, is_stale or self._is_stale)
        resize(image, screens.has_changed, self._taps, self._frame)
        push(self._frame, observation)


class ColorFrames:
    """Frames in RGB, by OpenCV."""

    def __init__(self, height: int, width: int, size: int) -> None:
        """Start with black screens."""
        self.image_shape: tuple[int, ...] = (height, width, 3)
        self._screen = np.zeros((height, width), np.uint8)
        self._places = [np.zeros(self.image_shape, np.uint8) for _ in range(2)]

    def capture(self, place: int, picture: Picture, table: Bytes) -> None:
        """Take a screen, seen through a colour table, uint8, shape (256, 3)."""
        picture.getScreen(self._screen)
        np.take(table, self._screen, axis=0, out=self._places[place], mode="clip")

    def clear_before(self) -> None:
        """Make the place before the newest black."""
        self._places[BEFORE].fill(0)

    def restart(self) -> None:
        """Do nothing: all is computed anew."""

    def push(self, observation: Bytes, images: Sequence[ImageState]) -> None:
        """Shift the stack and put the maximum of both places on top, changed by the operators and resized."""
        image = self._places[NEWEST]
        cv2.max(image, self._places[BEFORE], dst=image)
        if images:
            image = image.copy()  # the maximum stays, for steps that end before a capture
            for state in images:
                image = state.apply(image)
        push_resized(image, observation)


class GreyedFrames(ColorFrames):
    """Frames in luminance, made by OpenCV of the maximum in RGB, as wrappers over RGB environments make it."""

    def __init__(self, height: int, width: int, size: int, is_resized_first: bool) -> None:
        """Start with black screens.

        Args:
            height: Of the screen.
            width: Of the screen.
            size: Height and width of the observation.
            is_resized_first: Make grey of the resized frame. Image operators, which are for native luminance frames,
                need it before; with them it is made first.
        """
        super().__init__(height, width, size)
        self.image_shape = (height, width)
        self._is_resized_first = is_resized_first

    def push(self, observation: Bytes, images: Sequence[ImageState]) -> None:
        """Shift the stack and put the grey maximum of both places on top, changed by the operators and resized."""
        maximum = cv2.max(self._places[NEWEST], self._places[BEFORE])
        if self._is_resized_first and not images:
            size = observation[-1].shape[:2]
            small = cv2.resize(maximum, size, interpolation=cv2.INTER_AREA)
            observation[:-1] = observation[1:]
            observation[-1] = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
            return
        image = np.asarray(cv2.cvtColor(maximum, cv2.COLOR_RGB2GRAY), np.uint8)
        for state in images:
            image = state.apply(image)
        push_resized(image, observation)


def push_resized(image: Bytes, observation: Bytes) -> None:
    """Shift the stack and put an image on top, resized by OpenCV."""
    top = observation[-1]
    observation[:-1] = observation[1:]
    cv2.resize(image, top.shape[:2], dst=top, interpolation=cv2.INTER_AREA)
