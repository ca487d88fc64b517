"""What games bring along as perturbations: their verified RAM patches, and their modes and difficulties."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from wsabench.errors import SpecError
from wsabench.games import Game, RamPatch, catalogue_games, load_game
from wsabench.perturb.dynamics.switches import SWITCHES, switch_misfit, values_of
from wsabench.perturb.entries import NAME, CatalogueEntry
from wsabench.perturb.rules import check_patch

PATCH_KIND = "ram.patch"

_SWITCH_SUMMARY = {
    "mode": "The game's own variant {value}, chosen with the console's game switch",
    "difficulty": "The console's difficulty switch at {value}",
}
_SWITCH_SOURCE = (
    "Machado et al. 2018, modes and difficulties of ALE; Farebrother et al. 2018, Generalization and regularization "
    "in DQN"
)


def game_entries() -> list[CatalogueEntry]:
    """Return the perturbations that the catalogue's games bring along, patches first, each sorted by name.

    Raises:
        SpecError: A game's file is malformed, a rule does not parse, or games put one patch in different families.
        StorageError: A game's file cannot be read.
    """
    games = [load_game(game) for game in catalogue_games()]
    for game in games:
        for patch in game.patches.values():
            _check(patch, game)
    return [*_patch_entries(games), *_switch_entries(games)]


def unverified_patches(name: str) -> dict[str, str]:
    """Return the games whose patch of this perturbation's name was not confirmed, with what was found instead."""
    games = (load_game(game) for game in catalogue_games())
    return {
        game.id: patch.how_verified
        for game in games
        for patch in game.patches.values()
        if patch.perturbation == name and not patch.is_verified
    }


def misfit_of(entry: CatalogueEntry, game: Game) -> str | None:
    """Return why a game cannot have this perturbation, and which games can; None where it can."""
    if entry.games is None or game.id in entry.games:
        return None
    others = f"Games that have it: {', '.join(entry.games)}"
    unconfirmed = unverified_patches(entry.name).get(game.id)
    if unconfirmed is not None:
        return f"the patch was not confirmed in this game ({unconfirmed}), so it is no perturbation. {others}."
    if entry.kind == PATCH_KIND:
        own = ", ".join(patch.perturbation for patch in game.verified_patches)
        return f"the game has no such RAM patch. {others}. {game.id} has: {own or 'no verified patch'}."
    switch = entry.kind.rpartition(".")[2]
    return switch_misfit(switch, next(iter(entry.parameters.values())), game)


def _check(patch: RamPatch, game: Game) -> None:
    """Refuse a patch that does not parse or cannot be named."""
    where = f"games/{game.id}.toml, patches.{patch.name}"
    if not NAME.fullmatch(patch.perturbation):
        raise SpecError(f"{where}: the name is {patch.name!r}. Allowed: lower-case words joined by single _.")
    try:
        check_patch(patch, game)
    except SpecError as error:
        raise SpecError(f"{where}, rule: {error}") from error


def _patch_entries(games: Iterable[Game]) -> list[CatalogueEntry]:
    """Return one entry for each name of a verified patch."""
    found: dict[str, dict[str, tuple[Game, RamPatch]]] = {}
    for game in games:
        for patch in game.verified_patches:
            found.setdefault(patch.perturbation, {})[game.id] = (game, patch)
    return [_patch_entry(name, found[name]) for name in sorted(found)]


def _patch_entry(name: str, owners: Mapping[str, tuple[Game, RamPatch]]) -> CatalogueEntry:
    """Return the entry of one name, which several games may have."""
    patches = [patch for _, patch in owners.values()]
    families = sorted({patch.family for patch in patches})
    if len(families) > 1:
        raise SpecError(
            f"games/*.toml, patches.{patches[0].name}: found the families {' and '.join(families)} in "
            f"{', '.join(owners)}. Allowed: the same in all games."
        )
    return CatalogueEntry(
        name=name,
        family=families[0],
        kind=PATCH_KIND,
        summary=_summary(list(owners.values())),
        source="",
        parameters=MappingProxyType({"patch": patches[0].name}),
        scale=MappingProxyType({}),
        games=tuple(sorted(owners)),
    )


def _summary(owners: list[tuple[Game, RamPatch]]) -> str:
    """Return the effect in words, game by game where they differ."""
    effects = {patch.effect for _, patch in owners}
    if len(effects) == 1:
        (effect,) = effects
        return effect[0].upper() + effect[1:]
    return "; ".join(f"{game.title}: {patch.effect}" for game, patch in owners)


def _switch_entries(games: list[Game]) -> list[CatalogueEntry]:
    """Return one entry for each value of a switch that some game has beside its default."""
    entries = []
    for switch in SWITCHES:
        for value in sorted({value for game in games for value in values_of(switch, game)[1:]}):
            having = tuple(sorted(game.id for game in games if value in values_of(switch, game)[1:]))
            entries.append(
                CatalogueEntry(
                    name=f"{switch}-{value}",
                    family="dynamics",
                    kind=f"console.{switch}",
                    summary=_SWITCH_SUMMARY[switch].format(value=value),
                    source=_SWITCH_SOURCE,
                    parameters=MappingProxyType({"value": value}),
                    scale=MappingProxyType({}),
                    games=having,
                )
            )
    return entries
