"""The emulated console: one ALE with a ROM in it, and starts that do not depend on what was played before."""

from __future__ import annotations

import ale_py

from wsabench.games import rom_path
from wsabench.perturb import ConsoleStage
from wsabench.protocol import Protocol

FIRE = ale_py.Action.FIRE
NOOP = ale_py.Action.NOOP

_AS_SHIPPED = ConsoleStage()


class Console:
    """One ALE instance.

    `power_on` gives the same game as a freshly loaded ROM: loading takes 80 ms, so without sticky actions the state
    right after loading is kept and restored before the emulator's own reset (4 ms; the same to the bit in all 104
    single-player ROMs). With sticky actions the emulator's random generator is needed, and only loading seeds it.
    """

    def __init__(self, game: str, protocol: Protocol) -> None:
        """Load the ROM of `game`.

        Raises:
            SpecError: The game needs two players.
            UnknownNameError: There is no such game.
        """
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        self.ale = ale_py.ALEInterface()
        self.ale.setFloat("repeat_action_probability", float(protocol.sticky_probability))
        self._is_sticky = protocol.sticky_probability > 0
        self._rom = rom_path(game)
        self.ale.setInt("random_seed", 0)
        self.ale.loadROM(self._rom)
        self._loaded_state = self.ale.cloneState()
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
        if self._is_sticky:
            self.ale.setInt("random_seed", emulator_seed)
            self.ale.loadROM(self._rom)
        else:
            self.ale.restoreState(self._loaded_state)
        if switches.mode is not None:
            self.ale.setMode(switches.mode)
        if switches.difficulty is not None:
            self.ale.setDifficulty(switches.difficulty)
        self.ale.reset_game()


def action_set(ale: ale_py.ALEInterface, protocol: Protocol) -> list[ale_py.Action]:
    """Return the actions that action indices stand for."""
    return list(ale.getLegalActionSet() if protocol.full_action_space else ale.getMinimalActionSet())


def action_meanings(game: str, protocol: Protocol | None = None) -> tuple[str, ...]:
    """Return the names of the actions of `game` in the order of their indices, for example `("NOOP", "FIRE", ...)`.

    Raises:
        SpecError: The game needs two players.
        UnknownNameError: There is no such game.
    """
    return tuple(action.name for action in Console(game, protocol or Protocol()).actions)
