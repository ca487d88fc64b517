"""Reading of family files, `perturbations/families/*.toml`: each table is a perturbation."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from wsabench.errors import SpecError, nearest_names
from wsabench.games.fields import Fields, read_toml
from wsabench.perturb.kinds import FAMILIES, Kind, Parameter, ParameterValue
from wsabench.perturb.registered import all_kinds

NUM_SEVERITIES = 5
CLEAN = "clean"

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
"""A perturbation's name."""


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
    games: tuple[str, ...] | None = None
    """The games it exists for, sorted; None: any."""

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


def read_family(path: Path) -> list[CatalogueEntry]:
    """Read one family file.

    Raises:
        SpecError: It is malformed.
        StorageError: It cannot be read.
    """
    return [read_entry(name, Fields(values, f"{path}, {name}")) for name, values in read_toml(path).items()]


def read_entry(name: str, table: Fields) -> CatalogueEntry:
    """Read the table of one perturbation.

    Raises:
        SpecError: It is malformed; the message has the table's place, the key, what was found and what is allowed.
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
