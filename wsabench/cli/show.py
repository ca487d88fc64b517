"""`wsabench show`: everything about one perturbation, suite, game or agent."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from wsabench.cli.facts.baselines import agent_specs, read_header, weight_files
from wsabench.cli.facts.perturbations import MARKED_TABLES, perturbation_facts
from wsabench.cli.listing import perturbation_row
from wsabench.cli.options import Json, completer, several
from wsabench.cli.terminal.console import filled, split_names, value_text, write_json, write_line, write_table
from wsabench.errors import UnknownNameError, unknown_name
from wsabench.types import BUILT_IN_AGENTS

HELP = "Show one perturbation, family, suite, game or agent."
EXAMPLE = "Example: wsabench show hue-rotate@3"

_NAME = "A name from `wsabench list`."
_GAMES = "Games to measure a perturbation in; all (the twelve of the catalogue) or none. Default: all."


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help=_NAME, autocompletion=completer("name"))],
    games: Annotated[list[str] | None, several("game", _GAMES)] = None,
    as_json: Json = False,
) -> None:
    """Find what the name stands for and print it."""
    kind, facts = _find(name, split_names(games) or ["all"])
    if as_json:
        write_json({"kind": kind, **facts})
        return
    write_line(f"{kind} {name}")
    tables = {key: rows for key, rows in facts.items() if isinstance(rows, list) and rows and isinstance(rows[0], dict)}
    for key, value in facts.items():
        if key not in tables:
            _write_fact(key, value)
    for key, rows in tables.items():
        write_line()
        if key == "rules":
            _write_blocks(rows)
            continue
        columns = list(dict.fromkeys(column for row in rows for column in row))
        shown = [marked(row, facts.get("refused", {})) for row in rows] if key in MARKED_TABLES else rows
        write_table(key.replace("_", " "), columns, [[row.get(column) for column in columns] for row in shown])


def marked(row: dict[str, Any], refused: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return a row of a table of effects in which the cells that a run refuses stand in brackets.

    Args:
        row: The game, and its effects: by severity as in `@3`, or one by the name `effect`.
        refused: Names of the cells that a run refuses, by game.
    """
    names = refused.get(row["game"], ())
    heads = {"@" + name.rpartition("@")[2] for name in names} | ({"effect"} if names else set())
    return {key: f"({value_text(value)})" if key in heads else value for key, value in row.items()}


def _write_fact(key: str, value: Any, indent: str = "") -> None:
    """Write one fact as a paragraph; nothing where there is nothing to say."""
    if value not in (None, "", [], {}):
        text = f"{key.replace('_', ' ')}: {_text(value)}"
        write_line(indent + filled(text, indent + "  ", taken=len(indent)))


def _write_blocks(rows: list[dict[str, Any]]) -> None:
    """Write rows whose cells are too long for a table."""
    for row in rows:
        values = iter(row.items())
        write_line(f"in {next(values)[1]}")
        for key, value in values:
            _write_fact(key, value, "  ")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_text(item) for item in value)
    return str(value)


def _find(name: str, games: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Return the kind of thing that `name` stands for, and what to show of it."""
    from wsabench.games import catalogue_games, rom_ids
    from wsabench.perturb import list_perturbations, list_suites
    from wsabench.perturb.game_entries import unverified_patches

    names = [entry.name for entry in list_perturbations()]
    families = list(dict.fromkeys(entry.family for entry in list_perturbations()))
    if name in list_suites() or name.endswith(".toml"):
        return "suite", suite_facts(name)
    if name in rom_ids():
        return "game", game_facts(name)
    if name in BUILT_IN_AGENTS:
        return "agent", {"summary": BUILT_IN_AGENTS[name], "games": "any", "training": "none"}
    if name in agent_specs() or weight_files(name):
        return "agent", agent_facts(name)
    if "@" in name or "+" in name or name in names or name == "clean" or unverified_patches(name):
        return "perturbation", perturbation_facts(name, _games(games))
    if name in families:
        return "family", family_facts(name)
    if (game := _game(name)) is not None:
        return "game", game_facts(game)
    known = [*list_suites(), *catalogue_games(), *agent_specs(), *BUILT_IN_AGENTS, *families, *names, "clean"]
    raise unknown_name("name", name, known, "See `wsabench list`.")


def _game(name: str) -> str | None:
    """Return the game that is written as a Gymnasium environment, None for no game."""
    from wsabench.games import check_rom_id

    try:
        return check_rom_id(name)
    except UnknownNameError:
        return None


def _games(words: Sequence[str]) -> list[str]:
    from wsabench.games import catalogue_games, load_game

    if list(words) == ["all"]:
        return catalogue_games()
    return [] if list(words) == ["none"] else [load_game(word).id for word in words]


def family_facts(family: str) -> dict[str, Any]:
    """Return the perturbations of a family, and how many belong to single games."""
    from wsabench.perturb import list_perturbations

    members = [entry for entry in list_perturbations() if entry.family == family]
    shared = [perturbation_row(entry) for entry in members if entry.games is None]
    own = [entry for entry in members if entry.games is not None]
    rows = [{key: row[key] for key in ("name", "severities", "summary")} for row in shared]
    return {
        "perturbations of any game": len(shared),
        "perturbations of single games": len({entry.name for entry in own}),
        "games with their own": ", ".join(sorted({game for entry in own for game in entry.games or ()})) or None,
        "see them": f"wsabench gallery --family {family}; wsabench list --family {family}",
        "perturbations": rows,
    }


def suite_facts(name: str) -> dict[str, Any]:
    """Return a suite's profiles and cells."""
    from wsabench.perturb import load_suite

    suite = load_suite(name)
    profiles = [
        {
            "profile": label,
            "train seeds": ", ".join(str(seed) for seed in profile.train_seeds),
            "episodes": profile.episodes,
            "cells": len(profile.perturbations),
            "each game's own": _own_text(profile.cells.own),
            "games": ", ".join(suite.games),
        }
        for label, profile in suite.profiles.items()
    ]
    cells = [
        {"perturbation": cell, **{label: cell in p.perturbations for label, p in suite.profiles.items()}}
        for cell in suite.perturbations
    ]
    return {
        "summary": suite.summary,
        "version": suite.version,
        "hash": suite.content_hash,
        "measure": suite.measure,
        "agents": ", ".join(suite.agents) or None,
        "profiles": profiles,
        "cells": cells,
    }


def _own_text(own: Any) -> str | None:
    """Return how much of what each game brings along is played, in words."""
    shares = {field.name: getattr(own, field.name) for field in dataclasses.fields(own)}
    return ", ".join(f"{name}: {share}" for name, share in shares.items() if share) or None


def game_facts(name: str) -> dict[str, Any]:
    """Return a game's scores, RAM patches with their effect, object colours and named RAM variables."""
    from wsabench.games import load_game

    game = load_game(name)
    ram = [
        {"ram": v.index, "variable": v.name, "encoding": v.encoding, "confidence": v.confidence}
        for v in game.ram.values()
    ]
    colors = [
        {"object": label, "palette indices": ", ".join(str(index) for index in indices)}
        for label, indices in game.objects.items()
    ]
    patches = [
        {"ram patch": patch.perturbation, "family": patch.family, "effect": patch.effect, "verified": patch.is_verified}
        for patch in game.patches.values()
    ]
    return {
        "title": game.title,
        "random_score": game.random_score,
        "human_score": game.human_score,
        "modes": [f"mode-{value}" for value in game.modes[1:]],
        "difficulties": [f"difficulty-{value}" for value in game.difficulties[1:]],
        "verified RAM patches": f"{len(game.verified_patches)} of {len(game.patches)}" if game.patches else None,
        "ram_patches": patches,
        "object_colours": colors,
        "ram_variables": ram,
    }


def agent_facts(name: str) -> dict[str, Any]:
    """Return an agent's description and its shipped checkpoints."""
    spec = dict(agent_specs().get(name, {}))
    presets = spec.pop("presets", {})
    rows: list[dict[str, Any]] = []
    encoders: dict[str, str] = {}
    for game, _, seed, path in weight_files(name):
        header = read_header(path)
        about = header["metadata"].get("agent", {})
        rows.append(
            {
                "game": game,
                "train seed": seed,
                "steps": about.get("steps"),
                "parameters": header["parameters"],
                "KiB": header["bytes"] // 1024,
                "sha256": header["sha256"][:12],
            }
        )
        encoders |= {f"{game}/{key}": value for key, value in about.get("encoder_hashes", {}).items()}
    facts = {**spec, **{f"preset {key}": value for key, value in presets.items()}, "checkpoints": rows}
    facts["encoder_hashes"] = [{"encoder": key, "hash": value[:12]} for key, value in sorted(encoders.items())]
    return facts
