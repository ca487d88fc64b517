"""Badges: small SVG files for a README or a pull request, and those that say how a run or a check went."""

from __future__ import annotations

import html
import math
from typing import NamedTuple

from wsabench.gate.outcome import CheckResult
from wsabench.report.tables.text import DASH, interval, number, percent
from wsabench.results.manifest import Manifest
from wsabench.summary.rows import MeasureRow
from wsabench.summary.summarise import Summary

HEIGHT = 20
"""Height of a badge in pixels."""
GREEN, RED, BLUE, GREY = "#1a7f37", "#b42318", "#0a5c99", "#5b6470"
_LABEL = "#333a42"
_CHARACTER = 6.6
"""Mean width of a character of 11 pixels, in pixels; the text is fitted to what it makes."""
_WIDE, _LAST_NARROW, _NARROW = 1.6, 0x2FF, DASH + "\u2212"
"""The number of characters that one beyond Latin counts as, but for dashes and minus signs."""
_PADDING = 6
_MOST_AGENTS = 3
_WORDS = {0: ("passed", GREEN), 1: ("less robust", RED), 2: ("cannot tell", GREY)}


class Badge(NamedTuple):
    """What a badge says."""

    subject: str
    """The text of the left half: what was played."""
    value: str
    """The text of the right half: what came out."""
    color: str
    """The colour of the right half, as in `#1a7f37`."""
    title: str
    """What a screen reader says."""


def check_badge(result: CheckResult) -> Badge:
    """Return the badge of a check: whether it passed, by its exit code.

    Args:
        result: What the gate decided.
    """
    value, color = _WORDS[result.exit_code]
    return Badge("robustness", value, color, f"robustness: {value}. {result.conclusion}")


def run_badge(summary: Summary, manifest: Manifest) -> Badge:
    """Return the badge of a run: what each agent keeps of its clean score over all perturbations, with the interval.

    Args:
        summary: The run's numbers.
        manifest: The manifest of the run.
    """
    rows = [row for row in summary.measures if row.perturbation == "all perturbations"]
    value = ", ".join(_kept(row, is_alone=len(rows) == 1) for row in rows[:_MOST_AGENTS]) or "nothing perturbed"
    if len(rows) > _MOST_AGENTS:
        value += f" and {len(rows) - _MOST_AGENTS} more"
    known = any(math.isfinite(row.retention.value) for row in rows)
    label = f"robustness: {manifest.plan.suite.name}"
    return Badge(label, value, BLUE if known else GREY, f"{label}: {value}")


def _kept(row: MeasureRow, is_alone: bool) -> str:
    """Return what an agent keeps, in words."""
    who, kept = "" if is_alone else f"{row.agent} ", row.retention
    if number(kept.value) == DASH:
        return f"{who}keeps an unknown share"
    text = f"{who}keeps {number(kept.value)}"
    text = f"{text} {interval(kept.low, kept.high)}" if kept.has_bounds else text
    # Gains do not pay for collapse.
    shares = f"{percent(row.kept_share)} of cells kept, {percent(row.lost_share)} lost"
    return f"{text} (capped {number(row.capped_retention.value)}, {shares})"


def badge_svg(badge: Badge) -> str:
    """Return a badge as a whole SVG file; the same badge gives the same bytes.

    Args:
        badge: What the badge says; any text is escaped.
    """
    left, right = _width(badge.subject), _width(badge.value)
    width = left + right
    texts = [(badge.subject, left // 2, left), (badge.value, left + right // 2, right)]
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
    count = sum(_WIDE if ord(character) > _LAST_NARROW and character not in _NARROW else 1 for character in text)
    return 2 * round((count * _CHARACTER + 2 * _PADDING) / 2)
