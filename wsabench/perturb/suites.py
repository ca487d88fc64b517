"""Suites: named grids of perturbations with games and profiles, read from `perturbations/suites/*.toml`."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from wsabench.errors import SpecError, UnknownNameError, unknown_name
from wsabench.games import check_rom_id
from wsabench.games.fields import Fields, read_toml
from wsabench.perturb.families import CLEAN, NUM_SEVERITIES
from wsabench.perturb.spec import parse_perturbation
from wsabench.protocol import Protocol
from wsabench.resources import data_dir

PROFILES = ("quick", "standard", "paper")

_MAX_COUNT = 1_000_000


@dataclass(frozen=True, slots=True)
class Profile:
    """How much of a suite is run."""

    name: str
    train_seeds: tuple[int, ...]
    episodes: int
    """Episodes a job."""
    perturbations: tuple[str, ...]
    """Canonical names, `clean` first."""
    protocol: Protocol


@dataclass(frozen=True, slots=True)
class Suite:
    """A named grid; immutable."""

    name: str
    summary: str
    perturbations: tuple[str, ...]
    """Canonical names of all cells, `clean` first."""
    games: tuple[str, ...]
    """Games that are played unless others are asked for."""
    profiles: Mapping[str, Profile]

    @property
    def content_hash(self) -> str:
        """Hash of all that a run depends on, 16 hexadecimal digits; name, summary and order of keys do not count."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

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
        return {
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


def list_suites() -> list[str]:
    """Return the names of the catalogue's suites, sorted."""
    return sorted(path.stem for path in (data_dir("perturbations") / "suites").glob("*.toml"))


def load_suite(name: str | Path) -> Suite:
    """Return a suite.

    Args:
        name: Name of a catalogue suite, or path of a TOML file.

    Raises:
        SpecError: The file is malformed; the message names file, key, what was found and what is allowed.
        StorageError: The file cannot be read.
        UnknownNameError: There is no such suite, or the suite names a game or perturbation that does not exist.
    """
    folder = data_dir("perturbations") / "suites"
    if isinstance(name, str) and "/" not in name and not name.endswith(".toml"):
        if name not in list_suites():
            raise unknown_name("suite", name, list_suites(), "Run `wsabench list suites`, or give a TOML file.")
        return _read_suite(folder / f"{name}.toml")
    path = Path(name)
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
    perturbations = _perturbations(table, ("clean",))
    protocol = _protocol(table, Protocol())
    suite = Suite(
        name=path.stem,
        summary=table.text("summary"),
        perturbations=perturbations,
        games=_games(table),
        profiles=MappingProxyType(
            {name: _profile(name, entry, perturbations, protocol) for name, entry in table.tables("profiles").items()}
        ),
    )
    if not suite.profiles:
        raise SpecError(f"{path}: no profile. Allowed: at least one table [profiles.NAME], NAME {', '.join(PROFILES)}.")
    table.close()
    return suite


def _profile(name: str, entry: Fields, perturbations: tuple[str, ...], protocol: Protocol) -> Profile:
    """Read one profile."""
    if name not in PROFILES:
        raise SpecError(f"{entry.where}: the profile's name is {name!r}. Allowed: {', '.join(PROFILES)}.")
    profile = Profile(
        name=name,
        train_seeds=entry.integers("train_seeds", 0, _MAX_COUNT),
        episodes=entry.integer("episodes", 1, _MAX_COUNT),
        perturbations=_perturbations(entry, perturbations),
        protocol=_protocol(entry, protocol),
    )
    if not profile.train_seeds:
        entry.fail("train_seeds", "at least one")
    for cell in profile.perturbations:
        if cell not in perturbations:
            raise SpecError(
                f"{entry.where}, perturbations: found {cell!r}, which the suite does not have. "
                "Allowed: perturbations of the suite. Add it to the suite's own list."
            )
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


def _perturbations(table: Fields, default: tuple[str, ...]) -> tuple[str, ...]:
    """Read perturbations, `NAME@*` standing for all severities; `clean` always comes first."""
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


def _protocol(table: Fields, base: Protocol) -> Protocol:
    """Read changes to the protocol."""
    changes = table.get("protocol", lambda v: isinstance(v, Mapping), "a table of protocol fields", {})
    try:
        return Protocol.from_dict(base.to_dict() | dict(changes))
    except (SpecError, UnknownNameError) as error:
        raise type(error)(f"{table.where}, protocol: {error}") from error
