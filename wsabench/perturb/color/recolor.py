"""Recolouring what is drawn in some colour indices: which indices an object has, and who shares them.

The screen holds colour indices, not objects: everything drawn in an index changes with it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np

from wsabench.errors import SpecError
from wsabench.games import Game
from wsabench.perturb.color.operators import paint
from wsabench.perturb.kinds import Names, Parameter, ParameterValue, Range, kind
from wsabench.perturb.stages import Fixed

_HEX = re.compile(r"#[0-9a-fA-F]{6}")


def _is_color(value: Any) -> bool:
    """Whether it is `#rrggbb` or a seed."""
    if isinstance(value, str):
        return _HEX.fullmatch(value) is not None
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _normalise(value: Any) -> ParameterValue:
    """Write hexadecimal digits in lower case."""
    return value.lower() if isinstance(value, str) else int(value)


Color = Annotated[
    str | int, Parameter("'#rrggbb', or an integer from 0, the seed of a random colour", _is_color, _normalise)
]
"""A parameter that is a colour: written out, or the seed of a random one."""


def color_of(color: str | int) -> tuple[int, int, int]:
    """Return the RGB bytes that a valid colour parameter stands for.

    A seed gives a colour drawn uniformly from all RGB values by a PCG64 generator.
    """
    if isinstance(color, str):
        red, green, blue = bytes.fromhex(color[1:])
    else:
        red, green, blue = np.random.Generator(np.random.PCG64(color)).integers(0, 256, size=3).tolist()
    return red, green, blue


def object_indices(game: Game, objects: Iterable[str]) -> tuple[int, ...]:
    """Return the colour indices of those of `objects` that a game has, each once, in order.

    Args:
        game: The catalogue's record.
        objects: Names as in `perturbations/games/*.toml`; those that the game does not have are left out.

    Raises:
        SpecError: The game has none of them.
    """
    wanted = list(objects)
    found = dict.fromkeys(index for name in wanted for index in game.objects.get(name, ()))
    if not found:
        known = ", ".join(game.objects) or "none: its colours are not in the catalogue"
        raise SpecError(
            f"the game has none of the objects {', '.join(wanted)}. Allowed: a game that has one; {game.id} has "
            f"{known}. Use the kind palette.recolor_index for a colour of which no object is known."
        )
    return tuple(found)


def sharing(game: Game, indices: Iterable[int], besides: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the objects of a game that are drawn, wholly or in part, in any of some colour indices.

    Args:
        game: The catalogue's record.
        indices: Colour indices, 0..255.
        besides: Objects to leave out.
    """
    changed, left_out = {index & ~1 for index in indices}, set(besides)
    return tuple(
        name for name, own in game.objects.items() if name not in left_out and changed & {index & ~1 for index in own}
    )


def recolored_indices(game: Game, objects: Names, color: Color) -> list[int]:
    """Return which indices `recolor_objects` changes: what the game's file adds to the parameters."""
    del color
    return list(object_indices(game, objects))


@kind("palette.recolor", content=recolored_indices)
def recolor_objects(game: Game, objects: Names, color: Color) -> Fixed:
    """Show objects in one colour: every colour index of those of `objects` that the game has.

    Objects are named as in perturbations/games; `color` is #rrggbb, or a seed for a colour drawn uniformly from RGB.
    Everything else that is drawn in these indices changes too. Does not fit a game that has none of the objects.

    Raises:
        SpecError: The game has none of the objects.
    """
    return Fixed(functools.partial(paint, indices=object_indices(game, objects), color=color_of(color)))


@kind("palette.recolor_index")
def recolor_index(game: Game, index: Annotated[int, Range(0, 254)], color: Color) -> Fixed:
    """Show the even colour index `index` in one colour: whatever is drawn in this index changes, in any game.

    `color` is #rrggbb, or a seed for a colour drawn uniformly from RGB.

    Raises:
        SpecError: The index is odd.
    """
    del game
    if index % 2:
        raise SpecError(f"index is {index}. Allowed: even numbers 0 to 254; the odd one above changes with it.")
    return Fixed(functools.partial(paint, indices=(index,), color=color_of(color)))
