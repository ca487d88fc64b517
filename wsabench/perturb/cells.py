"""The cells of a suite: perturbations that it lists, and those that each game brings along."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from wsabench.errors import SpecError
from wsabench.games import load_game
from wsabench.games.fields import Fields, is_integer
from wsabench.perturb.families import CLEAN, NUM_SEVERITIES
from wsabench.perturb.spec import parse_perturbation

Share = int | Literal["all"]
"""How many of what a game brings along: the first so many in its file's order, or all."""

_MAX_SHARE = 1000


@dataclass(frozen=True, slots=True)
class OwnCells:
    """How much of what a game brings along is played."""

    patches: Share = 0
    """Verified RAM patches of the family `dynamics`."""
    recolorings: Share = 0
    """Verified RAM patches of the family `color`."""
    modes: Share = 0
    """Modes besides the default."""
    difficulties: Share = 0
    """Difficulties besides the default."""

    def of(self, game: str) -> tuple[str, ...]:
        """Return the names for one game, in the order of its file."""
        record = load_game(game)
        by_family = {
            family: [patch.perturbation for patch in record.verified_patches if patch.family == family]
            for family in ("dynamics", "color")
        }
        return (
            *_first(self.patches, by_family["dynamics"]),
            *_first(self.recolorings, by_family["color"]),
            *_first(self.modes, [f"mode-{value}" for value in record.modes[1:]]),
            *_first(self.difficulties, [f"difficulty-{value}" for value in record.difficulties[1:]]),
        )


@dataclass(frozen=True, slots=True)
class Cells:
    """Which perturbations are played; what a game cannot have is left to the plan."""

    listed: tuple[str, ...]
    """Canonical names, `clean` first."""
    own: OwnCells

    def of(self, game: str) -> tuple[str, ...]:
        """Return the names for one game: those listed, whether they fit or not, then the game's own."""
        return (*self.listed, *(name for name in self.own.of(game) if name not in self.listed))

    def of_games(self, games: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names for all of `games`, each once."""
        return tuple(dict.fromkeys((*self.listed, *(name for game in games for name in self.of(game)))))


def read_cells(table: Fields, base: Cells | None = None) -> Cells:
    """Read the cells of a suite, or of a profile, whose missing keys are those of its suite.

    Args:
        table: With the keys `perturbations`, where `NAME@*` stands for all severities, and those of `OwnCells`.
        base: The suite's cells when a profile is read; it may have no others.

    Raises:
        SpecError: A key is malformed, or the profile has more than the suite.
        UnknownNameError: A perturbation does not exist.
    """
    shares: dict[str, Share] = {field.name: _share(table, field.name, base) for field in fields(OwnCells)}
    cells = Cells(_listed(table, (CLEAN,) if base is None else base.listed), OwnCells(**shares))
    for name in cells.listed if base is not None else ():
        if base is not None and name not in base.listed:
            raise SpecError(
                f"{table.where}, perturbations: found {name!r}, which the suite does not have. "
                "Allowed: perturbations of the suite. Add it to the suite's own list."
            )
    return cells


def _listed(table: Fields, default: tuple[str, ...]) -> tuple[str, ...]:
    """Read the list of perturbations; `clean` always comes first."""
    names: list[str] = []
    for text in table.texts("perturbations", default):
        levels = range(1, NUM_SEVERITIES + 1) if text.endswith("@*") else (None,)
        for level in levels:
            written = text if level is None else f"{text[:-1]}{level}"
            name = parse_perturbation(written, f"{table.where}, perturbations").name
            if name in names:
                raise SpecError(f"{table.where}, perturbations: {name!r} is listed twice. Allowed: each once.")
            names.append(name)
    return (CLEAN, *(name for name in names if name != CLEAN))


def _share(table: Fields, key: str, base: Cells | None) -> Share:
    """Read how much of what a game brings along is played."""
    highest: Share = "all" if base is None else getattr(base.own, key)
    default: Share = 0 if base is None else highest
    share: Share = table.get(
        key, lambda v: v == "all" or is_integer(v, 0, _MAX_SHARE), f'"all", or integers 0 to {_MAX_SHARE}', default
    )
    if highest != "all" and (share == "all" or share > highest):
        table.fail(key, f"up to {highest}, which the suite has")
    return share


def _first(share: Share, names: list[str]) -> list[str]:
    """Return the first names."""
    return names if share == "all" else names[:share]
