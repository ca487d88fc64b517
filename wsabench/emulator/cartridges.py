"""Emulators with a ROM in them, kept between consoles.

Loading takes 86 ms of processor time; reading the file and making the emulator have no part in it. Whoever makes
lanes again and again, as every run and every vector environment does, takes emulators that others have given back.
"""

from __future__ import annotations

import atexit
from dataclasses import dataclass
from pathlib import Path

import ale_py
import numpy as np
import numpy.typing as npt

Screen = npt.NDArray[np.uint8]

_MOST_KEPT = 32
"""How many idle emulators a process keeps, 0.6 MB each; enough for the lanes of a run."""


class Start:
    """How a game starts: the state after a reset, what the screen then shows, and how it goes on."""

    def __init__(self, ale: ale_py.ALEInterface) -> None:
        """Keep the present state of an emulator; it is one frame further afterwards."""
        self._state = ale.cloneState()
        self._screen: Screen = ale.getScreen()
        ale.act(ale_py.Action.NOOP)
        self._next_screen: Screen = ale.getScreen()
        self._next_ram: npt.NDArray[np.uint8] = ale.getRAM()

    def restore(self, ale: ale_py.ALEInterface) -> bool:
        """Restore the state and return whether the game goes on from it as it did.

        A state does not hold everything: when rules wrote to the memory, the processor may have stopped in the middle
        of a frame, and restoring does not mend that. A frame that is played for trial shows it.
        """
        ale.restoreState(self._state)
        ale.act(ale_py.Action.NOOP)
        goes_on = np.array_equal(ale.getScreen(), self._next_screen) and np.array_equal(ale.getRAM(), self._next_ram)
        ale.restoreState(self._state)
        return goes_on

    def getScreen(self, buffer: Screen, /) -> None:
        """Write palette indices to `buffer`."""
        buffer[...] = self._screen


@dataclass(eq=False, slots=True)
class Cartridge:
    """An emulator with a ROM in it."""

    ale: ale_py.ALEInterface
    loaded_state: ale_py.ALEState
    """The state right after loading; restoring it brings back the default mode and difficulty."""
    start: Start | None = None
    """The start of its games under the default switches, once a console has found out; it is the next console's too."""


_kept: dict[tuple[Path, float], list[Cartridge]] = {}
"""Idle emulators by ROM and probability of sticky actions. Single operations on lists need no lock."""
atexit.register(_kept.clear)  # ale-py complains of emulators that are left at the end


def take(rom: Path, sticky_probability: float) -> Cartridge:
    """Return an emulator with a ROM in it, in the state right after loading.

    Args:
        rom: The ROM's file, which is taken to stay the same while the process lives.
        sticky_probability: How often the emulator repeats the action before, 0 to 1.
    """
    try:
        kept = _kept[rom, sticky_probability].pop()
    except (KeyError, IndexError):
        return _load(rom, sticky_probability)
    kept.ale.restoreState(kept.loaded_state)
    return kept


def give_back(cartridge: Cartridge, rom: Path, sticky_probability: float) -> None:
    """Keep an emulator that nobody uses any more for whoever asks for the same; too many are forgotten together."""
    if sum(map(len, list(_kept.values()))) >= _MOST_KEPT:
        _kept.clear()
    _kept.setdefault((rom, sticky_probability), []).append(cartridge)


def _load(rom: Path, sticky_probability: float) -> Cartridge:
    """Load a ROM into a new emulator."""
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setFloat("repeat_action_probability", sticky_probability)
    ale.setInt("random_seed", 0)
    ale.loadROM(rom)
    return Cartridge(ale, ale.cloneState())
