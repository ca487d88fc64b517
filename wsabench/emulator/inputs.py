"""What a lane supplies beside its observation, if asked: the newest frame in colour, the console's memory."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping

import ale_py
import numpy as np
import numpy.typing as npt

from wsabench.emulator.console import Picture
from wsabench.emulator.frames import ColorFrames
from wsabench.errors import ShapeError, SpecError, unknown_name
from wsabench.perturb import CompiledPerturbation, ImageState
from wsabench.types import INPUT_SHAPES

Bytes = npt.NDArray[np.uint8]

SIDE = 84
"""Height and width of `rgb84`, whatever the size of the observation."""


def check_inputs(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of inputs, each once.

    Raises:
        UnknownNameError: There is no such input.
    """
    found = tuple(dict.fromkeys([names] if isinstance(names, str) or not isinstance(names, Iterable) else names))
    for name in found:
        if name not in INPUT_SHAPES:
            raise unknown_name("input", name, INPUT_SHAPES)
    return found


def checked_actions(
    actions: npt.ArrayLike, shape: tuple[int, ...], num_actions: int, game: str
) -> npt.NDArray[np.integer]:
    """Return action indices as an array of integers in range.

    Args:
        actions: What the user gave.
        shape: What they must have: `()` for one action, else `(N,)`.
        num_actions: How many actions there are.
        game: Named in messages.

    Raises:
        ShapeError: They have another shape, or are no integers.
        SpecError: One is out of range.
    """
    array = np.asarray(actions)
    if array.shape != shape or array.dtype.kind not in "iu":
        allowed = f"integers, shape ({shape[0]},)" if shape else "one integer"
        raise ShapeError(f"actions have shape {array.shape} and type {array.dtype}. Allowed: {allowed}.")
    if array.min() < 0 or array.max() >= num_actions:
        raise SpecError(f"actions are {array.tolist()} in {game}. Allowed: 0 to {num_actions - 1}.")
    return array


def check_shown(perturbation: CompiledPerturbation, inputs: Container[str]) -> None:
    """Refuse a perturbation that the inputs cannot show.

    Args:
        perturbation: What a lane would play.
        inputs: Names of the inputs that the lane supplies.

    Raises:
        SpecError: One of its stages is for luminance only, and `rgb84` is among the inputs.
    """
    for placed in perturbation.images if "rgb84" in inputs else ():
        if getattr(placed.stage, "luminance_only", False):
            raise SpecError(
                f"The perturbation {perturbation.name!r} changes luminance frames only "
                f"({type(placed.stage).__name__}), and an encoder reads rgb84. Leave the perturbation "
                "out, or choose encoders that read luminance."
            )


class FurtherInputs:
    """The inputs of one lane.

    `rgb84` is what a lane in colour (`grayscale=False`) of the same seed shows as its newest frame, channels first: the
    maximum of two frames, each through the perturbation's colours, then the image operators on RGB, then the area
    resize. The operators start with the same draws as those of the observation, so what is drawn for a frame as a whole
    (a delay, a freeze, an offset, a block's place, a line of motion, a fog) is the same in both; noise is drawn for
    each channel of a pixel and so cannot be. `ram` is the memory after the step: no change of the picture reaches it.

    Attributes:
        arrays: Live arrays by name, uint8, shapes as in `INPUT_SHAPES`: copy them to keep them.
    """

    def __init__(self, names: Iterable[str], screen_dims: tuple[int, int], arrays: Mapping[str, Bytes] | None) -> None:
        """Start with zeros.

        Args:
            names: Which inputs.
            screen_dims: Height and width of the screen.
            arrays: Where to write them (say, shared memory); None: arrays of their own.

        Raises:
            UnknownNameError: There is no such input.
        """
        wanted = check_inputs(names)
        self.arrays = {
            name: np.zeros(INPUT_SHAPES[name], np.uint8) if arrays is None else arrays[name] for name in wanted
        }
        self._colors = ColorFrames(*screen_dims, SIDE) if "rgb84" in wanted else None
        self._newest = np.zeros((1, SIDE, SIDE, 3), np.uint8)
        self._images: list[ImageState] = []

    def start(self, perturbation: CompiledPerturbation, generator_at: Callable[[int], np.random.Generator]) -> None:
        """Start the image operators of a game, with generators like those of the observation's."""
        if self._colors:
            shape = self._colors.image_shape
            self._images = [
                _Checked(placed.stage.start_image(generator_at(placed.place), shape), shape, perturbation.name)
                for placed in perturbation.images
            ]

    def clear_before(self) -> None:
        """Make the place before the newest black."""
        if self._colors:
            self._colors.clear_before()

    def capture(self, place: int, picture: Picture, colors: Bytes) -> None:
        """Take a screen, seen through a colour table, uint8, shape (256, 3)."""
        if self._colors:
            self._colors.capture(place, picture, colors)

    def push(self, ale: ale_py.ALEInterface) -> None:
        """Bring the arrays up to date after a step."""
        if self._colors:
            self._colors.push(self._newest, self._images)
            self.arrays["rgb84"][...] = self._newest[0].transpose(2, 0, 1)
        if "ram" in self.arrays:
            ale.getRAM(self.arrays["ram"])


class _Checked:
    """An image operator whose answers are checked: one made for luminance must not pass for one on RGB."""

    def __init__(self, state: ImageState, shape: tuple[int, ...], name: str) -> None:
        self._state = state
        self._shape = shape
        self._name = name

    def apply(self, image: Bytes) -> Bytes:
        """Return the changed frame.

        Raises:
            SpecError: It is no RGB frame.
        """
        changed = self._state.apply(image)
        if changed.shape != self._shape or changed.dtype != np.uint8:
            raise SpecError(
                f"The perturbation {self._name!r} turned an RGB frame into {changed.dtype} of shape {changed.shape}. "
                f"Allowed: uint8 of shape {self._shape}. Leave it out for agents that read rgb84, or correct it."
            )
        return changed

    def preview(self, image: Bytes) -> Bytes:
        """Return what a person sees."""
        return self._state.preview(image)
