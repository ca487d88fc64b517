"""Which ROMs there are, and what is known of each without a catalogue entry."""

from __future__ import annotations

import functools
import importlib.util
import json
import re
from pathlib import Path
from typing import Literal, NamedTuple

from wsabench.errors import SpecError, StorageError, unknown_name
from wsabench.fields import Fields, read_toml
from wsabench.resources import data_dir

Standard = Literal["NTSC", "PAL", "SECAM"]

HINT = "Run `wsabench list games`."

_GYMNASIUM_ID = re.compile(r"(?:(?:ALE|wsabench)/)?(\w+?)(?:-ram)?(?:Deterministic|NoFrameskip)?-v\d+")
"""How Gymnasium and ale-py write a game: `ALE/MsPacman-v5`, `MsPacmanNoFrameskip-v4`, `wsabench/MsPacman-v0`."""


class _Facts(NamedTuple):
    """Ids of ROMs, by the keys of `perturbations/roms.toml`."""

    two_player: frozenset[str]
    pal: frozenset[str]
    fixed_start: frozenset[str]


@functools.cache
def _facts() -> _Facts:
    """Read what is known of the ROMs."""
    path = data_dir("perturbations") / "roms.toml"
    table = Fields(read_toml(path), str(path))
    facts = _Facts(*(frozenset(table.texts(key)) for key in _Facts._fields))
    table.close()
    return facts


@functools.cache
def _single_player() -> frozenset[str]:
    """Return the ids of all ROMs that one player can play."""
    return frozenset(_rom_folder_ids()) - _facts().two_player


def _rom_folder_ids() -> list[str]:
    """Return the ids of all ROMs of ale-py, read from its list of files; importing ale-py would load gymnasium."""
    spec = importlib.util.find_spec("ale_py")
    folders = spec.submodule_search_locations if spec else None
    path = Path(folders[0] if folders else "ale_py") / "roms" / "md5.json"
    try:
        return [Path(name).stem for name in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError) as error:
        raise StorageError(f"Cannot read ale-py's list of ROMs, {path}: {error}. Reinstall ale-py 0.12.") from error


def rom_ids() -> list[str]:
    """Return the ids of all single-player ROMs of ale-py, sorted (104 in ale-py 0.12.1)."""
    return sorted(_single_player())


def check_rom_id(game: str) -> str:
    """Return the id of a single-player ROM.

    Args:
        game: The id, `ms_pacman`, or the name of a Gymnasium environment, of which only the game counts:
            `ALE/MsPacman-v5`, `MsPacmanNoFrameskip-v4`, `MsPacman`.

    Raises:
        SpecError: It needs two players.
        UnknownNameError: There is no such ROM; the message has the nearest ids.
    """
    if not isinstance(game, str):
        raise unknown_name("game", game, rom_ids(), HINT)
    if game in _single_player():
        return game
    match = _GYMNASIUM_ID.fullmatch(game)
    written = match[1] if match else game
    found = _by_written_name().get(written.casefold(), game)
    if found in _facts().two_player:
        raise SpecError(
            f"The game {game!r} needs two players, and ale-py ends the process when one plays it. "
            f"Allowed: the {len(rom_ids())} single-player games. {HINT}"
        )
    if found not in _single_player():
        raise unknown_name("game", game, rom_ids(), HINT)
    return found


@functools.cache
def _by_written_name() -> dict[str, str]:
    """Return the ids of all ROMs by their names without underscores, as ale-py's environments write them, folded."""
    return {name.replace("_", ""): name for name in _rom_folder_ids()}


def standard_of(game: str) -> Standard:
    """Return the television standard whose palette ale-py draws `game` with."""
    return "PAL" if game in _facts().pal else "NTSC"


def has_fixed_start(game: str) -> bool:
    """Whether every game of this ROM starts alike, whatever the console played or held in memory before."""
    return game in _facts().fixed_start
