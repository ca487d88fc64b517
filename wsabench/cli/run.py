"""`wsabench run`: play a suite and keep every episode."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from wsabench.cli.agent_options import (
    AllowDownload,
    FrameSkip,
    FullActionSpace,
    NamedProtocol,
    NoopMax,
    Selection,
    Sticky,
    Trust,
    chosen_protocol,
)
from wsabench.cli.options import TRAIN_SEED, Json, Suite, Track, path_option, root_seed, several
from wsabench.cli.running.launch import check_launch, launch
from wsabench.cli.running.price import write_price
from wsabench.cli.terminal.console import (
    filled,
    parse_integers,
    split_names,
    write_error,
    write_json,
    write_line,
    write_table,
)
from wsabench.cli.terminal.own_code import own_code
from wsabench.cli.terminal.run_progress import run_reporter
from wsabench.errors import SpecError
from wsabench.types import Permissions
from wsabench.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsabench.results.manifest import SavingEntry
    from wsabench.results.result import ResultSet

HELP = "Play a suite with some agents. What is finished is kept; the same command resumes."
EXAMPLE = "Example: wsabench run --suite color-shift --profile quick --agents wsa,e2e"

_AGENTS = (
    "Names (of shipped agents, random, noop), checkpoint files, sb3:PATH.zip, cleanrl:PATH, torchscript:PATH, "
    "onnx:PATH, hf:ORG/REPO, python:package.module:factory or package.module:attribute; NAME=... names one, "
    "and {game} and {train_seed} in a path find files. Default: the suite's, else wsa,e2e."
)
_EPISODES = (
    "Episodes per cell; default: the profile's. Greedy play without sticky actions has one for each start at most. "
    "With --precision: those of the pilot, 15 by default."
)
_PRECISION = (
    "Play each cell until the 95% interval of its mean normalised score, for its train seed, is H to either side: a "
    "pilot shows how many episodes that takes."
)
_MAX_EPISODES = "With --precision: most episodes per cell, the pilot's among them; cells that reach it are listed."
_PRECISION_OF = "Whether every cell has the precision H, or cells on the average (root mean square)."
_GAMES = "Games. Default: those of the profile."
_PERTURBATIONS = "Perturbations, as in clean,hue-rotate@3. Default: those of the profile."
_WORKERS = "Processes; default: one per core. 0: play in this one alone, where an agent that hangs cannot be ended."
_TIMEOUT = (
    "Seconds without a step after which a worker process is ended and its episodes are played by a new one; five times "
    "as many until an agent's first step. 0: wait for ever."
)
_SHOWN = 100
"""Rows of the table of means, at most."""
_NOTE = "Intervals and comparisons are in the report."
_TRAIN_SEEDS = f"Train seeds. Default: those of the profile. {TRAIN_SEED}"


_SHARD = "Play only part I of N of the jobs, as a task of a job array; `wsabench merge` puts the parts together."
_EXECUTOR = "Who plays: processes here, or one worker for each core of a Ray cluster (extra: ray). Same results."
_ADDRESS = "Of the Ray cluster; default: one of this machine alone, which ends with the run."
_LAUNCHER = "Submit one job per part to SLURM, or as processes here, wait, and merge into --out (extra: slurm)."
_LAUNCHER_OPTION = "shards (how many parts), partition, time, cpus, mem; as in shards=8. Repeat it, or use commas."
_DRY_RUN = "Play nothing and write nothing: say how many jobs, and after up to a minute how long, from samples."


def run(
    context: typer.Context,
    suite: Suite = "color-shift",
    agents: Annotated[list[str] | None, several("agent", _AGENTS)] = None,
    profile: Annotated[str, typer.Option(help="How much is played: a profile of the suite.")] = "quick",
    games: Annotated[list[str] | None, several("game", _GAMES)] = None,
    perturbations: Annotated[list[str] | None, several("perturbation", _PERTURBATIONS)] = None,
    train_seeds: Annotated[list[str] | None, typer.Option(metavar="NUMBER,...", help=_TRAIN_SEEDS)] = None,
    episodes: Annotated[int | None, typer.Option(min=1, help=_EPISODES)] = None,
    precision: Annotated[float | None, typer.Option(metavar="H", help=_PRECISION)] = None,
    max_episodes: Annotated[int | None, typer.Option(min=1, metavar="N", help=_MAX_EPISODES)] = None,
    precision_of: Annotated[str, typer.Option(metavar="cell|average", help=_PRECISION_OF)] = "cell",
    workers: Annotated[int | None, typer.Option(min=0, help=_WORKERS)] = None,
    worker_timeout: Annotated[float, typer.Option(min=0, metavar="SECONDS", help=_TIMEOUT)] = 120.0,
    out: Annotated[Path | None, path_option("Directory of the result set; default: a new one in runs/.")] = None,
    seed: Annotated[int, root_seed("Root seed of the evaluation episodes.")] = 0,
    record_attention: Annotated[bool, typer.Option(help="Keep the attention weights of every step.")] = False,
    protocol: NamedProtocol = None,
    sticky: Sticky = None,
    frame_skip: FrameSkip = None,
    noop_max: NoopMax = None,
    full_action_space: FullActionSpace = None,
    action_selection: Selection = None,
    trust: Trust = False,
    allow_download: AllowDownload = False,
    shard: Annotated[str | None, typer.Option(metavar="I/N", help=_SHARD)] = None,
    executor: Annotated[str, typer.Option(metavar="local|ray", help=_EXECUTOR)] = "local",
    address: Annotated[str | None, typer.Option(metavar="HOST:PORT", help=_ADDRESS)] = None,
    launcher: Annotated[str | None, typer.Option(metavar="slurm|local", help=_LAUNCHER)] = None,
    launcher_option: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help=_LAUNCHER_OPTION)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=_DRY_RUN)] = False,
    track: Track = None,
    as_json: Json = False,
) -> None:
    """Evaluate agents on a suite and print where the result set is."""
    from wsabench.evaluation.contestants import split_references
    from wsabench.evaluation.plan import default_agents
    from wsabench.tracking import checked_trackers

    trackers = checked_trackers(split_names(track) or ())  # before anything is played
    given = tuple(split_references(agents)) or None  # else make_plan says of what it refuses that the suite names it
    references = given or default_agents(suite)
    options: dict[str, Any] = {
        "suite": suite,
        "agents": given,
        "profile": profile,
        "games": split_names(games),
        "perturbations": split_names(perturbations),
        "train_seeds": parse_integers("--train-seeds", split_names(train_seeds) or ()) or None,
        "episodes": episodes,
        "seed": seed,
        "protocol": chosen_protocol(
            protocol,
            sticky_probability=sticky,
            frame_skip=frame_skip,
            noop_max=noop_max,
            full_action_space=full_action_space,
            action_selection=action_selection,
        ),
        "precision": precision,
        "max_episodes": max_episodes,
        "precision_of": precision_of,
    }
    if launcher is not None and executor != "local":
        raise SpecError(
            "--launcher and --executor are given. Allowed: one of them, because each brings its own workers."
        )
    if dry_run:
        from wsabench.evaluation.cluster.crews import check_executor
        from wsabench.evaluation.plan import RunOptions
        from wsabench.evaluation.pricing import price

        check_executor(executor, address, workers)
        if launcher is not None or launcher_option:
            check_launch(context, launcher, launcher_option or [])
        asked = RunOptions(**options, permissions=Permissions(trust, allow_download), worker_timeout=worker_timeout)
        with own_code(references):
            found = price(asked, workers, shard=shard, keeps_steps=record_attention, out=out, note=_write_note)
        write_price(found, as_json=as_json)
        return
    if launcher is not None or launcher_option:
        result = launch(context, launcher, launcher_option or [])
    else:
        from wsabench.evaluation import run as evaluate

        with own_code(references), run_reporter() as reporter:
            result = evaluate(
                **options,
                workers=workers,
                worker_timeout=worker_timeout,
                out=out,
                shard=shard,
                executor=executor,
                address=address,
                record_attention=record_attention,
                trust=trust,
                allow_download=allow_download,
                reporter=reporter,
            )
    if trackers:
        tell_trackers(result, trackers)
    _write(result, as_json)


def _write_note(text: str) -> None:
    write_error(f"note: {text}")


def _write(result: ResultSet, as_json: bool) -> None:
    """Print what came out."""
    from wsabench.face import RunResult
    from wsabench.results.result import (
        DRAWS,
        DRAWS_LEGEND,
        LEGEND,
        drawing_agents,
        marked_name,
        part_advice,
        privileged_agents,
    )

    saving = result.manifest.history.saving
    table = RunResult.of(result).table()
    if as_json:
        means = table.to_dict("records")
        content = {"path": result.path, "episodes": len(result.episodes), "mean_returns": means}
        if advice := part_advice(result.manifest):
            content |= {"finished": result.num_finished, "jobs": len(result.manifest.plan.jobs), "note": advice}
        write_json(content if saving is None else {**content, "saving": msgspec.structs.asdict(saving)})
        return
    write_line()
    rows = list(table.itertuples(index=False, name=None))
    privileged, drawing = privileged_agents(result.manifest), drawing_agents(result.manifest)
    write_table(
        f"Mean return, {counted(len(result.episodes), 'episode')}",
        ["agent", "game", "perturbation", "train seeds", "episodes", "mean return"],
        [[marked_name(name, privileged) + f" {DRAWS}" * (name in drawing), *values] for name, *values in rows[:_SHOWN]],
        (f"And {counted(len(rows) - _SHOWN, 'more row')}: --json has them all. " if len(rows) > _SHOWN else "")
        + _NOTE
        + f" {LEGEND}" * bool(privileged)
        + f" {DRAWS_LEGEND}" * bool(drawing),
    )
    if saving is not None:
        write_line("\n" + filled(saving_text(saving)))
    write_line(f"\nResult set: {result.path}")
    if advice := part_advice(result.manifest):
        jobs = f"{result.num_finished} of {counted(len(result.manifest.plan.jobs), 'job')}."
        write_line(filled(f"{jobs} {advice}"))
    else:
        write_line(f"Make the page: {shlex.join(['wsabench', 'report', str(result.path)])}")


def tell_trackers(result: ResultSet, names: Sequence[str]) -> None:
    """Tell experiment trackers what a run was and what came out, with its manifest and tables.

    Args:
        result: The finished run.
        names: The trackers.

    Raises:
        SpecError: A tracker refuses; the result set is complete all the same.
        StorageError: The tables cannot be written.
    """
    from wsabench.report.export import write_csv
    from wsabench.results.result import MANIFEST_NAME
    from wsabench.summary.summarise import summarise
    from wsabench.summary.tracked import tracked_metrics, tracked_params
    from wsabench.tracking import Place, open_trackers

    trackers = open_trackers(names, Place(result.path, "run"))
    summary = summarise(result)
    trackers.params(tracked_params(result.manifest))
    trackers.metrics(tracked_metrics(summary), step=0)
    trackers.files([result.path / MANIFEST_NAME, *write_csv(result, summary, result.path / "report" / "csv")])
    trackers.close()


def saving_text(saving: SavingEntry) -> str:
    """Say what a run to a precision saved, and which cells stopped at the limit."""
    text = f"{counted(saving.episodes, 'episode')} after a pilot of {saving.pilot_episodes}, which is kept apart."
    if saving.share is not None and saving.share_with_pilot is not None and saving.bound is not None:
        text += (
            f" Equal numbers would have taken {saving.fixed_episodes} for the same precision: {saving.share:.0%} of it "
            f"was played, {saving.share_with_pilot:.0%} with the pilot; no numbers could take less than "
            f"{saving.bound:.0%}."
        )
    if saving.capped:
        text += f" Stopped at --max-episodes, less precise: {'; '.join(saving.capped)}."
    return text
