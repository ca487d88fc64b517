"""`wsabench bench`: how fast the parts are on this machine, beside a peer that does the same work."""

from __future__ import annotations

import itertools
from typing import Annotated

import typer

from wsabench.cli.console import split_names, write_json, write_table
from wsabench.cli.options import Game, Json
from wsabench.machine import machine_facts
from wsabench.types import BenchRow

HELP = "Measure speed on this machine."
EXAMPLE = "Example: wsabench bench env --json"

app = typer.Typer(rich_markup_mode=None)


@app.command("env", epilog="Example: wsabench bench env --games pong,breakout --seconds 3")
def env(
    games: Annotated[
        list[str] | None, typer.Option("--games", "-g", help="Games, separated by commas; all twelve if none.")
    ] = None,
    num_envs: Annotated[int, typer.Option(min=1, help="Lanes that are stepped together.")] = 16,
    seconds: Annotated[float, typer.Option(min=0.01, help="Time for each contestant in a game, about.")] = 0.6,
    rounds: Annotated[int, typer.Option(min=1, help="How often the contestants take turns.")] = 5,
    as_json: Json = False,
) -> None:
    """Steps a second of lanes, clean and perturbed, beside ale-py's AtariVectorEnv and the bare emulator.

    `x2` is two threads of AtariVectorEnv, or two worker processes. All twelve games take some minutes.
    """
    from wsabench.emulator import benchmark_env

    rows = benchmark_env(split_names(games), num_envs, seconds, rounds)
    if as_json:
        _show("", rows, as_json)
        return
    for place, group in itertools.groupby(rows, key=lambda row: row["name"].partition(": ")[0]):
        _show(f"{place}, {num_envs} environments", [_without(f"{place}: ", row) for row in group], as_json)


def _without(prefix: str, row: BenchRow) -> BenchRow:
    """Return a row whose names do not say again what stands in the title."""
    name, peer = (row[key].removeprefix(prefix) for key in ("name", "peer"))
    return {**row, "name": name, "peer": peer}


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


@app.command("stats", epilog="Example: wsabench bench stats --json")
def stats(
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each contestant; the median counts.")] = 3,
    as_json: Json = False,
) -> None:
    """Microseconds a bootstrap repetition takes, beside rliable where it is installed, and a report's seconds.

    Processor time, of all threads together.
    """
    from wsabench.evaluation.summary_benchmark import benchmark_stats

    _show("Interval estimates, 2 agents x 5 seeds x 60 cells", benchmark_stats(rounds), as_json)


def _show(title: str, rows: list[BenchRow], as_json: bool) -> None:
    if as_json:
        write_json({"machine": machine_facts(), "rows": rows})
        return
    columns = ["name", "peer", "value", "unit", "ratio"]
    write_table(title, columns, [[row["name"], row["peer"], row["value"], row["unit"], row["ratio"]] for row in rows])
