"""`wsabench leaderboard`: a folder of entries as a site that needs no network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wsabench.cli.options import Json, path_option
from wsabench.cli.terminal.console import write_error, write_json, write_line

HELP = "Make the leaderboard's site from a folder of entries; tiers where data decide, no ranks."
EXAMPLE = "Example: wsabench leaderboard results/leaderboard --out site"

EXIT_INVALID = 1


def leaderboard(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Entries that `wsabench submit` wrote (*.json).")],
    out: Annotated[Path, path_option("Where the site goes; its first page is index.html.")],
    as_json: Json = False,
) -> int:
    """Write the site; exit code 1 where some file is no valid entry, which leaves the others as they are."""
    from wsabench.leaderboard.site import write_site

    done = write_site(folder, out)
    for problem in done.problems:
        write_error(f"left out: {problem.file}: {problem.reason}")
    if as_json:
        write_json(
            {
                "index": done.index,
                "agents": done.num_agents,
                "entries": done.num_entries,
                "tables": done.num_tables,
                "invalid": [problem._asdict() for problem in done.problems],
            }
        )
    else:
        write_line(f"Leaderboard, opens without a network: {done.index}")
        write_line(f"Agents: {done.num_agents}; entries: {done.num_entries}; tables of suites: {done.num_tables}")
    return EXIT_INVALID if done.problems else 0
