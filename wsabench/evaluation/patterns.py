"""Agents of many games and train seeds in one text: `sb3:ckpt/{game}/seed{train_seed}.zip`."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from wsabench.errors import SpecError

_BRACES = re.compile(r"\{([^{}]*)\}")
_KNOWN = ("game", "train_seed")
WITHOUT_FILES = ("python:", "hf:")
"""How addresses begin that hold no path."""


class Found(NamedTuple):
    """One agent that a pattern stands for."""

    text: str
    """The reference, without braces."""
    train_seed: int | None
    """What stood for `{train_seed}`; None where the pattern has no such braces."""


def find_files(pattern: str, game: str, train_seeds: Sequence[int], *, finds_all: bool) -> list[Found]:
    """Return what a pattern stands for on one game, by train seed.

    Args:
        pattern: A path, an address of one, or another address; with `{game}` and `{train_seed}`.
        game: What stands for `{game}`.
        train_seeds: Those to take; all must be there.
        finds_all: Take every train seed whose file is there instead.

    Raises:
        SpecError: It has other braces, or no file is there for the game or for a train seed.
    """
    for name in _BRACES.findall(pattern):
        if name not in _KNOWN:
            raise SpecError(f"The pattern {pattern!r} holds {{{name}}}. Allowed: {{game}} and {{train_seed}}.")
    text = pattern.replace("{game}", game)
    if text.startswith(WITHOUT_FILES):
        if "{train_seed}" not in text:
            return [Found(text, None)]
        return [Found(text.replace("{train_seed}", str(seed)), seed) for seed in train_seeds]
    scheme = text[: text.index(":") + 1] if re.match(r"[a-z0-9]+:", text) else ""
    path = text.removeprefix(scheme)
    if "{train_seed}" not in text:
        if not Path(path).expanduser().exists():
            raise _nothing(pattern, game, text)
        return [Found(text, None)]
    by_seed = _seeds(path)
    if not by_seed:
        raise _nothing(pattern, game, text)
    wanted = sorted(by_seed) if finds_all else list(train_seeds)
    if missing := [str(seed) for seed in wanted if seed not in by_seed]:
        there = ", ".join(map(str, sorted(by_seed)))
        raise SpecError(
            f"The pattern {pattern!r} finds no train seed {', '.join(missing)} for {game}; there are {there}. Name "
            "those with --train-seeds, or leave it out to play all."
        )
    return [Found(f"{scheme}{by_seed[seed]}", seed) for seed in wanted]


def _seeds(path: str) -> dict[int, str]:
    """Return the files that a path with `{train_seed}` finds, by train seed."""
    parts = str(Path(path).expanduser()).split("{train_seed}")
    expression = re.escape(parts[0]) + r"(\d+)" + r"\1".join(map(re.escape, parts[1:]))
    pattern = "*".join(map(glob.escape, parts))
    candidates = glob.glob(pattern)  # noqa: PTH207  (the pattern may be absolute, which Path.glob refuses)
    matches = [match for one in candidates if (match := re.fullmatch(expression, one))]
    return {int(match[1]): match[0] for match in sorted(matches, key=lambda one: one[0], reverse=True)}


def _nothing(pattern: str, game: str, tried: str) -> SpecError:
    seeds = ", with any number for {train_seed}" if "{train_seed}" in tried else ""
    return SpecError(
        f"The pattern {pattern!r} finds nothing for {game}: tried {tried}{seeds}. Correct it, or leave {game} out."
    )
