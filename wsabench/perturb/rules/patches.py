"""The RAM patches of the games' catalogue entries as rules: parsing, and what they do to score and lives."""

from __future__ import annotations

from collections.abc import Mapping

from wsabench.errors import SpecError, unknown_name
from wsabench.games import Game, RamPatch
from wsabench.perturb.rules.parsing import parse_rule
from wsabench.perturb.rules.syntax import Rule

_SCORE_WORDS = ("score", "cars_to_pass")
"""In names of RAM maps: bytes whose change ALE gives as reward."""
_LIVES_WORD = "lives"


def patch_rule(game: Game, patch: str, where: str = "rule") -> Rule:
    """Return the parsed rule of a game's patch.

    Args:
        game: The game's record.
        patch: The patch's name in the game's catalogue entry, for example `lazy_enemy`.
        where: Beginning of messages about the rule.

    Raises:
        SpecError: The game has no such patch, or its rule is malformed.
    """
    if patch not in game.patches:
        if not game.patches:
            raise SpecError(f"{game.id} has no RAM patches. Allowed: games whose catalogue entry has patches.")
        raise SpecError(str(unknown_name(f"RAM patch of {game.id}", patch, game.patches)))
    return parse_patch(game.patches[patch], game, where)


def parse_patch(patch: RamPatch, game: Game, where: str = "") -> Rule:
    """Return the parsed rule of a patch.

    Raises:
        SpecError: The rule is malformed or names what the game's RAM map lacks; the message begins with `where`.
    """
    return parse_rule(patch.rule, ram_addresses(game), where, patch.when == "on_reset")


def check_patch(patch: RamPatch, game: Game) -> None:
    """Refuse a patch whose rule is malformed or names what the game's RAM map lacks.

    Raises:
        SpecError: The message begins with the column in the rule.
    """
    parse_patch(patch, game)


def ram_addresses(game: Game) -> Mapping[str, int]:
    """Return the addresses of the game's memory by their names in its RAM map."""
    return {name: variable.index for name, variable in game.ram.items()}


def written_score(rule: Rule, game: Game) -> tuple[str, ...]:
    """Return the names of the score's bytes that a rule may write; what that adds to the score becomes reward."""
    return tuple(name for name in _written_names(rule, game) if any(word in name for word in _SCORE_WORDS))


def written_lives(rule: Rule, game: Game) -> tuple[str, ...]:
    """Return the names of the bytes with the lives that a rule may write."""
    return tuple(name for name in _written_names(rule, game) if _LIVES_WORD in name.split("_"))


def reward_note(rule: Rule, game: Game) -> str:
    """Return what a rule does to score and lives, for the catalogue; empty where it writes neither."""
    notes: list[str] = []
    score, lives = written_score(rule, game), written_lives(rule, game)
    if score:
        notes.append(f"Writes the score ({', '.join(score)}): a change that the game notices becomes reward.")
    if lives:
        notes.append(f"Writes the lives ({', '.join(lives)}): lost lives and the game's end may not be what they were.")
    return " ".join(notes)


def _written_names(rule: Rule, game: Game) -> list[str]:
    """Return the names of the bytes that a rule may write, in the order of the RAM map."""
    written = set(rule.addresses)
    return [name for name, address in ram_addresses(game).items() if address in written]
