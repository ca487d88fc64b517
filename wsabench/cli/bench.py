"""`wsabench bench`: how fast the parts are on this machine, beside a peer that does the same work."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated

import typer

from wsabench.cli.grammar.command import GrammarCommand
from wsabench.cli.options import Game, Json, completer, one, path_option, several
from wsabench.cli.terminal.console import parse_integers, split_names, write_error, write_json, write_table
from wsabench.errors import SpecError
from wsabench.machine import machine_facts
from wsabench.types import BenchRow

HELP = "Measure speed on this machine."
EXAMPLE = "Example: wsabench bench env --json"

DEFAULT_AGENTS = ("e2e", "wsa", "wsa:paper")
_AGENTS = f"Agents, NAME or NAME:PRESET. Default: {','.join(DEFAULT_AGENTS)}."

_ENCODE_EXAMPLE = "Example: wsabench bench encode --num-encoders 1,4,10,50,100 --figure cost.png"
_ENVS = "Numbers of environments that the peer tries."
_THREADS = "Numbers of torch threads that the peer tries."
_SUITE = "The whole run plays this suite instead of three cells."
_NUMBERS = "Numbers, separated by commas: what each fusion costs over so many encoders, instead."

app = typer.Typer(rich_markup_mode=None)


@app.command("env", cls=GrammarCommand, epilog="Example: wsabench bench env --games pong,breakout --seconds 3")
def env(
    games: Annotated[list[str] | None, several("game", "Games. Default: the twelve of the catalogue.")] = None,
    num_envs: Annotated[int, typer.Option(min=1, help="Lanes that are stepped together.")] = 16,
    seconds: Annotated[float, typer.Option(min=0.01, help="Time for each contestant in a game, about.")] = 2.0,
    rounds: Annotated[int, typer.Option(min=1, help="How often the contestants take turns.")] = 7,
    as_json: Json = False,
) -> None:
    """Steps per second of lanes, clean and perturbed, beside ale-py's AtariVectorEnv and the bare emulator.

    `x2` is two threads of AtariVectorEnv, or two worker processes. All twelve games take eight minutes or so.
    """
    from wsabench.bench.lanes import benchmark_env

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


@app.command("encode", cls=GrammarCommand, epilog=_ENCODE_EXAMPLE)
def encode(
    num_encoders: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER,...",
            help=_NUMBERS,
        ),
    ] = None,
    figure: Annotated[Path | None, path_option("Also draw that (.png, .pdf, .svg); needs --num-encoders.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Observations in a batch.")] = 16,
    rounds: Annotated[int, typer.Option(min=1, help="Passes of each contestant; the median counts.")] = 10,
    as_json: Json = False,
) -> None:
    """Milliseconds that an observation takes in each encoder on one thread, beside the same encoder in float32.

    Both sizes. With --num-encoders: in the trainable part of each fusion's agent, and how many parameters that has.
    Processor time.
    """
    from wsabench.bench.encoders import benchmark_encode, benchmark_fusions
    from wsabench.bench.figure import check_figure, save_encoder_costs

    if num_encoders is None:
        if figure is not None:
            raise SpecError("--figure draws costs over the number of encoders. Add --num-encoders 1,4,10,50,100.")
        _show(f"Encoders, batch {batch}, one thread", benchmark_encode(batch_size=batch, num_rounds=rounds), as_json)
        return
    numbers = sorted(set(parse_integers("--num-encoders", num_encoders.split(","), 1)))
    if figure is not None:
        check_figure(figure)
    rows = benchmark_fusions(numbers, batch_size=batch, num_rounds=rounds)
    if figure is not None:
        save_encoder_costs(rows, figure)
    if as_json:
        _show("", rows, as_json)
        return
    for unit, title in (("ms/observation", f"ms/observation, batch {batch}, one thread"), ("parameters", "Parameters")):
        _show_by_number(title, numbers, [row for row in rows if row["unit"] == unit])


def _show_by_number(title: str, numbers: list[int], rows: list[BenchRow]) -> None:
    """Print one line per fusion and one column per number of encoders."""
    values: dict[str, list[float]] = {}
    for row in rows:
        values.setdefault(row["name"].partition(",")[0], []).append(row["value"])
    write_table(title, ["fusion", *map(str, numbers)], [[kind, *found] for kind, found in values.items()])


@app.command("train", cls=GrammarCommand, epilog="Example: wsabench bench train --agents wsa,e2e --breakdown")
def train(
    game: Game = "breakout",
    agents: Annotated[list[str] | None, several("agent", _AGENTS)] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each contestant; the median counts.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.0, help="Processor time of a turn, at least.")] = 2.0,
    breakdown: Annotated[bool, typer.Option("--breakdown", help="Also show where the agents' time goes.")] = False,
    as_json: Json = False,
) -> None:
    """Training steps per second of each agent on one thread, beside Stable-Baselines3's PPO where it is installed.

    The paper's agent (wsa:paper) is compared with the same PPO over a plain features extractor of the same
    architecture, which needs a checkout; other agents with e2e. Processor time; minutes, nearly all the peers'.
    """
    from wsabench.bench.training import benchmark_train

    names = split_names(agents) or list(DEFAULT_AGENTS)
    rows = benchmark_train(game, names, rounds, seconds, profile=breakdown, warn=write_error)
    _show(f"Training, {game}, one thread", rows, as_json)


@app.command("run", cls=GrammarCommand, epilog="Example: wsabench bench run --json")
def run(
    game: Game = "breakout",
    agent: Annotated[str, one("agent", "A trained agent; train seed 0.")] = "e2e",
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes; default: as many as cores.")] = None,
    episodes: Annotated[int, typer.Option(min=1, help="Of each cell of the whole run, without --suite.")] = 30,
    suite: Annotated[str | None, typer.Option(metavar="NAME", help=_SUITE, autocompletion=completer("suite"))] = None,
    profile: Annotated[str, typer.Option(help="The profile of --suite.")] = "standard",
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each contestant; the median counts.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.01, help="A turn's time, by the clock.")] = 10.0,
    envs: Annotated[str, typer.Option(metavar="NUMBER,...", help=_ENVS)] = "2,4,8,16",
    threads: Annotated[str, typer.Option(metavar="NUMBER,...", help=_THREADS)] = "1,2",
    as_json: Json = False,
) -> None:
    """How full a run keeps the cores, and its steps per second beside Stable-Baselines3's evaluate_policy.

    The main job is clean, hue-rotate@3 and gaussian-noise@3. First a whole run of it, or of --suite: the share of each
    worker's time in emulators and network. Then turns, on all cores, by the clock: the main job, lanes alone, the
    network alone, and the peer, where it is installed, at the best of its numbers. Some six minutes.
    """
    from wsabench.bench.playing import PEER, benchmark_run

    whole = {"suite": suite, "profile": profile} if suite else None
    rows = benchmark_run(
        game,
        agent,
        rounds,
        seconds,
        workers=workers,
        episodes=episodes,
        whole=whole,
        peer_envs=sorted(set(parse_integers("--envs", envs.split(","), 1))),
        peer_threads=sorted(set(parse_integers("--threads", threads.split(","), 1))),
        warn=write_error,
    )
    if as_json:
        _show("", rows, as_json)
        return
    for prefix, title in (("whole run: ", "Where the time of the whole run goes"), (f"{PEER}: ", PEER), ("", "Speed")):
        group = [row for row in rows if row["name"].startswith(prefix)]
        rows = [row for row in rows if not row["name"].startswith(prefix)]
        if group:
            _show(f"{title}, {game}, {agent}", [_without(prefix, row) for row in group], as_json)


@app.command("stats", cls=GrammarCommand, epilog="Example: wsabench bench stats --json")
def stats(
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each contestant; the median counts.")] = 3,
    large: Annotated[
        bool, typer.Option("--large", help="Instead, a report on 100 agents x 10 games x 3 seeds x 60 cells; minutes.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Microseconds that a bootstrap repetition takes, beside rliable where it is installed, and a report's seconds.

    Processor time, of all threads together. With --large also of all processes, the clock and the most memory.
    """
    from wsabench.bench.statistics import benchmark_large_report, benchmark_stats

    if large:
        _show("A large report", benchmark_large_report(), as_json)
        return
    _show("Interval estimates, 2 agents x 5 seeds x 60 cells", benchmark_stats(rounds), as_json)


def _show(title: str, rows: list[BenchRow], as_json: bool) -> None:
    if as_json:
        write_json({"machine": machine_facts(), "rows": rows})
        return
    columns = ["name", "peer", "value", "unit", "ratio"]
    write_table(title, columns, [[row["name"], row["peer"], row["value"], row["unit"], row["ratio"]] for row in rows])
