"""Tables as text: numbers, intervals and p values as readers see them, and Markdown."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from wsabench.results.records import file_stem
from wsabench.stats import MIN_TRAIN_SEEDS
from wsabench.summary.tables import rows_of

_ENDS = ("_low", "_high")


def frame_table(title: str, frame: pd.DataFrame, caption: str = "") -> Table:
    """Return any table of numbers as text; bounds stand beside their value, sentences and notes are left out.

    Args:
        title: Its title.
        frame: Columns of texts and numbers; `X_low` and `X_high` are the bounds of `X`.
        caption: Stands below.
    """
    names = [str(column) for column in frame.columns]
    values = [name for name in names if not name.endswith(_ENDS) and name not in ("low", "high", "sentence", "note")]
    texts = [name for name in values if not pd.api.types.is_numeric_dtype(frame[name])]
    numbers = [name for name in values if name not in texts]
    rows = tuple(
        (*(str(row[name]) for name in texts), *(_with_bounds(row, name, names) for name in numbers))
        for row in rows_of(frame)
    )
    columns = tuple(name.replace("_", " ") for name in (*texts, *numbers))
    return Table(title, caption, columns, rows, len(texts))


def p_value(value: Any) -> str:
    """Return a p value with three digits."""
    if pd.isna(value):
        return DASH
    return "<0.001" if float(value) < 0.001 else number(float(value), 3)


def _with_bounds(row: dict[str, Any], name: str, names: list[str]) -> str:
    value = row[name]
    if pd.isna(value):
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) or name.startswith("num_"):
        return str(int(value))
    if name == "p" or name.endswith("_p"):
        return p_value(value)
    low, high = (f"{name}_low", f"{name}_high") if f"{name}_low" in names else ("low", "high")
    if low in names and high in names and (low != "low" or name in ("effect", "value")):
        seeds = row.get("num_seeds", MIN_TRAIN_SEEDS)
        return estimate({"value": value, "low": row[low], "high": row[high], "num_seeds": seeds}, "value")
    return number(float(value))


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
    """Row and column of each cell that a decided comparison claims to be the best."""

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


def estimate(row: dict[str, Any], name: str) -> str:
    """Return the value called `name` with its interval over train seeds.

    Args:
        row: Holds the value, `_low`, `_high` (or `low`, `high` for `value`) and num_seeds.
        name: The value's column.
    """
    low, high = ("low", "high") if name == "value" else (f"{name}_low", f"{name}_high")
    bounds = interval(row[low], row[high], row["num_seeds"])
    return number(row[name]) if bounds == DASH else f"{number(row[name])} {bounds}"


def markdown(table: Table) -> str:
    """Return a table in GitHub's Markdown, with its title and caption."""
    align = ["---"] * table.num_text_columns + ["---:"] * (len(table.columns) - table.num_text_columns)
    rows = [
        [f"**{cell}**" if (row, column) in table.bold else cell for column, cell in enumerate(cells)]
        for row, cells in enumerate(table.rows)
    ]
    lines = [table.columns, align, *rows]
    body = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    return f"### {table.title}\n\n{body}\n\n{table.caption}\n"
