"""What other packages add to this one, found by entry points."""

from __future__ import annotations

from importlib import metadata
from typing import Any, NamedTuple

from wsabench.errors import SpecError


class Added(NamedTuple):
    """An object that another package states under an entry point of ours."""

    name: str
    """The entry point's name."""
    distribution: str
    """The package's name, as pip knows it."""
    version: str
    """The package's version; empty where it states none."""
    value: str
    """Where the object stands: `module:attribute`."""
    origin: str
    """How messages name it."""
    content: Any
    """The object itself, not checked yet."""


def load_added(group: str) -> tuple[Added, ...]:
    """Import what other packages state under an entry point group, sorted by package and name.

    Raises:
        SpecError: A package cannot be imported; the message names its distribution.
    """
    loaded = [_load(group, entry) for entry in metadata.entry_points(group=group)]
    return tuple(sorted(loaded, key=lambda one: (one.distribution, one.name)))


def _load(group: str, entry: metadata.EntryPoint) -> Added:
    distribution = entry.dist.name if entry.dist else entry.module
    version = entry.dist.version if entry.dist else ""
    origin = f"The package {distribution!r} (entry point {group}, {entry.name!r})"
    try:
        content = entry.load()
    except Exception as error:  # a foreign module may raise anything; the user must hear whose it is
        raise SpecError(
            f"{origin}: loading {entry.value!r} failed: {type(error).__name__}: {error}. "
            f"Correct the package, or uninstall {distribution!r}."
        ) from error
    return Added(entry.name, distribution, version, entry.value, origin, content)
