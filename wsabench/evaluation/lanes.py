"""The lanes of one process: any lane can be started and stepped alone, so an idle lane costs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from wsabench.protocol import Protocol
from wsabench.types import INPUT_SHAPES, EpisodeEnd, Observations

if TYPE_CHECKING:
    from wsabench.emulator import Lane
    from wsabench.perturb import CompiledPerturbation

NUM_LANES = 16
"""Lanes a process plays at once. Policies that do not pad for themselves always see this many rows."""


class Finish(NamedTuple):
    """How an episode ended."""

    episodic_return: float
    length: int
    end: EpisodeEnd


class EpisodeLanes:
    """Lanes of one game. The vector environment steps all its lanes together; here the last long games play alone."""

    def __init__(self, game: str, protocol: Protocol, num_lanes: int = NUM_LANES, inputs: Sequence[str] = ()) -> None:
        """Prepare; an emulator is loaded when its lane is first started.

        Args:
            game: The game's id.
            protocol: How lanes are made.
            num_lanes: How many there are.
            inputs: What lanes supply beside observations: `rgb84`, `ram`.
        """
        from wsabench.emulator import action_meanings, observation_shape

        self.game = game
        self.num_lanes = num_lanes
        self.num_actions = len(action_meanings(game, protocol))
        self.observations: Observations = np.zeros((num_lanes, *observation_shape(protocol)), dtype=np.uint8)
        self.inputs: dict[str, npt.NDArray[np.uint8]] = {
            name: np.zeros((num_lanes, *INPUT_SHAPES[name]), np.uint8) for name in inputs
        }
        self._protocol = protocol
        self._lanes: list[Lane | None] = [None] * num_lanes
        self._compiled: dict[str, CompiledPerturbation] = {}

    def start(self, row: int, episode_seed: int, perturbation: str) -> None:
        """Start an episode in one lane; its first observation is in `observations[row]`."""
        from wsabench.emulator import Lane
        from wsabench.perturb import compile_perturbation

        if perturbation not in self._compiled:
            self._compiled[perturbation] = compile_perturbation(perturbation, self.game)
        compiled = self._compiled[perturbation]
        lane = self._lanes[row]
        if lane is None:
            arrays = {name: array[row] for name, array in self.inputs.items()}
            lane = self._lanes[row] = Lane(
                compiled, self._protocol, None, self.observations[row], tuple(arrays), arrays
            )
        else:
            lane.set_perturbation(compiled)
        lane.reset(episode_seed)

    def step(self, row: int, action: int) -> Finish | None:
        """Play one step in one lane; return how the episode ended, None while it goes on."""
        lane = self.lane(row)
        lane.step(action)
        return None if lane.end is None else Finish(lane.episode_return, lane.episode_length, lane.end)

    def episode_return(self, row: int) -> float:
        """Return the unclipped return of a lane's episode so far."""
        return self.lane(row).episode_return

    def lane(self, row: int) -> Lane:
        """Return a lane that was started."""
        lane = self._lanes[row]
        if lane is None:
            raise IndexError(f"lane {row} was never started")
        return lane
