"""Reading of `perturbations/families/*.toml`: which perturbations there are."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from wsabench.errors import SpecError
from wsabench.games.fields import Fields, read_toml
from wsabench.perturb.kinds import FAMILIES, Kind, Parameter, ParameterValue
from wsabench.perturb.registered import KINDS
from wsabench.registry import Registry
from wsabench.resources import data_dir

NUM_SEVERITIES = 5
CLEAN = "clean"

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A perturbation as the catalogue describes it, at all severities."""

    name: str
    family: str
    kind: str
    summary: str
    source: str
    """Where the idea or the numbers come from; empty if our own choice."""
    parameters: Mapping[str, ParameterValue]
    """Those that do not depend on severity."""
    scale: Mapping[str, tuple[ParameterValue, ...]]
    """Parameters with one value a severity, 1 first; empty where there is no scale."""

    @property
    def has_severity(self) -> bool:
        """Whether it is written `NAME@SEVERITY`."""
        return bool(self.scale)

    @property
    def severities(self) -> tuple[int | None, ...]:
        """The severities there are: 1 to 5, or only None."""
        return tuple(range(1, NUM_SEVERITIES + 1)) if self.has_severity else (None,)

    def resolved(self, severity: int | None) -> dict[str, ParameterValue]:
        """Return all parameters at one severity, sorted by name."""
        values = dict(self.parameters)
        if severity is not None:
            values |= {name: steps[severity - 1] for name, steps in self.scale.items()}
        return dict(sorted(values.items()))


def catalogue() -> Registry[CatalogueEntry]:
    """Return all perturbations of the catalogue by name, in the order of the files.

    Raises:
        SpecError: A file is malformed; the message names file, key, what was found and what is allowed.
        StorageError: A file cannot be read.
    """
    return _catalogue(data_dir("perturbations") / "families")


@functools.cache
def _catalogue(folder: Path) -> Registry[CatalogueEntry]:
    """Read all family files of a folder."""
    entries: Registry[CatalogueEntry] = Registry("perturbation", "Run `wsabench list perturbations`.")
    for path in sorted(folder.glob("*.toml")):
        for entry in read_family(path):
            if entry.name in entries:
                raise SpecError(f"{path}, {entry.name}: the name is taken by another file. Choose another name.")
            entries.add(entry.name, entry)
    return entries


def read_family(path: Path) -> list[CatalogueEntry]:
    """Read one family file.

    Raises:
        SpecError: It is malformed.
        StorageError: It cannot be read.
    """
    return [_read_entry(name, Fields(values, f"{path}, {name}")) for name, values in read_toml(path).items()]


def _read_entry(name: str, table: Fields) -> CatalogueEntry:
    """Read the table of one perturbation."""
    if not _NAME.fullmatch(name) or name == CLEAN:
        raise SpecError(f"{table.where}: the name is {name!r}. Allowed: lower-case words joined by -, not 'clean'.")
    family = table.text("family", choices=FAMILIES)
    kind_name = table.text("kind", choices=KINDS)
    kind = KINDS[kind_name]
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


def _fixed(table: Fields, kind: Kind) -> dict[str, ParameterValue]:
    """Read the parameters that do not depend on severity."""
    return {
        name: parameter.normalise(value)
        for name, parameter, value in _known(table, "parameters", kind)
        if _is_valid_or_fail(table, f"parameters.{name}", parameter, value)
    }


def _scale(table: Fields, kind: Kind) -> dict[str, tuple[ParameterValue, ...]]:
    """Read the parameters with one value a severity; numbers must rise or fall strictly."""
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
