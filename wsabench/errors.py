"""The errors a user can cause, and how their messages are made.

Every message says what was wrong and where, what was found, what is allowed and how to fix it. The command line shows
it without a traceback and exits with 2.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable


class WsabenchError(Exception):
    """Base of everything a user can cause; its text is meant for the user."""


class UnknownNameError(WsabenchError, KeyError):
    """A name (game, suite, perturbation, agent, ...) that does not exist; a mapping raises it as its KeyError."""

    __str__ = Exception.__str__  # a KeyError shows its text as Python writes it, in quotes


class SpecError(WsabenchError):
    """A perturbation, suite, agent or protocol description that is malformed or does not fit."""


class OwnCodeError(SpecError):
    """Code of a user that failed, an agent's for the most part; its cause is what that code raised."""


class ShapeError(WsabenchError):
    """Arrays whose shapes do not match each other or the contract."""


class CheckpointError(WsabenchError):
    """A checkpoint that is missing, damaged, foreign or needs encoders that are not there."""


class ResultSetError(WsabenchError):
    """A result directory that is missing, damaged, foreign or made by an incompatible run."""


class StorageError(WsabenchError):
    """Files that cannot be read or written: full disk, unwritable path."""


class WorkerError(WsabenchError):
    """A worker process that died or failed."""


_LISTED = 12
"""Names that a message lists where none is near."""
_NEAR = 0.7
"""How alike two names must be, from 0 to 1 (all the same letters in the same order)."""
_SHORT = 4
"""Names of at most so many letters are near only where one slip leads from the one to the other."""
_BEGUN = 3
"""Letters from which on a name counts as the beginning of longer ones."""


def nearest_names(name: str, allowed: Iterable[str], limit: int = 3) -> list[str]:
    """Return up to `limit` allowed names that are near `name`, best first; upper and lower case count the same.

    Names that differ by one slip come first (`is_one_slip`): those with two letters exchanged, then those that share
    the longest beginning. Where there is none and `name` has more than four letters, names that look alike take their
    place. Last come longer names that begin with `name`.
    """
    folded = name.casefold()
    by_folded = {candidate.casefold(): candidate for candidate in allowed}
    slips = [one for one in by_folded if is_one_slip(folded, one)]
    if slips or len(folded) <= _SHORT:
        close = sorted(slips, key=lambda one: (sorted(one) != sorted(folded), -_shared_start(folded, one), one))
    else:
        close = difflib.get_close_matches(folded, by_folded, n=limit, cutoff=_NEAR)
    begun = [one for one in by_folded if len(folded) >= _BEGUN and one.startswith(folded) and one not in close]
    return [by_folded[match] for match in (*close, *begun)][:limit]


def is_one_slip(name: str, other: str) -> bool:
    """Whether two different names are equal but for a letter more, a letter less, another letter or two exchanged ones.

    Args:
        name: One name. No name is near that of a single letter.
        other: The other.
    """
    if min(len(name), len(other)) < 2:
        return False
    start = _shared_start(name, other)
    a, b = name[start:], other[start:]
    ends = ((a[1:], b), (a, b[1:]), (a[1:], b[1:]))
    is_exchanged = len(a) > 1 and a[:2] == b[1::-1] and a[2:] == b[2:]
    return name != other and (is_exchanged or any(one == another for one, another in ends))


def _shared_start(name: str, other: str) -> int:
    """Return with how many letters both begin."""
    alike = (one == another for one, another in zip(name, other, strict=False))
    return sum(itertools.takewhile(bool, alike))


def unknown_name(what: str, name: object, allowed: Iterable[str], hint: str = "") -> UnknownNameError:
    """Build the error for a name that does not exist.

    Args:
        what: The kind of thing, for example `"game"`.
        name: The name that was given; or what was given instead of one.
        allowed: All names that exist.
        hint: How to list them, for example "Run `wsabench list games`."

    Returns:
        The error, with the nearest names; where none is near, with the first twelve in alphabetical order.
    """
    names = sorted(allowed)
    near = nearest_names(name, names) if isinstance(name, str) else []
    if near:
        text = f"Did you mean {' or '.join(repr(n) for n in near)}?"
    elif not names:
        text = f"No {what} is available."
    else:
        shown = ", ".join(names[:_LISTED])
        text = f"Allowed: {shown}{f' and {len(names) - _LISTED} more' if len(names) > _LISTED else ''}."
    return UnknownNameError(f"Unknown {what} {name!r}. {text}{' ' + hint if hint else ''}")
