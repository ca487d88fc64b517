"""Names broken into lines, legends that fit, and a panel for each of many agents."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from wsabench.report.figures.style import TWO_COLUMNS_IN, Look, legible

NAME_WIDTH = 26
"""Most characters of a name that stand in one line."""
_MOST_LINES = 3
_LETTER_IN = 0.058
"""Width of a character of 7 points, on average."""
_ENTRY_IN = 0.42
"""What an entry of a legend takes beside its text."""
_MOST_COLUMNS = 4
_MOST_COLUMNS_WIDE = 6
_MOST_LEGEND_LINES = 5
"""A legend that would take more lines has names without their middles."""
_LEAST_OF_A_NAME = 18
"""Characters that are left of such a name at least."""
_PANEL_COLUMNS = 4
_PANEL_TITLE_WIDTH = 18
TALLEST_IN = 8.8
"""Height in inches; a figure that is taller does not fit a page with its caption."""
_CUT = "\u2026"
_PIECE = re.compile(r"[^\s\-_./@+:,]*[\s\-_./@+:,]?")


def width_of(text: str) -> int:
    """Return the width of a text in characters; a wide character of East Asia counts as two."""
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)


def wrapped(name: str, width: int = NAME_WIDTH) -> str:
    """Return a name in lines, broken behind a hyphen, dot or the like where there is one.

    Args:
        name: The name of an agent, of a perturbation, or of anything else.
        width: Most characters of a line. A name that takes more than three lines loses its middle.
    """
    name = legible(name)
    if width_of(name) <= width:
        return name
    lines = [""]
    for piece in _PIECE.findall(name):
        for part in [piece] if width_of(piece) <= width else list(piece):
            if lines[-1] and width_of(lines[-1] + part.rstrip()) > width:
                lines.append("")
            lines[-1] += part
    lines = [line.strip() for line in lines if line.strip()]
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], f"{_CUT}{lines[-1]}"]
    return "\n".join(lines)


def clipped(name: str, width: int = NAME_WIDTH) -> str:
    """Return a name in one line, where there is no room for two: what is too long loses its middle.

    Args:
        name: The name of an agent, of a perturbation, or of anything else.
        width: Most characters of the line.
    """
    return without_middle(legible(name), width)


def without_middle(name: str, width: int) -> str:
    """Return a name in one line of at most so many characters: what is too long loses its middle.

    Args:
        name: Any text.
        width: Most characters of the line.
    """
    if width_of(name) <= width:
        return name
    end = width // 3
    start = name
    while width_of(start) > width - end - 1:
        start = start[:-1]
    return f"{start}{_CUT}{name[-end:]}"


def short_names(names: Sequence[str], width: int) -> list[str] | None:
    """Return names in one line each that still differ: without their middles, or without what all have in common.

    Args:
        names: Different names.
        width: Most characters of a line.

    Returns:
        The names in their order; None where neither keeps them apart.
    """
    start, end = _num_shared(names), _num_shared([name[::-1] for name in names])
    for left, right in ((0, 0), (start, 0), (start, end)):
        pieces = (name[left : len(name) - right] for name in names)
        short = [without_middle(f"{_CUT * bool(left)}{piece}{_CUT * bool(right)}", width) for piece in pieces]
        if len(set(short)) == len(names):
            return short
    return None


def _num_shared(names: Sequence[str]) -> int:
    """Return with how many letters all names begin alike."""
    return sum(1 for _ in itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False)))


def num_lines(names: Iterable[str], width: int = NAME_WIDTH) -> int:
    """Return how many lines the longest of some names takes, broken as `wrapped` does it."""
    return max((wrapped(name, width).count("\n") + 1 for name in names), default=1)


def legend_above(figure: Figure | SubFigure, looks: Mapping[str, Look], *, has_lines: bool = False) -> None:
    """Name the agents above the axes of a figure, in as many columns as its width has room for.

    Args:
        figure: The figure, with the layout `constrained`, which leaves the room.
        looks: The look of each agent. One agent alone needs no legend beside its own name.
        has_lines: Whether the line's dashes are shown beside the marker.
    """
    handles: list[Line2D] = []
    labels = legend_names(list(looks), figure.bbox.width / figure.dpi)
    for label, look in zip(labels, looks.values(), strict=True):
        dashes: Any = look.dashes if has_lines else ""
        handles.append(Line2D([], [], color=look.color, marker=look.marker, linestyle=dashes, label=label))
    entry_legend(figure, handles)


def legend_names(names: Sequence[str], width_in: float) -> list[str]:
    """Return names as a legend has them: in lines, or, where these would take the room of the figure, in one line each.

    Args:
        names: Different names.
        width_in: Width of the figure in inches.

    Returns:
        The names in their order. What is too long for one line is cut as `short_names` does it.
    """
    whole = [wrapped(name) for name in names]
    if _lines_of(whole, width_in) <= _MOST_LEGEND_LINES:
        return whole
    for columns in range(_MOST_COLUMNS_WIDE, 0, -1):
        room = int((width_in / columns - _ENTRY_IN) / _LETTER_IN)
        short = short_names([legible(name) for name in names], room) if room >= _LEAST_OF_A_NAME else None
        if short:
            return short
    return whole


def entry_legend(figure: Figure | SubFigure, handles: Sequence[Any]) -> None:
    """Place a legend of some artists above the axes, in as many columns as the figure's width has room for.

    Args:
        figure: The figure, with the layout `constrained`.
        handles: Artists of matplotlib, each with the text of its entry.
    """
    columns = _legend_columns([str(handle.get_label()) for handle in handles], figure.bbox.width / figure.dpi)
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, borderaxespad=0.2)


def legend_lines(names: Sequence[str], width_in: float) -> int:
    """Return how many lines the legend of some names takes in a figure of that width."""
    return _lines_of(legend_names(names, width_in), width_in)


def _lines_of(labels: Sequence[str], width_in: float) -> int:
    columns = _legend_columns(labels, width_in)
    return -(-len(labels) // columns) * max((label.count("\n") + 1 for label in labels), default=1)


def _legend_columns(labels: Sequence[str], width_in: float) -> int:
    """Return how many columns a legend of some labels has room for; each is as wide as its own longest line."""
    widths = [_ENTRY_IN + _LETTER_IN * max(width_of(line) for line in label.split("\n")) for label in labels]
    most = min(len(labels), _MOST_COLUMNS if width_in < TWO_COLUMNS_IN else _MOST_COLUMNS_WIDE)
    # Entries stand one below the other, column after column, as matplotlib divides them.
    fitting = (n for n in range(most, 1, -1) if sum(map(max, np.array_split(widths, n))) <= width_in)
    return next(fitting, 1)


def narrow_ticks(ax: Axes) -> None:
    """Give a narrow panel few numbers on its horizontal axis, so that they do not touch."""
    ax.locator_params(axis="x", nbins=3)


def agent_panels(
    agents: Sequence[str], panel_in: float, draw: Callable[[str, Axes], None], x_label: str, y_label: str = ""
) -> list[Figure]:
    """Return figures, two journal columns wide, with a panel for each agent; all have the same axes.

    Args:
        agents: The names of the agents, at least one.
        panel_in: Height of a panel in inches.
        draw: Called with an agent and the panel's axes; it draws the panel.
        x_label: The text below all panels.
        y_label: The text left of all panels; empty for none.
    """
    title_in = 0.13 * num_lines(agents, _PANEL_TITLE_WIDTH) + 0.12
    rows_a_page = max(1, int((TALLEST_IN - 0.5) / (panel_in + title_in)))
    columns = max(2, min(_PANEL_COLUMNS, len(agents)))
    pages = -(-len(agents) // (rows_a_page * columns))
    size = -(-len(agents) // pages)
    figures: list[Figure] = []
    for start in range(0, len(agents), size):
        shown = agents[start : start + size]
        rows = -(-len(shown) // columns)
        figure = Figure(figsize=(TWO_COLUMNS_IN, 0.5 + rows * (panel_in + title_in)), layout="constrained")
        axes: Any = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for place, ax in enumerate(axes.flat):
            if place >= len(shown):
                ax.set_axis_off()
                continue
            draw(shown[place], ax)
            ax.set_title(wrapped(shown[place], _PANEL_TITLE_WIDTH), fontsize=7)
            ax.set_xlabel("")
            ax.set_ylabel("")
            narrow_ticks(ax)
            ax.tick_params(labelbottom=place + columns >= len(shown))
        figure.supxlabel(x_label, fontsize=7.5)
        if y_label:
            figure.supylabel(y_label, fontsize=7.5)
        figures.append(figure)
    return figures
