"""Tables as text: numbers, intervals and p values as readers see them, and Markdown."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from wsabench.results.records import file_stem
from wsabench.stats import MIN_TRAIN_SEEDS
from wsabench.summary.rows import Bounded

DASH = "\u2013"


FEW = "†"
"""Marks an interval over fewer than five train seeds."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table ready to print."""

    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    num_text_columns: int
    """How many columns from the left hold names; the others hold numbers."""
    bold: frozenset[tuple[int, int]] = frozenset()
    """Row and column of each entry that a decided comparison claims to be the best."""
    is_folded: bool = False
    """Whether the page shows it only when it is asked for."""

    @property
    def name(self) -> str:
        """The title as a file name."""
        return file_stem(self.title.lower().replace(" ", "-").replace(",", ""))


def number(value: float, digits: int = 2) -> str:
    """Return a number with a fixed number of digits; a dash for NaN.

    Args:
        value: The number.
        digits: Digits after the point.
    """
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "\u2212")


def interval(low: float, high: float, num_seeds: int = MIN_TRAIN_SEEDS) -> str:
    """Return bounds as `[low, high]`, marked where there are too few train seeds; a dash where there is none.

    Args:
        low: Lower bound.
        high: Upper bound.
        num_seeds: Train seeds behind it.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return DASH
    return f"[{number(low)}, {number(high)}]{FEW if num_seeds < MIN_TRAIN_SEEDS else ''}"


def estimate(value: Bounded, num_seeds: int) -> str:
    """Return a number with its interval over train seeds; `(no bound)` where the data give none.

    Args:
        value: The number.
        num_seeds: Train seeds behind it; the mark says where they are too few.
    """
    if math.isfinite(value.value) and (math.isinf(value.low) or math.isinf(value.high)):
        return f"{number(value.value)} (no bound)"
    return (
        f"{number(value.value)} {interval(value.low, value.high, num_seeds)}"
        if value.has_bounds
        else number(value.value)
    )


def p_value(value: float) -> str:
    """Return a p value with three digits; a dash for NaN."""
    return "<0.001" if value < 0.001 else number(value, 3)


def markdown(table: Table) -> str:
    """Return a table in GitHub's Markdown, with its title and caption."""
    align = ["---"] * table.num_text_columns + ["---:"] * (len(table.columns) - table.num_text_columns)
    rows = [
        [
            f"**{cell}**" if (row, column) in table.bold else cell
            for column, cell in enumerate(map(without_markup, cells))
        ]
        for row, cells in enumerate(table.rows)
    ]
    lines = [[without_markup(column) for column in table.columns], align, *rows]
    body = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    return f"### {without_markup(table.title)}\n\n{body}\n\n{without_markup(table.caption)}\n"


def without_markup(text: str) -> str:
    """Return words for Markdown in which nothing is an HTML tag, an entity, a link or bold, whatever it names."""
    for pattern, instead in _MARKUP:
        text = pattern.sub(instead, text)
    return text


_MARKUP = (
    (re.compile(r"[\r\n]+"), " "),
    (re.compile(r"&(?=#?\w+;)"), "&amp;"),
    (re.compile(r"<(?=[A-Za-z/!?])"), "&lt;"),
    (re.compile(r"\](?=[(\[])"), r"\]"),
    (re.compile(r"\*\*"), r"\*\*"),
)
