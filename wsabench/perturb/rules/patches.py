"""The RAM patches of the games' catalogue entries: their rules, what they write, the stage that runs them, the kind.

Before every emulated frame the program of a rule runs in a lane, and what it changed is written back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from wsabench.errors import SpecError, unknown_name
from wsabench.games import Game, RamPatch
from wsabench.perturb.kinds import Parameter, kind
from wsabench.perturb.rules.code import Program, compile_rule
from wsabench.perturb.rules.machine import CHANGED, MEMORY_SIZE, NOW, PREVIOUS, RESET, machine
from wsabench.perturb.rules.parsing import parse_rule
from wsabench.perturb.rules.syntax import NUM_BYTES, Rule
from wsabench.perturb.rules.text import canonical_text
from wsabench.perturb.stages import Memory, RamState

_SCORE_WORDS = ("score", "cars_to_pass")
"""Parts of names in RAM maps: a change of such a byte is given as reward by ALE."""
_LIVES_WORD = "lives"


def patch_rule(game: Game, patch: str, where: str = "rule") -> Rule:
    """Return the parsed rule of a game's patch.

    Args:
        game: The game's record.
        patch: The patch's name in the game's catalogue entry, for example `lazy_enemy`.
        where: Beginning of all messages about the rule.

    Raises:
        SpecError: The game has no such patch, or its rule is malformed.
    """
    if patch not in game.patches:
        if not game.patches:
            raise SpecError(f"{game.id} has no RAM patches. Allowed: games whose catalogue entry has patches.")
        raise SpecError(str(unknown_name(f"RAM patch of {game.id}", patch, game.patches)))
    return parse_patch(game.patches[patch], game, where)


def parse_patch(patch: RamPatch, game: Game, where: str = "") -> Rule:
    """Return the parsed rule of a patch.

    Raises:
        SpecError: The rule is malformed or names what the game's RAM map lacks; the message begins with `where`.
    """
    return parse_rule(patch.rule, ram_addresses(game), where, patch.when == "on_reset")


def check_patch(patch: RamPatch, game: Game) -> None:
    """Refuse a patch whose rule is malformed or names what the game's RAM map lacks.

    Raises:
        SpecError: The message begins with the column in the rule.
    """
    parse_patch(patch, game)


def ram_addresses(game: Game) -> Mapping[str, int]:
    """Return the addresses of the game's memory by their names in its RAM map."""
    return {name: variable.index for name, variable in game.ram.items()}


def written_score(rule: Rule, game: Game) -> tuple[str, ...]:
    """Return the names of the score's bytes that a rule may write; what that adds to the score becomes reward."""
    return tuple(name for name in _written_names(rule, game) if any(word in name for word in _SCORE_WORDS))


def written_lives(rule: Rule, game: Game) -> tuple[str, ...]:
    """Return the names of the bytes with the lives that a rule may write."""
    return tuple(name for name in _written_names(rule, game) if _LIVES_WORD in name.split("_"))


def reward_note(rule: Rule, game: Game) -> str:
    """Return what a rule does to score and lives, for the catalogue; empty where it writes neither."""
    notes: list[str] = []
    score, lives = written_score(rule, game), written_lives(rule, game)
    if score:
        notes.append(f"Writes the score ({', '.join(score)}): a change that the game notices becomes reward.")
    if lives:
        notes.append(f"Writes the lives ({', '.join(lives)}): lost lives and the game's end may not be what they were.")
    return " ".join(notes)


def _written_names(rule: Rule, game: Game) -> list[str]:
    """Return the names of the bytes that a rule may write, in the order of the RAM map."""
    written = set(rule.addresses)
    return [name for name, address in ram_addresses(game).items() if address in written]


@dataclass(frozen=True, slots=True, eq=False)
class RamPatchStage:
    """A compiled rule as a stage; immutable and shared by lanes."""

    program: Program

    @property
    def draws_nothing(self) -> bool:
        """Whether the rule has no random numbers in it: that of its stream's beginning changes nothing then."""
        return not self.program.draws

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


def patch_content(game: Game, patch: str) -> str:
    """Return what decides the behaviour of a game's patch: addresses and times are included, names and spaces are not.

    Raises:
        SpecError: The game has no such patch, or its rule is malformed.
    """
    return canonical_text(patch_rule(game, patch))


_PatchName = Annotated[
    str, Parameter("the name of a RAM patch of the game", lambda v: isinstance(v, str) and bool(v), str)
]


@kind("ram.patch", content=patch_content)
def patch_stage(game: Game, patch: _PatchName) -> RamPatchStage:
    """Let the rule `patch` of the game's catalogue entry write bytes of the console's memory: byte = value mod 256.

    It runs before every emulated frame, no-ops and FIRE at the start included. Frames count from the console's reset.

    Raises:
        SpecError: The game has no such patch, its rule is malformed, or its effect was not confirmed.
    """
    rule = patch_rule(game, patch)
    if not game.patches[patch].is_verified:
        found = game.patches[patch].how_verified
        raise SpecError(f"the patch {patch!r} was not confirmed ({found}). Allowed: patches with verified = true.")
    return RamPatchStage(compile_rule(rule))
