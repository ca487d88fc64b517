"""`wsabench train`: train one agent on one or several games, or work through a queue of runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsabench.cli.options import Json, Resume, Track, TrainSeed, completer, one, path_option, several
from wsabench.cli.terminal.console import split_names, write_error, write_json, write_line
from wsabench.cli.terminal.progress import progress_reporter
from wsabench.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsabench.training.run import TrainingPlan

HELP = (
    "Train one agent with PPO or DQN, or work through a queue of runs. Resumes to the same learning curve after an "
    "interruption."
)
EXAMPLE = """Example: wsabench train --agent wsa --game breakout --train-seed 0

wsabench train --agent e2e --games breakout,pong --algorithm dqn

wsabench train -a wsa -g breakout --suite color-shift --clean-share 0.5

wsabench train -a wsa -g pong --preset paper --encoders-dir FOLDER --device auto

wsabench train --queue baselines/queue.toml --out FOLDER

wsabench train --queue baselines/queue.toml --out FOLDER --status
"""

_GAMES = "Game, or several, trained one after another; see `wsabench list games`."
_PERTURBATIONS = "Train under these, as in hue-rotate@2,value@3, one drawn for each game."
_SUITE = "Train under the perturbations of a suite, one drawn for each game."
_CLEAN_SHARE = "Share of games without any of them; default: 0.2."
_EVALUATE_EVERY = "Steps between evaluations; 0: none. Default: the preset's (paper: 40000)."
_PATIENCE = "Stop after so many evaluations without a new best."
_TARGET = "Stop when the mean return of an evaluation reaches this."
_WORKERS = "Processes that play; 0: this one. The curve is the same."
_ENCODERS = "Folder of pre-trained encoders (`wsabench pretrain --out`); of several games each in a folder below."
_OUT = "Where checkpoints go; of several games or a queue each run in a folder below. Default: outside the source tree."
_QUEUE = "TOML file of runs (frames, pretrain, train), instead of an agent and a game; docs/training.md explains it."
_PARALLEL = "Queue: runs at once, one thread each; default: the cores that may be used."
_SHARD = "Queue: play only part I of N, by whole games."
_STATUS = "Queue: say what is done, what runs, what is left; start nothing."
_WRITE_RUNS = "Queue: keep the table of runs in this Markdown file up to date."
_EXPORT = "Queue: copy finished agents (float16), encoders, curves and records to a folder of baselines."
_BRING_BACK = "Queue: take what --export once copied to this folder as finished."
_ADOPT = "Queue: take this finished end-to-end agent (a training folder or file) as the run it equals."
_ORIGIN = "With --adopt: where it comes from, for the table of runs."
_EXECUTOR = "Queue: processes here, or on the nodes of a Ray cluster that share the disk of --out (extra: ray)."
_ADDRESS = "Queue: of the Ray cluster; default: one of this machine alone."
_OF_A_QUEUE = (
    "queue",
    "out",
    "parallel",
    "shard",
    "status",
    "write_runs",
    "export",
    "bring_back",
    "adopt",
    "origin",
    "executor",
    "address",
)


def train(
    context: typer.Context,
    agent: Annotated[str | None, one("agent", "Agent; see `wsabench list agents`.")] = None,
    games: Annotated[list[str] | None, several("game", _GAMES)] = None,
    train_seed: TrainSeed = 0,
    algorithm: Annotated[str, typer.Option(help="ppo or dqn.")] = "ppo",
    preset: Annotated[str, typer.Option(help="compact (2 cores) or paper (the paper's hyper-parameters).")] = "compact",
    steps: Annotated[int | None, typer.Option(min=1, help="Agent steps; default: the preset's.")] = None,
    suite: Annotated[str | None, typer.Option(metavar="NAME", help=_SUITE, autocompletion=completer("suite"))] = None,
    perturbations: Annotated[list[str] | None, several("perturbation", _PERTURBATIONS)] = None,
    clean_share: Annotated[float | None, typer.Option(metavar="SHARE", help=_CLEAN_SHARE)] = None,
    evaluate_every: Annotated[int | None, typer.Option(min=0, help=_EVALUATE_EVERY)] = None,
    evaluation_episodes: Annotated[
        int | None, typer.Option(min=1, help="Episodes of each evaluation; default: 100.")
    ] = None,
    patience: Annotated[int | None, typer.Option(min=1, help=_PATIENCE)] = None,
    target_return: Annotated[float | None, typer.Option(help=_TARGET)] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="The same as --track tensorboard.")] = False,
    track: Track = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:N, or auto: a GPU where there is one.")] = "cpu",
    workers: Annotated[int, typer.Option(min=0, help=_WORKERS)] = 0,
    encoders_dir: Annotated[Path | None, path_option(_ENCODERS)] = None,
    out: Annotated[Path | None, path_option(_OUT)] = None,
    resume: Resume = True,
    queue: Annotated[Path | None, typer.Option(help=_QUEUE, metavar="FILE")] = None,
    parallel: Annotated[int | None, typer.Option(min=1, help=_PARALLEL)] = None,
    shard: Annotated[str | None, typer.Option(help=_SHARD, metavar="I/N")] = None,
    status: Annotated[bool, typer.Option("--status", help=_STATUS)] = False,
    as_json: Json = False,
    write_runs: Annotated[Path | None, typer.Option(help=_WRITE_RUNS, metavar="FILE")] = None,
    export: Annotated[Path | None, typer.Option(help=_EXPORT, metavar="FOLDER")] = None,
    bring_back: Annotated[Path | None, typer.Option(help=_BRING_BACK, metavar="FOLDER")] = None,
    adopt: Annotated[list[Path] | None, typer.Option(help=_ADOPT, metavar="PATH")] = None,
    origin: Annotated[str | None, typer.Option(help=_ORIGIN, metavar="TEXT")] = None,
    executor: Annotated[str, typer.Option(help=_EXECUTOR, metavar="local|ray")] = "local",
    address: Annotated[str | None, typer.Option(help=_ADDRESS, metavar="HOST:PORT")] = None,
) -> None:
    """Train an agent and print where its checkpoint and learning curve are; with --queue, work through its runs."""
    _refuse_a_mixture(context, queue is not None)
    if queue is not None:
        from wsabench.cli.queue import QueueCall, queue_command

        call = QueueCall(
            file=queue,
            out=out,
            parallel=parallel,
            shard=shard,
            status=status,
            as_json=as_json,
            write_runs=write_runs,
            export=export,
            bring_back=bring_back,
            adopt=adopt or [],
            origin=origin,
            executor=executor,
            address=address,
        )
        queue_command(call)
        return
    from wsabench.games import check_rom_id
    from wsabench.training import TrainingOptions, plan_training
    from wsabench.training import train as train_agent

    if agent is None or games is None:
        raise SpecError("--agent and --games are needed. Give both, or a file of runs with --queue.")
    chosen = list(dict.fromkeys(check_rom_id(name) for name in split_names(games) or ()))
    options = TrainingOptions(
        algorithm=algorithm,
        suite=suite,
        perturbations=split_names(perturbations),
        clean_share=clean_share,
        evaluate_every=evaluate_every,
        evaluation_episodes=evaluation_episodes,
        patience=patience,
        target_return=target_return,
        tensorboard=tensorboard,
        track=split_names(track) or (),
        device=device,
        workers=workers,
    )
    # All games before the first: a mistake in the last one is not found after a day of training.
    plans = [plan_training(agent, name, train_seed, preset, steps, options) for name in chosen]
    trained: list[dict[str, object]] = []
    for plan in plans:
        places = [folder and (folder / plan.game if len(plans) > 1 else folder) for folder in (out, encoders_dir)]
        _say_what_is_left_out(plan, write_error if as_json else write_line)
        with progress_reporter() as reporter:
            path = train_agent(
                agent,
                plan.game,
                train_seed=train_seed,
                preset=preset,
                steps=steps,
                out=places[0],
                encoders=places[1],
                resume=resume,
                reporter=reporter,
                options=options,
            )
        trained.append({"agent": agent, "game": plan.game, "train_seed": train_seed, "path": path})
        if not as_json:
            write_line(
                f"Checkpoint and learning curve: {path}\n"
                f"Evaluate it: wsabench run --games {plan.game} --agents mine={path}/"
            )
    if as_json:
        write_json(trained)


def _say_what_is_left_out(plan: TrainingPlan, write: Callable[[str], None]) -> None:
    """Name the perturbations of a suite that a game cannot be trained under."""
    if plan.randomisation is not None and plan.randomisation.left_out:
        names = ", ".join(name for name, _ in plan.randomisation.left_out)
        write(f"Left out on {plan.game}, which cannot be trained under them: {names}")


def _refuse_a_mixture(context: typer.Context, is_queue: bool) -> None:
    """Refuse options of a single run beside a queue, whose file says them, and options of a queue without one."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is None or source.name != "COMMANDLINE" or parameter.name in ("queue", "out", "as_json"):
            continue
        option = next(word for word in parameter.opts if word.startswith("--"))
        if is_queue and parameter.name not in _OF_A_QUEUE:
            raise SpecError(f"{option} and --queue are given together. Write the option into the queue's file.")
        if not is_queue and parameter.name in _OF_A_QUEUE:
            raise SpecError(f"{option} is given without --queue. Allowed: with --queue FILE.")
