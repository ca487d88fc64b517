"""`wsabench pretrain`: train a game's encoders on its own frames."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from wsabench.cli.options import Game, Json, Resume, path_option, root_seed, several
from wsabench.cli.terminal.console import split_names, write_json, write_line
from wsabench.cli.terminal.progress import progress_reporter
from wsabench.errors import SpecError

HELP = "Train a game's encoders on its own frames. Resumes after an interruption."
EXAMPLE = "Example: wsabench pretrain --game breakout --data mixed --size paper --device cuda"

_OUT = "Where the encoders go; default: outside the source tree."
_FRAMES = "Steps that are played; default: 120,000, for the size paper 1,000,000."
_DATA = "Who plays: random, expert, or mixed (half of the frames each)."
_EXPERT = "The expert: an agent's name or a checkpoint's path; default: e2e, which the game must ship."
_SIZE = "compact (2 cores) or paper (the paper's shapes and losses; a GPU)."
_STAGES = "What is trained: ae, sr, transporter (the encoders oke and okk), vos, vit. Default: all but vit."
_STEPS = "Optimiser steps of each stage, or one number for all that are trained. Default: as docs/encoders.md says."
_WORKERS = "Processes that play; the frames are the same with any number."


def pretrain(
    game: Game,
    out: Annotated[Path | None, path_option(_OUT)] = None,
    frames: Annotated[int | None, typer.Option(min=1, help=_FRAMES)] = None,
    data: Annotated[str, typer.Option(help=_DATA)] = "random",
    expert: Annotated[str | None, typer.Option(metavar="AGENT", help=_EXPERT)] = None,
    size: Annotated[str, typer.Option(help=_SIZE)] = "compact",
    stages: Annotated[list[str] | None, several("stage", _STAGES)] = None,
    stage_steps: Annotated[str | None, typer.Option(metavar="STAGE=N,...", help=_STEPS)] = None,
    device: Annotated[str, typer.Option(help="Where networks train: cpu, cuda, cuda:N, or auto.")] = "cpu",
    workers: Annotated[int, typer.Option(min=1, help=_WORKERS)] = 1,
    seed: Annotated[int, root_seed("Of the frames and the initial weights.")] = 0,
    resume: Resume = True,
    as_json: Json = False,
) -> None:
    """Pre-train encoders of a game and print where the weights and loss curves are."""
    from wsabench.training.pretraining.pretrain import pretrain as pretrain_encoders

    options: dict[str, Any] = {} if frames is None else {"frames": frames}
    if expert is not None:
        options["expert"] = expert
    if stage_steps is not None or stages is not None:
        options["steps"] = _chosen_steps(size, split_names(stages), stage_steps)
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


def _chosen_steps(size: str, stages: list[str] | None, text: str | None) -> dict[str, int]:
    """Return the steps of the stages that are trained.

    Args:
        size: The architecture's size.
        stages: Their names; None: those that `text` names, else the usual ones.
        text: `STAGE=N,...`, or a number for all of them; None: the usual numbers.
    """
    from wsabench.encoders import PRETEXTS
    from wsabench.training.pretraining.pretrain import usual_steps

    if text is None:
        return usual_steps(size, stages)
    if stages is not None and "=" in text:
        raise SpecError(
            f"--stage-steps {text} names stages, and so does --stages. Leave --stages out, or give a number."
        )
    try:
        if "=" not in text:
            return dict.fromkeys(usual_steps(size, stages), int(text))
        pairs = [part.split("=") for part in text.split(",")]
        return {name.strip(): int(number) for name, number in pairs}
    except ValueError as error:
        raise SpecError(
            f"--stage-steps is {text!r}. Allowed: a number, or STAGE=N,... with the stages {', '.join(PRETEXTS)}; for "
            "example ae=3000,sr=3000."
        ) from error
