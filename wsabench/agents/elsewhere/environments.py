"""Which game an agent was trained on, read from the name of its environment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_OLD = re.compile(r"([A-Z][A-Za-z0-9]+?)(NoFrameskip)?-(v0|v4)(?![0-9])")
_NEW = re.compile(r"ALE[/_-]([A-Z][A-Za-z0-9]+)-v5(?![0-9])")
_SIDECARS = ("args.yml", "config.yml", "config.json", "README.md")
_MOST_BYTES = 1_000_000


class Environment(NamedTuple):
    """An environment of gymnasium that an agent was trained on."""

    name: str
    """As it was written: `BreakoutNoFrameskip-v4`, `ALE/Breakout-v5`."""
    game: str
    """The game without underscores, in lower case: `mspacman`."""
    frame_skip: int
    """Emulator frames of one of its own steps; 0 for a random number (2 to 4)."""
    sticky_probability: float
    """With which it repeats actions by itself."""

    def is_game(self, game: str) -> bool:
        """Whether it is this game, by our id."""
        return self.game == game.replace("_", "")


def find_environment(text: str) -> Environment | None:
    """Return the environment that a text names; None where it names none, or several games."""
    found = {
        Environment(match[0], match[1].lower(), 1 if match[2] else 0, 0.25 if match[3] == "v0" else 0.0)
        for match in _OLD.finditer(text)
    } | {Environment(f"ALE/{match[1]}-v5", match[1].lower(), 4, 0.25) for match in _NEW.finditer(text)}
    return found.pop() if len({one.game for one in found}) == len(found) == 1 else None


def environment_of(path: Path) -> Environment | None:
    """Return the environment that a file's name, its folder's name or the notes beside it name, in this order.

    Notes are what training tools leave in the folder of a file, or in one of the file's own name: `args.yml`,
    `config.yml`, a model card.
    """
    for text in (path.name, path.parent.name):
        if found := find_environment(text):
            return found
    for folder in (path.parent, path.with_suffix("")):
        for name in _SIDECARS:
            note = folder / name
            is_note = note.is_file() and note.stat().st_size <= _MOST_BYTES
            text = note.read_text(encoding="utf-8", errors="replace") if is_note else ""
            if found := find_environment(text):
                return found
    return None
