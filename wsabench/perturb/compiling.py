"""Compiling: from a perturbation and a game to the stages that a lane runs."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from wsabench.errors import SpecError
from wsabench.games import Game, check_rom_id, load_game, standard_of
from wsabench.hashing import json_hash
from wsabench.perturb.catalogue import all_kinds, catalogue
from wsabench.perturb.game_entries import misfit_of
from wsabench.perturb.palette import ColorTable, LuminanceTable, load_palette, luminance_table
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
from wsabench.types import EncoderOperation


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
    return json_hash(content, 16)


S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Placed(Generic[S]):
    """A stage and its place in the composition, which names its random stream."""

    place: int
    """Position of its part in the composition, from 0."""
    stage: S


@dataclass(frozen=True, slots=True, eq=False)
class CompiledPerturbation:
    """A perturbation made ready for one game; nothing in it changes while playing.

    Whatever the order of families in a composition, colours come first, then images, each in the written order, as
    the hardware has it; actions pass the control stages in the written order, and RAM rules run in it.
    """

    name: str
    """Canonical name, for example `hue-rotate@3+value@2`."""
    family: str
    """The family, or `clean`; compositions of several families are joined by `+`."""
    severity: int | None
    """1 to 5, or None without a scale or when composed."""
    content_hash: str
    """Hash of the kinds, the resolved parameters and what else decides the behaviour in this game, 16 digits."""
    game: str
    """The game that the perturbation was compiled for."""
    rgb: ColorTable
    """What a person sees for each screen byte, uint8, shape (256, 3); changes that are drawn are left out."""
    luminance: LuminanceTable
    """What the agent sees for each screen byte, uint8, shape (256,); changes that are drawn are left out."""
    colors: tuple[Placed[ColorStage | ColorDrawStage], ...] = ()
    """All colour changes in order, where at least one is drawn while playing; else empty, for the tables say all."""
    images: tuple[Placed[ImageStage], ...] = ()
    """Changes of the native frame, in order."""
    controls: tuple[Placed[ControlStage], ...] = ()
    """Changes of the control channel, in order."""
    rules: tuple[Placed[RamStage], ...] = ()
    """RAM rules, in order."""
    console: ConsoleStage = field(default_factory=ConsoleStage)
    """The mode and the difficulty of the console."""
    encoder_operations: tuple[EncoderOperation, ...] = ()
    """The changes of the agent's encoders, in order."""

    @property
    def changes_game(self) -> bool:
        """Whether equal actions may lead to another course of the game."""
        return bool(self.controls or self.rules or self.console != ConsoleStage())

    @property
    def draws_nothing(self) -> bool:
        """Whether nothing is drawn while playing: equal actions from an equal start are shown the same."""
        stages = [placed.stage for placed in (*self.images, *self.controls, *self.rules)]
        return not self.colors and all(
            getattr(one, "draws_nothing", False) for one in (*stages, *self.encoder_operations)
        )

    @property
    def is_pixel_change_only(self) -> bool:
        """Whether game and agent stay as they are, so that equal actions lead to an equal course of the game."""
        return not (self.changes_game or self.encoder_operations)

    @property
    def shows_old_frames(self) -> bool:
        """Whether an image stage shows frames of earlier steps: single observations look ordinary, but come late."""
        return any(getattr(placed.stage, "shows_old_frames", False) for placed in self.images)
