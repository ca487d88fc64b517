"""Badges: small SVG files that say where an agent stands, for a README."""

from __future__ import annotations

import html
from typing import NamedTuple

from wsabench.leaderboard.board import BoardTable, Line
from wsabench.report.tables.text import DASH, interval, number

HEIGHT = 20
_CHARACTER = 6.6
"""Mean width of a character of 11 pixels, in pixels; the text is fitted to what it makes."""
_PADDING = 6
_WIDE = 1.6
"""Characters beyond Latin count this many."""
_GREY = "#5b6470"
_FIRST = "#1a7f37"
_OTHER = "#0a5c99"
_LABEL = "#333a42"


class Badge(NamedTuple):
    """What a badge says."""

    label: str
    """Left half: what was played."""
    value: str
    """Right half: what came out."""
    color: str
    title: str
    """What a screen reader says."""


def badge_of(line: Line, table: BoardTable) -> Badge:
    """Return the badge of an agent in a table: its tier and its robust score with the interval.

    Args:
        line: The agent.
        table: Where it stands.
    """
    robust = line.marks.robust
    score = "no robust score" if number(robust.value) == DASH else f"robust {number(robust.value)}"
    if robust.has_bounds:
        score += f" {interval(robust.low, robust.high)}"
    tier = "" if line.standing is None else f"tier {line.standing.tier}"
    value = ", ".join(part for part in (tier, score) if part)
    color = _GREY if line.standing is None else _FIRST if line.standing.tier == 1 else _OTHER
    label = f"wsabench {table.title.replace(', version ', ' v')}" if len(table.suites) == 1 else "wsabench all suites"
    return Badge(label, value, color, f"{line.name}: {label}, {value}")


def badge_svg(badge: Badge) -> str:
    """Return a badge as a whole SVG file; the same badge gives the same bytes.

    Args:
        badge: What it says; any text is escaped.
    """
    left, right = _width(badge.label), _width(badge.value)
    width = left + right
    texts = [(badge.label, left // 2, left), (badge.value, left + right // 2, right)]
    drawn = [
        f'<text x="{x}" y="14" textLength="{size - 2 * _PADDING}" lengthAdjust="spacingAndGlyphs">'
        f"{html.escape(text)}</text>"
        for text, x, size in texts
    ]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" '
        f'viewBox="0 0 {width} {HEIGHT}" role="img">',
        f"<title>{html.escape(badge.title)}</title>",
        f'<rect width="{width}" height="{HEIGHT}" rx="3" fill="{_LABEL}"/>',
        f'<path d="M{left} 0h{right - 3}a3 3 0 0 1 3 3v{HEIGHT - 6}a3 3 0 0 1-3 3H{left}z" fill="{badge.color}"/>',
        '<g fill="#ffffff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">',
        *drawn,
        "</g>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _width(text: str) -> int:
    """Return how wide a half is, in whole pixels; even, so that its middle is a pixel."""
    count = sum(_WIDE if ord(character) > 0x2FF and character not in DASH + "\u2212" else 1 for character in text)
    return 2 * round((count * _CHARACTER + 2 * _PADDING) / 2)
