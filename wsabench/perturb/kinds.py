"""The kinds of perturbation that a catalogue entry can name, and the parameters each takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wsabench.perturb import color
from wsabench.registry import Registry

ParameterValue = float | int | str
PaletteOperator = Callable[..., color.Colors]
"""From a palette, uint8 (256, 3), and the parameters by name to a palette."""

FAMILIES = ("color", "corruption", "dynamics", "encoder")


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
    operator: PaletteOperator
    ignores_input: bool = False
    """Whether it replaces all colours, so that nothing may stand before it in a composition."""


def _number(lowest: float, highest: float) -> Parameter:
    """Return a parameter that is a number in a range."""
    return Parameter(
        f"numbers {lowest:g} to {highest:g}",
        lambda v: (
            isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) and lowest <= v <= highest
        ),
        float,
    )


def _choice(*names: str) -> Parameter:
    """Return a parameter that is one of some words."""
    return Parameter("one of " + ", ".join(names), lambda v: isinstance(v, str) and v in names, str)


def _seed() -> Parameter:
    """Return a parameter that is a seed."""
    return Parameter("integers from 0", lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 0, int)


KINDS: Registry[Kind] = Registry("kind of perturbation")
KINDS.add("palette.hue_rotate", Kind("color", {"degrees": _number(-360, 360)}, color.rotate_hue))
KINDS.add("palette.saturation", Kind("color", {"factor": _number(0, 10)}, color.scale_saturation))
KINDS.add("palette.value", Kind("color", {"factor": _number(0, 10)}, color.scale_value))
KINDS.add("palette.contrast", Kind("color", {"factor": _number(0, 10)}, color.scale_contrast))
KINDS.add("palette.invert", Kind("color", {}, color.invert))
KINDS.add(
    "palette.channel_permute",
    Kind("color", {"order": _choice("rgb", "rbg", "grb", "gbr", "brg", "bgr")}, color.permute_channels),
)
KINDS.add("palette.shuffle", Kind("color", {"seed": _seed()}, color.shuffle_palette))
KINDS.add(
    "palette.hardware",
    Kind("color", {"standard": _choice("NTSC", "PAL", "SECAM")}, color.replace_palette, ignores_input=True),
)
