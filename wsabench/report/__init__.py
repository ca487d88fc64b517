"""The report of a run: page, figures and tables from finished numbers, and pictures of the perturbations."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsabench.report.figures.style import figure_style, save_figure
    from wsabench.report.films.gallery import draw_gallery
    from wsabench.report.writer import ReportFiles, write_report

__all__ = ["ReportFiles", "draw_gallery", "figure_style", "save_figure", "write_report"]

_HOME = {
    "ReportFiles": "writer",
    "draw_gallery": "gallery",
    "figure_style": "style",
    "save_figure": "style",
    "write_report": "writer",
}


def __getattr__(name: str) -> Any:
    """Load the module that holds `name`, on first use: the gallery alone needs the emulator."""
    if name not in _HOME:
        raise AttributeError(f"module 'wsabench.report' has no attribute {name!r}")
    return getattr(import_module(f"wsabench.report.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
