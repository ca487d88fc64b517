"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Game = Annotated[str, typer.Option("--game", "-g", help="Game; see `wsabench list games`.")]
Suite = Annotated[str, typer.Option("--suite", help="A name from `wsabench list suites`, or a TOML file.")]
Resume = Annotated[bool, typer.Option(help="Go on from what an earlier call left.")]
Track = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME,...",
        help="Tell experiment trackers what comes out: tensorboard, mlflow (./mlruns, or MLFLOW_TRACKING_URI), wandb "
        "(offline, or as WANDB_MODE says).",
    ),
]
