"""What the catalogue knows of a game."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

Confidence = Literal["verified", "annotated"]
"""`verified`: confirmed against the running game, the note says how. `annotated`: taken from the sources."""
PatchTime = Literal["per_frame", "on_reset"]
Difficulty = Literal["easier", "different", "harder"]
PatchFamily = Literal["color", "dynamics"]
EaseMeasure = Literal["return", "length", "points_conceded"]
"""In what an easier game shows: a greater return, a longer game, or a smaller sum of the negative rewards."""


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
class RandomPlay:
    """How random play shows whether a patch makes the game easier."""

    steps: int = 600
    """Agent steps after which a game is cut, with the patch and without."""
    actions: tuple[str, ...] = ()
    """Names of the actions that are drawn from, each equally likely; none: all actions of the game."""
    reason: str = ""
    """Why not all actions, where they are named."""


@dataclass(frozen=True, slots=True)
class Ease:
    """In what it shows that a patch makes the game easier."""

    measure: EaseMeasure = "return"
    steps: int | None = None
    """Agent steps after which a game is cut; None: as the game's `random_play` says."""
    reason: str = ""
    """Why the measure or the steps are not the usual ones."""


@dataclass(frozen=True, slots=True)
class RamPatch:
    """A rule that changes the game by writing to its memory; the text is data, nothing here runs it."""

    name: str
    when: PatchTime
    rule: str
    effect: str
    expected_difficulty: Difficulty
    """`easier` is a claim that paired random play must show; `different` and `harder` are judgements."""
    is_verified: bool
    """Whether the effect was confirmed by paired runs; only then it is a perturbation."""
    is_verified_every_4th_frame: bool
    """Whether it was confirmed when applied before every fourth frame only."""
    how_verified: str
    family: PatchFamily = "dynamics"
    """`color`: it writes nothing but colours."""
    ease: Ease = Ease()
    """In what it shows that the game is easier; says something for `easier` alone."""

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
    random_play: RandomPlay = RandomPlay()
    """How random play shows which patches make the game easier."""

    @property
    def verified_patches(self) -> tuple[RamPatch, ...]:
        """The patches that are perturbations, in the order of the file."""
        return tuple(patch for patch in self.patches.values() if patch.is_verified)

    @property
    def easier_patches(self) -> tuple[RamPatch, ...]:
        """The verified patches that claim to make the game easier, in the order of the file."""
        return tuple(patch for patch in self.verified_patches if patch.expected_difficulty == "easier")


def decode(ram_byte: npt.NDArray[np.uint8], encoding: str) -> npt.NDArray[np.float64]:
    """Return the numbers that bytes stand for, float64, same shape.

    Args:
        ram_byte: Bytes of one address.
        encoding: As in the RAM map: `signed`, `bcd`, `bit N`, `bitfield` (its number of set bits), all else as it is.
    """
    word = encoding.split(" ")[0].casefold()
    if word == "signed":
        return ram_byte.view(np.int8).astype(np.float64)
    if word == "bcd":
        return ((ram_byte >> 4) * 10.0 + (ram_byte & 15)).astype(np.float64)
    if word == "bit":
        return ((ram_byte >> int(encoding.split(" ")[1])) & 1).astype(np.float64)
    if word == "bitfield":
        return np.bitwise_count(ram_byte).astype(np.float64)
    return ram_byte.astype(np.float64)
