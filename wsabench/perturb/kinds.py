"""Kinds of perturbation: what a catalogue entry can name, the parameters each takes, and what it compiles to.

A kind is defined in one place, by the decorator `kind` over a class or a function: the annotated fields are its
parameters, the docstring is its summary.

    @kind("image.zoom", source="after `scale` of ImageNet-P")
    def zoom(image: Image, factor: Annotated[float, Range(0.1, 10)]) -> Image: ...
"""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from wsabench.errors import SpecError
from wsabench.games import Game
from wsabench.perturb.stages import EncoderStage, Fixed, PureImage, Stage
from wsabench.registry import Registry
from wsabench.types import EncoderOperation

ParameterValue = float | int | str | tuple[str, ...]

FAMILIES = ("color", "corruption", "dynamics", "encoder")

Build = Callable[..., Stage]
"""From the game (first argument) and the parameters by name to a stage; raises `SpecError` where they do not fit."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a kind."""

    allowed: str
    """What is allowed, in words for messages."""
    is_valid: Callable[[Any], bool]
    normalise: Callable[[Any], ParameterValue]
    """Brings equal values to one form, so that they have the same hash."""


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
    source: str = ""
    """Where the idea or the formula comes from; empty where that is not stated."""

    @property
    def description(self) -> str:
        """The summary, and the source as a sentence after it."""
        return f"{self.summary} Source: {self.source}." if self.source else self.summary


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


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers from `lowest` to `highest`, both included: the range of an annotated parameter of a kind."""

    lowest: float
    highest: float


Probability = Annotated[float, Range(0, 1)]
"""A parameter from 0 to 1."""
Seed = Annotated[int, seed()]
"""A parameter that is a seed, an integer from 0."""
Names = Annotated[tuple[str, ...], names()]
"""A parameter that is a list of different names."""


def fixed(build: Build) -> Build:
    """Return a builder for a kind that is the same in every game: `build` takes the parameters alone."""

    def build_for_any(game: Game, **parameters: ParameterValue) -> Stage:
        del game
        return build(**parameters)

    return build_for_any


KINDS: Registry[Kind] = Registry("kind of perturbation")
"""The kinds of this package, filled by `kind` when the wings' modules are imported; see `catalogue.all_kinds`."""

_FAMILY_OF = {
    "palette": "color",
    "image": "corruption",
    **dict.fromkeys(("control", "observation", "console", "ram"), "dynamics"),
    "encoder": "encoder",
}
"""The family by the first word of a kind's name."""

_OPERATOR_STAGES: dict[str, Callable[..., Stage]] = {"rgb": Fixed, "image": PureImage}
"""What an operator, a function from colours or a frame to changed ones, becomes, by the name of its first argument."""

_SECTION = re.compile(r"^(Args|Returns|Raises|References|Examples?):$", re.MULTILINE)

Definition = TypeVar("Definition", bound=Callable[..., Any])


def kind(
    name: str,
    *,
    source: str = "",
    family: str = "",
    content: Callable[..., Any] | None = None,
    into: dict[str, Kind] | None = None,
) -> Callable[[Definition], Definition]:
    """Return a decorator that defines a kind of perturbation by a class or a function, which stays as it is.

    The kind's parameters are the fields (or arguments) that are annotated with what is allowed:
    `Annotated[float, Range(0, 1)]`, `Annotated[int, Range(1, 50)]`, `Literal["rgb", "bgr"]`, or `Annotated[..., p]`
    with a `Parameter` p. Every other field needs a default. The summary is the docstring up to its first section
    (`Args:`, `Raises:` and so on).

    What is decorated may be

    - a class whose instance is a stage (`wsabench.perturb.stages`) or an encoder operation;
    - a function from the parameters, or from the `game` and the parameters, to such an instance;
    - an operator: a function from the colours `rgb`, or from the frame `image`, and the parameters to the changed ones.

    Args:
        name: The kind's name, words joined by a dot: `image.gaussian_noise`.
        source: Where the idea or the formula comes from.
        family: `color`, `corruption`, `dynamics` or `encoder`; left out: the one that the name's first word has in
            wsabench.
        content: From the game and the parameters to what else decides the behaviour, as plain values.
        into: Where another package collects its kinds, for its `Extension`; left out: the kinds of wsabench.

    Raises:
        SpecError: The name is taken, a field has neither a default nor an annotation that says what is allowed, or
            another package leaves `into` or `family` out.
    """
    belongs_to = family or _FAMILY_OF.get(name.partition(".")[0], "")
    if belongs_to not in FAMILIES:
        raise SpecError(f"The kind {name!r}: the family is {belongs_to!r}. Allowed: {', '.join(FAMILIES)}.")

    def define(definition: Definition) -> Definition:
        parameters, others = _parameters_of(definition, name)
        build = functools.partial(_build, definition, others)
        summary = " ".join(_SECTION.split(inspect.cleandoc(definition.__doc__ or ""))[0].split())
        made = Kind(belongs_to, parameters, build, summary, content, source)
        if into is not None:
            if into.setdefault(name, made) is not made:
                raise SpecError(f"The kind {name!r} is defined twice. Choose another name.")
        elif definition.__module__.partition(".")[0] == __name__.partition(".")[0]:
            KINDS.add(name, made)
        else:
            raise SpecError(
                f"The kind {name!r} of {definition.__module__}: `into` is missing. Allowed: a dictionary, the `kinds` "
                "of the package's Extension."
            )
        return definition

    return define


def _parameters_of(definition: Callable[..., Any], name: str) -> tuple[dict[str, Parameter], tuple[str, ...]]:
    """Return the annotated parameters of a definition, and the arguments besides: nothing, the game, or an input."""
    hints = get_type_hints(definition, include_extras=True)
    arguments = inspect.signature(definition).parameters
    found = {argument: _parameter(hints.get(argument)) for argument in arguments}
    others = tuple(key for key, value in arguments.items() if found[key] is None and value.default is value.empty)
    if others not in ((), ("game",), *((key,) for key in _OPERATOR_STAGES)):
        raise SpecError(
            f"The kind {name!r}: the parameter {others[-1]!r} does not say what is allowed. Allowed: an annotation "
            "such as Annotated[float, Range(0, 1)], or a default."
        )
    return {key: parameter for key, parameter in found.items() if parameter is not None}, others


def _parameter(hint: Any) -> Parameter | None:
    """Return the parameter that an annotation describes; None where it describes none."""
    if get_origin(hint) is Literal:
        return choice(*get_args(hint))
    for rule in getattr(hint, "__metadata__", ()):
        if isinstance(rule, Parameter):
            return rule
        if isinstance(rule, Range):
            is_whole = hint.__origin__ is int
            return whole_number(int(rule.lowest), int(rule.highest)) if is_whole else number(rule.lowest, rule.highest)
    return None


def _build(
    definition: Callable[..., Any], others: tuple[str, ...], game: Game, /, **parameters: ParameterValue
) -> Stage:
    """Return the stage that a definition stands for, with these parameters."""
    if others and others[0] in _OPERATOR_STAGES:
        return _OPERATOR_STAGES[others[0]](functools.partial(definition, **parameters))
    made = definition(game, **parameters) if others else definition(**parameters)
    return EncoderStage(made) if isinstance(made, EncoderOperation) else made
