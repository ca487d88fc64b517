"""Compiling: from a perturbation and a game to plain tables."""

from __future__ import annotations

import functools

import numpy as np

from wsabench.games import check_rom_id, standard_of
from wsabench.perturb.compiled import CompiledPerturbation
from wsabench.perturb.kinds import KINDS
from wsabench.perturb.palette import ColorTable, LuminanceTable, Palette, load_palette, luminance
from wsabench.perturb.spec import Perturbation, parse_perturbation


def compile_perturbation(perturbation: str | Perturbation, game: str) -> CompiledPerturbation:
    """Return what a lane of `game` needs to apply `perturbation`.

    Raises:
        SpecError: The text is malformed, or the game needs two players.
        UnknownNameError: Game or perturbation does not exist; the message has the nearest names.
    """
    return _compiled(parse_perturbation(perturbation), check_rom_id(game))


@functools.lru_cache(maxsize=512)
def _compiled(perturbation: Perturbation, game: str) -> CompiledPerturbation:
    """Compile, once for each perturbation and game."""
    palette = load_palette(standard_of(game))
    rgb = palette.rgb
    for part in perturbation.parts:
        rgb = KINDS[part.kind].operator(rgb, **dict(part.parameters))
    rgb = np.ascontiguousarray(rgb)
    table = luminance_table(palette, rgb)
    for array in (rgb, table):
        array.setflags(write=False)
    return CompiledPerturbation(
        name=perturbation.name,
        family=perturbation.family,
        severity=perturbation.severity,
        content_hash=perturbation.content_hash,
        game=game,
        rgb=rgb,
        luminance=table,
    )


def luminance_table(palette: Palette, rgb: ColorTable) -> LuminanceTable:
    """Return what the agent sees for each screen byte when `palette` was changed to `rgb`.

    Bytes whose colour did not change keep ale-py's own grey, so an identity gives exactly `clean`.

    Args:
        palette: The game's unchanged palette.
        rgb: The changed colours, uint8, shape (256, 3).

    Returns:
        Grey levels, uint8, shape (256,).
    """
    is_unchanged = (rgb == palette.rgb).all(axis=1)
    return np.where(is_unchanged, palette.grey, luminance(rgb))
