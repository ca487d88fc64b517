"""Rules at work in a lane: before every emulated frame the program runs and what it changed is written back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wsabench.perturb.rules.code import Program
from wsabench.perturb.rules.machine import CHANGED, MEMORY_SIZE, NOW, PREVIOUS, RESET, machine
from wsabench.perturb.rules.syntax import NUM_BYTES
from wsabench.perturb.stages import Memory, RamState


@dataclass(frozen=True, slots=True, eq=False)
class RamPatchStage:
    """A compiled rule as a stage; immutable and shared by lanes."""

    program: Program

    def start_ram(self, generator: np.random.Generator, memory: Memory) -> RamState:
        """Return the rule's state right after a reset of the console.

        Args:
            generator: The lane's own; one 64-bit number is drawn, the beginning of the rule's own stream.
            memory: The console; its bytes now are what the rule calls `reset` and, in frame 0, `prev`.
        """
        return _RamPatchState(self.program, int(generator.integers(0, 2**64, dtype=np.uint64)), memory)


class _RamPatchState:
    """One rule from one reset of the console to the next."""

    def __init__(self, program: Program, seed: int, memory: Memory) -> None:
        self._run = machine()
        self._code = program.code
        self._work = np.zeros(1 + program.stack_size, np.int64)
        self._work[0] = np.uint64(seed).astype(np.int64)
        self._banks = np.zeros(MEMORY_SIZE, np.uint8)
        self._bytes = self._banks.data
        self._now, self._previous, reset = (self._banks[at : at + NUM_BYTES] for at in (NOW, PREVIOUS, RESET))
        memory.getRAM(reset)
        self._previous[:] = reset
        self._keeps_previous = program.keeps_previous
        self._period = program.period
        self._moments = program.moments
        self._frame = 0

    def apply(self, memory: Memory) -> None:
        """Run the rule before an emulated frame."""
        frame, period = self._frame, self._period
        self._frame = frame + 1
        if (not period or frame % period) and frame not in self._moments:
            if self._keeps_previous:
                memory.getRAM(self._previous)
            return
        memory.getRAM(self._now)
        num_changed = self._run(self._code, self._work, self._banks, frame)
        if num_changed:
            values = self._bytes
            for address in values[CHANGED : CHANGED + num_changed]:
                memory.setRAM(address, values[address])
