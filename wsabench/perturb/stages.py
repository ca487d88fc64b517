"""What a part of a perturbation compiles to: stages, one protocol for each place where a lane or an agent is changed.

A stage is immutable and shared by lanes. What changes while playing lives in the state that `start` returns, one for
each lane and episode, with a generator of its own: lanes do not couple, and the same seed gives the same episode.

A stage or an encoder operation that never uses its generator says so by the class attribute `draws_nothing`, True.
Then greedy play without sticky actions leaves nothing but the start to chance, and each start is played once at most.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from wsabench.perturb.palette import ColorTable
from wsabench.types import EncoderOperation

Image = npt.NDArray[np.uint8]
"""A native frame after the maximum of the last two: luminance (height, width), or RGB (height, width, 3)."""


@runtime_checkable
class ColorStage(Protocol):
    """A change of the palette that does not change while playing: a pure function."""

    @property
    def ignores_input(self) -> bool:
        """Whether it replaces all colours, so that no colour change may stand before it."""
        ...

    def __call__(self, rgb: ColorTable) -> ColorTable:
        """Return the changed colours, uint8, shape (256, 3)."""
        ...


@runtime_checkable
class ColorDrawStage(Protocol):
    """A change of the palette that is drawn anew while playing."""

    @property
    def ignores_input(self) -> bool:
        """Whether it replaces all colours, so that no colour change may stand before it."""
        ...

    @property
    def period(self) -> int:
        """Emulated frames between draws; 0: one draw for each episode."""
        ...

    def draw(self, generator: np.random.Generator) -> ColorStage:
        """Return the next change."""
        ...


class ImageState(Protocol):
    """An image operator at work in one lane and episode."""

    def apply(self, image: Image) -> Image:
        """Return what the agent gets for the newest native frame; called once in each step, and at the episode's start.

        Args:
            image: May be overwritten and returned; a state that keeps it must copy it.
        """
        ...

    def preview(self, image: Image) -> Image:
        """Return what a person sees, RGB, with the draws of the last `apply`; nothing is drawn, no state changes."""
        ...


@runtime_checkable
class ImageStage(Protocol):
    """A change of the native frame, applied in each step after the maximum of two frames and before the resize.

    A stage that shows frames of steps before (a delay, a freeze) says so by the class attribute `shows_old_frames`,
    True: its effect is not measured in grey levels, because a game with few moving pixels would make it look idle.
    One that cannot change RGB says so by the class attribute `luminance_only`, True: lanes that supply `rgb84` refuse
    it.
    """

    def start_image(self, generator: np.random.Generator, shape: tuple[int, ...]) -> ImageState:
        """Return the state for an episode.

        Args:
            generator: The lane's own for this stage.
            shape: That of the images: (height, width) or (height, width, 3).
        """
        ...


class ControlState(Protocol):
    """A control channel at work in one lane and episode."""

    def transmit(self, actions: list[int]) -> list[int]:
        """Return which action index the console gets in each emulated frame of this step.

        Args:
            actions: What arrives from the agent or the channel before: one index for each frame. May be changed.

        Returns:
            At least one index; how many there are is the number of frames that the step lasts.
        """
        ...


@runtime_checkable
class ControlStage(Protocol):
    """A change of the channel between the agent's choice and the console."""

    def start_control(self, generator: np.random.Generator, num_actions: int) -> ControlState:
        """Return the state for an episode; action index 0 is NOOP."""
        ...


class Memory(Protocol):
    """What a RAM rule needs of the console; `ale_py.ALEInterface` has it."""

    def getRAM(self, ram: npt.NDArray[np.uint8], /) -> object:
        """Copy the 128 bytes to `ram`."""
        ...

    def setRAM(self, index: int, value: int, /) -> object:
        """Write a byte."""
        ...


class RamState(Protocol):
    """RAM rules at work in one lane, from one reset of the console to the next."""

    def apply(self, memory: Memory) -> None:
        """Run the rules before an emulated frame."""
        ...


@runtime_checkable
class RamStage(Protocol):
    """Rules that write to the console's memory before every emulated frame, no-ops and FIRE at the start included."""

    def start_ram(self, generator: np.random.Generator, memory: Memory) -> RamState:
        """Return the state right after a reset of the console, before its first frame."""
        ...


@dataclass(frozen=True, slots=True)
class ConsoleStage:
    """Switches of the console, set before its reset; None: as they are by default."""

    mode: int | None = None
    difficulty: int | None = None


@dataclass(frozen=True, slots=True)
class EncoderStage:
    """A change of the agent's own encoders."""

    operation: EncoderOperation


Stage = ColorStage | ColorDrawStage | ImageStage | ControlStage | RamStage | ConsoleStage | EncoderStage


@dataclass(frozen=True, slots=True)
class Fixed:
    """A colour change that is the same whenever it is applied."""

    operator: ColorOperator
    ignores_input: bool = False

    def __call__(self, rgb: ColorTable) -> ColorTable:
        """Return the changed colours, uint8, shape (256, 3)."""
        return self.operator(rgb)


ColorOperator = Callable[[ColorTable], ColorTable]
"""A pure function from a palette, uint8, shape (256, 3), to a palette."""


ImageOperator = Callable[[Image], Image]
"""From a frame to the changed frame of the same shape; its argument may be overwritten and returned."""


@dataclass(frozen=True, slots=True)
class PureImage:
    """An operator that gives the same picture for the same frame; it is its own state."""

    draws_nothing: ClassVar[bool] = True

    operator: ImageOperator

    def start_image(self, generator: np.random.Generator, shape: tuple[int, ...]) -> PureImage:
        """Return itself; nothing is drawn."""
        del generator, shape
        return self

    def apply(self, image: Image) -> Image:
        """Return the changed frame."""
        return self.operator(image)

    def preview(self, image: Image) -> Image:
        """Return the changed frame."""
        return self.operator(image)
