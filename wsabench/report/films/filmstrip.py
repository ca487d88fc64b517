"""Film strips: one row for each perturbation, the same seeded play at several times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from wsabench.report.figures.style import TWO_COLUMNS_IN

COLUMNS = 4
"""Moments that a strip shows."""

_ROW_TITLE_IN = 0.2
_HEAD_IN = 0.5


class Film(NamedTuple):
    """One row of a strip."""

    title: str
    """What stands above the row."""
    pictures: Sequence[npt.NDArray[np.uint8]]
    """All moments of the play, RGB, uint8, each of shape (height, width, 3)."""


def choose_moments(films: Sequence[Film], count: int = COLUMNS) -> list[int]:
    """Return moments at which the films differ visibly from the first one, in order.

    The play is cut into `count` parts of equal length. From each part comes the moment at which the films differ most
    from the first, where each film's difference is divided by its own greatest one. Of equal moments the latest is
    taken, so that without any other film these are the ends of the parts.

    Args:
        films: The films, the clean one first, all equally long.
        count: Number of moments; at most as many as there are pictures.
    """
    length = len(films[0].pictures)
    visible = np.zeros(length)
    for film in films[1:]:
        difference = np.array([_difference(*pair) for pair in zip(film.pictures, films[0].pictures, strict=True)])
        visible += difference / max(difference.max(), 1e-9)
    parts = np.array_split(np.arange(length), count)
    return [int(part[len(part) - 1 - visible[part][::-1].argmax()]) for part in parts]


def draw_strip(films: Sequence[Film], moments: Sequence[int], heads: Sequence[str], title: str) -> Figure:
    """Return a figure, two journal columns wide.

    Args:
        films: The films; each has a row.
        moments: The places of the pictures that are shown; each has a column.
        heads: The text above each column.
        title: The text above everything.
    """
    height, width = films[0].pictures[0].shape[:2]
    row_height = TWO_COLUMNS_IN / len(moments) * height / width * 0.97 + _ROW_TITLE_IN
    layout = ConstrainedLayoutEngine(h_pad=0.02, w_pad=0.02)
    figure = Figure(figsize=(TWO_COLUMNS_IN, len(films) * row_height + _HEAD_IN), layout=layout)
    axes: Any = figure.subplots(len(films), len(moments), squeeze=False)
    for row, film in enumerate(films):
        for column, moment in enumerate(moments):
            ax = axes[row, column]
            ax.imshow(film.pictures[moment], interpolation="nearest")
            ax.set_axis_off()
        axes[row, 0].set_title(" ", fontsize=7)  # keeps the height; a long title must not widen its column
        text = axes[row, 0].annotate(
            film.title, (0, 1), (0, 4), "axes fraction", textcoords="offset points", fontsize=7
        )
        text.set_in_layout(False)
    for column, head in enumerate(heads):
        ax = axes[0, column]
        ax.annotate(head, (0.5, 1.0), (0, 13), "axes fraction", textcoords="offset points", ha="center", fontsize=7)
    figure.suptitle(title, fontsize=8, fontweight="bold")
    return figure


def _difference(picture: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    """Return the mean absolute difference of two pictures, in levels."""
    return float(np.abs(picture.astype(np.int16) - other).mean())
