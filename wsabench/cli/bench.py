"""`wsabench bench`: how fast the parts are on this machine, beside a peer that does the same work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from wsabench.cli.console import write_json, write_table
from wsabench.cli.machine import machine_facts
from wsabench.cli.options import Game, Json

HELP = "Measure speed on this machine."
EXAMPLE = "Example: wsabench bench env --json"

app = typer.Typer(rich_markup_mode=None)


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement."""

    name: str
    """What was measured."""
    peer: str
    """What it is compared with."""
    value: float
    """Its speed or time."""
    unit: str
    """`steps/s` or `ms/observation`."""
    ratio: float | None
    """Above 1: better than the peer. None without a peer."""


@app.command("env", epilog="Example: wsabench bench env --game pong --seconds 10")
def env(
    game: Game = "breakout",
    num_envs: Annotated[int, typer.Option(min=1, help="Lanes that are stepped together.")] = 16,
    seconds: Annotated[float, typer.Option(min=0.1, help="Time spent on each row.")] = 5.0,
    as_json: Json = False,
) -> None:
    """Steps a second of clean and colour-shifted lanes beside ale-py's AtariVectorEnv, on 1 and 2 workers."""
    from wsabench.cli.bench_env import measure_env

    _show(f"Lanes, {game}, {num_envs} environments", measure_env(game, num_envs, seconds), as_json)


@app.command("encode", epilog="Example: wsabench bench encode --batch 64 --threads 2")
def encode(
    batch: Annotated[int, typer.Option(min=1, help="Observations in a batch.")] = 16,
    threads: Annotated[int, typer.Option(min=1, help="Threads that torch may use.")] = 1,
    seconds: Annotated[float, typer.Option(min=0.1, help="Time spent on each row.")] = 2.0,
    as_json: Json = False,
) -> None:
    """Milliseconds an observation takes in each encoder, and in all together."""
    from wsabench.cli.bench_encode import measure_encode

    _show(f"Encoders, batch {batch}, {threads} threads", measure_encode(batch, threads, seconds), as_json)


@app.command("train", epilog="Example: wsabench bench train --agents wsa")
def train(
    game: Game = "breakout",
    agents: Annotated[str, typer.Option(help="Agents, separated by commas.")] = "e2e,wsa",
    preset: Annotated[str, typer.Option(help="Training preset.")] = "compact",
    steps: Annotated[int, typer.Option(min=1, help="Agent steps of each training.")] = 8192,
    as_json: Json = False,
) -> None:
    """Training steps a second of each agent, start-up left out."""
    from wsabench.cli.bench_train import measure_train

    names = [name.strip() for name in agents.split(",")]
    _show(f"Training, {game}, preset {preset}", measure_train(game, names, preset, steps), as_json)


def _show(title: str, rows: list[Row], as_json: bool) -> None:
    if as_json:
        write_json({"machine": machine_facts(), "rows": rows})
        return
    columns = ["name", "peer", "value", "unit", "ratio"]
    write_table(title, columns, [[row.name, row.peer, row.value, row.unit, row.ratio] for row in rows])
