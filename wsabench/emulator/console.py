"""The emulated console: one ALE with a ROM in it, and starts that do not depend on what was played before."""

from __future__ import annotations

import functools
from typing import NoReturn
from typing import Protocol as TypingProtocol

import ale_py

from wsabench.emulator import cartridges
from wsabench.emulator.cartridges import Screen, Start
from wsabench.emulator.rom_files import rom_path
from wsabench.games import has_fixed_start
from wsabench.perturb import ConsoleStage
from wsabench.protocol import Protocol

FIRE = ale_py.Action.FIRE
NOOP = ale_py.Action.NOOP

_AS_SHIPPED = ConsoleStage()


class Picture(TypingProtocol):
    """What has a screen: an emulator, or what it showed once."""

    def getScreen(self, buffer: Screen, /) -> None:
        """Write palette indices to `buffer`, uint8, shape (height, width)."""
        ...


class Console:
    """One ALE instance.

    `power_on` gives the same game as a freshly loaded ROM: loading takes 80 ms, so without sticky actions the state
    right after loading is kept and restored before the emulator's own reset (4 ms; the same to the bit in all 104
    single-player ROMs). With sticky actions the emulator's random generator is needed, and only loading seeds it.

    Where every game of a ROM starts alike, whatever was played before (`has_fixed_start`), the reset itself is left
    out as well: the state after it is kept with the emulator and restored (0.1 ms).

    Attributes:
        ale: The emulator.
        actions: What action indices stand for.
        switches: How the switches stand: the mode and the difficulty of the present game.
        picture: What the screen shows until the next frame is played; `ale` itself but after a restored start, because
            restoring a state does not draw it.
    """

    def __init__(self, game: str, protocol: Protocol) -> None:
        """Load the ROM of `game`, or take an emulator with it that another console gave back.

        Raises:
            SpecError: The game needs two players.
            UnknownNameError: There is no such game.
        """
        self._sticky_probability = float(protocol.sticky_probability)
        self._is_sticky = self._sticky_probability > 0
        self._rom = rom_path(game)
        self._cartridge = cartridges.take(self._rom, self._sticky_probability)
        self.ale = self._cartridge.ale
        self._is_open = True
        self._has_fixed_start = has_fixed_start(game) and not self._is_sticky
        self.switches = _AS_SHIPPED
        self.picture: Picture = self.ale
        self.actions = action_set(self.ale, protocol)

    @property
    def screen_dims(self) -> tuple[int, int]:
        """Height and width of the screen in pixels."""
        height, width = self.ale.getScreenDims()
        return int(height), int(width)

    def power_on(self, emulator_seed: int, switches: ConsoleStage = _AS_SHIPPED) -> None:
        """Start a game as after loading the ROM with this seed (0..2**31-1) and setting these switches.

        Restoring the state, like loading, brings back the default mode and difficulty.
        """
        self.switches = switches
        if self._restore_start():
            return
        if self._is_sticky:
            self.ale.setInt("random_seed", emulator_seed)
            self.ale.loadROM(self._rom)
        else:
            self.ale.restoreState(self._cartridge.loaded_state)
        if switches.mode is not None:
            self.ale.setMode(switches.mode)
        if switches.difficulty is not None:
            self.ale.setDifficulty(switches.difficulty)
        self._reset()

    def start_next(self) -> None:
        """Start the next game, as the emulator does without a seed: whatever its memory keeps goes on."""
        if not self._restore_start():
            self._reset()

    def play(self, button: ale_py.Action) -> int:
        """Play one frame; return its reward."""
        self.picture = self.ale
        return self.ale.act(button)

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied or pickled: the emulator is this console's alone.

        Raises:
            TypeError: Always.
        """
        raise TypeError("A console has an emulator of its own. It cannot be copied: make another one.")

    def close(self) -> None:
        """Give the emulator back for another console; this one is of no use any more."""
        if self._is_open:
            self._is_open = False
            cartridges.give_back(self._cartridge, self._rom, self._sticky_probability)
            del self.ale, self.picture, self._cartridge  # a mistake must not reach into somebody else's game

    def _restore_start(self) -> bool:
        """Restore the state after a reset and return whether that is exactly the start."""
        start = self._cartridge.start
        if start is None or self.switches != _AS_SHIPPED or not start.restore(self.ale):
            return False
        self.picture = start
        return True

    def _reset(self) -> None:
        """Let the emulator start the next game."""
        self.ale.reset_game()
        self.picture = self.ale
        if self._has_fixed_start and self.switches == _AS_SHIPPED and self._cartridge.start is None:
            self._cartridge.start = Start(self.ale)
            self._restore_start()


def action_set(ale: ale_py.ALEInterface, protocol: Protocol) -> list[ale_py.Action]:
    """Return the actions that action indices stand for."""
    return list(ale.getLegalActionSet() if protocol.full_action_space else ale.getMinimalActionSet())


def action_meanings(game: str, protocol: Protocol | None = None) -> tuple[str, ...]:
    """Return the names of the actions of `game` in the order of their indices, for example `("NOOP", "FIRE", ...)`.

    Raises:
        SpecError: The game needs two players.
        UnknownNameError: There is no such game.
    """
    return _action_names(game, (protocol or Protocol()).full_action_space)


@functools.cache
def _action_names(game: str, is_full: bool) -> tuple[str, ...]:
    """Return the names of a game's own actions, or of all that the console has."""
    console = Console(game, Protocol(full_action_space=is_full))
    try:
        return tuple(action.name for action in console.actions)
    finally:
        console.close()
