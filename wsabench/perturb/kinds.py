"""Kinds of perturbation: what a catalogue entry can name, the parameters each takes, and what it compiles to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wsabench.games import Game
from wsabench.perturb.stages import Stage
from wsabench.registry import Registry

ParameterValue = float | int | str | tuple[str, ...]

FAMILIES = ("color", "corruption", "dynamics", "encoder")

Build = Callable[..., Stage]
"""From the game (first argument) and the parameters by name to a stage; raises `SpecError` where they do not fit."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a kind."""

    allowed: str
    """What is allowed, for messages."""
    is_valid: Callable[[Any], bool]
    normalise: Callable[[Any], ParameterValue]
    """Brings equal values to one form, so that they hash alike."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of perturbation."""

    family: str
    parameters: Mapping[str, Parameter]
    build: Build
    summary: str = ""
    """What it does and what its parameters mean, with the formula, for `show` and the docs."""
    content: Callable[..., Any] | None = None
    """From the game and the parameters to what else decides the behaviour (a rule's text, say), as plain values."""


def number(lowest: float, highest: float) -> Parameter:
    """Return a parameter that is a number in a range."""
    return Parameter(
        f"numbers {lowest:g} to {highest:g}",
        lambda v: (
            isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) and lowest <= v <= highest
        ),
        float,
    )


def whole_number(lowest: int, highest: int) -> Parameter:
    """Return a parameter that is an integer in a range."""
    return Parameter(
        f"integers {lowest} to {highest}",
        lambda v: isinstance(v, int) and not isinstance(v, bool) and lowest <= v <= highest,
        int,
    )


def choice(*names: str) -> Parameter:
    """Return a parameter that is one of some words."""
    return Parameter("one of " + ", ".join(names), lambda v: isinstance(v, str) and v in names, str)


def seed() -> Parameter:
    """Return a parameter that is a seed."""
    return Parameter("integers from 0", lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 0, int)


def names() -> Parameter:
    """Return a parameter that is a list of different words, at least one."""
    return Parameter(
        "a list of different names",
        lambda v: (
            isinstance(v, list | tuple)
            and bool(v)
            and all(isinstance(i, str) and bool(i.strip()) for i in v)
            and len(set(v)) == len(v)
        ),
        tuple,
    )


def fixed(build: Build) -> Build:
    """Return a builder for a kind that is the same in every game: `build` takes the parameters alone."""

    def build_for_any(game: Game, **parameters: ParameterValue) -> Stage:
        del game
        return build(**parameters)

    return build_for_any


KINDS: Registry[Kind] = Registry("kind of perturbation")
"""All kinds; filled by `wsabench.perturb.catalogue`, which knows the families' modules and other packages' kinds."""
