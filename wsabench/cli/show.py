"""`wsabench show`: everything about one perturbation, suite, game or agent."""

from __future__ import annotations

import textwrap
from typing import Annotated, Any

import typer

from wsabench.cli.baselines import agent_specs, weight_files
from wsabench.cli.console import WIDTH, write_json, write_line, write_table
from wsabench.cli.options import Json
from wsabench.cli.weights import read_header
from wsabench.errors import unknown_name

HELP = "Show one perturbation, suite, game or agent."
EXAMPLE = "Example: wsabench show hue-rotate@3"


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name from `wsabench list`.")],
    games: Annotated[str, typer.Option(help="Games to measure a perturbation in, or none.")] = "all",
    as_json: Json = False,
) -> None:
    """Find what the name stands for and print it."""
    kind, facts = _find(name, games)
    if as_json:
        write_json({"kind": kind, **facts})
        return
    write_line(f"{kind} {name}")
    tables = {key: rows for key, rows in facts.items() if isinstance(rows, list) and rows and isinstance(rows[0], dict)}
    for key, value in facts.items():
        if key not in tables and value not in (None, "", [], {}):
            text = f"{key.replace('_', ' ')}: {_text(value)}"
            write_line(textwrap.fill(text, WIDTH, subsequent_indent="  ", break_long_words=False))
    for key, rows in tables.items():
        columns = list(dict.fromkeys(column for row in rows for column in row))
        write_line()
        write_table(key.replace("_", " "), columns, [[row.get(column) for column in columns] for row in rows])


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_text(item) for item in value)
    return str(value)


def _find(name: str, games: str) -> tuple[str, dict[str, Any]]:
    """Return the kind of thing that `name` stands for, and what to show of it."""
    from wsabench.games import catalogue_games, rom_ids
    from wsabench.perturb import list_perturbations, list_suites

    families = [entry.name for entry in list_perturbations()]
    if name in list_suites() or name.endswith(".toml"):
        return "suite", suite_facts(name)
    if name in rom_ids():
        return "game", game_facts(name)
    if name in agent_specs() or weight_files(name):
        return "agent", agent_facts(name)
    if "@" in name or "+" in name or name in families or name == "clean":
        return "perturbation", perturbation_facts(name, _games(games))
    known = [*list_suites(), *catalogue_games(), *agent_specs(), *families, "clean"]
    raise unknown_name("name", name, known, "See `wsabench list`.")


def _games(text: str) -> list[str]:
    from wsabench.games import catalogue_games, load_game

    if text == "all":
        return catalogue_games()
    return [] if text == "none" else [load_game(word.strip()).id for word in text.split(",")]


def suite_facts(name: str) -> dict[str, Any]:
    """Return a suite's profiles and cells."""
    from wsabench.perturb import load_suite

    suite = load_suite(name)
    profiles = [
        {
            "profile": label,
            "train seeds": ", ".join(str(seed) for seed in profile.train_seeds),
            "episodes": profile.episodes,
            "perturbations": len(profile.perturbations),
            "games": ", ".join(getattr(profile, "games", None) or suite.games),
        }
        for label, profile in suite.profiles.items()
    ]
    cells = [
        {"perturbation": cell, **{label: cell in p.perturbations for label, p in suite.profiles.items()}}
        for cell in suite.perturbations
    ]
    return {"summary": suite.summary, "hash": suite.content_hash, "profiles": profiles, "cells": cells}


def game_facts(name: str) -> dict[str, Any]:
    """Return a game's scores, named RAM variables, object colours and what can be changed in it."""
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
    return {
        "title": game.title,
        "random_score": game.random_score,
        "human_score": game.human_score,
        "modes": list(game.modes) and _text(list(game.modes)),
        "difficulties": list(game.difficulties) and _text(list(game.difficulties)),
        "ram_variables": ram,
        "object_colours": colors,
        "ram_patches": f"{len(game.patches)} recorded, not yet played" if game.patches else None,
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
    facts["encoder_hashes"] = [{"encoder": key, "sha256": value[:12]} for key, value in sorted(encoders.items())]
    return facts


def perturbation_facts(name: str, games: list[str]) -> dict[str, Any]:
    """Return a perturbation's parameters at each severity and its measured effect in some games.

    Args:
        name: A perturbation as written, or the bare name of one with severities: then all five are shown.
        games: Ids of the games to measure it in.
    """
    from wsabench.emulator import MIN_EFFECT_GREY_LEVELS, measure_effect
    from wsabench.perturb import list_perturbations, parse_perturbation

    entries = {entry.name: entry for entry in list_perturbations()}
    entry = entries.get(name)
    levels = [f"@{number}" for number in entry.severities] if entry is not None and entry.has_severity else [""]
    shown = {level: parse_perturbation(name + level) for level in levels}
    first = shown[levels[0]]
    facts: dict[str, Any] = {"family": first.family}
    for part in dict.fromkeys(part.name for part in first.parts):
        described = entries[part]
        facts[part if len(first.parts) > 1 else "summary"] = described.summary
        if described.source:
            facts[f"source of {part}" if len(first.parts) > 1 else "source"] = described.source
    facts["parameters"] = [
        {"written": part.text, **dict(part.parameters)}
        for one in shown.values()
        for part in one.parts
        if part.parameters
    ]
    facts["effect_in_grey_levels"] = [
        {"game": game, **{level or "effect": round(measure_effect(game, one), 2) for level, one in shown.items()}}
        for game in games
    ]
    if games:
        facts["effect"] = f"mean |change| of the agent's view in random play; below {MIN_EFFECT_GREY_LEVELS:g}: refused"
    return facts
