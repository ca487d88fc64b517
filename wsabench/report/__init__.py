"""The report of a run: page, figures and tables from finished numbers, and pictures of the perturbations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsabench.lazy import lazy_names

if TYPE_CHECKING:
    from wsabench.report.figures.style import figure_style, save_figure
    from wsabench.report.films.gallery import draw_gallery
    from wsabench.report.writer import ReportFiles, write_report

__all__ = ["ReportFiles", "draw_gallery", "figure_style", "save_figure", "write_report"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "figures.style": ("figure_style", "save_figure"),
        "films.gallery": ("draw_gallery",),
        "writer": ("ReportFiles", "write_report"),
    },
)
