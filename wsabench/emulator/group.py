"""A group of lanes in one process, stepped one after the other; the vector environment and its workers run groups."""

from __future__ import annotations

from collections.abc import Sequence

from gymnasium.vector import AutoresetMode

from wsabench.emulator.arrays import LaneArrays
from wsabench.emulator.lane import Lane
from wsabench.perturb import CompiledPerturbation
from wsabench.protocol import Protocol


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
            perturbations: One a lane; they say the game.
            protocol: Preprocessing and episode rules of all.
            seeds: First episode seed of each lane; None takes one from the operating system.
            arrays: Where results go, one row a lane; they say which inputs the lanes supply.
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
        self.lanes.clear()

    def _write(self, row: int, lane: Lane) -> None:
        """Copy the lane's results to its row (its observation and inputs are there already)."""
        arrays = self._arrays
        arrays.rewards[row] = lane.reward
        arrays.terminated[row] = lane.terminated
        arrays.truncated[row] = lane.truncated
        arrays.state.write(row, lane)
