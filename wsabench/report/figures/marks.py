"""Marks in tables and what they mean: agents that read more than pixels, and intervals over too few train seeds."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import fields, replace
from typing import Any

import pandas as pd
from matplotlib.text import Text

from wsabench.report.figures.style import NamedFigure
from wsabench.report.tables.text import FEW, Table
from wsabench.results.result import LEGEND, MARK, marked_name
from wsabench.stats import MIN_TRAIN_SEEDS
from wsabench.summary.summarise import Summary

LEGENDS = {MARK: LEGEND, FEW: f"{FEW}: fewer than {MIN_TRAIN_SEEDS} train seeds, too few to conclude anything."}
_NAME_COLUMNS = ("agent", "agent_x", "agent_y")


def marked(table: Table, agents: Collection[str]) -> Table:
    """Return a table with its marks explained in the caption.

    Args:
        table: The table; intervals over too few train seeds have their mark already.
        agents: Privileged ones; each gets its mark in title, head and the columns that hold names.
    """
    if agents:
        names = "|".join(re.escape(name) for name in sorted(agents, key=len, reverse=True))
        in_title = re.compile(rf"(?<![\w.+-])({names})(?![\w.+-])")
        rows = tuple(
            tuple(
                marked_name(cell, agents) if place < table.num_text_columns else cell for place, cell in enumerate(row)
            )
            for row in table.rows
        )
        title = in_title.sub(rf"\1 {MARK}", table.title)
        table = replace(table, title=title, columns=tuple(marked_name(c, agents) for c in table.columns), rows=rows)
    texts = (table.title, *table.columns, *(cell for row in table.rows for cell in row))
    shown = [legend for mark, legend in LEGENDS.items() if any(text.endswith(mark) for text in texts)]
    if f" {MARK}" in table.title and LEGEND not in shown:
        shown.insert(0, LEGEND)
    return replace(table, caption=" ".join(part for part in (table.caption, *shown) if part)) if shown else table


def with_marks(table: pd.DataFrame, agents: Collection[str]) -> pd.DataFrame:
    """Return a table of numbers whose columns of agents carry the mark of privileged ones.

    Args:
        table: Any table.
        agents: Privileged ones.
    """
    columns = [name for name in _NAME_COLUMNS if name in table] if agents else []
    return table.assign(**{name: [marked_name(agent, agents) for agent in table[name]] for name in columns})


def marked_summary(summary: Summary) -> Summary:
    """Return a summary as figures show it: privileged agents carry their mark wherever they are named."""
    if not summary.privileged:
        return summary
    values = {field.name: getattr(summary, field.name) for field in fields(summary)}
    changed: dict[str, Any] = {
        name: with_marks(value, summary.privileged) for name, value in values.items() if isinstance(value, pd.DataFrame)
    }
    for name in ("agents", "compared", "privileged"):
        changed[name] = tuple(marked_name(agent, summary.privileged) for agent in values[name])
    return replace(summary, **changed)


def unmarked(agent: str) -> str:
    """Return an agent's name without its mark, for names of files."""
    return agent.removesuffix(f" {MARK}")


def explained(named: NamedFigure) -> NamedFigure:
    """Return a figure with the legend of the mark in its caption, where its title or anything drawn has one."""
    texts = [named.title, *(text.get_text() for text in named.figure.findobj(Text))]
    return replace(named, caption=f"{named.caption} {LEGEND}") if any(f" {MARK}" in text for text in texts) else named
