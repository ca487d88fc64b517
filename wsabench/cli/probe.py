"""`wsabench probe`: what each embedding tells about the game's state."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wsabench.cli.console import write_json, write_table
from wsabench.cli.options import Game, Json
from wsabench.cli.progress import progress_reporter

HELP = "Predict the game's RAM variables from each embedding. Beside it stand random twins of the encoders, and pixels."
EXAMPLE = "Example: wsabench probe --game breakout --json"


def probe(
    game: Game,
    directory: Annotated[Path | None, typer.Option(help="Folder of encoders; default: the shipped ones.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the frames, the split and the random twins.")] = 0,
    as_json: Json = False,
) -> None:
    """Fit the probes and print one row a variable, with the mean at the end."""
    from wsabench.training import probe as probe_encoders

    with progress_reporter() as reporter:
        table = probe_encoders(game, directory=directory, seed=seed, reporter=reporter)
    if as_json:
        write_json(table.to_dict(orient="records"))
        return
    write_table(f"Probes of {game}", [str(name) for name in table.columns], table.to_numpy().tolist())
