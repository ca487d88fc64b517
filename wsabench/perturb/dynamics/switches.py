"""The console's switches: which values a game has, and the kinds that set them."""

from __future__ import annotations

from typing import Annotated

from wsabench.errors import SpecError
from wsabench.games import Game, catalogue_games, load_game
from wsabench.perturb.kinds import ParameterValue, Range, kind
from wsabench.perturb.stages import ConsoleStage

SWITCHES = ("mode", "difficulty")


def switch_misfit(switch: str, value: ParameterValue, game: Game) -> str | None:
    """Return why a switch of a game cannot be put to `value` as a perturbation; None where it can.

    Args:
        switch: `mode` or `difficulty`.
        value: The switch's value.
        game: The game.
    """
    values = values_of(switch, game)
    if value in values[1:]:
        return None
    having = [other.id for other in map(load_game, catalogue_games()) if value in values_of(switch, other)[1:]]
    others = f"Games that have it: {', '.join(having) or 'none'}."
    if not values:
        return f"the catalogue lists no {switch} of this game. {others}"
    if value == values[0]:
        return f"{switch} {value} is this game's default, so nothing would change. {others}"
    listed = ", ".join(str(other) for other in values[1:])
    return (
        f"the game has no {switch} {value}. {others} {game.id} has: {listed or f'no other {switch} than its default'}."
    )


def values_of(switch: str, game: Game) -> tuple[int, ...]:
    """Return the values of a switch, the default first."""
    return game.modes if switch == "mode" else game.difficulties


@kind("console.mode", source="Machado et al. 2018")
def set_mode(game: Game, value: Annotated[int, Range(0, 255)]) -> ConsoleStage:
    """Put the console's game switch to `value` before the reset: ALE's `setMode`.

    Only values that the game's catalogue entry lists, without its default.

    Raises:
        SpecError: The game has no such mode; the message names the games that have it.
    """
    return ConsoleStage(mode=_checked("mode", value, game))


@kind("console.difficulty", source="Machado et al. 2018")
def set_difficulty(game: Game, value: Annotated[int, Range(0, 3)]) -> ConsoleStage:
    """Put the console's difficulty switch to `value` before the reset: ALE's `setDifficulty`.

    Only values that the game's catalogue entry lists, without its default.

    Raises:
        SpecError: The game has no such difficulty; the message names the games that have it.
    """
    return ConsoleStage(difficulty=_checked("difficulty", value, game))


def _checked(switch: str, value: int, game: Game) -> int:
    """Return the value, or refuse one that the game does not have."""
    reason = switch_misfit(switch, value, game)
    if reason is not None:
        raise SpecError(reason)
    return value
