"""`wsabench list`: the names that the other commands take."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from wsabench.cli.facts.baselines import agent_rows
from wsabench.cli.options import Json, completer, family_option, one
from wsabench.cli.terminal.console import filled, write_json, write_line, write_table
from wsabench.errors import SpecError, unknown_name

HELP = "List games, perturbations, suites and agents."
EXAMPLE = "Example: wsabench list perturbations"

_OWN_COLUMNS = ("dynamics patches", "color patches", "modes", "difficulties")
_OWN_NOTE = "Verified RAM patches, and switches of the console: `wsabench list --game NAME` names them."

KINDS = ("games", "perturbations", "suites", "agents")
_KIND = f"One of {', '.join(KINDS)}; all if left out."
_GAME = "Only perturbations that this game can have, its own included."


def list_names(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=_KIND, autocompletion=completer("kind"))] = "all",
    family: Annotated[str | None, family_option("Only perturbations of this family.")] = None,
    game: Annotated[str | None, one("game", _GAME)] = None,
    as_json: Json = False,
) -> None:
    """List the names of one kind, or of all; loads no torch."""
    if kind != "all" and kind not in KINDS:
        raise unknown_name("kind", kind, [*KINDS, "all"])
    if family is not None or game is not None:
        if kind not in ("all", "perturbations"):
            raise SpecError(f"--family and --game choose perturbations, not {kind}. Leave them out.")
        kind = "perturbations"
    found = {name: _ROWS[name]() for name in (KINDS if kind == "all" else (kind,))}
    if "perturbations" in found:
        found["perturbations"] = chosen_rows(found["perturbations"], family, game)
    if as_json:
        write_json(found)
        return
    for index, (name, rows) in enumerate(found.items()):
        if index:
            write_line()
        if name == "perturbations" and game is None:
            _write_families(rows)
        else:
            _write_rows(name, rows, _NOTES.get(name, ""))


def _write_families(rows: list[dict[str, Any]]) -> None:
    """Write a table for each family, and how much each game brings along."""
    own = [row for row in rows if row["games"]]
    for family in dict.fromkeys(row["family"] for row in rows):
        found = [row for row in rows if row["family"] == family and not row["games"]]
        _write_rows(f"perturbations, {family}", found, without=("family",))
        write_line()
    if own:
        _write_rows("games with perturbations of their own", own_rows(own), _OWN_NOTE)
        write_line()
    write_line(filled(_NOTES["perturbations"]))


def _write_rows(name: str, rows: list[dict[str, Any]], note: str = "", without: tuple[str, ...] = ()) -> None:
    """Write one table; which games have a perturbation is left to JSON. Rows that share a name count once."""
    columns = [column for column in (rows[0] if rows else ["name"]) if column not in ("games", *without)]
    count = len({row[columns[0]] for row in rows})
    write_table(f"{name} ({count})", columns, [[row[column] for column in columns] for row in rows], note)


def game_rows() -> list[dict[str, Any]]:
    """Return one row per catalogue game: id, title, reference scores, number of named RAM variables."""
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
    """Return one row per perturbation: name, family, severities, summary, and games, None for any."""
    from wsabench.perturb import list_perturbations

    return [perturbation_row(entry) for entry in list_perturbations()]


def perturbation_row(entry: Any) -> dict[str, Any]:
    """Return the row of one catalogue entry."""
    severities = f"1-{len(entry.severities)}" if entry.has_severity else "none"
    games = None if entry.games is None else list(entry.games)
    return {
        "name": entry.name,
        "family": entry.family,
        "severities": severities,
        "summary": entry.summary,
        "games": games,
    }


def chosen_rows(rows: list[dict[str, Any]], family: str | None, game: str | None) -> list[dict[str, Any]]:
    """Return the rows of one family, and those that one game can have, with the effect in that game as summary.

    Raises:
        UnknownNameError: There is no such family or game.
    """
    from wsabench.games import load_game
    from wsabench.perturb import misfit

    if family is not None:
        families = dict.fromkeys(row["family"] for row in rows)
        if family not in families:
            raise unknown_name("family", family, families)
        rows = [row for row in rows if row["family"] == family]
    if game is None:
        return rows
    record = load_game(game)
    effects = {patch.perturbation: patch.effect for patch in record.verified_patches}
    written = {row["name"]: row["name"] + ("" if row["severities"] == "none" else "@1") for row in rows}
    return [
        row | {"summary": effects.get(row["name"], row["summary"])}
        for row in rows
        if misfit(written[row["name"]], record.id) is None
    ]


def own_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row per game: how many patches of each family, modes and difficulties of it there are."""
    counts: dict[str, dict[str, Any]] = {}
    for row in rows:
        word = row["name"].partition("-")[0]
        column = {"mode": "modes", "difficulty": "difficulties"}.get(word if _is_switch(row["name"]) else "", "")
        for game in row["games"]:
            count = counts.setdefault(game, {"game": game} | dict.fromkeys(_OWN_COLUMNS, 0))
            count[column or f"{row['family']} patches"] += 1
    columns = [column for column in _OWN_COLUMNS if any(count[column] for count in counts.values())]
    return [{"game": game} | {column: counts[game][column] for column in columns} for game in sorted(counts)]


def _is_switch(name: str) -> bool:
    """Whether it is the name of a mode or difficulty."""
    return name.rpartition("-")[0] in ("mode", "difficulty") and name.rpartition("-")[2].isdigit()


def suite_rows() -> list[dict[str, Any]]:
    """Return one row per suite: name, version, number of cells per game, profiles, summary."""
    from wsabench.perturb import list_suites, load_suite

    suites = [load_suite(name) for name in list_suites()]
    return [
        {
            "name": suite.name,
            "version": suite.version,
            "cells": len(suite.perturbations),
            "profiles": ", ".join(suite.profiles),
            "summary": suite.summary,
        }
        for suite in suites
    ]


_ROWS = {"games": game_rows, "perturbations": perturbation_rows, "suites": suite_rows, "agents": agent_rows}
_NOTES = {
    "games": "Any other single-player ROM of ale-py works too, by its id in snake case.",
    "perturbations": "Write NAME@SEVERITY; join several with +: hue-rotate@3+value@2.",
}
