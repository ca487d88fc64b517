"""All perturbations by name: those of the family files, those of other packages, and each game's own."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from wsabench.errors import SpecError, nearest_names
from wsabench.fields import Fields, read_toml
from wsabench.perturb.color import kinds as color_kinds
from wsabench.perturb.corruption import kinds as corruption_kinds
from wsabench.perturb.dynamics import kinds as dynamics_kinds
from wsabench.perturb.encoder import kinds as encoder_kinds
from wsabench.perturb.entries import CLEAN, NAME, NUM_SEVERITIES, CatalogueEntry
from wsabench.perturb.extensions import extended_kinds, load_extensions
from wsabench.perturb.game_entries import game_entries
from wsabench.perturb.kinds import FAMILIES, KINDS, Kind, Parameter, ParameterValue
from wsabench.perturb.rules import patches as rule_kinds
from wsabench.registry import Registry
from wsabench.resources import catalogue_files, data_dir

HINT = "Run `wsabench list perturbations`."
OWN_HINT = " Your own are found where WSABENCH_PERTURBATIONS names their folders, which is not set."
"""Goes on where no folder is named: a run of somebody's own perturbations may be opened without them."""


def catalogue() -> Registry[CatalogueEntry]:
    """Return all perturbations by name: our family files, the user's, other packages', then what games have.

    Raises:
        SpecError: A file is malformed, or two of them define one name; the message names file, key, what was found and
            what is allowed.
        StorageError: A file cannot be read.
    """
    return _catalogue(data_dir("perturbations"), os.environ.get("WSABENCH_PERTURBATIONS", ""))


@functools.cache
def _catalogue(folder: Path, user_folders: str) -> Registry[CatalogueEntry]:
    """Read everything, once for the places where it is read from."""
    del folder
    all_kinds()  # first, because a broken package must be named as such, not as an unknown kind
    entries: Registry[CatalogueEntry] = Registry("perturbation", HINT if user_folders else HINT + OWN_HINT)
    files = [*catalogue_files("families").values(), *_foreign_files()]
    for path in files:
        for entry in read_family(path):
            _add(entries, entry, f"{path}, {entry.name}")
    for entry in game_entries():
        games = ", ".join(entry.games or ())
        _add(entries, entry, f"The games' own perturbation {entry.name!r} ({games})")
    return entries


def _foreign_files() -> list[Path]:
    """Return the family files of other packages."""
    folders = [loaded.extension.families for loaded in load_extensions()]
    return [path for folder in folders if folder is not None for path in sorted(Path(folder).glob("*.toml"))]


def _add(entries: Registry[CatalogueEntry], entry: CatalogueEntry, where: str) -> None:
    """Add an entry, or refuse a name that there is already."""
    if entry.name in entries:
        raise SpecError(f"{where}: the name is taken by another file. Choose another name.")
    entries.add(entry.name, entry)


def read_family(path: Path) -> list[CatalogueEntry]:
    """Read one family file.

    Raises:
        SpecError: The file is malformed.
        StorageError: The file cannot be read.
    """
    return [read_entry(name, Fields(values, f"{path}, {name}")) for name, values in read_toml(path).items()]


def read_entry(name: str, table: Fields) -> CatalogueEntry:
    """Read the table of one perturbation.

    Raises:
        SpecError: The table is malformed; the message has its place, the key, what was found and what is allowed.
    """
    if not NAME.fullmatch(name) or name == CLEAN:
        raise SpecError(f"{table.where}: the name is {name!r}. Allowed: lower-case words joined by -, not 'clean'.")
    family = table.text("family", choices=FAMILIES)
    kind_name, kind = _kind(table)
    if kind.family != family:
        table.fail("family", f"{kind.family!r}, the family of the kind {kind_name!r}")
    entry = CatalogueEntry(
        name=name,
        family=family,
        kind=kind_name,
        summary=table.text("summary"),
        source=table.text("source", ""),
        parameters=MappingProxyType(_fixed(table, kind)),
        scale=MappingProxyType(_scale(table, kind)),
    )
    table.close()
    _check_complete(table, kind, entry)
    return entry


def _kind(table: Fields) -> tuple[str, Kind]:
    """Return name and kind, or refuse a kind that does not exist."""
    kinds, name = all_kinds(), table.text("kind")
    if name not in kinds:
        near = nearest_names(name, kinds)
        hint = f"Did you mean {' or '.join(repr(one) for one in near)}? " if near else ""
        raise SpecError(f"{table.where}, kind: found {name!r}. {hint}Allowed: one of {', '.join(sorted(kinds))}.")
    return name, kinds[name]


def _fixed(table: Fields, kind: Kind) -> dict[str, ParameterValue]:
    """Read the parameters that do not depend on severity."""
    return {
        name: parameter.normalise(value)
        for name, parameter, value in _known(table, "parameters", kind)
        if _is_valid_or_fail(table, f"parameters.{name}", parameter, value)
    }


def _scale(table: Fields, kind: Kind) -> dict[str, tuple[ParameterValue, ...]]:
    """Read the parameters with one value for each severity; the numbers must rise or fall strictly."""
    scale: dict[str, tuple[ParameterValue, ...]] = {}
    for name, parameter, steps in _known(table, "severity", kind):
        key = f"severity.{name}"
        if not isinstance(steps, list) or len(steps) != NUM_SEVERITIES:
            raise SpecError(f"{table.where}, {key}: found {steps!r}. Allowed: a list of {NUM_SEVERITIES} values.")
        for step in steps:
            _is_valid_or_fail(table, key, parameter, step)
        values = tuple(parameter.normalise(step) for step in steps)
        if not all(isinstance(value, int | float) for value in values) or not _is_strictly_monotone(values):
            raise SpecError(f"{table.where}, {key}: found {steps!r}. Allowed: numbers that rise or fall strictly.")
        scale[name] = values
    return scale


def _known(table: Fields, key: str, kind: Kind) -> list[tuple[str, Parameter, Any]]:
    """Return name, parameter and given value of each entry of the table `key`."""
    values = table.get(key, lambda v: isinstance(v, Mapping), "a table", {})
    inner = Fields(values, f"{table.where}, {key}")
    known = [(name, parameter, values[name]) for name, parameter in kind.parameters.items() if name in values]
    for name in kind.parameters:
        inner.get(name, lambda _: True, "", None)
    inner.close()
    return known


def _is_valid_or_fail(table: Fields, key: str, parameter: Parameter, value: Any) -> bool:
    """Return True for a valid value."""
    if not parameter.is_valid(value):
        raise SpecError(f"{table.where}, {key}: found {value!r}. Allowed: {parameter.allowed}.")
    return True


def _is_strictly_monotone(values: tuple[Any, ...]) -> bool:
    """Whether the values rise strictly or fall strictly."""
    pairs = list(itertools.pairwise(values))
    return all(a < b for a, b in pairs) or all(a > b for a, b in pairs)


def _check_complete(table: Fields, kind: Kind, entry: CatalogueEntry) -> None:
    """Refuse parameters that are missing, or given both ways."""
    for name, parameter in kind.parameters.items():
        given = (name in entry.parameters) + (name in entry.scale)
        if given != 1:
            found = "given under parameters and under severity" if given else "missing"
            raise SpecError(
                f"{table.where}: the parameter {name!r} is {found}. Allowed: once, under parameters or severity; "
                f"{parameter.allowed}."
            )


__all__ = ["all_kinds", "color_kinds", "corruption_kinds", "dynamics_kinds", "encoder_kinds", "rule_kinds"]


@functools.cache
def all_kinds() -> Registry[Kind]:
    """Return all kinds by name; other packages are imported the first time.

    Raises:
        SpecError: Another package is broken or takes a name that there is already; the message names it.
    """
    kinds: Registry[Kind] = Registry("kind of perturbation")
    for name, kind in KINDS.items():
        kinds.add(name, kind)
    for loaded in load_extensions():
        for name, kind in extended_kinds(loaded).items():
            if name in kinds:
                raise SpecError(f"{loaded.added.origin}: the kind {name!r} is taken. Allowed: a name of its own.")
            kinds.add(name, kind)
    return kinds
