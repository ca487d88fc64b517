"""The kinds of the family `color`."""

from __future__ import annotations

import functools
from collections.abc import Callable

from wsabench.games import Game
from wsabench.perturb import color
from wsabench.perturb.kinds import KINDS, Build, Kind, ParameterValue, choice, number, seed
from wsabench.perturb.stages import Fixed


def palette_kind(operator: Callable[..., color.Colors], *, ignores_input: bool = False) -> Build:
    """Return a builder for an operator from a palette, uint8 (256, 3), and the parameters by name to a palette."""

    def build(game: Game, **parameters: ParameterValue) -> Fixed:
        del game
        return Fixed(functools.partial(operator, **parameters), ignores_input)

    return build


def _add(name: str, kind: Kind) -> None:
    KINDS.add(f"palette.{name}", kind)


_add("hue_rotate", Kind("color", {"degrees": number(-360, 360)}, palette_kind(color.rotate_hue)))
_add("saturation", Kind("color", {"factor": number(0, 10)}, palette_kind(color.scale_saturation)))
_add("value", Kind("color", {"factor": number(0, 10)}, palette_kind(color.scale_value)))
_add("contrast", Kind("color", {"factor": number(0, 10)}, palette_kind(color.scale_contrast)))
_add("invert", Kind("color", {}, palette_kind(color.invert)))
_add(
    "channel_permute",
    Kind(
        "color",
        {"order": choice("rgb", "rbg", "grb", "gbr", "brg", "bgr")},
        palette_kind(color.permute_channels),
    ),
)
_add("shuffle", Kind("color", {"seed": seed()}, palette_kind(color.shuffle_palette)))
_add(
    "hardware",
    Kind(
        "color",
        {"standard": choice("NTSC", "PAL", "SECAM")},
        palette_kind(color.replace_palette, ignores_input=True),
    ),
)
