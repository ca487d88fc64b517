"""Names and the things behind them: registries with helpful errors, and what other packages add by entry points."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import Any, Generic, NamedTuple, TypeVar

from wsabench.errors import SpecError, unknown_name

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """Named things of one kind."""

    def __init__(self, what: str, hint: str = "") -> None:
        """Create an empty registry.

        Args:
            what: The kind of thing, used in messages (`"encoder"`).
            hint: How a user lists the names.
        """
        self._what = what
        self._hint = hint
        self._items: dict[str, T] = {}

    def add(self, name: str, item: T) -> T:
        """Register `item` under `name` and return it.

        Raises:
            SpecError: The name is taken.
        """
        if name in self._items:
            raise SpecError(f"The {self._what} {name!r} is registered twice. Choose another name.")
        self._items[name] = item
        return item

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers what it decorates under `name`."""
        return lambda item: self.add(name, item)

    def __getitem__(self, name: str) -> T:
        """Return the item called `name`.

        Raises:
            UnknownNameError: There is none; the message names the nearest.
        """
        if name not in self._items:
            raise unknown_name(self._what, name, self._items, self._hint)
        return self._items[name]

    def __contains__(self, name: object) -> bool:
        """Whether `name` is registered."""
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, in the order of registration."""
        return iter(self._items)

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self._items)


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


def names_added(group: str) -> frozenset[str]:
    """Return the names that other packages state under an entry point group; nothing of them is imported."""
    return _names_added(group, tuple(sys.path))


@functools.cache
def _names_added(group: str, _path: tuple[str, ...]) -> frozenset[str]:
    """Look once for each module path: it takes as long as there are packages."""
    return frozenset(entry.name for entry in metadata.entry_points(group=group))


def load_added(group: str, name: str | None = None) -> tuple[Added, ...]:
    """Import what other packages state under an entry point group, sorted by package and name.

    Args:
        group: The group.
        name: Only what is stated under this name; None for all.

    Raises:
        SpecError: A package cannot be imported; the message names its distribution.
    """
    loaded = [_load(group, entry) for entry in metadata.entry_points(group=group) if name in (None, entry.name)]
    return tuple(sorted(loaded, key=lambda one: (one.distribution, one.name)))


def _load(group: str, entry: metadata.EntryPoint) -> Added:
    distribution = entry.dist.name if entry.dist else entry.module
    version = entry.dist.version if entry.dist else ""
    origin = f"The package {distribution!r} (entry point {group}, {entry.name!r})"
    try:
        content = entry.load()
    except (Exception, SystemExit) as error:  # a foreign module may raise anything; the user must hear whose it is
        raise SpecError(
            f"{origin}: loading {entry.value!r} failed: {type(error).__name__}: {error}. "
            f"Correct the package, or uninstall {distribution!r}."
        ) from error
    return Added(entry.name, distribution, version, entry.value, origin, content)
