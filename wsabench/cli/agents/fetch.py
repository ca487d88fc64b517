"""`wsabench agents fetch`: bring trained agents here that this installation does not carry."""

from __future__ import annotations

from typing import Annotated

import typer

from wsabench.cli.grammar.command import GrammarCommand
from wsabench.cli.options import Json, completer, one
from wsabench.cli.terminal.console import write_json, write_line
from wsabench.words import counted

HELP = "Fetch trained agents that are not here."
EXAMPLE = "Example: wsabench agents fetch e2e --game pong --from https://example.org/baselines"

app = typer.Typer(rich_markup_mode=None)


@app.callback()
def _agents() -> None:
    """Commands on trained agents; `wsabench list agents` names those that are here."""


@app.command("fetch", cls=GrammarCommand, epilog=EXAMPLE)
def fetch(
    source: Annotated[
        str, typer.Option("--from", metavar="PLACE", help="An address, or a folder, laid out as baselines/.")
    ],
    agent: Annotated[
        str | None, typer.Argument(metavar="NAME", help="An agent; all if left out.", autocompletion=completer("agent"))
    ] = None,
    game: Annotated[str | None, one("game", "Only agents of this game.")] = None,
    as_json: Json = False,
) -> None:
    """Fetch weights, learning curves and encoders of trained agents, each only with the SHA-256 of the registry.

    They go to baselines-extra/ beside a checkout's baselines/, or into the state folder (WSABENCH_HOME).
    """
    from wsabench.agents.fetching import Fetched, fetch_agents

    def tell(one: Fetched) -> None:
        if not as_json:
            write_line(f"{'fetched' if one.is_new else 'here'}  {one.name}")

    found = fetch_agents(source, agent, game, tell)
    if as_json:
        write_json([{"name": one.name, "path": one.path, "fetched": one.is_new} for one in found])
        return
    new = [one for one in found if one.is_new]
    write_line(f"{counted(len(new), 'file')} fetched, {len(found) - len(new)} were here.")
