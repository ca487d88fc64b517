"""Figures as part of a page: SVG elements that take their colours from it, so that they are readable on dark paper."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping

# Light to dark: the same hue, light enough for a dark page.
_DARK: Mapping[str, str] = {
    "#000000": "#ffffff",
    "#262626": "#e7eaee",
    "#5c5c5c": "#a3acb7",
    "#d9d9d9": "#3a414a",
    "#ffffff": "#15181c",
    "#0072b2": "#4da3e0",
    "#e69f00": "#f0b429",
    "#009e73": "#2cc295",
    "#cc79a7": "#e29cc4",
    "#56b4e9": "#a5d8f6",
    "#d55e00": "#ff8a4c",
}
_COLOR = re.compile(r"(?<=: )#[0-9a-f]{6}\b")
_REFERENCE = re.compile(r'( id="|href="#|url\(#)')
_HEAD = re.compile(r"^.*?<svg\b[^>]*?viewBox=\"([^\"]*)\"[^>]*>", re.DOTALL)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_GLOBAL_STYLE = re.compile(r"\s*<defs>\s*<style type=\"text/css\">.*?</style>\s*</defs>", re.DOTALL)


def inline_svg(svg: str, name: str, label: str, *, is_themed: bool) -> str:
    """Return a figure as an `<svg>` element for a page.

    Args:
        svg: A whole SVG file as matplotlib writes it.
        name: Unique on the page; the identifiers inside begin with it.
        label: What a screen reader says.
        is_themed: Whether its colours become CSS variables that a dark page changes; figures whose colours carry
            numbers keep them.
    """
    found = _HEAD.match(svg)
    if found is None:
        raise ValueError(f"The figure {name} is not an SVG file.")
    body = _GLOBAL_STYLE.sub("", _METADATA.sub("", svg[found.end() :]))
    prefix = re.sub(r"[^A-Za-z0-9]", "-", name)
    body = _REFERENCE.sub(rf"\g<1>{prefix}-", body)
    if is_themed:
        body = _COLOR.sub(_variable, body)
    head = f'<svg viewBox="{found[1]}" role="img" aria-label="{html.escape(label)}"'
    return f'{head} xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{body}'


def dark_colors() -> str:
    """Return the CSS declarations that make themed figures readable on a dark page."""
    return " ".join(f"--f-{light[1:]}: {dark};" for light, dark in _DARK.items())


def _variable(color: re.Match[str]) -> str:
    return f"var(--f-{color[0][1:]}, {color[0]})" if color[0] in _DARK else color[0]
