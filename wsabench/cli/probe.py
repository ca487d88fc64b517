"""`wsabench probe`: what each embedding tells about the game's state."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from wsabench.cli.options import Game, Json, path_option, root_seed, several
from wsabench.cli.terminal.console import split_names, write_json, write_line, write_table
from wsabench.cli.terminal.progress import progress_reporter

HELP = "Predict the game's RAM variables from each embedding. Beside it stand random twins of the encoders, and pixels."
EXAMPLE = "Example: wsabench probe --game breakout --json"

_ENCODERS = "Encoders, separated by commas. Default: all that are in the folder."
_SIZE = "Size the encoders must have, compact or paper; default: any."
_DATA = "Who plays: random, expert, or mixed."
_EXPERT = "The expert: an agent's name or a checkpoint's path; default: e2e."


def probe(
    game: Game,
    encoders: Annotated[list[str] | None, several("encoder", _ENCODERS)] = None,
    encoders_dir: Annotated[Path | None, path_option("Folder of the encoders; default: the shipped ones.")] = None,
    size: Annotated[str | None, typer.Option(help=_SIZE)] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Steps that are played; default: 60,000.")] = None,
    data: Annotated[str, typer.Option(help=_DATA)] = "random",
    expert: Annotated[str | None, typer.Option(metavar="AGENT", help=_EXPERT)] = None,
    seed: Annotated[int, root_seed("Of the frames, the split and the random twins.")] = 0,
    as_json: Json = False,
) -> None:
    """Fit the probes; print each encoder beside its twins, then every variable."""
    from wsabench.training.probing.probe import compare_with_twins
    from wsabench.training.probing.probe import probe as probe_encoders

    options: dict[str, Any] = {"size": size, "directory": encoders_dir, "data": data, "seed": seed}
    options |= {name: value for name, value in (("frames", frames), ("expert", expert)) if value is not None}
    with progress_reporter() as reporter:
        table = probe_encoders(game, split_names(encoders), reporter=reporter, **options)
    summary = compare_with_twins(table)
    if as_json:
        rows = table.astype({"twin": object}).where(table.notna(), None).to_dict(orient="records")
        means = [{"encoder": name, **values} for name, values in summary.to_dict(orient="index").items()]
        write_json({"means": means, "rows": rows, **table.attrs})
        return
    columns = ["encoder", *(str(name).replace("_", " ") for name in summary.columns)]
    write_table(f"Mean probe score, {game}", columns, [[name, *row] for name, *row in summary.itertuples()], _NOTE)
    write_line()
    wide = table[table.twin.isna()].pivot(index="variable", columns="contestant", values="score")
    names = list(dict.fromkeys(table.contestant))
    rows = [[variable, *wide.loc[variable, names]] for variable in dict.fromkeys(table.variable)]
    write_table("Each variable", ["variable", *names], rows)
    if constant := table.attrs.get("constant"):
        write_line(f"Left out, hardly changing in these frames: {', '.join(constant)}")


_NOTE = "1: perfect, 0: a constant guess. Numbers by ridge regression (R^2), classes by logistic regression."
