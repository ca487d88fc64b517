"""The kinds of the family `color`."""

from __future__ import annotations

import functools
from collections.abc import Callable

from wsabench.games import Game
from wsabench.perturb.color import operators as color
from wsabench.perturb.color.operators import RandomPalette, Strobe
from wsabench.perturb.color.recolor import color_parameter, recolor_index, recolor_objects, recolored_indices
from wsabench.perturb.kinds import KINDS, Build, Kind, ParameterValue, choice, fixed, names, number, seed, whole_number
from wsabench.perturb.stages import Fixed

_HSV = "RGB to HSV (Smith 1978, hexcone) and back, rounded to bytes, halves up."


def palette_kind(operator: Callable[..., color.Colors], *, ignores_input: bool = False) -> Build:
    """Return a builder for an operator from a palette, uint8 (256, 3), and the parameters by name to a palette."""

    def build(game: Game, **parameters: ParameterValue) -> Fixed:
        del game
        return Fixed(functools.partial(operator, **parameters), ignores_input)

    return build


def _add(name: str, kind: Kind) -> None:
    KINDS.add(f"palette.{name}", kind)


_add(
    "hue_rotate",
    Kind(
        "color",
        {"degrees": number(-360, 360)},
        palette_kind(color.rotate_hue),
        f"hue + degrees / 360, modulo 1; greys stay; 0: identity. {_HSV}",
    ),
)
_add(
    "saturation",
    Kind(
        "color",
        {"factor": number(0, 10)},
        palette_kind(color.scale_saturation),
        f"saturation * factor, at most 1; value stays, so luminance moves; 1: identity. {_HSV}",
    ),
)
_add(
    "value",
    Kind(
        "color",
        {"factor": number(0, 10)},
        palette_kind(color.scale_value),
        f"value (brightness) * factor, at most 1; 1: identity. {_HSV}",
    ),
)
_add(
    "contrast",
    Kind(
        "color",
        {"factor": number(0, 10)},
        palette_kind(color.scale_contrast),
        f"0.5 + (value - 0.5) * factor, clipped to 0..1; 1: identity. {_HSV}",
    ),
)
_add(
    "gamma",
    Kind(
        "color",
        {"gamma": number(0.05, 20)},
        palette_kind(color.adjust_gamma),
        "255 * (c / 255) ** gamma for each RGB channel, rounded to bytes, halves up: above 1 darker, below 1 brighter, "
        "black and full light stay; 1: identity.",
    ),
)
_add(
    "invert",
    Kind(
        "color",
        {},
        palette_kind(color.invert),
        "255 - c for each RGB channel, the photographic negative.",
    ),
)
_add(
    "channel_permute",
    Kind(
        "color",
        {"order": choice("rgb", "rbg", "grb", "gbr", "brg", "bgr")},
        palette_kind(color.permute_channels),
        "Red, green and blue show the channels that `order` names (`brg`: red shows the old blue); rgb: identity.",
    ),
)
_add(
    "shuffle",
    Kind(
        "color",
        {"seed": seed()},
        palette_kind(color.shuffle_palette),
        "Each of the console's 128 colours shows another, by a permutation that a PCG64 generator of this seed draws.",
    ),
)
_add(
    "hardware",
    Kind(
        "color",
        {"standard": choice("NTSC", "PAL", "SECAM")},
        palette_kind(color.replace_palette, ignores_input=True),
        "The colours of another television standard: the same bytes on other hardware. The tables are ale-py's.",
    ),
)
_add(
    "recolor",
    Kind(
        "color",
        {"objects": names(), "color": color_parameter()},
        recolor_objects,
        "Every colour index of those of `objects` that the game has (names as in perturbations/games) shows `color`: "
        "#rrggbb, or a seed for a colour drawn uniformly from RGB. Everything else drawn in these indices changes too. "
        "Does not fit a game that has none of the objects.",
        recolored_indices,
    ),
)
_add(
    "recolor_index",
    Kind(
        "color",
        {"index": whole_number(0, 254), "color": color_parameter()},
        recolor_index,
        "The even colour index `index` shows `color`: #rrggbb, or a seed for a colour drawn uniformly from RGB. "
        "Whatever is drawn in this index changes.",
    ),
)
_add(
    "random",
    Kind(
        "color",
        {},
        fixed(RandomPalette),
        "A new palette each episode: each of the 128 colours is drawn uniformly from all RGB values, independently, by "
        "the lane's generator.",
    ),
)
_add(
    "strobe",
    Kind(
        "color",
        {"period": whole_number(1, 108_000)},
        fixed(Strobe),
        "Every `period` emulated frames (four make a step), counted from the episode's start, another permutation of "
        "the 128 colours is drawn by the lane's generator. With 4, the two frames whose maximum is an observation "
        "have different colours.",
    ),
)
