"""`wsabench merge`: several result sets as one."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from wsabench.cli.options import Json, path_option
from wsabench.cli.terminal.console import filled, plain, write_json, write_line
from wsabench.words import counted

HELP = "Put the parts of a run (--shard), or runs of other agents or games, together in a new result set."
EXAMPLE = "Example: wsabench merge runs/part-1 runs/part-2 --out runs/whole"

_SHOWN = 100


def merge(
    run_dirs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Result sets, complete or not.")],
    out: Annotated[Path, path_option("Directory of the new one; it must be new or empty.")],
    as_json: Json = False,
) -> None:
    """Copy every finished job once; name those that are missing, which `wsabench run --out DIR` plays."""
    from wsabench.results.merged_files import write_merged

    done = write_merged(run_dirs, out)
    if as_json:
        missing = [
            {"agent": job.agent, "train_seed": job.train_seed, "game": job.game, "perturbation": job.perturbation}
            for job in done.missing
        ]
        write_json(
            {
                "path": done.path,
                "jobs": done.num_jobs,
                "finished": done.num_jobs - len(done.missing),
                "complete": done.is_complete,
                "missing": plain(missing),
            }
        )
        return
    write_line(f"Result set: {done.path}, {done.num_jobs - len(done.missing)} of {counted(done.num_jobs, 'job')}")
    if done.is_complete:
        write_line(f"Make the page: {shlex.join(['wsabench', 'report', str(done.path)])}")
        return
    write_line("Missing:")
    for job in done.missing[:_SHOWN]:
        write_line(f"  {job.id.describe()}, {job.perturbation}")
    if len(done.missing) > _SHOWN:
        write_line(f"  and {len(done.missing) - _SHOWN} more; --json names them all")
    text = f"The command that began the run plays them, without --shard and with --out {done.path}. It was:"
    write_line(filled(text) + f"\n  {done.command_line}")
