"""`wsabench gallery`: a picture of what every perturbation does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wsabench.cli.console import write_line
from wsabench.cli.options import Game, Suite

HELP = "Draw a contact sheet of a suite. It shows what a person sees and what the agent sees."
EXAMPLE = "Example: wsabench gallery --suite color-shift --game breakout --out gallery.png"


def gallery(
    suite: Suite = "color-shift",
    game: Game = "breakout",
    out: Annotated[Path, typer.Option(help="The PNG file to write.")] = Path("gallery.png"),
) -> None:
    """Draw the contact sheet of one suite and game."""
    from wsabench.report import draw_gallery

    draw_gallery(suite, game, out)
    write_line(f"Contact sheet: {out}")
