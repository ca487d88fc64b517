"""The arrays in which lanes leave their results, one row a lane; in worker processes they lie in shared memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from wsabench.emulator.lane import Lane, observation_shape
from wsabench.protocol import Protocol

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


_INFO_KEYS = tuple((field.name, f"_{field.name}") for field in fields(StateArrays))


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

    def rows(self, start: int, stop: int) -> LaneArrays:
        """Return views of the rows of some lanes."""
        views: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, StateArrays):
                views[field.name] = StateArrays(*(getattr(value, f.name)[start:stop] for f in fields(value)))
            else:
                views[field.name] = value[start:stop]
        return LaneArrays(**views)


def num_bytes(num_lanes: int, protocol: Protocol) -> int:
    """Return how much memory `lay_out` needs."""
    return sum(_padded(dtype, (num_lanes, *shape)) for dtype, shape in _layout(protocol))


def lay_out(num_lanes: int, protocol: Protocol, memory: Any = None) -> LaneArrays:
    """Return arrays for `num_lanes` lanes, in `memory` (a writable buffer of `num_bytes`) or in fresh zeros."""
    if memory is None:
        memory = np.zeros(num_bytes(num_lanes, protocol), np.uint8)
    offset, arrays = 0, []
    for dtype, shape in _layout(protocol):
        full_shape = (num_lanes, *shape)
        arrays.append(np.ndarray(full_shape, dtype, buffer=memory, offset=offset))
        offset += _padded(dtype, full_shape)
    num_state = len(_STATE_DTYPES)
    actions, observations, rewards, terminated, truncated = arrays[:5]
    state, last = arrays[5 : 5 + num_state], arrays[5 + num_state :]
    return LaneArrays(
        actions, observations, rewards, terminated, truncated, StateArrays(*state), last[0], StateArrays(*last[1:])
    )


_STATE_DTYPES = (np.int64, np.float64, np.int64, np.bool_, np.bool_, np.int8)


def _layout(protocol: Protocol) -> list[tuple[type[np.generic], tuple[int, ...]]]:
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
    return [*plain, *state, (np.uint8, shape), *state]


def _padded(dtype: type[np.generic], shape: tuple[int, ...]) -> int:
    """Return the bytes of an array, rounded up so that the next one is aligned."""
    size = np.dtype(dtype).itemsize * math.prod(shape)
    return -(-size // _ALIGNMENT) * _ALIGNMENT
