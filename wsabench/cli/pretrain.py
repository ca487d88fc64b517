"""`wsabench pretrain`: train a game's encoders on its own frames."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from wsabench.cli.options import Game, Json, Resume
from wsabench.cli.terminal.console import write_json, write_line
from wsabench.cli.terminal.progress import progress_reporter
from wsabench.errors import SpecError

HELP = "Train a game's encoders on its own frames. Resumes after an interruption."
EXAMPLE = "Example: wsabench pretrain --game breakout --data mixed --size paper --device cuda"

_OUT = "Where the encoders go; default: outside the source tree."
_FRAMES = "Steps that are played; default: 120,000, for the size paper 1,000,000."
_DATA = "Who plays: random, expert, or mixed (half of the frames each)."
_EXPERT = "The expert: an agent's name or a checkpoint's path; default: e2e, which the game must ship."
_SIZE = "compact (2 cores) or paper (the paper's shapes and losses; a GPU)."
_STEPS = "Optimiser steps of each stage to train; one number for all. Default: all, as docs/encoders.md says."
_STAGES = "STAGE=N,..."
_WORKERS = "Processes that play; the frames are the same with any number."


def pretrain(
    game: Game,
    out: Annotated[Path | None, typer.Option(help=_OUT)] = None,
    frames: Annotated[int | None, typer.Option(min=1, help=_FRAMES)] = None,
    data: Annotated[str, typer.Option(help=_DATA)] = "random",
    expert: Annotated[str | None, typer.Option(metavar="AGENT", help=_EXPERT)] = None,
    size: Annotated[str, typer.Option(help=_SIZE)] = "compact",
    steps: Annotated[str | None, typer.Option(metavar=_STAGES, help=_STEPS)] = None,
    device: Annotated[str, typer.Option(help="Where networks train: cpu or cuda.")] = "cpu",
    workers: Annotated[int, typer.Option(min=1, help=_WORKERS)] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the frames and of the initial weights.")] = 0,
    resume: Resume = True,
    as_json: Json = False,
) -> None:
    """Pre-train every encoder of a game and print where the weights and loss curves are."""
    from wsabench.training.pretraining.pretrain import pretrain as pretrain_encoders

    options: dict[str, Any] = {} if frames is None else {"frames": frames}
    if expert is not None:
        options["expert"] = expert
    if steps is not None:
        options["steps"] = _parse_steps(steps)
    options |= {"data": data, "size": size, "device": device, "workers": workers, "seed": seed, "resume": resume}
    with progress_reporter() as reporter:
        result = pretrain_encoders(game, out=out, reporter=reporter, **options)
    if as_json:
        write_json(result)
        return
    for name, path in result.encoders.items():
        write_line(f"encoder {name}: {path}")
    for name, path in result.curves.items():
        write_line(f"loss curve {name}: {path}")


def _parse_steps(text: str) -> dict[str, int]:
    """Return the steps of the stages named in `STAGE=N,...`, or of all for a number alone."""
    from wsabench.encoders import PRETEXTS

    try:
        if "=" not in text:
            return dict.fromkeys(PRETEXTS, int(text))
        pairs = [part.split("=") for part in text.split(",")]
        return {name.strip(): int(number) for name, number in pairs}
    except ValueError as error:
        raise SpecError(
            f"--steps is {text!r}. Allowed: a number, or STAGE=N,... with the stages {', '.join(PRETEXTS)}; for "
            "example ae=3000,sr=3000."
        ) from error
