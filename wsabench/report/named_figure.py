"""A figure with its name, title and caption."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class NamedFigure:
    """A finished figure."""

    name: str
    """File name without ending."""
    title: str
    caption: str
    figure: Figure
    is_wide: bool = False
    """Two journal columns instead of one."""
    is_picture: bool = False
    """Pixels rather than lines."""
    keeps_colors: bool = False
    """Colours carry numbers, so the figure stays on white paper on a dark page too."""
