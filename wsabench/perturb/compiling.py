"""Compiling: from a perturbation and a game to the stages that a lane runs."""

from __future__ import annotations

import functools
import hashlib
import json
from typing import Any

import numpy as np

from wsabench.errors import SpecError
from wsabench.games import Game, check_rom_id, load_game, standard_of
from wsabench.perturb.catalogue import catalogue
from wsabench.perturb.compiled import CompiledPerturbation, Placed
from wsabench.perturb.game_entries import misfit_of
from wsabench.perturb.palette import ColorTable, LuminanceTable, Palette, load_palette, luminance
from wsabench.perturb.registered import all_kinds
from wsabench.perturb.spec import Perturbation, PerturbationPart, parse_perturbation
from wsabench.perturb.stages import (
    ColorDrawStage,
    ColorStage,
    ConsoleStage,
    ControlStage,
    EncoderStage,
    ImageStage,
    RamStage,
    Stage,
)


def compile_perturbation(perturbation: str | Perturbation, game: str) -> CompiledPerturbation:
    """Return what a lane of `game` needs to apply `perturbation`.

    Raises:
        SpecError: The text is malformed, does not fit the game, or the game needs two players.
        UnknownNameError: Game or perturbation does not exist; the message has the nearest names.
    """
    return _compiled(parse_perturbation(perturbation), check_rom_id(game))


@functools.lru_cache(maxsize=4096)
def _compiled(perturbation: Perturbation, game: str) -> CompiledPerturbation:
    """Compile, once for each perturbation and game."""
    record = load_game(game)
    stages = [Placed(place, _build(part, record)) for place, part in enumerate(perturbation.parts)]
    colors = _of(stages, ColorStage | ColorDrawStage)
    palette = load_palette(standard_of(game))
    rgb = palette.rgb
    for placed in colors:
        if colors[0] is not placed and placed.stage.ignores_input:
            raise SpecError(
                f"{perturbation.name}: {perturbation.parts[placed.place].name!r} replaces all colours, so what stands "
                "before it would have no effect. Allowed: before all other colour changes only."
            )
        if isinstance(placed.stage, ColorStage):
            rgb = placed.stage(rgb)
    rgb = np.ascontiguousarray(rgb)
    table = luminance_table(palette, rgb)
    for array in (rgb, table):
        array.setflags(write=False)
    return CompiledPerturbation(
        name=perturbation.name,
        family=perturbation.family,
        severity=perturbation.severity,
        content_hash=_content_hash(perturbation, record),
        game=game,
        rgb=rgb,
        luminance=table,
        colors=colors if any(isinstance(placed.stage, ColorDrawStage) for placed in colors) else (),
        images=_of(stages, ImageStage),
        controls=_of(stages, ControlStage),
        rules=_of(stages, RamStage),
        console=_console(perturbation, stages),
        encoder_operations=tuple(placed.stage.operation for placed in _of(stages, EncoderStage)),
    )


def misfit(perturbation: str | Perturbation, game: str) -> str | None:
    """Return why a perturbation cannot be had in a game, as a message; None where it can.

    Raises:
        SpecError: The text is malformed, or the game needs two players.
        UnknownNameError: Game or perturbation does not exist.
    """
    parsed, game = parse_perturbation(perturbation), check_rom_id(game)
    try:
        _compiled(parsed, game)
    except SpecError as error:
        return str(error)
    return None


def _build(part: PerturbationPart, game: Game) -> Stage:
    """Return the stage of one term."""
    entries = catalogue()
    if part.name in entries and (reason := misfit_of(entries[part.name], game)) is not None:
        raise SpecError(f"{part.text} in {game.id}: {reason}")
    try:
        return all_kinds()[part.kind].build(game, **dict(part.parameters))
    except SpecError as error:
        raise SpecError(f"{part.text} in {game.id}: {error}") from error


def _of(stages: list[Placed[Stage]], kind: Any) -> tuple[Placed[Any], ...]:
    """Return the stages of one protocol, in order."""
    return tuple(placed for placed in stages if isinstance(placed.stage, kind))


def _console(perturbation: Perturbation, stages: list[Placed[Stage]]) -> ConsoleStage:
    """Return all switches together.

    Raises:
        SpecError: Two parts set the same switch.
    """
    values: dict[str, int] = {}
    for placed in _of(stages, ConsoleStage):
        for switch in ("mode", "difficulty"):
            value = getattr(placed.stage, switch)
            if value is None:
                continue
            if switch in values:
                raise SpecError(f"{perturbation.name}: the {switch} is set twice. Allowed: once.")
            values[switch] = value
    return ConsoleStage(**values)


def _content_hash(perturbation: Perturbation, game: Game) -> str:
    """Hash kinds, parameters, and what else decides the behaviour in this game."""
    content = []
    for part in perturbation.parts:
        kind, parameters = all_kinds()[part.kind], dict(part.parameters)
        extra = [] if kind.content is None else [kind.content(game, **parameters)]
        content.append([part.kind, parameters, *extra])
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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
