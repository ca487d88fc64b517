"""`wsabench list`: the names that the other commands take."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from wsabench.cli.baselines import agent_rows
from wsabench.cli.console import write_json, write_line, write_table
from wsabench.cli.options import Json
from wsabench.errors import unknown_name

HELP = "List games, perturbations, suites and agents."
EXAMPLE = "Example: wsabench list perturbations"

KINDS = ("games", "perturbations", "suites", "agents")


def list_names(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="One kind; all if left out.")] = "all",
    as_json: Json = False,
) -> None:
    """List the names of one kind, or of all; loads no torch."""
    if kind != "all" and kind not in KINDS:
        raise unknown_name("kind", kind, [*KINDS, "all"])
    found = {name: _ROWS[name]() for name in (KINDS if kind == "all" else (kind,))}
    if as_json:
        write_json(found)
        return
    for index, (name, rows) in enumerate(found.items()):
        if index:
            write_line()
        columns = list(rows[0]) if rows else ["name"]
        write_table(f"{name} ({len(rows)})", columns, [list(row.values()) for row in rows], _NOTES.get(name, ""))


def game_rows() -> list[dict[str, Any]]:
    """Return one row a catalogue game: id, title, reference scores, number of named RAM variables."""
    from wsabench.games import catalogue_games, load_game

    games = [load_game(name) for name in catalogue_games()]
    return [
        {
            "game": game.id,
            "title": game.title,
            "random": game.random_score,
            "human": game.human_score,
            "ram": len(game.ram),
        }
        for game in games
    ]


def perturbation_rows() -> list[dict[str, Any]]:
    """Return one row a perturbation: name, family, severities, summary."""
    from wsabench.perturb import list_perturbations

    return [perturbation_row(entry) for entry in list_perturbations()]


def perturbation_row(entry: Any) -> dict[str, Any]:
    """Return the row of one catalogue entry."""
    severities = f"1-{len(entry.severities)}" if entry.has_severity else "none"
    return {"name": entry.name, "family": entry.family, "severities": severities, "summary": entry.summary}


def suite_rows() -> list[dict[str, Any]]:
    """Return one row a suite: name, number of cells a game, profiles, summary."""
    from wsabench.perturb import list_suites, load_suite

    suites = [load_suite(name) for name in list_suites()]
    return [
        {
            "name": suite.name,
            "cells": len(suite.perturbations),
            "profiles": ", ".join(suite.profiles),
            "summary": suite.summary,
        }
        for suite in suites
    ]


_ROWS = {"games": game_rows, "perturbations": perturbation_rows, "suites": suite_rows, "agents": agent_rows}
_NOTES = {
    "games": "Any other single-player ROM of ale-py works too, by its id in snake case.",
    "perturbations": "Write NAME@SEVERITY, and join several with +, as in hue-rotate@3+value@2.",
}
