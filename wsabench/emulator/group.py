"""A group of lanes in one process, stepped one after the other; the vector environment and its workers run groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from wsabench.emulator.lane import Lane, observation_shape
from wsabench.perturb import CompiledPerturbation
from wsabench.protocol import Protocol
from wsabench.types import INPUT_SHAPES


class LaneGroup:
    """Lanes that write their results to rows of shared arrays."""

    def __init__(
        self,
        perturbations: Sequence[CompiledPerturbation],
        protocol: Protocol,
        seeds: Sequence[int | None],
        arrays: LaneArrays,
        autoreset_mode: AutoresetMode,
    ) -> None:
        """Load a game in each lane.

        Args:
            perturbations: One per lane; they say which game it plays.
            protocol: Preprocessing and episode rules of all.
            seeds: First episode seed of each lane; None takes one from the operating system.
            arrays: Where results go, one row per lane; they say which inputs the lanes supply.
            autoreset_mode: What happens after an episode's end, as in gymnasium.
        """
        self.lanes = [
            Lane(
                perturbation,
                protocol,
                seed,
                arrays.observations[row],
                tuple(arrays.inputs),
                {name: array[row] for name, array in arrays.inputs.items()},
            )
            for row, (perturbation, seed) in enumerate(zip(perturbations, seeds, strict=True))
        ]
        self.num_actions = self.lanes[0].num_actions
        self._arrays = arrays
        self._mode = autoreset_mode

    def reset(
        self, rows: Sequence[int], seeds: Sequence[int | None], perturbations: Sequence[CompiledPerturbation | None]
    ) -> None:
        """Reset the lanes of `rows`, each with its seed and, where given, a new perturbation."""
        for row, seed, perturbation in zip(rows, seeds, perturbations, strict=True):
            lane = self.lanes[row]
            if perturbation is not None:
                lane.set_perturbation(perturbation)
            lane.reset(seed)
            self._write(row, lane)

    def step(self) -> None:
        """Play one step of every lane with the actions that lie in the arrays, then reset as the mode says."""
        arrays, mode = self._arrays, self._mode
        for row, lane in enumerate(self.lanes):
            if mode is AutoresetMode.NEXT_STEP and (lane.terminated or lane.truncated):
                lane.reset()
                self._write(row, lane)
                continue
            lane.step(int(arrays.actions[row]))
            self._write(row, lane)
            if mode is AutoresetMode.SAME_STEP and (lane.terminated or lane.truncated):
                arrays.final_observations[row] = lane.observation
                arrays.final_state.write(row, lane)
                for name, array in arrays.final_inputs.items():
                    array[row] = lane.inputs[name]
                lane.reset()
                arrays.state.write(row, lane)

    def close(self) -> None:
        """Let go of the emulators."""
        for lane in self.lanes:
            lane.close()
        self.lanes.clear()

    def _write(self, row: int, lane: Lane) -> None:
        """Copy the lane's results to its row (its observation and inputs are there already)."""
        arrays = self._arrays
        arrays.rewards[row] = lane.reward
        arrays.terminated[row] = lane.terminated
        arrays.truncated[row] = lane.truncated
        arrays.state.write(row, lane)


Array = npt.NDArray[Any]

END_NAMES = np.array(["", "game_over", "time_limit", "stalled"], dtype=object)
"""How an episode ended, by the code in `StateArrays.end`; empty while it runs."""
_END_CODES = {None: 0, "game_over": 1, "time_limit": 2, "stalled": 3}

_ALIGNMENT = 64


@dataclass(frozen=True, slots=True, eq=False)
class StateArrays:
    """What `infos` tells of each lane; N rows each."""

    lives: Array
    """Lives left, int64."""
    episode_return: Array
    """Unclipped return of the game so far, float64."""
    episode_length: Array
    """Steps of the game so far, int64."""
    life_lost: Array
    """Whether the last step lost a life (not the last one), bool."""
    game_over: Array
    """Whether the game is over, bool."""
    end: Array
    """Code of how the episode ended, int8, see `END_NAMES`."""

    def write(self, row: int, lane: Lane) -> None:
        """Copy the lane's state to its row."""
        self.lives[row] = lane.lives
        self.episode_return[row] = lane.episode_return
        self.episode_length[row] = lane.episode_length
        self.life_lost[row] = lane.life_lost
        self.game_over[row] = lane.game_over
        self.end[row] = _END_CODES[lane.end]

    def infos(self, mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
        """Return the state as gymnasium's vector infos: copies, each with its `_name` mask; 0 or None outside it.

        The masks are one array, a copy of `mask`.
        """
        mask = mask.copy()
        is_everyone = mask.all()
        infos: dict[str, Any] = {}
        for name, key in _INFO_KEYS:
            array: Array = getattr(self, name)
            array = END_NAMES[array] if name == "end" else array.copy()
            if not is_everyone:
                array[~mask] = None if name == "end" else 0
            infos[name], infos[key] = array, mask
        return infos


_INFO_KEYS = tuple((part.name, f"_{part.name}") for part in fields(StateArrays))


@dataclass(frozen=True, slots=True, eq=False)
class LaneArrays:
    """All arrays of a vector environment of N lanes."""

    actions: Array
    """Actions to play, int64."""
    observations: Array
    """Live stacks, uint8, (N, stack, size, size)."""
    rewards: Array
    """Rewards of the last step, float64."""
    terminated: Array
    """Ends by the game's rules, bool."""
    truncated: Array
    """Ends by a cap, bool."""
    state: StateArrays
    """State after the step."""
    final_observations: Array
    """Last observations of episodes that ended in the last step (same-step autoreset), as `observations`."""
    final_state: StateArrays
    """Their state."""
    inputs: dict[str, Array] = field(default_factory=dict)
    """What lanes were asked for beside observations, by name, uint8, (N, *INPUT_SHAPES[name])."""
    final_inputs: dict[str, Array] = field(default_factory=dict)
    """The inputs of the last observations of episodes that ended, as `inputs`."""

    def rows(self, start: int, stop: int) -> LaneArrays:
        """Return views of the rows of some lanes."""
        views: dict[str, Any] = {}
        for part in fields(self):
            value = getattr(self, part.name)
            if isinstance(value, dict):
                views[part.name] = {name: array[start:stop] for name, array in value.items()}
            elif isinstance(value, StateArrays):
                views[part.name] = StateArrays(*(getattr(value, f.name)[start:stop] for f in fields(value)))
            else:
                views[part.name] = value[start:stop]
        return LaneArrays(**views)


def num_bytes(num_lanes: int, protocol: Protocol, inputs: Sequence[str] = ()) -> int:
    """Return how much memory `lay_out` needs."""
    return sum(_padded(dtype, (num_lanes, *shape)) for dtype, shape in _layout(protocol, inputs))


def lay_out(num_lanes: int, protocol: Protocol, memory: Any = None, inputs: Sequence[str] = ()) -> LaneArrays:
    """Return arrays for `num_lanes` lanes, in `memory` (a writable buffer of `num_bytes`) or in fresh zeros."""
    if memory is None:
        memory = np.zeros(num_bytes(num_lanes, protocol, inputs), np.uint8)
    offset, arrays = 0, []
    for dtype, shape in _layout(protocol, inputs):
        full_shape = (num_lanes, *shape)
        arrays.append(np.ndarray(full_shape, dtype, buffer=memory, offset=offset))
        offset += _padded(dtype, full_shape)
    num_state = len(_STATE_DTYPES)
    actions, observations, rewards, terminated, truncated = arrays[:5]
    state, last, further = (
        arrays[5 : 5 + num_state],
        arrays[5 + num_state : 6 + 2 * num_state],
        arrays[6 + 2 * num_state :],
    )
    return LaneArrays(
        actions,
        observations,
        rewards,
        terminated,
        truncated,
        StateArrays(*state),
        last[0],
        StateArrays(*last[1:]),
        dict(zip(inputs, further[: len(inputs)], strict=True)),
        dict(zip(inputs, further[len(inputs) :], strict=True)),
    )


_STATE_DTYPES = (np.int64, np.float64, np.int64, np.bool_, np.bool_, np.int8)


def _layout(protocol: Protocol, inputs: Sequence[str]) -> list[tuple[type[np.generic], tuple[int, ...]]]:
    """Return dtype and shape of one lane's row of every array, in the order of the fields."""
    shape = observation_shape(protocol)
    state = [(dtype, ()) for dtype in _STATE_DTYPES]
    plain: list[tuple[type[np.generic], tuple[int, ...]]] = [
        (np.int64, ()),
        (np.uint8, shape),
        (np.float64, ()),
        (np.bool_, ()),
        (np.bool_, ()),
    ]
    further: list[tuple[type[np.generic], tuple[int, ...]]] = [(np.uint8, INPUT_SHAPES[name]) for name in inputs]
    return [*plain, *state, (np.uint8, shape), *state, *further, *further]


def _padded(dtype: type[np.generic], shape: tuple[int, ...]) -> int:
    """Return the bytes of an array, rounded up so that the next one is aligned."""
    size = np.dtype(dtype).itemsize * math.prod(shape)
    return -(-size // _ALIGNMENT) * _ALIGNMENT
