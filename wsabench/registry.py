"""A mapping from names to things, with collision checks and helpful errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

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
