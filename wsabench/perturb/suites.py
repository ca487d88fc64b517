"""Suites: named grids of perturbations with games and profiles, read from `perturbations/suites/*.toml`."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from wsabench.errors import SpecError, UnknownNameError, unknown_name
from wsabench.fields import Fields, is_integer, read_toml
from wsabench.games import check_rom_id, load_game
from wsabench.hashing import json_hash
from wsabench.perturb.catalogue import OWN_HINT
from wsabench.perturb.compiling import compile_perturbation, misfit
from wsabench.perturb.entries import CLEAN, NUM_SEVERITIES
from wsabench.perturb.spec import parse_perturbation
from wsabench.protocol import Protocol
from wsabench.resources import catalogue_files, expanded
from wsabench.types import SuiteMeasure

PROFILES = ("quick", "reference", "standard", "paper")
MEASURES: tuple[SuiteMeasure, ...] = ("retention", "gap", "score")
"""The first is what a suite compares agents by unless it says otherwise; it alone does not enter the hash."""

_MAX_COUNT = 1_000_000


@dataclass(frozen=True, slots=True)
class Profile:
    """How much of a suite is run."""

    name: str
    train_seeds: tuple[int, ...]
    episodes: int
    """How many episodes each job plays."""
    cells: Cells
    """Which perturbations are played on each game."""
    perturbations: tuple[str, ...]
    """Canonical names of the perturbations that are played on the suite's own games, `clean` first."""
    protocol: Protocol


@dataclass(frozen=True, slots=True)
class Suite:
    """A named grid; immutable."""

    name: str
    summary: str
    cells: Cells
    """Which perturbations are played on each game, in all profiles together."""
    perturbations: tuple[str, ...]
    """Canonical names of all perturbations on the suite's own games, `clean` first."""
    games: tuple[str, ...]
    """The games that are played unless others are asked for."""
    profiles: Mapping[str, Profile]
    measure: SuiteMeasure = "retention"
    """What agents are compared by."""
    version: int = 1
    """Raised whenever the content hash changes, so that no table mixes two meanings of the suite's name."""
    agents: tuple[str, ...] = ()
    """Who plays unless others are named, as `wsabench run --agents` takes them, but that paths count from the folder of
    `file`; no part of the content."""
    file: Path | None = field(default=None, compare=False)
    """Where it was read from."""

    @property
    def content_hash(self) -> str:
        """Hash of all that a run and its claims depend on, 16 hexadecimal digits.

        Name, version, summary, agents and order of keys do not count, the rules of the games' RAM patches do. So does
        the measure, unless it is retention, written or not: then the hash is that of a suite that says nothing of it.
        """
        return json_hash(self.to_dict(), 16)

    def profile(self, name: str) -> Profile:
        """Return a profile.

        Raises:
            UnknownNameError: The suite has none of that name.
        """
        if name not in self.profiles:
            raise unknown_name(f"profile of suite {self.name!r}", name, self.profiles)
        return self.profiles[name]

    def to_dict(self) -> dict[str, Any]:
        """Return the resolved content as plain values, the content hash of each perturbation beside its name."""
        plain: dict[str, Any] = {
            "perturbations": {name: parse_perturbation(name).content_hash for name in self.perturbations},
            "games": list(self.games),
            "profiles": {
                profile.name: {
                    "train_seeds": list(profile.train_seeds),
                    "episodes": profile.episodes,
                    "perturbations": list(profile.perturbations),
                    "protocol": profile.protocol.to_dict(),
                }
                for profile in self.profiles.values()
            },
        }
        if self.measure != MEASURES[0]:
            plain["measure"] = self.measure
        own = {game: self._own_content(game) for game in self.games}
        return plain | ({"own": own} if any(own.values()) else {})

    def _own_content(self, game: str) -> dict[str, str]:
        """Return the hashes of perturbations whose behaviour the game decides (by a rule, say), by their names."""
        content: dict[str, str] = {}
        for name in self.cells.of(game):
            if misfit(name, game) is None:
                found = compile_perturbation(name, game).content_hash
                if found != parse_perturbation(name).content_hash:
                    content[name] = found
        return content


def list_suites() -> list[str]:
    """Return the names of the catalogue's suites, sorted."""
    return sorted(catalogue_files("suites"))


def load_suite(name: str | Path) -> Suite:
    """Return a suite.

    Args:
        name: Name of a catalogue suite, or path of a TOML file.

    Raises:
        SpecError: The file is malformed; the message names file, key, what was found and what is allowed.
        StorageError: The file cannot be read.
        UnknownNameError: There is no such suite, or the suite names a game or perturbation that does not exist.
    """
    files = catalogue_files("suites")
    if isinstance(name, str) and "/" not in name and not name.endswith(".toml"):
        if name not in files:
            own = "" if os.environ.get("WSABENCH_PERTURBATIONS") else OWN_HINT
            raise unknown_name("suite", name, files, f"Run `wsabench list suites`, or give a TOML file.{own}")
        return _read_suite(files[name])
    path = expanded(name)
    if not path.is_file():
        raise SpecError(
            f"The suite file {path} does not exist. Allowed: a TOML file or one of {', '.join(list_suites())}."
        )
    return _read_suite(path)


def _read_suite(path: Path) -> Suite:
    """Read a suite file; a file that did not change is read once."""
    return _cached_suite(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _cached_suite(path: Path, _modified_ns: int) -> Suite:
    """Read a suite file."""
    table = Fields(read_toml(path), str(path))
    cells, games, protocol = read_cells(table), _games(table), _protocol(table, Protocol())
    suite = Suite(
        name=path.stem,
        summary=table.text("summary"),
        cells=cells,
        perturbations=cells.of_games(games),
        games=games,
        measure=_measure(table),
        version=table.integer("version", 1, _MAX_COUNT, 1),
        agents=_agents(table),
        file=path,
        profiles=MappingProxyType(
            {name: _profile(name, entry, cells, games, protocol) for name, entry in table.tables("profiles").items()}
        ),
    )
    if not suite.profiles:
        raise SpecError(f"{path}: no profile. Allowed: at least one table [profiles.NAME], NAME {', '.join(PROFILES)}.")
    table.close()
    return suite


def _profile(name: str, entry: Fields, base: Cells, games: tuple[str, ...], protocol: Protocol) -> Profile:
    """Read one profile."""
    if name not in PROFILES:
        raise SpecError(f"{entry.where}: the profile's name is {name!r}. Allowed: {', '.join(PROFILES)}.")
    cells = read_cells(entry, base)
    profile = Profile(
        name=name,
        train_seeds=entry.integers("train_seeds", 0, _MAX_COUNT),
        episodes=entry.integer("episodes", 1, _MAX_COUNT),
        cells=cells,
        perturbations=cells.of_games(games),
        protocol=_protocol(entry, protocol),
    )
    if not profile.train_seeds:
        entry.fail("train_seeds", "at least one")
    entry.close()
    return profile


def _games(table: Fields) -> tuple[str, ...]:
    """Read the games."""
    games = table.texts("games")
    if not games:
        table.fail("games", "at least one game")
    try:
        return tuple(check_rom_id(game) for game in games)
    except UnknownNameError as error:
        raise UnknownNameError(f"{table.where}, games: {error}") from error


def _agents(table: Fields) -> tuple[str, ...]:
    """Read who plays unless others are named."""
    agents = table.texts("agents", ())
    if not agents and "agents" in table.values:
        table.fail("agents", "names or addresses of agents; without the key the default ones play")
    return agents


def _measure(table: Fields) -> SuiteMeasure:
    """Read what agents are compared by."""
    allowed = ", ".join(map(repr, MEASURES)).replace("'", '"')
    return table.get("measure", lambda v: isinstance(v, str) and v in MEASURES, allowed, MEASURES[0])


def _protocol(table: Fields, base: Protocol) -> Protocol:
    """Read changes to the protocol."""
    changes = table.get("protocol", lambda v: isinstance(v, Mapping), "a table of protocol fields", {})
    try:
        return Protocol.from_dict(base.to_dict() | dict(changes))
    except (SpecError, UnknownNameError) as error:
        raise type(error)(f"{table.where}, protocol: {error}") from error


Share = int | Literal["all"]
"""How many of the perturbations that a game brings along: the first ones, in the order of its file, or all."""

_MAX_SHARE = 1000


@dataclass(frozen=True, slots=True)
class OwnCells:
    """How many of the perturbations that a game brings along are played."""

    patches: Share = 0
    """Number of verified RAM patches of the family `dynamics`."""
    recolorings: Share = 0
    """Number of verified RAM patches of the family `color`."""
    modes: Share = 0
    """Number of modes besides the default."""
    difficulties: Share = 0
    """Number of difficulties besides the default."""

    def of(self, game: str) -> tuple[str, ...]:
        """Return the names of the perturbations that one game brings along, in the order of its file."""
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
        """Return the names for one game: those that are listed, whether they fit or not, then the game's own."""
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
    """Read how many of the perturbations that a game brings along are played."""
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
