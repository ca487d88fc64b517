"""From result directories to the files of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wsabench.errors import unknown_name
from wsabench.report.badge import badge_svg, run_badge
from wsabench.report.curves import learning_curves
from wsabench.report.export import write_csv, write_rliable
from wsabench.report.figures import SampleFrame
from wsabench.report.figures.drawing import draw_figures, sample_frames
from wsabench.report.figures.style import FIGURE_FORMATS, PNG_DPI, NamedFigure, figure_style, save_figure
from wsabench.report.page import Content, comment_text, content_of, html_page, markdown_text
from wsabench.report.tables.latex import LatexFloat, checked_float, figure_latex, latex
from wsabench.resources import expanded, make_dir, write_text
from wsabench.results.merging import load_results
from wsabench.results.result import FRAMES_DIR
from wsabench.summary.attention import example_episodes
from wsabench.summary.learning import efficiency_table
from wsabench.summary.significance import ClaimOptions
from wsabench.summary.summarise import summarise

FORMATS = ("html", "png", "pdf", "svg", "latex", "markdown", "csv", "rliable")
"""The formats that are written by default."""
ON_REQUEST = ("comment", "badge")
"""Formats that are written only where they are named: text for a pull request, and an SVG badge."""
ALIASES = {"md": "markdown", "tex": "latex"}
"""Other names of formats."""
FIGURES_DIR, TABLES_DIR, CSV_DIR, RLIABLE_DIR = "figures", "tables", "csv", "rliable"


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """The files that were written; None or an empty tuple where a format was not asked for."""

    html: Path | None
    """The page."""
    markdown: Path | None
    """The Markdown text."""
    figures: tuple[Path, ...]
    """The figures: PNG, PDF and SVG files."""
    latex: tuple[Path, ...] = ()
    """LaTeX files: one for each table, and one for each figure that was drawn."""
    csv: tuple[Path, ...] = ()
    """CSV files: the episodes, and one file for each table of numbers."""
    rliable: tuple[Path, ...] = ()
    """The score matrices, NPZ and JSON files."""
    comment: Path | None = None
    """The Markdown text that fits into a comment on a pull request."""
    badge: Path | None = None
    """The badge, an SVG file."""


def checked_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """Return formats without repetitions, each by its own name in place of an alias.

    Args:
        formats: Names in `FORMATS`, `ON_REQUEST` or `ALIASES`.

    Raises:
        UnknownNameError: There is no such format.
    """
    names = [ALIASES.get(name, name) for name in formats]
    for name in names:
        if name not in (*FORMATS, *ON_REQUEST):
            raise unknown_name("report format", name, (*FORMATS, *ON_REQUEST, *ALIASES))
    return tuple(dict.fromkeys(names))


def write_report(  # noqa: PLR0913 - the public entry point: one keyword an option of the command line
    run_dirs: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    formats: Sequence[str] = FORMATS,
    dpi: int = PNG_DPI,
    claims: ClaimOptions | None = None,
    interval: str = "joint",
    latex_float: str = "table*",
) -> ReportFiles:
    """Write the report of one result set, or of several put together; this needs neither the emulator nor torch.

    Args:
        run_dirs: The directory that a run wrote, complete or not, or several whose runs fit together.
        out: Where the files go; by default `report` below the run's directory, `report-combined` below the first of
            several.
        formats: Any of `html`, `png`, `pdf`, `svg`, `latex`, `markdown` (also `md`), `csv`, `rliable`; or `comment`
            and `badge`, which are not among the default.
        dpi: Dots per inch of PNG files.
        claims: What claims are made about: perturbations, pairs of agents, equivalence; None: all perturbations and
            pairs, no equivalence.
        interval: The interval of aggregates and profiles: `joint` draws whole train seeds with all their cells,
            `rliable` is rliable's own stratified bootstrap.
        latex_float: `table*` for tables that span both columns of a two-column page (6.8 inches), which in one column
            are as wide; `table` for tables of one column (3.3 inches).

    Returns:
        The files: `report.html`, `report.md`, `figures/NAME.ENDING`, `tables/NAME.tex`, `csv/NAME.csv`,
        `rliable/MEASURE.npz` and `.json`, `comment.md`, `badge.svg`.

    Raises:
        ResultSetError: A directory is no result set, is damaged, or has no finished episode, or the runs differ in
            something that decides results.
        SpecError: The family is empty or holds clean, the margin is not above 0, or more than 20 agents are to be
            compared without one to compare with.
        StorageError: A file cannot be written.
        UnknownNameError: There is no such format, interval or float, or the run has no such perturbation or agent.
    """
    wanted = checked_formats(formats)
    latex_float = checked_float(latex_float)
    paths = [expanded(path) for path in ([run_dirs] if isinstance(run_dirs, str | Path) else run_dirs)]
    result = load_results(paths)
    family, compare_to, margin = claims or ClaimOptions()
    summary = summarise(result, family, interval, compare_to=compare_to, equivalence_margin=margin)
    content = content_of(summary, result.manifest, paths, () if set(wanted) == set(FORMATS) else wanted)
    curves = learning_curves(result.manifest.plan.agents)
    efficiency = efficiency_table(curves, summary.references, summary.bootstrap_seed)
    figures: list[NamedFigure] = []
    frames: list[SampleFrame] = []
    if {"html", *FIGURE_FORMATS} & set(wanted):
        frames = sample_frames([path / FRAMES_DIR for path in paths], summary)
        with figure_style():
            in_files = frames if set(FIGURE_FORMATS) & set(wanted) else []
            examples = example_episodes(result, summary.attention, paths)
            figures = draw_figures(summary, in_files, examples, curves, efficiency, content.order)
    folder = "report" if len(paths) == 1 else "report-combined"
    directory = make_dir(expanded(out) if out is not None else paths[0] / folder)
    more = {"learning_curves": curves, "sample_efficiency": efficiency}
    endings = [name for name in FIGURE_FORMATS if name in wanted]
    short = {
        "comment": (directory / "comment.md", lambda: comment_text(content)),
        "badge": (directory / "badge.svg", lambda: badge_svg(run_badge(summary, result.manifest))),
    }
    for name in set(wanted) & short.keys():
        write_text(short[name][0], short[name][1]())
    files = ReportFiles(
        html=directory / "report.html" if "html" in wanted else None,
        markdown=directory / "report.md" if "markdown" in wanted else None,
        figures=_write_figures(directory / FIGURES_DIR, figures, endings, dpi),
        latex=_write_latex(directory, content, figures, latex_float, has_pdf="pdf" in wanted)
        if "latex" in wanted
        else (),
        csv=write_csv(result, summary, directory / CSV_DIR, more) if "csv" in wanted else (),
        rliable=write_rliable(summary, directory / RLIABLE_DIR) if "rliable" in wanted else (),
        **{name: path for name, (path, _) in short.items() if name in wanted},
    )
    if files.html:
        beside = {path.relative_to(directory).as_posix() for path in (*files.figures, *files.latex, *files.csv)}
        svgs = [path for path in files.figures if path.suffix == ".svg" and dpi == PNG_DPI]  # those of a page
        written = {path.stem: path.read_text(encoding="utf-8") for path in svgs}
        write_text(files.html, html_page(content, figures, frames, beside, written))
    if files.markdown:
        pictures = [(figure, f"{FIGURES_DIR}/{figure.name}.png") for figure in figures] if "png" in wanted else []
        write_text(files.markdown, markdown_text(content, pictures))
    return files


def _write_figures(
    directory: Path, figures: Sequence[NamedFigure], endings: Sequence[str], dpi: int
) -> tuple[Path, ...]:
    """Write every figure in every format."""
    if not endings:
        return ()
    make_dir(directory)
    return tuple(path for named in figures for path in save_figure(named.figure, directory / named.name, endings, dpi))


def _write_latex(
    directory: Path, content: Content, figures: Sequence[NamedFigure], latex_float: LatexFloat, *, has_pdf: bool
) -> tuple[Path, ...]:
    """Write every table as LaTeX, and what includes each figure's PDF where that is written."""
    written: list[Path] = []
    texts = {f"{TABLES_DIR}/{table.name}.tex": latex(table, latex_float) for table in content.tables}
    texts |= {f"{FIGURES_DIR}/{named.name}.tex": figure_latex(named) for named in figures if has_pdf}
    for name, text in texts.items():
        path = directory / name
        make_dir(path.parent)
        write_text(path, text)
        written.append(path)
    return tuple(written)
