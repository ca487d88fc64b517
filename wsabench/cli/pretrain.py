"""`wsabench pretrain`: train a game's encoders on its own frames."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from wsabench.cli.console import write_json, write_line
from wsabench.cli.options import Game, Json, Resume
from wsabench.cli.progress import progress_reporter

HELP = "Train a game's encoders on its own frames. Resumes after an interruption."
EXAMPLE = "Example: wsabench pretrain --game breakout"


def pretrain(
    game: Game,
    out: Annotated[Path | None, typer.Option(help="Where the encoders go; default: outside the source tree.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Steps of random play; default: the full number.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the frames and of the initial weights.")] = 0,
    resume: Resume = True,
    as_json: Json = False,
) -> None:
    """Pre-train every encoder of a game and print where the weights and loss curves are."""
    from wsabench.training.pretrain import pretrain as pretrain_encoders

    number: dict[str, Any] = {} if frames is None else {"frames": frames}
    with progress_reporter() as reporter:
        result = pretrain_encoders(game, out=out, seed=seed, resume=resume, reporter=reporter, **number)
    if as_json:
        write_json(result)
        return
    for name, path in result.encoders.items():
        write_line(f"encoder {name}: {path}")
    for name, path in result.curves.items():
        write_line(f"loss curve {name}: {path}")
