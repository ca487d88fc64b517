"""`wsabench bench`: how fast the parts are on this machine, beside a peer that does the same work."""

from __future__ import annotations

from typing import Annotated

import typer

from wsabench.cli.console import write_json, write_table
from wsabench.cli.options import Game, Json
from wsabench.machine import machine_facts
from wsabench.types import BenchRow

HELP = "Measure speed on this machine."
EXAMPLE = "Example: wsabench bench env --json"

app = typer.Typer(rich_markup_mode=None)


@app.command("env", epilog="Example: wsabench bench env --game pong --seconds 10")
def env(
    game: Game = "breakout",
    num_envs: Annotated[int, typer.Option(min=1, help="Lanes that are stepped together.")] = 16,
    seconds: Annotated[float, typer.Option(min=0.1, help="Time for each row, about.")] = 3.0,
    rounds: Annotated[int, typer.Option(min=1, help="How often the contestants take turns.")] = 9,
    as_json: Json = False,
) -> None:
    """Steps a second of lanes, clean and colour-shifted, beside ale-py's AtariVectorEnv and the bare emulator."""
    from wsabench.emulator import benchmark_env

    _show(f"Lanes, {game}, {num_envs} environments", benchmark_env(game, num_envs, seconds, rounds), as_json)


@app.command("encode", epilog="Example: wsabench bench encode --batch 64")
def encode(
    batch: Annotated[int, typer.Option(min=1, help="Observations in a batch.")] = 16,
    rounds: Annotated[int, typer.Option(min=1, help="Passes of each contestant; the median counts.")] = 20,
    as_json: Json = False,
) -> None:
    """Milliseconds an observation takes in each encoder on one thread, beside the same encoder in float32."""
    from wsabench.training.benchmark import benchmark_encode

    _show(f"Encoders, batch {batch}, one thread", benchmark_encode(batch_size=batch, num_rounds=rounds), as_json)


@app.command("train", epilog="Example: wsabench bench train --agents wsa")
def train(
    game: Game = "breakout",
    agents: Annotated[str, typer.Option(help="Agents, separated by commas.")] = "e2e,wsa",
    preset: Annotated[str, typer.Option(help="Training preset.")] = "compact",
    rounds: Annotated[int, typer.Option(min=1, help="Updates of each contestant; the median counts.")] = 3,
    as_json: Json = False,
) -> None:
    """Training steps a second of each agent on one thread, beside Stable-Baselines3's PPO where it is installed."""
    from wsabench.training.benchmark import benchmark_train

    names = [name.strip() for name in agents.split(",")]
    _show(f"Training, {game}, preset {preset}", benchmark_train(game, names, preset, rounds), as_json)


def _show(title: str, rows: list[BenchRow], as_json: bool) -> None:
    if as_json:
        write_json({"machine": machine_facts(), "rows": rows})
        return
    columns = ["name", "peer", "value", "unit", "ratio"]
    write_table(title, columns, [[row["name"], row["peer"], row["value"], row["unit"], row["ratio"]] for row in rows])
