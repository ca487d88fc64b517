"""`wsabench submit`: one agent of a run as an entry of the leaderboard."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsabench.cli.options import Json, one, path_option
from wsabench.cli.terminal.console import split_names, write_json, write_line
from wsabench.resources import make_dir
from wsabench.words import counted

if TYPE_CHECKING:
    from wsabench.leaderboard.schema import Entry
    from wsabench.results.result import ResultSet

HELP = "Write an agent of a finished run as an entry of the leaderboard."
EXAMPLE = 'Example: wsabench submit runs/mine --agent mine --name "My agent" --code https://example.org/mine'

DEFAULT_OUT = Path("entries")
"""Folder of entries for which no place was named."""
_AGENT = "The agent, as the run calls it; may be left out where the run has one."
_OUT = "The file, or a folder for SUITE-vVERSION-AGENT.json. Default: entries/."
_CHECKPOINT = "Where anybody gets its weights: hf:ORG/REPO@REVISION, https://..."
_METHOD = "Algorithm and method, in words."
_FRAMES = "Emulator frames each network was trained for; the bench's own agents say it themselves."
_RANDOMISED = "What its games were randomised by in training; the bench's own agents say it themselves."


def submit(
    run_dirs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Directories that `wsabench run` wrote; several are merged."),
    ],
    agent: Annotated[str | None, one("agent", _AGENT)] = None,
    name: Annotated[str | None, typer.Option(help="What tables call it. Default: as the run.")] = None,
    paper: Annotated[str | None, typer.Option(metavar="URL", help="Where it is described.")] = None,
    code: Annotated[str | None, typer.Option(metavar="URL", help="Where its code is.")] = None,
    checkpoint: Annotated[str | None, typer.Option(metavar="PLACE", help=_CHECKPOINT)] = None,
    authors: Annotated[str | None, typer.Option(metavar="TEXT", help="Whose it is.")] = None,
    notes: Annotated[str | None, typer.Option(metavar="TEXT", help="Anything else.")] = None,
    method: Annotated[str | None, typer.Option(metavar="TEXT", help=_METHOD)] = None,
    training_frames: Annotated[int | None, typer.Option(min=0, help=_FRAMES)] = None,
    train_perturbations: Annotated[list[str] | None, typer.Option(metavar="NAME,...", help=_RANDOMISED)] = None,
    out: Annotated[Path | None, path_option(_OUT)] = None,
    as_json: Json = False,
) -> None:
    """Write one JSON with every episode and no computed number: scores and intervals are computed from it."""
    from wsabench.errors import SpecError
    from wsabench.leaderboard.entry import write_entry
    from wsabench.leaderboard.submission import About, default_name, entry_of
    from wsabench.results.merging import load_results

    run = load_results(run_dirs)
    names = list(dict.fromkeys(one.agent for one in run.manifest.plan.agents))
    if agent is None and len(names) != 1:
        raise SpecError(f"The run has {len(names)} agents. Say which one: --agent {' or --agent '.join(names)}.")
    about = About(
        name=name,
        paper=paper,
        code=code,
        checkpoint=checkpoint,
        authors=authors,
        notes=notes,
        method=method,
        training_frames=training_frames,
        train_perturbations=tuple(split_names(train_perturbations) or ()),
    )
    entry = entry_of(run, names[0] if agent is None else agent, about)
    path = default_path(out, default_name(entry))
    make_dir(path.parent)
    write_entry(path, entry)
    if as_json:
        write_json({"path": path, "suite": entry.suite.name, "version": entry.suite.version, "name": entry.name})
        return
    write_line(
        f"{entry.name}: {entry.suite.name} version {entry.suite.version}, {counted(len(entry.jobs), 'job')}, "
        f"{counted(entry.num_episodes, 'episode')} on {', '.join(entry.games)}."
    )
    write_line(f"File: {path}")
    write_line(f"Check it as others will: {shlex.join(['wsabench', 'verify', str(path), *_checkpoint(run, entry)])}")


def _checkpoint(run: ResultSet, entry: Entry) -> list[str]:
    """Return the option that `verify` needs to find an agent that does not come with the bench."""
    from wsabench.leaderboard.verifying import is_ours

    if all(map(is_ours, entry.agents)):
        return []
    places = {one.source for one in run.manifest.plan.agents if one.agent == entry.agent}
    return ["--checkpoint", places.pop() if len(places) == 1 else "PATH"]


def default_path(out: Path | None, name: str) -> Path:
    """Return where an entry goes."""
    if out is None:
        return DEFAULT_OUT / name
    return out / name if out.is_dir() else out
