"""One lane as a gymnasium environment."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box, Discrete

from wsabench.emulator.inputs import check_inputs, check_shown, checked_actions
from wsabench.emulator.lane import Lane, observation_shape
from wsabench.errors import SpecError, unknown_name
from wsabench.games import check_rom_id
from wsabench.perturb import CompiledPerturbation, Perturbation, compile_perturbation
from wsabench.protocol import ELSEWHERE, Protocol

P = ParamSpec("P")
T = TypeVar("T")
Observation = npt.NDArray[np.uint8]

RENDER_MODES = ("rgb_array",)


def shown_perturbation(perturbation: str | Perturbation, game: str) -> CompiledPerturbation:
    """Return a perturbation for the game, if an environment can show it.

    Raises:
        SpecError: It does not fit the game, or changes an agent's encoders.
        UnknownNameError: There is no such perturbation.
    """
    compiled = compile_perturbation(perturbation, game)
    if compiled.encoder_operations:
        raise SpecError(
            f"{compiled.name} changes an agent's encoders, not what an environment shows. Allowed: perturbations of "
            f"other families. Play an agent with it: wsabench run --perturbations {compiled.name}."
        )
    return compiled


class LaneEnv(gymnasium.Env[Observation, np.int64]):
    """A perturbed Atari game. Observations are uint8 (4, 84, 84), with the newest frame last.

    `reset` takes `options={"perturbation": NAME}` to change the perturbation.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012  (gymnasium declares it so)
        "render_modes": list(RENDER_MODES),
        "render_fps": 15,
    }

    def __init__(
        self,
        game: str,
        perturbation: str | Perturbation = "clean",
        seed: int | None = None,
        protocol: Protocol | str | None = None,
        render_mode: str | None = None,
        inputs: Sequence[str] = (),
    ) -> None:
        """Load the game; the arguments are those of `make`."""
        check_render_mode(render_mode)
        wanted = check_inputs(inputs)
        self._arguments = (game, perturbation, seed, protocol, render_mode, wanted)
        self.game = check_rom_id(game)
        self.protocol = Protocol.of(protocol)
        self.render_mode = render_mode
        compiled = shown_perturbation(perturbation, self.game)
        self.lane = Lane(compiled, self.protocol, check_seed(seed), inputs=wanted)
        self.observation_space = observation_space(self.protocol)  # pyright: ignore[reportAttributeAccessIssue]
        self.action_space = Discrete(self.lane.num_actions)
        self._is_running = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; a seed fixes it, whatever was played before.

        Everything is checked before anything changes: when this raises, the old episode can go on.

        Raises:
            SpecError: The seed is negative, or the perturbation does not fit the game or the inputs.
            UnknownNameError: There is no such option or perturbation.
        """
        seed = check_seed(seed)
        options = checked_options(options)
        for name in options:
            if name != "perturbation":
                raise unknown_name("reset option", name, ["perturbation"])
        perturbation = options.get("perturbation")
        compiled = None if perturbation is None else shown_perturbation(perturbation, self.game)
        if compiled is not None:
            check_shown(compiled, self.lane.inputs)
        super().reset(seed=seed)
        self._is_running = False
        if compiled is not None:
            self.lane.set_perturbation(compiled)
        self.lane.reset(seed)
        self._is_running = True
        return self.lane.observation.copy(), lane_info(self.lane)

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Play one step.

        Raises:
            ShapeError: The action is no integer.
            SpecError: The action is out of range, or the episode ended and was not reset.
        """
        lane = self.lane
        if not self._is_running:
            raise SpecError("There is no running episode. Call reset() first, and again after each episode's end.")
        lane.step(int(checked_actions(action, (), lane.num_actions, self.game)))
        self._is_running = not (lane.terminated or lane.truncated)
        return lane.observation.copy(), lane.reward, lane.terminated, lane.truncated, lane_info(lane)

    def render(self) -> npt.NDArray[np.uint8] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return what a person sees, perturbation included: uint8 (height, width, 3); None without a render mode."""
        return self.lane.render() if self.render_mode else None

    def __repr__(self) -> str:
        """Return the game, the perturbation that is played now, and what else was asked for."""
        parts = [repr(self.game), f"perturbation={self.lane.perturbation.name!r}"]
        seed = self._arguments[2]
        parts += [] if seed is None else [f"seed={seed}"]
        parts += [] if self.protocol == Protocol() else [f"protocol={self.protocol.text}"]
        parts += [] if self.render_mode is None else [f"render_mode={self.render_mode!r}"]
        return f"{type(self).__name__}({', '.join(parts)})"

    def __str__(self) -> str:
        """Return the same in the brackets in which wrappers of gymnasium expect it."""
        return f"<{self!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle by the arguments of `make`: the copy starts anew, it does not go on with the episode."""
        return type(self), self._arguments, {"spec": self.spec}

    def get_action_meanings(self) -> list[str]:
        """Return the names of the actions, in the order of their indices."""
        return [action.name for action in self.lane.console.actions]


def observation_space(protocol: Protocol) -> Box:
    """Return the space of one lane's observations."""
    return Box(0, 255, observation_shape(protocol), np.uint8)


def lane_info(lane: Lane) -> dict[str, Any]:
    """Return what `info` tells after a reset or step; the same fields as the vector environment's."""
    return {
        "lives": lane.lives,
        "episode_return": lane.episode_return,
        "episode_length": lane.episode_length,
        "life_lost": lane.life_lost,
        "game_over": lane.game_over,
        "end": lane.end or "",
        **{name: array.copy() for name, array in lane.inputs.items()},
    }


def check_render_mode(render_mode: str | None) -> None:
    """Refuse a render mode that there is not.

    Raises:
        UnknownNameError: There is no such mode.
    """
    if render_mode is not None and render_mode not in RENDER_MODES:
        raise unknown_name("render mode", render_mode, RENDER_MODES)


def checked_options(options: Any) -> dict[str, Any]:
    """Return the options of a reset as a dict.

    Raises:
        SpecError: They are no mapping.
    """
    if options is not None and not isinstance(options, Mapping):
        raise SpecError(f"The reset options are {options!r}. Allowed: a dict, or none.")
    return dict(options or {})


def with_names_of_others(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function refuse arguments that it does not have; those of other libraries with our name.

    Args:
        function: A function without `**` in its signature.
    """
    allowed = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        others = {name: value for name, value in kwargs.items() if name not in allowed}
        _refuse_others(others, function.__name__, allowed)
        return function(*args, **kwargs)

    return checked


def _refuse_others(others: Mapping[str, Any], function: str, allowed: Sequence[str]) -> None:
    """Refuse arguments that a function does not have.

    Raises:
        SpecError: One of them has another name here.
        UnknownNameError: Nothing of that name is known.
    """
    names = [field.name for field in dataclasses.fields(Protocol)]
    for name, value in others.items():
        field = name if name in names else ELSEWHERE.get(name)
        if field is not None:
            raise SpecError(f"{name} is no argument of {function}. Write protocol=wsabench.Protocol({field}=...).")
        if name in ("mode", "difficulty"):
            raise SpecError(f'{name} is a perturbation here. Write perturbation="{name}-{value}".')
        if name == "obs_type":
            raise SpecError(
                'obs_type is no argument here. Write inputs=("ram",) or inputs=("rgb84",) for what info holds.'
            )
        raise unknown_name("argument", name, allowed, "Preprocessing is set by protocol=wsabench.Protocol(...).")


def check_seed(seed: Any) -> int | None:
    """Return an episode seed as an integer, or None.

    Raises:
        SpecError: It is no integer from 0.
    """
    if seed is None:
        return None
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise SpecError(f"The episode seed is {seed!r}. Allowed: integers from 0, or none.")
    return int(seed)


@with_names_of_others
def make(
    game: str,
    perturbation: str | Perturbation = "clean",
    seed: int | None = None,
    protocol: Protocol | str | None = None,
    render_mode: str | None = None,
    inputs: Sequence[str] = (),
) -> LaneEnv:
    """Make one perturbed game.

    Args:
        game: The id of any of ale-py's single-player ROMs, for example `"breakout"`.
        perturbation: The name of the perturbation, for example `"hue-rotate@3"`.
        seed: The episode seed of the first episode. None takes one from the operating system.
        protocol: The rules of preprocessing and of episodes, or their name, such as `"machado"`. None takes those of
            evaluation.
        render_mode: `"rgb_array"` to make `render()` return what a person sees.
        inputs: What `info` holds beside the rest: `"rgb84"`, the newest frame in colour, uint8 (3, 84, 84); `"ram"`,
            the console's memory after the step, uint8 (128,).

    Returns:
        A gymnasium environment. Its observations are uint8 (4, 84, 84), with the newest frame last.

    Raises:
        SpecError: The game needs two players, or the perturbation is malformed or does not fit.
        UnknownNameError: Game, perturbation or argument does not exist; the message has the nearest names.
    """
    return LaneEnv(game, perturbation, seed, protocol, render_mode, inputs)
