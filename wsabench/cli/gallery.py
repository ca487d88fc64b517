"""`wsabench gallery`: pictures of what every perturbation does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wsabench.cli.options import SUITE_HELP, Game, Json, completer, family_option, path_option, several
from wsabench.cli.terminal.console import filled, split_names, write_json, write_line
from wsabench.cli.terminal.progress import progress_reporter

HELP = "Draw contact sheets and film strips of a suite. They show what a person sees and what the agent sees."
EXAMPLE = "Example: wsabench gallery --suite color-shift --game breakout --out gallery.png"

DEFAULT_SUITE = "color-shift"
DEFAULT_OUT = Path("gallery")
"""Folder of pictures for which no place was named."""
_OUT = "The PNG file, or a folder for GAME-SUITE.png (-FAMILY, -chosen); more pages get -2, -3, ... Default: gallery/."


def gallery(
    suite: Annotated[
        str | None, typer.Option("--suite", metavar="NAME", help=SUITE_HELP, autocompletion=completer("suite"))
    ] = None,
    family: Annotated[str | None, family_option("A family instead of a suite, scales at severity 3.")] = None,
    perturbations: Annotated[list[str] | None, several("perturbation", "Names instead of a suite.")] = None,
    game: Game = "breakout",
    out: Annotated[Path | None, path_option(_OUT)] = None,
    as_json: Json = False,
) -> None:
    """Draw one suite, family or list of perturbations in one game."""
    from wsabench.errors import SpecError
    from wsabench.games import load_game
    from wsabench.perturb import misfit
    from wsabench.report import draw_gallery
    from wsabench.report.films.gallery import gallery_names

    names = split_names(perturbations)
    if sum(given is not None for given in (suite, family, names)) > 1:
        raise SpecError("Give one of --suite, --family and --perturbations, not several.")
    game = load_game(game).id
    if family is not None:
        names = [name for name in gallery_names(game, family=family) if misfit(name, game) is None]
    chosen = DEFAULT_SUITE if suite is None else suite
    what = family or (Path(chosen).stem if names is None else "chosen")
    out = DEFAULT_OUT if out is None else out
    if out.is_dir() or not out.suffix:
        out /= f"{game}-{what}.png"
    count = len(gallery_names(game, chosen) if names is None else names)
    with progress_reporter() as reporter:
        reporter.start("Gallery", count, "perturbation")
        drawn = draw_gallery(chosen, game, out, names, advance=reporter.advance)
        reporter.finish()
    if as_json:
        write_json({"game": game, "pages": drawn.paths, "left_out": drawn.left_out})
        return
    for path in drawn.paths:
        write_line(f"Page: {path}")
    for reason in dict.fromkeys(drawn.left_out.values()):
        left_out = ", ".join(name for name, why in drawn.left_out.items() if why == reason)
        write_line(filled(f"No picture: {left_out}: {reason}", "  "))
