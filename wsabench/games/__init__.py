"""Typed records of the games: what the catalogue knows of each ROM."""

from wsabench.games.catalogue import catalogue_games, load_game
from wsabench.games.records import Game, RamPatch, RamVariable, decode
from wsabench.games.roms import Standard, check_rom_id, has_fixed_start, rom_ids, standard_of

__all__ = [
    "Game",
    "RamPatch",
    "RamVariable",
    "Standard",
    "catalogue_games",
    "check_rom_id",
    "decode",
    "has_fixed_start",
    "load_game",
    "rom_ids",
    "standard_of",
]
