"""`wsabench record`: film one episode and the weights of the agent's encoders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsabench.cli.agent_options import AllowDownload, Trust
from wsabench.cli.options import Game, Json, TrainSeed, one
from wsabench.cli.terminal.console import write_json, write_line
from wsabench.cli.terminal.own_code import own_code
from wsabench.cli.terminal.progress import progress_reporter
from wsabench.resources import expanded
from wsabench.words import counted

if TYPE_CHECKING:
    from wsabench.results.recorded import Recording

HELP = "Film one evaluation episode, with the attention weights of the agent's encoders as bars."
EXAMPLE = "Example: wsabench record --agent wsa --game breakout --perturbation hue-rotate@3 --out film.mp4"

DEFAULT_OUT = "recordings"

_AGENT = "A name, a checkpoint file, an address as of `wsabench run`, or package.module:attribute; NAME=... names it."
_OUT = "A file (.mp4, .gif, .png, .parquet, .csv), or a folder for all but .csv; may be repeated. Default: recordings/."
_SEED = "Episode seed, as in a result set's tables. Default: that of a run's first episode."


def record(
    agent: Annotated[str, one("agent", _AGENT)] = "wsa",
    game: Game = "breakout",
    perturbation: Annotated[str, one("perturbation", "As in hue-rotate@3.")] = "clean",
    train_seed: TrainSeed = 0,
    episode_seed: Annotated[int | None, typer.Option(min=0, metavar="NUMBER", help=_SEED)] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Stop after so many steps.")] = None,
    fps: Annotated[int, typer.Option(min=1, max=60, help="Steps per second; 15 is the game's own speed.")] = 15,
    out: Annotated[list[str] | None, typer.Option("--out", metavar="PATH", help=_OUT)] = None,
    trust: Trust = False,
    allow_download: AllowDownload = False,
    as_json: Json = False,
) -> None:
    """Play one episode as `wsabench run` plays it, and write its films, figure and table."""
    from wsabench.evaluation.recording import record_episode
    from wsabench.perturb import parse_perturbation
    from wsabench.report.films.files import check_output, num_drawn, write_recording
    from wsabench.types import Permissions

    parse_perturbation(perturbation)  # before the progress begins
    outputs = [_with_home(text) for text in out or [DEFAULT_OUT]]
    for text in outputs:
        check_output(Path(text), text)
    with own_code([agent]), progress_reporter() as reporter:
        reporter.start("Play", max_steps, "step")
        recording = record_episode(
            agent,
            game,
            perturbation=perturbation,
            train_seed=train_seed,
            episode_seed=episode_seed,
            max_steps=max_steps,
            permissions=Permissions(trust, allow_download),
            advance=reporter.advance,
            note=reporter.warn,
        )
        reporter.finish()
        paths = output_paths(outputs, recording.key)
        if total := num_drawn(recording, paths):
            reporter.start("Draw", total, "picture")
        write_recording(recording, paths, fps, reporter.advance)
        if total:
            reporter.finish()
    if as_json:
        write_json(
            {
                "paths": paths,
                "episode_seed": recording.episode_seed,
                "return": recording.episodic_return,
                "length": recording.length,
                "end": recording.end,
                "attention": recording.mean_weights(),
                **recording.context_shares(),
            }
        )
        return
    _write_summary(recording, paths)


def _with_home(text: str) -> str:
    """Return a path with `~` expanded; the slash at its end, which makes a folder of it, stays."""
    return str(expanded(text)) + "/" * text.endswith("/")


def output_paths(outputs: list[str], key: str) -> list[Path]:
    """Return the files to write; a folder gets one of each kind that can be written, named by `key`."""
    from wsabench.report.films.files import FOLDER_FORMATS, is_folder
    from wsabench.report.films.video import can_write_mp4

    paths: list[Path] = []
    for text in outputs:
        path = Path(text)
        if is_folder(path, text):
            endings = [ending for ending in FOLDER_FORMATS if ending != ".mp4" or can_write_mp4()]
            paths += [path / f"{key}{ending}" for ending in endings]
        else:
            paths.append(path)
    return list(dict.fromkeys(paths))


def _write_summary(recording: Recording, paths: list[Path]) -> None:
    """Say what was played and written."""
    from wsabench.report.figures.episode import context_text, end_text, recording_title
    from wsabench.report.films.files import gif_interval
    from wsabench.report.films.video import can_write_mp4

    write_line(f"{recording_title(recording)}, episode seed {recording.episode_seed}")
    write_line(f"return {recording.episodic_return:g}, {counted(recording.length, 'step')}, {end_text(recording)}")
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in recording.mean_weights().items())
    write_line(f"Mean attention: {weights}" if weights else f"{recording.agent} has no attention: films without bars.")
    if text := context_text(recording):
        write_line(text)
    for path in paths:
        write_line(f"File: {path}")
    every = gif_interval(recording.length)
    if every > 1 and any(path.suffix.lower() == ".gif" for path in paths):
        write_line(f"The GIF shows one of every {every} steps.")
    if not can_write_mp4():
        write_line('No MP4: it needs `pip install "wsabench[video]"`.')
