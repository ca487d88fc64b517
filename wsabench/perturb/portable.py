"""Perturbations without a console: what can be put on any environment that shows pixels and takes discrete actions."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from wsabench.errors import SpecError
from wsabench.games import Game
from wsabench.perturb.catalogue import all_kinds
from wsabench.perturb.compiling import Placed
from wsabench.perturb.dynamics.control import FrameSkip, FrameSkipJitter
from wsabench.perturb.entries import NUM_SEVERITIES, CatalogueEntry
from wsabench.perturb.kinds import ParameterValue
from wsabench.perturb.spec import Perturbation, list_perturbations, parse_perturbation
from wsabench.perturb.stages import ColorDrawStage, ColorStage, ControlStage, EncoderStage, ImageStage, Stage
from wsabench.seeding import generator


@dataclass(frozen=True, slots=True)
class PortablePerturbation:
    """A perturbation made ready for environments that are not the console; nothing in it changes while playing."""

    name: str
    """Canonical name."""
    colors: tuple[ColorStage, ...]
    """Changes that give each colour by itself another one, in order."""
    images: tuple[Placed[ImageStage], ...]
    """Changes of the frame, in order; they come after all colours."""
    controls: tuple[Placed[ControlStage], ...]
    """Changes of the control channel, in order."""


class _NoConsole:
    """Stands for the game where there is none: a kind that asks it for anything needs the console."""

    def __getattr__(self, name: str) -> Any:
        """Refuse."""
        raise SpecError("it is made from what the catalogue knows of an Atari game")


_NOWHERE = cast("Game", _NoConsole())


def compile_portable(perturbation: str | Perturbation) -> PortablePerturbation:
    """Return what applies a perturbation to any environment.

    Args:
        perturbation: Its name, as in `gaussian-noise@3+action-delay@2`.

    Raises:
        SpecError: The text is malformed, or a part of it needs the console; the message names what is allowed.
        UnknownNameError: There is no such perturbation; the message has the nearest names.
    """
    parsed = parse_perturbation(perturbation)
    stages: list[Placed[Any]] = []
    for place, part in enumerate(parsed.parts):
        try:
            stage = _portable_stage(part.kind, part.parameters)
        except SpecError as error:
            raise SpecError(
                f"{part.text} cannot be put on an environment: {error}. Allowed: {allowed_text()}."
            ) from error
        stages.append(Placed(place, stage))
    return PortablePerturbation(
        name=parsed.name,
        colors=tuple(placed.stage for placed in stages if isinstance(placed.stage, ColorStage)),
        images=tuple(placed for placed in stages if isinstance(placed.stage, ImageStage)),
        controls=tuple(placed for placed in stages if isinstance(placed.stage, ControlStage)),
    )


def portable_entries() -> list[CatalogueEntry]:
    """Return the catalogue's entries that can be put on any environment, in the order of the files."""
    return [entry for entry in list_perturbations() if entry.games is None and _is_portable(entry)]


@functools.cache
def allowed_text() -> str:
    """Return what can be put on any environment, in words: family by family."""
    names: dict[str, list[str]] = {}
    for entry in portable_entries():
        names.setdefault(entry.family, []).append(entry.name)
    return "; ".join(f"of {family} {', '.join(of_family)}" for family, of_family in names.items())


def _is_portable(entry: CatalogueEntry) -> bool:
    """Whether an entry needs no console; its kind decides, not its severity."""
    severity = NUM_SEVERITIES if entry.has_severity else None
    try:
        _portable_stage(entry.kind, entry.resolved(severity).items())
    except SpecError:
        return False
    return True


def _portable_stage(kind: str, parameters: Iterable[tuple[str, ParameterValue]]) -> Stage:
    """Return the stage of one part.

    Raises:
        SpecError: It needs the console; the message is a clause that says why.
    """
    stage = all_kinds()[kind].build(_NOWHERE, **dict(parameters))
    if isinstance(stage, ColorDrawStage) or (
        isinstance(stage, ColorStage) and not _changes_colors_by_themselves(stage)
    ):
        raise SpecError("it changes the console's palette, which other screens do not have")
    if isinstance(stage, EncoderStage):
        raise SpecError("it changes an agent's encoders, not what an environment shows")
    if isinstance(stage, FrameSkip | FrameSkipJitter):
        raise SpecError("it changes how many frames the console plays in a step")
    if not isinstance(stage, ColorStage | ImageStage | ControlStage):
        raise SpecError("it changes the console itself")
    return stage


def _changes_colors_by_themselves(stage: ColorStage) -> bool:
    """Whether what a colour becomes depends on that colour alone, and not on its place in the palette."""
    draws = generator(0, "portable colours")
    colors = draws.integers(0, 256, size=(256, 3), dtype=np.uint8)
    changed = stage(colors.copy())
    orders = [draws.permutation(len(colors)) for _ in range(2)]
    return all(np.array_equal(stage(colors[order]), changed[order]) for order in orders)
