"""Tables as text: numbers, intervals and p values as readers see them, and Markdown."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from wsabench.results.records import file_stem
from wsabench.stats import MIN_INTERVAL_SEEDS, MIN_TRAIN_SEEDS, are_enough
from wsabench.summary.rows import Bounded, Metric
from wsabench.words import decimal

DASH = "\u2013"

Section = Literal["answer", "families", "games", "inside", "methods"]
"""Where something stands in a report: under the answer, by perturbation, by game, seeing inside, or methods."""

FEW = "†"
"""Marks an interval over too few train seeds (`are_enough`), in tables where others rest on more."""

FEW_SEEDS = f"fewer than {MIN_TRAIN_SEEDS} train seeds in one game, or than {MIN_INTERVAL_SEEDS} in each of several"
"""What too few train seeds are, as every text that explains a mark says it."""

METRIC_NAMES: dict[Metric, str] = {
    "mean": "mean",
    "median": "median",
    "iqm": "IQM",
    "optimality_gap": "optimality gap",
    "capped_mean": "capped mean",
    "kept_share": "cells kept",
    "lost_share": "cells lost",
}

BESIDE_MEANS = (
    "In parentheses beside a mean of retention over cells: the mean where each cell counts 1 at most, so that gains do "
    "not pay for collapse, and the shares of cells kept (at least 0.8) and lost (at most 0.1)."
)
"""What stands below a table with numbers of `beside_mean`."""


class Entry(str):
    """A number as text that also holds what is known of it, so that nothing has to be read out of the text again."""

    __slots__ = ("has_interval", "is_few")

    has_interval: bool
    """Whether the text has the bounds of an interval."""
    is_few: bool
    """Whether the number rests on too few train seeds."""

    def __new__(cls, text: str, *, has_interval: bool = False, is_few: bool = False) -> Entry:
        """Return the text with what is known of it: both fields."""
        entry = super().__new__(cls, text)
        entry.has_interval, entry.is_few = has_interval, is_few
        return entry


@dataclass(frozen=True, slots=True)
class Table:
    """A table ready to print."""

    title: str
    caption: str
    columns: tuple[str, ...]
    """The heads of the columns."""
    rows: tuple[tuple[str, ...], ...]
    """The entries, row by row, each row as long as `columns`."""
    num_text_columns: int
    """How many columns from the left hold names; the others hold numbers."""
    bold: frozenset[tuple[int, int]] = frozenset()
    """Row and column of each entry that a decided comparison claims to be the best."""
    is_folded: bool = False
    """Whether the page shows it only when it is asked for."""
    section: Section = "methods"
    """The section of the page that it stands in."""
    about: tuple[str, ...] = ()
    """The agents that the title names."""
    brackets: str = ""
    """A sentence on what the brackets are; the caption has it only where some entry has an interval."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries that are of the type `Entry`."""
        return tuple(cell for row in self.rows for cell in row if isinstance(cell, Entry))

    @property
    def full_caption(self) -> str:
        """The caption, with what the brackets are where there are any."""
        is_said = self.brackets and any(entry.has_interval for entry in self.entries)
        return f"{self.caption} {self.brackets}".strip() if is_said else self.caption

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
    return decimal(value, digits)


def interval(low: float, high: float, num_seeds: int | None = None, num_games: int = 1) -> str:
    """Return bounds as `[low, high]`; a dash where there is none.

    Args:
        low: Lower bound.
        high: Upper bound.
        num_seeds: Number of train seeds that the bounds are over; None where they are not over train seeds.
        num_games: Number of games that the bounds are over.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return DASH
    text = f"[{number(low)}, {number(high)}]"
    return text if num_seeds is None else Entry(text, has_interval=True, is_few=not are_enough(num_seeds, num_games))


def estimate(value: Bounded, num_seeds: int, num_games: int = 1) -> str:
    """Return a number with its interval over train seeds; `(no bound)` where the data give none.

    Args:
        value: The number.
        num_seeds: Number of train seeds that the interval is over, the fewest of any game.
        num_games: Number of games that are averaged.
    """
    if math.isfinite(value.value) and (math.isinf(value.low) or math.isinf(value.high)):
        return f"{number(value.value)} (no bound)"
    if not value.has_bounds:
        return number(value.value)
    bounds = interval(value.low, value.high)
    return Entry(f"{number(value.value)} {bounds}", has_interval=True, is_few=not are_enough(num_seeds, num_games))


def with_interval(value: Bounded) -> str:
    """Return a number with its interval, where it has one; the interval may be over train seeds or over episodes."""
    text = number(value.value)
    return Entry(f"{text} {interval(value.low, value.high)}", has_interval=True) if value.has_bounds else text


def percent(share: float) -> str:
    """Return a share as whole percent; a dash for NaN."""
    return DASH if math.isnan(share) else f"{number(100 * share, 0)}%"


def beside_mean(text: str, capped: float, kept_share: float, lost_share: float) -> str:
    """Return an average of retention with what it hides in parentheses, as `BESIDE_MEANS` explains it.

    Args:
        text: The average, maybe with its interval.
        capped: The mean where each cell counts 1 at most.
        kept_share: Share of cells that keep at least 0.8 of the clean score.
        lost_share: Share of cells that keep at most 0.1 of the clean score.

    Returns:
        The text alone where the shares are undefined.
    """
    if math.isnan(kept_share):
        return text
    said = f"{text} ({number(capped)}, {percent(kept_share)}, {percent(lost_share)})"
    return Entry(said, has_interval=text.has_interval, is_few=text.is_few) if isinstance(text, Entry) else said


def p_value(value: float) -> str:
    """Return a p value with three digits, `<0.001` for smaller ones, a dash for NaN."""
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
    return f"### {without_markup(table.title)}\n\n{body}\n\n{without_markup(table.full_caption)}\n"


def without_markup(text: str) -> str:
    """Return a text for Markdown in which nothing is read as an HTML tag, an entity, a link or bold."""
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
