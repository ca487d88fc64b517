"""One look for every figure: column widths, fonts, colours that survive grey print and colour blindness."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import PlaceHolderLayoutEngine

from wsabench.errors import unknown_name
from wsabench.resources import atomic_path

FIGURE_FORMATS = ("pdf", "png", "svg")
ONE_COLUMN_IN = 3.3
"""Width of a figure in one journal column, inches."""
TWO_COLUMNS_IN = 6.8
"""Width of a figure over two columns, inches."""
PNG_DPI = 300

GREY = "#5c5c5c"
"""Guides and secondary text."""
LIGHT_GREY = "#d9d9d9"

_COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#000000")
"""Okabe & Ito 2008; the order alternates dark and light, so that neighbours differ in grey too."""
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))

MOST_LOOKS = len(_COLORS)
"""More agents than this cannot be told apart by colour, marker and line style together."""


class Look(NamedTuple):
    """How one agent is drawn."""

    color: str
    marker: str
    dashes: str | tuple[int, tuple[int, ...]]


def looks(agents: Sequence[str]) -> dict[str, Look]:
    """Give each agent a colour, a marker and a line style, by its place.

    Args:
        agents: Names in the order of the legend.
    """
    return {
        name: Look(_COLORS[i % len(_COLORS)], _MARKERS[i % len(_MARKERS)], _DASHES[i % len(_DASHES)])
        for i, name in enumerate(dict.fromkeys(agents))
    }


@contextmanager
def figure_style() -> Iterator[None]:
    """Apply the style while the block draws and saves; nothing global is left changed."""
    settings: dict[Any, Any] = {
        **sns.axes_style("ticks"),
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so the same everywhere
        "font.size": 7.5,
        "axes.labelsize": 7.5,
        "axes.titlesize": 8,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.linewidth": 0.6,
        "axes.edgecolor": GREY,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "legend.fontsize": 7,
        "legend.frameon": False,
        "lines.linewidth": 1.3,
        "lines.markersize": 4.5,
        "hatch.linewidth": 0.5,
        "pdf.fonttype": 42,  # TrueType, embedded and editable; journals refuse type 3
        "ps.fonttype": 42,
        "svg.fonttype": "path",
        "svg.hashsalt": "wsabench",
        "text.parse_math": False,  # a name may hold dollar signs
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
    }
    with mpl.rc_context(settings):
        yield


def new_figure(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    """Return a figure with one Axes, laid out so that nothing is cut off.

    Args:
        width_in: Width in inches.
        height_in: Height in inches.
    """
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    return figure, figure.add_subplot()


def settle(figure: Figure) -> Figure:
    """Lay a figure out once and for all, so that every file format shows the same; return it.

    Args:
        figure: Drawn completely.
    """
    if not isinstance(figure.get_layout_engine(), PlaceHolderLayoutEngine | None):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return figure


def figure_bytes(figure: Figure, image_format: str, dpi: int = PNG_DPI) -> bytes:
    """Return a figure as a file's content, the same bytes for the same figure.

    Args:
        figure: The figure.
        image_format: `png`, `pdf` or `svg`.
        dpi: Dots an inch of what is made of pixels.
    """
    buffer = io.BytesIO()
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}[image_format]
    with figure_style():
        figure.savefig(buffer, format=image_format, dpi=dpi, metadata=undated)
    content = buffer.getvalue()
    return with_titles(content.decode("utf-8")).encode("utf-8") if image_format == "svg" else content


def save_figure(
    figure: Figure, path: str | Path, formats: Sequence[str] = FIGURE_FORMATS, dpi: int = PNG_DPI
) -> tuple[Path, ...]:
    """Write a figure in several formats with one call, all laid out alike.

    Args:
        figure: Drawn completely, inside `figure_style()`.
        path: The files' path without ending; its folder exists.
        formats: Any of `pdf`, `png`, `svg`.
        dpi: Dots an inch of what is made of pixels.

    Returns:
        The files, in the order of `formats`.

    Raises:
        StorageError: A file cannot be written.
        UnknownNameError: There is no such format.
    """
    for name in formats:
        if name not in FIGURE_FORMATS:
            raise unknown_name("figure format", name, FIGURE_FORMATS)
    with figure_style():
        settle(figure)
    written: list[Path] = []
    for ending in formats:
        file = Path(f"{path}.{ending}")
        content = figure_bytes(figure, ending, dpi)
        with atomic_path(file) as temporary:
            temporary.write_bytes(content)
        written.append(file)
    return tuple(written)


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


_MARK = "tip:"
_GROUP = re.compile(rf"""<g id=(["']){_MARK}(.*?)\1>""")


def add_tooltip(artist: Artist, text: str) -> None:
    """Give an artist a tooltip; formats other than SVG do not show it.

    Args:
        artist: A line, marker or text.
        text: What the tooltip says, plain.
    """
    artist.set_gid(f"{_MARK}{text}")


def with_titles(svg: str) -> str:
    """Turn the marks of `add_tooltip` into `<title>` elements.

    Args:
        svg: What matplotlib wrote; the texts stand in it as escaped attributes, which are escaped texts too.
    """
    return _GROUP.sub(r'<g class="tip"><title>\2</title>', svg)
