"""The files of the ROMs, which ale-py brings along."""

from __future__ import annotations

import functools
from pathlib import Path

from wsabench.errors import StorageError
from wsabench.games import check_rom_id
from wsabench.hashing import file_hash


@functools.cache
def rom_hash(game: str) -> str:
    """Return the SHA-256 of the ROM's bytes, 64 hexadecimal digits.

    Raises:
        SpecError: It needs two players.
        UnknownNameError: There is no such ROM.
    """
    return file_hash(rom_path(game))


def rom_path(game: str) -> Path:
    """Return the file of the ROM, as ale-py finds and checks it.

    Raises:
        SpecError: It needs two players.
        StorageError: ale-py does not have it.
        UnknownNameError: There is no such ROM.
    """
    from ale_py import roms  # here, because it loads gymnasium

    path = roms.get_rom_path(check_rom_id(game))
    if path is None:
        raise StorageError(f"ale-py has no ROM {game!r}. Reinstall ale-py 0.12.")
    return path
