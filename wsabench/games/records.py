"""What the catalogue knows of a game."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Confidence = Literal["verified", "annotated"]
"""`verified`: confirmed against the running game, the note says how. `annotated`: taken from the sources."""
PatchTime = Literal["per_frame", "on_reset"]
Difficulty = Literal["easier", "different", "harder"]
PatchFamily = Literal["color", "dynamics"]


@dataclass(frozen=True, slots=True)
class RamVariable:
    """A byte of the console's memory that means something."""

    name: str
    index: int
    """Address, 0..127."""
    encoding: str
    """How the byte is to be read: `raw`, `bcd`, `signed`, ... in words where it is special."""
    confidence: Confidence
    note: str
    """How it was confirmed, and what it stands for."""


@dataclass(frozen=True, slots=True)
class RamPatch:
    """A rule that changes the game by writing to its memory; the text is data, nothing here runs it."""

    name: str
    when: PatchTime
    rule: str
    effect: str
    expected_difficulty: Difficulty
    """A judgement, not a measured score."""
    is_verified: bool
    """Whether the effect was confirmed by paired runs; only then it is a perturbation."""
    is_verified_every_4th_frame: bool
    """Whether it was confirmed when applied before every fourth frame only."""
    how_verified: str
    family: PatchFamily = "dynamics"
    """`color`: it writes nothing but colours."""

    @property
    def perturbation(self) -> str:
        """The name of the perturbation, `lazy-enemy` of the patch `lazy_enemy`."""
        return self.name.replace("_", "-")


@dataclass(frozen=True, slots=True)
class Game:
    """One ROM; the mappings are empty where there is no catalogue entry."""

    id: str
    """ALE's ROM id, snake case."""
    title: str
    random_score: float | None
    """Mean return of random play (30 no-ops); None where the table has none."""
    human_score: float | None
    """Mean return of human play; None where the table has none."""
    ram: Mapping[str, RamVariable] = field(default_factory=dict)
    objects: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Palette indices (0..255) in which each object is drawn."""
    patches: Mapping[str, RamPatch] = field(default_factory=dict)
    modes: tuple[int, ...] = ()
    """Values of the mode switch, the default first."""
    difficulties: tuple[int, ...] = ()
    """Values of the difficulty switch, the default first."""

    @property
    def verified_patches(self) -> tuple[RamPatch, ...]:
        """The patches that are perturbations, in the order of the file."""
        return tuple(patch for patch in self.patches.values() if patch.is_verified)
