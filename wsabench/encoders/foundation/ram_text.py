"""A short text from the console's memory: names and values of what the catalogue knows of a game."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from wsabench.errors import SpecError
from wsabench.games import Game, decode

TEMPLATE_VERSION = 1
"""Raised whenever the same memory gives another text."""


class _Phrase(NamedTuple):
    """A name and the bytes whose decoded values are added up."""

    label: str
    places: tuple[int, ...]
    values: tuple[tuple[int, ...], ...]
    """Decoded value of each possible byte, for each place."""


class RamText:
    """The template of one game: `Pong: ball x 205, ball y 54, ...`.

    In it are the verified variables, decoded as probes decode them, but for colours. Bit fields that belong together
    (`dots_row0_part1`, `dots_row2_part0`, ...) are told as one number, how many bits are set in all: dots left.
    """

    def __init__(self, game: Game) -> None:
        """Prepare.

        Raises:
            SpecError: The catalogue has no verified variable of the game.
        """
        groups: dict[str, list[tuple[int, str]]] = {}
        for variable in game.ram.values():
            if variable.confidence == "verified" and not _is_color(variable.name, variable.encoding):
                label = _label(variable.name, variable.encoding)
                groups.setdefault(label, []).append((variable.index, variable.encoding))
        if not groups:
            raise SpecError(
                f"Nothing can be told of {game.id}: the catalogue has no verified variable of its memory. Leave the "
                "encoder 'language' out, or add the game's RAM map to perturbations/games."
            )
        self._title = game.title
        self._phrases = tuple(
            _Phrase(
                label,
                tuple(index for index, _ in members),
                tuple(_decoded(encoding) for _, encoding in members),
            )
            for label, members in groups.items()
        )

    def __call__(self, ram: bytes) -> str:
        """Return the text of a memory of 128 bytes."""
        told = []
        for label, places, values in self._phrases:
            total = sum(table[ram[place]] for place, table in zip(places, values, strict=True))
            told.append(f"{label} {total}")
        return f"{self._title}: {', '.join(told)}"

    @property
    def content(self) -> str:
        """What decides the texts: the template's version, the names, where they are and how they are read."""
        return f"{TEMPLATE_VERSION} {self._title} {self._phrases}"


def _decoded(encoding: str) -> tuple[int, ...]:
    return tuple(int(value) for value in decode(np.arange(256, dtype=np.uint8), encoding))


def _is_color(name: str, encoding: str) -> bool:
    return encoding.startswith("palette index") or "color" in name.split("_")


def _label(name: str, encoding: str) -> str:
    """Return a variable's name in words; for a bit field, of what it is a part."""
    if encoding.startswith("bitfield"):
        name = re.split(r"_[a-z]*\d", name)[0]
    return name.replace("_", " ")
