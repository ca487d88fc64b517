"""Reading of catalogue tables: each key is checked, each message says where, what was found and what is allowed."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from wsabench.errors import SpecError, StorageError, nearest_names

T = TypeVar("T")

_MISSING: Any = object()


def read_toml(path: Path, what: str = "", advice: str = "Check the path and its permissions.") -> dict[str, Any]:
    """Return the content of a TOML file.

    Args:
        path: The file.
        what: What it is, as messages name it before its path.
        advice: What to do where it cannot be read.

    Raises:
        StorageError: The file cannot be read.
        SpecError: It is not valid TOML, is nested too deep, or holds an integer of more than 64 bits.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise StorageError(f"Cannot read {what}{path}: {error.strerror}. {advice}") from error
    except RecursionError as error:
        raise SpecError(f"{path}: not valid TOML: it is nested too deep. {_TOO_DEEP}") from error
    except ValueError as error:  # no TOML, no UTF-8, or a number of more digits than Python reads
        raise SpecError(f"{path}: not valid TOML: {error}. Correct the file at that place.") from error
    _check_sizes(content, path)
    return content


def _check_sizes(content: Any, path: Path) -> None:
    """Refuse what TOML allows and nothing here can work with: tables in tables without end, and huge integers."""
    level = [content]
    for _ in range(_MOST_LEVELS):
        if not level:
            return
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
            elif isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise SpecError(f"{path}: an integer is out of range. Allowed: 64 bits, as TOML has them.")
        level = inner
    raise SpecError(f"{path}: it is nested too deep. {_TOO_DEEP}")


_MOST_LEVELS = 64
_TOO_DEEP = f"Allowed: {_MOST_LEVELS} levels of tables and lists."


def shown(value: object) -> str:
    """Return a value as messages show it; of a long one the beginning."""
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


_MOST_SHOWN = 200


class Fields:
    """A table of a catalogue file, read key by key; `close` refuses keys that nobody read.

    Each method that reads a key raises a SpecError where the key is missing and has no default, or its value is none of
    those allowed.

    Example:
        >>> table = Fields({"summary": "x"}, "families/color.toml, hue-rotate")
        >>> table.text("summary")
        'x'
    """

    def __init__(self, values: Any, where: str) -> None:
        """Take a table.

        Args:
            values: The parsed table.
            where: File and table, the beginning of every message.

        Raises:
            SpecError: `values` is no table.
        """
        if not isinstance(values, Mapping):
            raise SpecError(f"{where}: found {shown(values)}. Allowed: a table of keys.")
        self.where = where
        self.values: Mapping[str, Any] = values
        self._read: list[str] = []

    def fail(self, key: str, allowed: str) -> NoReturn:
        """Refuse the value of `key`.

        Raises:
            SpecError: Always.
        """
        raise SpecError(f"{self.where}, {key}: found {shown(self.values.get(key))}. Allowed: {allowed}.")

    def get(self, key: str, is_valid: Callable[[Any], bool], allowed: str, default: T = _MISSING) -> T:
        """Return the value of `key` when `is_valid` accepts it, or `default` when the key is absent.

        Raises:
            SpecError: The key is missing without a default, or its value is refused.
        """
        self._read.append(key)
        if key not in self.values:
            if default is _MISSING:
                raise SpecError(f"{self.where}: the key {key!r} is missing. Allowed: {allowed}.")
            return default
        value = self.values[key]
        if not is_valid(value):
            self.fail(key, allowed)
        return value

    def text(self, key: str, default: str = _MISSING, choices: Collection[str] = ()) -> str:
        """Return a string that is not empty, one of `choices` when given."""
        allowed = "one of " + ", ".join(sorted(choices)) if choices else "text that is not empty"
        return self.get(
            key, lambda v: isinstance(v, str) and bool(v.strip()) and (not choices or v in choices), allowed, default
        )

    def integer(self, key: str, lowest: int, highest: int, default: int = _MISSING) -> int:
        """Return an integer from `lowest` to `highest`."""
        return self.get(key, lambda v: is_integer(v, lowest, highest), f"integers {lowest} to {highest}", default)

    def switch(self, key: str, default: bool = _MISSING) -> bool:
        """Return true or false."""
        return self.get(key, lambda v: isinstance(v, bool), "true or false", default)

    def integers(self, key: str, lowest: int, highest: int, default: tuple[int, ...] = _MISSING) -> tuple[int, ...]:
        """Return a list of different integers from `lowest` to `highest` as a tuple."""
        value = self.get(
            key,
            lambda v: (
                isinstance(v, list | tuple) and all(is_integer(i, lowest, highest) for i in v) and len(set(v)) == len(v)
            ),
            f"a list of different integers {lowest} to {highest}",
            default,
        )
        return tuple(value)

    def texts(self, key: str, default: tuple[str, ...] = _MISSING) -> tuple[str, ...]:
        """Return a list of different strings as a tuple."""
        value = self.get(
            key,
            lambda v: isinstance(v, list | tuple) and all(isinstance(i, str) for i in v) and len(set(v)) == len(v),
            "a list of different names",
            default,
        )
        return tuple(value)

    def tables(self, key: str) -> dict[str, Fields]:
        """Return the sub-tables of `key` by name; none when the key is absent."""
        value = self.get(key, lambda v: isinstance(v, Mapping), "a table of tables", {})
        return {name: Fields(item, f"{self.where}, {key}.{name}") for name, item in value.items()}

    def table(self, key: str) -> Fields:
        """Return the sub-table of `key`, an empty one when the key is absent."""
        value = self.get(key, lambda v: isinstance(v, Mapping), "a table of keys", {})
        return Fields(value, f"{self.where}, {key}")

    def close(self) -> None:
        """Refuse keys that were never read.

        Raises:
            SpecError: There is one; the message has the nearest valid key.
        """
        for key in self.values:
            if key not in self._read:
                near = nearest_names(key, self._read, 1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise SpecError(f"{self.where}: unknown key {key!r}.{hint} Allowed: {', '.join(self._read)}.")


def is_integer(value: Any, lowest: int, highest: int) -> bool:
    """Whether `value` is an integer (no bool) from `lowest` to `highest`."""
    return isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest
