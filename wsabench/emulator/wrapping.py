"""Changes of picture and controls on any environment of gymnasium that shows pixels and takes discrete actions."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, SupportsFloat

import cv2
import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box, Discrete
from gymnasium.utils import RecordConstructorArgs

from wsabench.errors import SpecError
from wsabench.perturb import ControlState, ImageState
from wsabench.perturb.portable import PortablePerturbation, compile_portable
from wsabench.seeding import generator
from wsabench.types import named_arguments

Bytes = npt.NDArray[np.uint8]

_AXES = "SHWC"
_MOST_FRAMES = 16
"""Longest stack that is taken for one without being told."""
_LAYOUTS = "HW, HWC, SHW, HWS, SHWC and the like: H rows, W columns, C one or three channels, S stacked frames"


@dataclass(frozen=True, slots=True)
class Layout:
    """Which axis of an observation is what."""

    axes: str
    """One letter for each axis: S frames (the newest last), H rows, W columns, C channels."""
    shape: tuple[int, ...]
    """Shape of an observation."""

    @classmethod
    def of(cls, shape: tuple[int, ...], axes: str | None) -> Layout:
        """Return the layout of observations.

        Args:
            shape: The shape of the observations.
            axes: What the user says; None to tell it from the shape.

        Raises:
            SpecError: The letters do not fit the shape, or it does not tell.
        """
        axes = _told_by(shape) if axes is None else axes
        fits = (
            isinstance(axes, str)
            and len(axes) == len(shape)
            and len(set(axes)) == len(axes)
            and {"H", "W"} <= set(axes) <= set(_AXES)
        )
        if not fits or ("C" in axes and shape[axes.index("C")] not in (1, 3)):
            raise SpecError(f"The layout is {axes!r} for observations of shape {shape}. Allowed: {_LAYOUTS}.")
        return cls(axes, shape)

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of one frame: (height, width), in colour with a last 3."""
        height, width = (self.shape[self.axes.index(axis)] for axis in "HW")
        return (height, width, 3) if self.is_colour else (height, width)

    @property
    def is_colour(self) -> bool:
        """Whether frames are RGB."""
        return "C" in self.axes and self.shape[self.axes.index("C")] == 3

    def frames(self, observation: Bytes) -> list[Bytes]:
        """Return copies of the frames of an observation, oldest first, each of `frame_shape`."""
        order = [self.axes.index(axis) for axis in _AXES if axis in self.axes]
        ordered = observation.transpose(order)
        stack = ordered if "S" in self.axes else ordered[None]
        return [np.array(frame, np.uint8, order="C").reshape(self.frame_shape) for frame in stack]

    def observation(self, frames: list[Bytes]) -> Bytes:
        """Return the observation that holds these frames."""
        ordered = [axis for axis in _AXES if axis in self.axes]
        sizes = [self.shape[self.axes.index(axis)] for axis in ordered]
        stacked = np.stack(frames).reshape(sizes)
        return np.ascontiguousarray(stacked.transpose([ordered.index(axis) for axis in self.axes]))


def _told_by(shape: tuple[int, ...]) -> str:
    """Return the layout that a shape tells.

    Raises:
        SpecError: It tells none.
    """
    if len(shape) == 2:
        return "HW"
    if len(shape) == 4 and shape[-1] in (1, 3):
        return "SHWC"
    if len(shape) == 3 and shape[-1] in (1, 3):
        return "HWC"
    if len(shape) == 3 and shape[0] <= _MOST_FRAMES < min(shape[1:]) and shape[0] != 3:
        return "SHW"
    if len(shape) == 3 and shape[-1] <= _MOST_FRAMES < min(shape[:2]):
        return "HWS"
    raise SpecError(
        f"Observations of shape {shape} do not tell what is what. Say it with layout=; allowed: {_LAYOUTS}."
    )


class _Picture:
    """The changes of the picture in one episode."""

    def __init__(self, perturbation: PortablePerturbation, layout: Layout, images: list[ImageState]) -> None:
        self._perturbation = perturbation
        self._layout = layout
        self._images = images
        self._came: list[Bytes] = []
        self._shown: list[Bytes] = []

    def start(self, observation: Bytes) -> Bytes:
        """Return the first observation: equal frames are one moment, black ones before the first are no frames."""
        self._came, self._shown = self._layout.frames(observation), []
        for place, frame in enumerate(self._came):
            if place and np.array_equal(frame, self._came[place - 1]):
                self._shown.append(self._shown[-1])
            elif place < len(self._came) - 1 and not any(one.any() for one in self._came[: place + 1]):
                self._shown.append(frame)
            else:
                self._shown.append(self._changed(frame))
        return self._layout.observation(self._shown)

    def go_on(self, observation: Bytes) -> Bytes:
        """Return the observation of a step: frames that the stack had before stay as they were shown."""
        came = self._layout.frames(observation)
        count = next(new for new in range(1, len(came) + 1) if _are_equal(came[:-new], self._came[new:]))
        if count == len(came) > 1:
            return self.start(observation)  # the stack began anew, as some wrappers let it at a lost life
        self._shown = [*self._shown[count:], *(self._changed(frame) for frame in came[-count:])]
        self._came = came
        return self._layout.observation(self._shown)

    def _changed(self, frame: Bytes) -> Bytes:
        """Return a new frame as the agent sees it."""
        image = frame.copy()
        for stage in self._perturbation.colors:
            image = stage(image.reshape(-1, 3)).reshape(frame.shape)
        for state in self._images:
            image = state.apply(image)
        if image.shape != frame.shape or image.dtype != np.uint8:
            raise SpecError(
                f"{self._perturbation.name} turned a frame of shape {frame.shape} into {image.dtype} of shape "
                f"{image.shape}. Leave it out for this environment, or correct it."
            )
        return image


def _are_equal(some: list[Bytes], others: list[Bytes]) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(some, others, strict=True))


class PerturbedPixels(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """An environment under a perturbation: what is shown and what is done changes, rewards and ends do not.

    Attributes:
        perturbation: Canonical name of what is changed.
    """

    def __init__(
        self, env: gymnasium.Env[Any, Any], perturbation: str, layout: str | None = None, noop: int | None = None
    ) -> None:
        """Put a perturbation on an environment; the arguments are those of `wrap`."""
        RecordConstructorArgs.__init__(self, perturbation=perturbation, layout=layout, noop=noop)
        gymnasium.Wrapper.__init__(self, env)
        self._compiled = compile_portable(perturbation)
        self.perturbation = self._compiled.name
        self._layout = _layout_of(env, layout)
        self._first_action, self._num_actions = _actions_of(env)
        self._noop = _noop_of(env, noop, self._num_actions)
        _check_frames(self._compiled, self._layout)
        self._seed: int | None = None
        self._episode = 0
        self._picture: _Picture | None = None
        self._controls: list[ControlState] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode; a seed fixes what the perturbation draws in it, and in the ones that follow without."""
        observation, info = self.env.reset(seed=seed, options=options)
        if seed is not None or self._seed is None:
            self._seed, self._episode = secrets.randbits(31) if seed is None else int(seed), 0
        else:
            self._episode += 1
        draws = [generator(self._seed, "perturbation", place, self._episode) for place in range(self._num_parts)]
        images = [one.stage.start_image(draws[one.place], self._layout.frame_shape) for one in self._compiled.images]
        self._controls = [
            one.stage.start_control(draws[one.place], self._num_actions) for one in self._compiled.controls
        ]
        self._picture = _Picture(self._compiled, self._layout, images)
        return self._picture.start(observation), info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Play a step with what the control channel makes of an action.

        Raises:
            SpecError: The action is out of range, or no episode was started.
        """
        if self._picture is None:
            raise SpecError("There is no running episode. Call reset() first.")
        observation, reward, terminated, truncated, info = self.env.step(self._sent(action))
        return self._picture.go_on(observation), reward, terminated, truncated, info

    def __str__(self) -> str:
        """Return the perturbation and what is under it."""
        return f"<{type(self).__name__} {self.perturbation}{self.env}>"

    @property
    def _num_parts(self) -> int:
        """How many places in the composition may draw."""
        placed = (*self._compiled.images, *self._compiled.controls)
        return 1 + max((one.place for one in placed), default=-1)

    def _sent(self, action: Any) -> Any:
        """Return the action that the environment gets."""
        index = int(action) - self._first_action
        if not 0 <= index < self._num_actions:
            last = self._first_action + self._num_actions - 1
            raise SpecError(f"The action is {action}. Allowed: {self._first_action} to {last}.")
        if not self._controls:
            return action
        sent = [self._swapped(index)]
        for state in self._controls:
            sent = state.transmit(sent)
        if len(sent) != 1:
            raise SpecError(f"{self.perturbation} plays {len(sent)} frames in a step. Allowed on environments: one.")
        return np.int64(self._first_action + self._swapped(sent[0]))

    def _swapped(self, index: int) -> int:
        """Exchange the environment's own no-op and 0, which is that of control channels."""
        return {0: self._noop, self._noop: 0}.get(index, index)


@named_arguments
def wrap(
    env: gymnasium.Env[Any, Any], perturbation: str, *, layout: str | None = None, noop: int | None = None
) -> PerturbedPixels:
    """Put a perturbation on any environment that shows pixels and takes discrete actions.

    What the perturbation draws follows from the seed of `reset`, as in the games of this package. A stack of frames is
    changed as it grows: each new frame once, with what it looked like then. Frames are changed at their own size, so a
    change that is stated in pixels weighs more on small ones. A step of the environment counts as one emulated frame.

    Args:
        env: The environment. Its observations are uint8 in a `Box`, its actions are `Discrete`. Wrap it before its
            frames are stacked or resized where you can.
        perturbation: The name, such as `gaussian-noise@3+action-delay@2`: changes of picture and controls, and on RGB
            frames of colours too.
        layout: What the axes of an observation are, as in `SHW`: H rows, W columns, C one or three channels, S stacked
            frames, newest last. None: told from the shape; (3, H, W) must be said.
        noop: Number of the action, from 0, that does nothing: what delays and bursts send. None: the one that the
            environment calls NOOP in `get_action_meanings()`, else 0.

    Returns:
        The wrapped environment.

    Raises:
        SpecError: The perturbation is malformed, needs the console or does not fit such frames, or the environment
            shows no pixels or takes other actions.
        UnknownNameError: There is no such perturbation; the message has the nearest names.

    Example:
        >>> import gymnasium, wsabench
        >>> env = wsabench.wrap(gymnasium.make("ALE/Pong-v5"), "gaussian-noise@3+action-delay@2")  # doctest: +SKIP
    """
    if not isinstance(env, gymnasium.Env):
        raise SpecError(
            f"wrap() got a {type(env).__name__}. Allowed: one gymnasium.Env; of several wrap each before they are made "
            "a vector."
        )
    return PerturbedPixels(env, perturbation, layout, noop)


def _layout_of(env: gymnasium.Env[Any, Any], layout: str | None) -> Layout:
    """Return the layout of an environment's observations, or refuse them."""
    space = env.observation_space
    if not isinstance(space, Box) or space.dtype != np.uint8 or len(space.shape) not in (2, 3, 4):
        found = f"{space.dtype} of shape {space.shape}" if isinstance(space, Box) else type(space).__name__
        raise SpecError(
            f"The environment's observations are {found}. Allowed: pixels, a Box of uint8 with two to four axes "
            f"({_LAYOUTS}). An environment that shows something else and can be drawn shows pixels behind "
            "gymnasium.wrappers.AddRenderObservation(gymnasium.make(..., render_mode='rgb_array'))."
        )
    return Layout.of(space.shape, layout)


def _actions_of(env: gymnasium.Env[Any, Any]) -> tuple[int, int]:
    """Return the first action of an environment and how many there are."""
    space = env.action_space
    if not isinstance(space, Discrete):
        raise SpecError(f"The environment's actions are {space}. Allowed: Discrete.")
    return int(space.start), int(space.n)


def _noop_of(env: gymnasium.Env[Any, Any], noop: int | None, num_actions: int) -> int:
    """Return the number of the action that does nothing."""
    if noop is None:
        meanings = getattr(env.unwrapped, "get_action_meanings", list)()
        return meanings.index("NOOP") if "NOOP" in meanings else 0
    if isinstance(noop, bool) or not isinstance(noop, int | np.integer) or not 0 <= noop < num_actions:
        raise SpecError(f"noop is {noop!r}. Allowed: integers 0 to {num_actions - 1}, counted from the first action.")
    return int(noop)


def _check_frames(perturbation: PortablePerturbation, layout: Layout) -> None:
    """Refuse what cannot change such frames.

    Raises:
        SpecError: Colours of grey frames, what changes luminance only, or what fails on frames of this size.
    """
    shape = layout.frame_shape
    if perturbation.colors and not layout.is_colour:
        raise SpecError(
            f"{perturbation.name} changes colours, and the environment shows grey frames of shape {shape}. Wrap it "
            "before they are made grey, or leave the colours out."
        )
    draws = generator(0, "wrap")
    for placed in perturbation.images:
        if layout.is_colour and getattr(placed.stage, "luminance_only", False):
            raise SpecError(f"{perturbation.name} changes luminance only, and the environment shows RGB. Leave it out.")
        try:
            state = placed.stage.start_image(draws, shape)
            for _ in range(2):
                state.apply(draws.integers(0, 256, size=shape, dtype=np.uint8))
        except (ValueError, IndexError, cv2.error) as error:
            raise SpecError(
                f"{perturbation.name} does not fit frames of {shape[0]} rows and {shape[1]} columns. Wrap the "
                "environment before they are made smaller, or choose a lower severity."
            ) from error
