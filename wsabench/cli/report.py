"""`wsabench report`: finished runs as a page, figures, tables and numbers for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wsabench.cli.options import Json, path_option, several
from wsabench.cli.terminal.console import split_names, write_json, write_line
from wsabench.words import counted

HELP = "Make the page, figures and tables of a run, or of several combined."
EXAMPLE = "Example: wsabench report runs/quick --format html,pdf,latex"

FORMATS = ("html", "png", "pdf", "svg", "latex", "markdown", "csv", "rliable")
_FORMATS = f"{', '.join(FORMATS)}; default: all these. On request: comment (Markdown for a pull request), badge (SVG)."
_CLAIMS_ON = (
    "Perturbations, without severity, that claims are tested for; default: all of the run. A small family finds "
    "smaller differences; declare it before you look at the scores."
)
_COMPARE_TO = "Compare each other agent with this one; default: all pairs. Needed with more than 20 agents."
_MARGIN = (
    "Claim agents to be equivalent whose difference is surely smaller than this, 0.05 say, in the unit of the suite's "
    "measure, and of the score for clean play; choose it before you look at the scores. Default: no such claims."
)
_INTERVAL = (
    "Of aggregates and profiles: joint draws whole train seeds with all cells that their networks played, rliable is "
    "its own stratified bootstrap, cell by cell; the table of aggregates has both."
)
_LATEX_FLOAT = (
    "Of LaTeX tables: table* spans both columns of a two-column page (6.8 inches), table stands in one (3.3 inches). "
    "Quote the star for your shell."
)
_OUT = "Where the files go; default: RUN_DIR/report, for several runs RUN_DIR/report-combined below the first."


def report(
    run_dirs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN_DIR...", help="Directories that `wsabench run` wrote; several are merged."),
    ],
    out: Annotated[Path | None, path_option(_OUT)] = None,
    formats: Annotated[list[str] | None, several("format", _FORMATS)] = None,
    claims_on: Annotated[list[str] | None, typer.Option(metavar="NAME,...", help=_CLAIMS_ON)] = None,
    interval: Annotated[str, typer.Option("--interval", metavar="joint|rliable", help=_INTERVAL)] = "joint",
    compare_to: Annotated[str | None, typer.Option("--compare-to", metavar="NAME", help=_COMPARE_TO)] = None,
    equivalence_margin: Annotated[float | None, typer.Option(metavar="MARGIN", help=_MARGIN)] = None,
    latex_float: Annotated[str, typer.Option("--latex-float", metavar="table|table*", help=_LATEX_FLOAT)] = "table*",
    as_json: Json = False,
) -> None:
    """Write the report of result sets; needs neither the emulator nor torch."""
    from wsabench.report import write_report
    from wsabench.summary.significance import ClaimOptions

    names = split_names(claims_on)
    files = write_report(
        run_dirs,
        out=out,
        formats=split_names(formats) or FORMATS,
        claims=ClaimOptions(tuple(names) if names else None, compare_to, equivalence_margin),
        interval=interval,
        latex_float=latex_float,
    )
    if as_json:
        write_json(files)
        return
    if files.html:
        write_line(f"Page, opens in a browser without a network: {files.html}")
    if files.markdown:
        write_line(f"Tables as Markdown: {files.markdown}")
    if files.comment:
        write_line(f"Text for a pull request: {files.comment}")
    if files.badge:
        write_line(f"Badge: {files.badge}")
    for words, paths in (
        ("Figures", files.figures),
        ("Tables as LaTeX", files.latex),
        ("Numbers as CSV", files.csv),
        ("Score matrices for rliable", files.rliable),
    ):
        if paths:
            write_line(f"{words}, {counted(len(paths), 'file')}: {paths[0].parent}")
