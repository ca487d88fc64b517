"""One look for every figure: column widths, fonts, colours that survive grey print and colour blindness."""

from __future__ import annotations

import functools
import io
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib import colormaps, font_manager
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.layout_engine import PlaceHolderLayoutEngine
from matplotlib.text import Text

from wsabench.errors import unknown_name
from wsabench.report.tables.text import Section
from wsabench.resources import atomic_path
from wsabench.types import FloatArray

FIGURE_FORMATS = ("pdf", "png", "svg")
"""The formats that a figure can be written in."""
ONE_COLUMN_IN = 3.3
"""Width of a figure in one journal column, inches."""
TWO_COLUMNS_IN = 6.8
"""Width of a figure over two columns, inches."""
PNG_DPI = 300
"""Dots per inch of a PNG file."""

GREY = "#5c5c5c"
"""Guides and secondary text."""
LIGHT_GREY = "#d9d9d9"
_INK = "#262626"
"""Text and ticks."""

_COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#000000")
"""Okabe & Ito 2008; the order alternates dark and light, so that neighbours differ in grey too."""
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
_DASHES = ("-", "--", "-.", ":", (0, (8, 2)))
"""Seven colours, eight markers, five dashes: no two have a common factor, so 280 agents all look different."""

MOST_LOOKS = 8
"""More agents than this are not told apart in one panel: they get panels of their own, or stand as a crowd."""

_NUM_SHADES = 21
_SHADES = tuple(to_hex(colormaps["Blues"](place / (_NUM_SHADES - 1))) for place in range(_NUM_SHADES))
"""Light to dark, so the order survives grey print; few enough that a dark page has a counterpart for each."""
WHITE_TEXT_FROM = 0.72
"""From this share on, white text has more contrast with its shade than black text."""
_DARK_ENDS = (((27, 34, 41), (63, 111, 148)), ((95, 163, 208), (185, 226, 251)))
"""Red, green, blue on a dark page: below `WHITE_TEXT_FROM`, where text is light there, and from it on."""


class Look(NamedTuple):
    """How one agent is drawn."""

    color: str
    """Colour, as in `#0072b2`."""
    marker: str
    """Marker, as matplotlib names it."""
    dashes: str | tuple[int, tuple[int, ...]]
    """Line style, as matplotlib takes it."""


def looks(agents: Sequence[str]) -> dict[str, Look]:
    """Give each agent a colour, a marker and a line style, by its place.

    Args:
        agents: Names in the order of the legend.
    """
    return {
        name: Look(_COLORS[i % len(_COLORS)], _MARKERS[i % len(_MARKERS)], _DASHES[i % len(_DASHES)])
        for i, name in enumerate(dict.fromkeys(agents))
    }


def shades() -> ListedColormap:
    """Return the blues of heat maps, from white for 0 to dark for 1."""
    return ListedColormap(_SHADES)


def shade_places(shares: FloatArray) -> FloatArray:
    """Return where in `shades` the nearest shade of each share stands, 0 to 1.

    Args:
        shares: Shares, any shape, float64. Those below 0 or above 1 have the shade of the nearer end.

    Returns:
        The same shape, float64: the middle of the shade, so that no rounding leads to its neighbour.
    """
    return (np.round(shares.clip(0.0, 1.0) * (_NUM_SHADES - 1)) + 0.5) / _NUM_SHADES


def ink_on(share: float) -> str:
    """Return the colour of text on the shade of a share: black or white."""
    # The shade is that of the nearest step, so the text is chosen by that step too.
    return "white" if round(share * (_NUM_SHADES - 1)) / (_NUM_SHADES - 1) >= WHITE_TEXT_FROM else "black"


def dark_shades() -> dict[str, str]:
    """Return, for each shade of a heat map, the colour that takes its place on a dark page: dark 0 and bright 1."""
    dark: dict[str, str] = {}
    for place, light in enumerate(_SHADES):
        share = place / (_NUM_SHADES - 1)
        is_bright = share >= WHITE_TEXT_FROM
        start, end = _DARK_ENDS[is_bright]
        first, last = (WHITE_TEXT_FROM, 1.0) if is_bright else (0.0, WHITE_TEXT_FROM)
        way = (share - first) / (last - first)
        red, green, blue = ((a + way * (b - a)) / 255 for a, b in zip(start, end, strict=True))
        dark[light] = to_hex((red, green, blue))
    return dark


_FALLBACK_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "Arial Unicode MS",
)
"""Have letters that DejaVu Sans lacks; those that are installed stand in for it."""


@functools.cache
def _font_names() -> tuple[str, ...]:
    """Return DejaVu Sans, which comes with matplotlib and is the same everywhere, and what may stand in for it."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return ("DejaVu Sans", *(name for name in _FALLBACK_FONTS if name in installed))


@functools.cache
def _letters() -> frozenset[int]:
    """Return the code points that the fonts of figures have."""
    paths = [font_manager.findfont(name) for name in _font_names()]
    return frozenset(point for path in paths for point in font_manager.get_font(path).get_charmap())


def legible(text: str) -> str:
    """Return a text in which a letter that no font of the figures has is replaced by its code, as in `[4e2d]`.

    Args:
        text: Any text.
    """
    if text.isascii():
        return text
    return "".join(one if one == "\n" or ord(one) in _letters() else f"[{ord(one):x}]" for one in text)


@contextmanager
def figure_style() -> Iterator[None]:
    """Apply the style while the block draws and saves; nothing global is left changed.

    It begins from the library's own defaults, so that nobody's matplotlibrc reaches a figure.
    """
    settings: dict[Any, Any] = {
        # Of a generic family the first font alone is used: what stands in for it must be named beside it.
        "font.family": list(_font_names()),
        "axes.axisbelow": True,
        "lines.solid_capstyle": "round",
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), _INK),
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
        "text.hinting": "none",  # letters as wide at any resolution, so that a layout holds at all of them
        "text.parse_math": False,  # a name may hold dollar signs
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
    }
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(settings)
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
        figure: The figure, drawn completely.
    """
    for text in figure.findobj(Text):
        if isinstance(text, Text) and not text.get_text().isascii():
            text.set_text(legible(text.get_text()))
    engine = figure.get_layout_engine()
    if not isinstance(engine, PlaceHolderLayoutEngine | None):
        engine.execute(figure)  # the layout alone: drawing everything, only to throw it away, takes as long again
        figure.set_layout_engine("none")
    return figure


def figure_bytes(figure: Figure, image_format: str, dpi: int = PNG_DPI) -> bytes:
    """Return a figure as a file's content, the same bytes for the same figure.

    Args:
        figure: The figure.
        image_format: `png`, `pdf` or `svg`.
        dpi: Dots per inch of what is made of pixels.
    """
    buffer = io.BytesIO()
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}[image_format]
    with figure_style(), _outlines_alone() if image_format == "pdf" else nullcontext():
        figure.savefig(buffer, format=image_format, dpi=dpi, metadata=undated)
    content = buffer.getvalue()
    return with_titles(content.decode("utf-8")).encode("utf-8") if image_format == "svg" else content


_LAYOUT_TABLES = ("BASE", "GDEF", "GPOS", "GSUB", "JSTF", "MATH", "kern")
_DROPPED = "_drop_tables_default"
_embedding = threading.Lock()


@contextmanager
def _outlines_alone() -> Iterator[None]:
    """Embed fonts in the block without their tables of how letters are laid out: in a file they are laid out already.

    To cut those tables to the letters of a figure takes a third of the time of its PDF. matplotlib has no setting for
    it, so the font library's own list is longer for a while; a version of it that has none cuts them as before.
    """
    from fontTools import subset

    options = subset.Options
    with _embedding:
        kept = getattr(options, _DROPPED, None)
        if kept is None:
            yield
            return
        setattr(options, _DROPPED, [*kept, *_LAYOUT_TABLES])
        try:
            yield
        finally:
            setattr(options, _DROPPED, kept)


def save_figure(
    figure: Figure, path: str | Path, formats: Sequence[str] = FIGURE_FORMATS, dpi: int = PNG_DPI
) -> tuple[Path, ...]:
    """Write a figure in several formats with one call, all laid out alike.

    Args:
        figure: The figure, drawn completely, inside `figure_style()`.
        path: The files' path without ending; its folder must exist.
        formats: Any of `pdf`, `png`, `svg`.
        dpi: Dots per inch of what is made of pixels.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFigure:
    """A finished figure."""

    name: str
    """File name without ending."""
    title: str
    caption: str
    figure: Figure
    section: Section
    data: tuple[str, ...] = ()
    """The CSV files, without ending, that hold its numbers."""
    agents: tuple[str, ...] = ()
    """The agents that it shows, by the names that stand in it."""
    is_wide: bool = False
    """Whether it is two journal columns wide instead of one."""
    is_picture: bool = False
    """Whether it is made of pixels rather than lines."""
    is_folded: bool = False
    """Whether the page shows it only when it is asked for."""


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
