"""What `wsabench show` says about a perturbation: how it works, where it exists, and its measured effect."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wsabench.cli.facts.baselines import agents_with_encoders
from wsabench.cli.terminal.progress import progress_reporter

if TYPE_CHECKING:
    from wsabench.games import Game, RamPatch
    from wsabench.perturb import CatalogueEntry, Perturbation

MARKED_TABLES = ("effect_in_grey_levels", "share_of_changed_steps")
"""Those in which brackets stand around the cells that a run refuses, as in docs/effects.md."""
_QUIET_CELLS = 12
"""Up to so many cells are measured before anyone wonders."""
_BYTE = re.compile(r"\b(ram|prev|reset)\[(\d+)\]")

Row = dict[str, Any]


def perturbation_facts(name: str, games: Sequence[str]) -> dict[str, Any]:
    """Return what a perturbation is, its parameters at each severity, and its measured effect in some games.

    Args:
        name: A perturbation as written, or the bare name of one with severities: then all five are shown.
        games: Ids of the games to measure it in; those that cannot have it are passed over.

    Raises:
        SpecError: The name is malformed.
        UnknownNameError: It does not exist.
    """
    from wsabench.perturb import list_perturbations, parse_perturbation

    entries = {entry.name: entry for entry in list_perturbations()}
    entry = entries.get(name)
    levels = [f"@{number}" for number in entry.severities] if entry is not None and entry.has_severity else [""]
    shown = {level: parse_perturbation(name + level) for level in levels}
    first = shown[levels[0]]
    facts: dict[str, Any] = {"family": first.family}
    for part in dict.fromkeys(part.name for part in first.parts):
        end = f" of {part}" if len(first.parts) > 1 else ""
        facts |= {f"{key}{end}": value for key, value in _entry_facts(entries[part]).items()}
    facts["parameters"] = [
        {"written": part.text, **{key: _plain(value) for key, value in part.parameters}}
        for one in shown.values()
        for part in one.parts
        if part.parameters and part.kind != "ram.patch"
    ]
    owners = [(part.name, game) for part in first.parts for game in entries[part.name].games or ()]
    facts["rules"] = [row for part, game in owners for row in _rule_rows(part, game)]
    facts["recoloured"] = [row for part in first.parts for row in _recoloured_rows(part.kind, dict(part.parameters))]
    return facts | effect_facts(shown, games)


def _plain(value: Any) -> Any:
    """Return a parameter as a table shows it."""
    return ", ".join(value) if isinstance(value, tuple) else value


def _entry_facts(entry: CatalogueEntry) -> dict[str, Any]:
    """Return the description of one catalogue entry."""
    from wsabench.perturb.catalogue import all_kinds

    return {
        "kind of change": entry.kind,
        "summary": entry.summary,
        "how it works": all_kinds()[entry.kind].description,
        "source": entry.source,
        "games": "any" if entry.games is None else ", ".join(entry.games),
        "suites": ", ".join(suites_with(entry)) or "none",
    }


def suites_with(entry: CatalogueEntry) -> list[str]:
    """Return the suites that have a perturbation, listed or as one of a game's own."""
    from wsabench.perturb import list_suites, load_suite

    found = []
    for name in list_suites():
        cells = load_suite(name).cells
        own = [cell for game in entry.games or () for cell in cells.own.of(game)]
        written = {term.partition("@")[0] for cell in (*cells.listed, *own) for term in cell.split("+")}
        if entry.name in written:
            found.append(name)
    return found


def _rule_rows(name: str, game_id: str) -> list[Row]:
    """Return the rule of a RAM patch in one game: what runs, what it writes, how its effect was confirmed."""
    from wsabench.games import load_game

    game = load_game(game_id)
    return [{"game": game.id, **patch_facts(one, game)} for one in game.verified_patches if one.perturbation == name]


def patch_facts(patch: RamPatch, game: Game) -> Row:
    """Return what a RAM patch does, with the names of the game's RAM map."""
    from wsabench.perturb.rules import canonical_text, parse_patch, ram_addresses, reward_note, written_bytes

    rule, addresses = parse_patch(patch, game), ram_addresses(game)
    return {
        "rule": named_text(canonical_text(rule), addresses),
        "effect": patch.effect,
        "expected difficulty": patch.expected_difficulty,
        "writes": written_bytes(rule, addresses),
        "score and lives": reward_note(rule, game) or "Writes neither score nor lives.",
        "verified": patch.how_verified,
    }


def named_text(rule: str, addresses: Mapping[str, int]) -> str:
    """Return a rule's text with the names of the RAM map for single bytes; it parses to the same rule.

    Example:
        >>> named_text("ram[54] = prev[54]; ram[7] = 0", {"ball_y": 54})
        'ball_y = prev.ball_y; ram[7] = 0'
    """
    names: dict[int, str] = {}
    for name, address in addresses.items():
        names.setdefault(address, name)

    def named(match: re.Match[str]) -> str:
        bank, address = match[1], int(match[2])
        if address not in names:
            return match[0]
        return names[address] if bank == "ram" else f"{bank}.{names[address]}"

    return _BYTE.sub(named, rule)


def _recoloured_rows(kind: str, parameters: Mapping[str, Any]) -> list[Row]:
    """Return, for each game, which objects a recolouring means and which others share their colours."""
    from wsabench.games import catalogue_games, load_game
    from wsabench.perturb.color.recolor import sharing

    if kind not in ("palette.recolor", "palette.recolor_index"):
        return []
    rows = []
    for game in map(load_game, catalogue_games()):
        wanted = [name for name in parameters.get("objects", ()) if name in game.objects]
        indices = [index for name in wanted for index in game.objects[name]] or [parameters.get("index", -1)]
        if indices == [-1]:
            continue
        row: Row = {"game": game.id, "palette indices": ", ".join(str(index) for index in dict.fromkeys(indices))}
        if "objects" in parameters:
            row["objects"] = ", ".join(wanted)
        rows.append(row | {"shared by": ", ".join(sharing(game, indices, wanted)) or None})
    return rows


def effect_facts(shown: Mapping[str, Perturbation], games: Sequence[str]) -> dict[str, Any]:
    """Measure perturbations, by the heading of their column, and return tables with one row per game."""
    from wsabench.emulator import MIN_EFFECT_GREY_LEVELS, is_refused, measure_effect
    from wsabench.perturb import misfit

    cells = {
        game: {head or "effect": one for head, one in shown.items() if not one.is_clean and misfit(one, game) is None}
        for game in games
    }
    total = sum(len(columns) for columns in cells.values())
    grey: list[Row] = []
    steps: list[Row] = []
    refused: dict[str, list[str]] = {}
    acts_on_encoders = False
    with progress_reporter(quiet=total <= _QUIET_CELLS) as reporter:
        reporter.start("Measuring the effect", total, "cell")
        for game, columns in cells.items():
            effects = {}
            for head, one in columns.items():
                effects[head] = measure_effect(game, one)
                reporter.advance(1)
            if found := [one.name for one in columns.values() if is_refused(game, one)]:
                refused[game] = found
            acts_on_encoders |= any("encoder" in one.family for one in columns.values())
            if seen := {head: round(e.value, 2) for head, e in effects.items() if e.measure != "encoders"}:
                grey.append({"game": game, **seen})
            if changed := {h: round(e.changed_steps, 3) for h, e in effects.items() if e.changed_steps is not None}:
                steps.append({"game": game, **changed})
        reporter.finish()
    facts: dict[str, Any] = {"effect_in_grey_levels": grey, "share_of_changed_steps": steps, "refused": refused}
    if grey:
        facts["effect"] = "mean |change| of the agent's view in 300 steps of random play, same seed and actions" + (
            "; changed steps: those after which memory or view differs"
            if steps
            else f"; in brackets: below {MIN_EFFECT_GREY_LEVELS:g}, so a run refuses it"
        )
    if acts_on_encoders:
        facts |= _encoder_facts(shown, games)
    return facts


def _encoder_facts(shown: Mapping[str, Perturbation], games: Sequence[str]) -> dict[str, Any]:
    """Return how much the action distributions of shipped agents with encoders change; loads torch.

    Of one game every train seed is asked; of several the first of each agent, because an agent takes seconds.
    """
    able = [one for one in agents_with_encoders() if one[0] in games]
    is_part = False
    if len(games) > 1:
        first = {(game, agent): (game, agent, seed) for game, agent, seed in sorted(able, reverse=True)}
        is_part = len(first) < len(able)
        able = [one for one in able if one in first.values()]
    rows: list[Row] = []
    captured: list[Row] = []
    with progress_reporter(quiet=not able) as reporter:
        reporter.start("Asking agents", len(able), "agent")
        for game, agent, seed in able:
            from wsabench.evaluation.encoder_effect import measure_attention_capture, measure_encoder_effects

            names = {head or "effect": one.name for head, one in shown.items()}
            found = measure_encoder_effects(game, list(names.values()), agent, seed)
            changes = {head: round(found[name], 3) for head, name in names.items() if name in found}
            who = {"game": game, "agent": agent, "train seed": seed}
            rows.append({**who, **changes})
            weights = measure_attention_capture(game, list(names.values()), agent, seed)
            for head, name in names.items():
                if (one := weights.get(name)) is not None:
                    cell = {} if head == "effect" else {"severity": head}
                    captured.append({**who, **cell, "clean": round(one.clean, 3), "changed": round(one.changed, 3)})
            reporter.advance(1)
        reporter.finish()
    note = (
        "total variation distance of the action distributions with and without the change: mean over 200 steps of the "
        "agent's own clean play, 0 the same, 1 nothing in common"
        + ("; one train seed of each agent (--games with one game: all of them)" if is_part else "")
        if rows
        else "it acts on the agent's encoders; no agent with encoders is shipped for these games"
    )
    facts: dict[str, Any] = {"effect_on_actions": rows, "effect on encoders": note, "attention_captured": captured}
    if captured:
        facts["attention"] = (
            "mean weight of the encoders whose embeddings are replaced, on the same observations without the change "
            "(clean) and with it (changed)"
        )
    return facts
