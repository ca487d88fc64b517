"""Marks in tables and what they mean: agents that read more than pixels, and intervals over too few train seeds."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from matplotlib.text import Text
from msgspec import structs

from wsabench.report.figures.style import NamedFigure
from wsabench.report.tables.text import FEW, Table
from wsabench.results.manifest import AgentId
from wsabench.results.result import LEGEND, MARK, marked_name
from wsabench.stats import MIN_TRAIN_SEEDS
from wsabench.summary.rows import Row, is_table
from wsabench.summary.summarise import Summary

LEGENDS = {MARK: LEGEND, FEW: f"{FEW}: fewer than {MIN_TRAIN_SEEDS} train seeds, too few to conclude anything."}
_NAMES = ("agent", "agent_x", "agent_y", "id")
AnyRow = TypeVar("AnyRow", bound=Row)


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


def with_marks(rows: Sequence[AnyRow], agents: Collection[str]) -> tuple[AnyRow, ...]:
    """Return rows in which the names of privileged agents carry the mark.

    Args:
        rows: Any table.
        agents: Privileged ones.
    """
    names = [name for name in _NAMES if agents and rows and name in rows[0].__struct_fields__]
    return tuple(structs.replace(row, **{name: _marked(getattr(row, name), agents) for name in names}) for row in rows)


def _marked(who: str | AgentId | None, agents: Collection[str]) -> str | AgentId | None:
    if isinstance(who, AgentId):
        return structs.replace(who, agent=marked_name(who.agent, agents))
    return None if who is None else marked_name(who, agents)


def marked_summary(summary: Summary) -> Summary:
    """Return a summary as figures show it: privileged agents carry their mark wherever they are named."""
    if not summary.privileged:
        return summary
    values = {field.name: getattr(summary, field.name) for field in fields(summary)}
    changed: dict[str, Any] = {
        name: with_marks(value, summary.privileged) for name, value in values.items() if is_table(value)
    }
    tables = {name: with_marks(rows, summary.privileged) for name, rows in summary.insight.tables().items()}
    changed["insight"] = replace(summary.insight, **tables)
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
