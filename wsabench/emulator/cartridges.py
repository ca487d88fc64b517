"""Emulators with a ROM in them, kept between consoles.

Loading takes 86 ms of processor time; reading the file and making the emulator have no part in it. Whoever makes
lanes again and again, as every run and every vector environment does, takes emulators that others have given back.
"""

from __future__ import annotations

import atexit
from pathlib import Path
from typing import NamedTuple

import ale_py

_MOST_KEPT = 32
"""How many idle emulators a process keeps, 0.6 MB each; enough for the lanes of a run."""


class Cartridge(NamedTuple):
    """An emulator with a ROM in it."""

    ale: ale_py.ALEInterface
    loaded_state: ale_py.ALEState
    """The state right after loading; restoring it brings back the default mode and difficulty."""


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
