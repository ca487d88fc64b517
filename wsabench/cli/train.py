"""`wsabench train`: train one agent on one game."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wsabench.cli.console import write_line
from wsabench.cli.options import Game, Resume
from wsabench.cli.progress import progress_reporter

HELP = "Train one agent on one game with PPO. Resumes to the same learning curve after an interruption."
EXAMPLE = "Example: wsabench train --agent wsa --game breakout --seed 0 --preset compact"


def train(
    agent: Annotated[str, typer.Option("--agent", "-a", help="Agent; see `wsabench list agents`.")],
    game: Game,
    seed: Annotated[int, typer.Option(min=0, help="Train seed: identifies the training run.")] = 0,
    preset: Annotated[str, typer.Option(help="compact (2 cores) or paper (the paper's hyper-parameters).")] = "compact",
    steps: Annotated[int | None, typer.Option(min=1, help="Agent steps; default: the preset's.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where checkpoints go; default: outside the source tree.")] = None,
    resume: Resume = True,
) -> None:
    """Train an agent and print where its checkpoint and learning curve are."""
    from wsabench.training import train as train_agent

    with progress_reporter() as reporter:
        path = train_agent(
            agent, game, train_seed=seed, preset=preset, steps=steps, out=out, resume=resume, reporter=reporter
        )
    write_line(f"Checkpoint and learning curve: {path}\nEvaluate it: wsabench run --games {game} --agents mine={path}/")
