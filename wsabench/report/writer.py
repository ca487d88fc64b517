"""From a result directory to the files of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wsabench.errors import unknown_name
from wsabench.evaluation import load_result
from wsabench.evaluation.result import FRAMES_DIR
from wsabench.evaluation.steps import example_episodes
from wsabench.evaluation.summary import summarise
from wsabench.report.drawing import NamedFigure, draw_figures, sample_frames
from wsabench.report.page import content_of, html_page, markdown_text
from wsabench.report.style import figure_bytes, figure_style
from wsabench.resources import atomic_path, make_dir, write_text

FORMATS = ("html", "png", "pdf", "md")
FIGURES_DIR = "figures"


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """What was written."""

    html: Path | None
    """The page; None where it was not asked for."""
    markdown: Path | None
    """The Markdown text; None where it was not asked for."""
    figures: tuple[Path, ...]
    """PNG and PDF files."""


def write_report(run_dir: str | Path, out: str | Path | None = None, formats: Sequence[str] = FORMATS) -> ReportFiles:
    """Write the report of a result set; needs neither the emulator nor torch.

    Args:
        run_dir: The directory that a run wrote, complete or not.
        out: Where the files go; `report` below the run's directory by default.
        formats: Any of `html`, `png`, `pdf`, `md`.

    Returns:
        The files: `report.html`, `report.md`, and `figures/NAME.png`, `figures/NAME.pdf`.

    Raises:
        ResultSetError: The directory is no result set, is damaged, or has no finished episode.
        StorageError: A file cannot be written.
        UnknownNameError: There is no such format.
    """
    for name in formats:
        if name not in FORMATS:
            raise unknown_name("report format", name, FORMATS)
    result = load_result(run_dir)
    summary = summarise(result)
    content = content_of(summary, result.manifest)
    figures: list[NamedFigure] = []
    if set(formats) - {"md"}:
        with figure_style():
            frames = sample_frames(result.path / FRAMES_DIR, summary)
            figures = draw_figures(summary, frames, example_episodes(result, summary.attention))
    directory = make_dir(Path(out) if out is not None else result.path / "report")
    written = _write_figures(directory / FIGURES_DIR, figures, [name for name in ("png", "pdf") if name in formats])
    page = text = None
    if "html" in formats:
        page = directory / "report.html"
        write_text(page, html_page(content, figures))
    if "md" in formats:
        text = directory / "report.md"
        pictures = [(figure, f"{FIGURES_DIR}/{figure.name}.png") for figure in figures] if "png" in formats else []
        write_text(text, markdown_text(content, pictures))
    return ReportFiles(html=page, markdown=text, figures=tuple(written))


def _write_figures(directory: Path, figures: Sequence[NamedFigure], endings: Sequence[str]) -> list[Path]:
    """Write every figure in every format."""
    written: list[Path] = []
    if endings:
        make_dir(directory)
    for figure in figures:
        for ending in endings:
            path = directory / f"{figure.name}.{ending}"
            content = figure_bytes(figure.figure, ending)
            with atomic_path(path) as temporary:
                temporary.write_bytes(content)
            written.append(path)
    return written
