"""Tooltips of data points: a text goes with an artist into the SVG, where browsers show it."""

from __future__ import annotations

import re

from matplotlib.artist import Artist

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
