"""`wsabench report`: a finished run as a page, figures and a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wsabench.cli.console import split_names, write_json, write_line
from wsabench.cli.options import Json
from wsabench.errors import unknown_name

HELP = "Make the page, figures and table of a run."
EXAMPLE = "Example: wsabench report runs/quick --format html,pdf"

FORMATS = ("html", "png", "pdf", "md")
_FORMATS = "html, png, pdf, md; default: all."


def report(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Directory that `wsabench run` wrote.")],
    out: Annotated[Path | None, typer.Option(help="Where the files go; default: RUN_DIR/report.")] = None,
    formats: Annotated[list[str] | None, typer.Option("--format", "-f", metavar="NAME,...", help=_FORMATS)] = None,
    as_json: Json = False,
) -> None:
    """Write the report of a result set; needs neither the emulator nor torch."""
    wanted = tuple(split_names(formats) or FORMATS)
    for name in wanted:
        if name not in FORMATS:
            raise unknown_name("format", name, FORMATS)
    from wsabench.report import write_report

    files = write_report(run_dir, out=out, formats=wanted)
    if as_json:
        write_json(files)
        return
    if files.html:
        write_line(f"Page, opens in a browser without a network: {files.html}")
    if files.markdown:
        write_line(f"Tables as Markdown: {files.markdown}")
    if files.figures:
        write_line(f"Figures, {len(files.figures)} files: {files.figures[0].parent}")
