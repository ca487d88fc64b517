"""Marks and what they mean: agents that read more than pixels, and intervals over too few train seeds.

A mark is set where a row or an entry says so, and explained where one was set; no text is searched for marks.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from msgspec import structs

from wsabench.report.figures.style import NamedFigure
from wsabench.report.tables.text import FEW, FEW_SEEDS, Entry, Table
from wsabench.results.manifest import AgentId
from wsabench.results.result import LEGEND, MARK, marked_name
from wsabench.summary.rows import Row, is_table
from wsabench.summary.summarise import Summary

FEW_LEGEND = f"{FEW}: {FEW_SEEDS}: too few to conclude anything."
_NAMES = ("agent", "agent_x", "agent_y", "id")
AnyRow = TypeVar("AnyRow", bound=Row)


def marked(table: Table, agents: Collection[str]) -> Table:
    """Return a table with its marks, each explained in the caption.

    Args:
        table: The table. Entries that rest on few train seeds get their mark where other entries rest on enough; where
            all rest on few, the page says so once.
        agents: The privileged agents; each gets its mark in title, head and the columns that hold names.
    """
    named = {*table.columns, *table.about, *(cell for row in table.rows for cell in row[: table.num_text_columns])}
    shown = sorted(named & set(agents), key=len, reverse=True)
    is_few = {entry.is_few for entry in table.entries}
    if not shown and is_few != {True, False}:
        return table
    legends = [LEGEND] if shown else []
    legends += [FEW_LEGEND] if is_few == {True, False} else []
    title = table.title
    if about := [name for name in shown if name in table.about]:
        names = "|".join(re.escape(name) for name in about)
        title = re.sub(rf"(?<![\w.+-])({names})(?![\w.+-])", rf"\1 {MARK}", title)
    rows = tuple(
        tuple(
            _marked_cell(marked_name(cell, shown) if place < table.num_text_columns else cell, is_few == {True, False})
            for place, cell in enumerate(row)
        )
        for row in table.rows
    )
    columns = tuple(marked_name(name, shown) for name in table.columns)
    caption = " ".join(part for part in (table.full_caption, *legends) if part)
    return replace(table, title=title, columns=columns, rows=rows, caption=caption, brackets="")


def _marked_cell(cell: str, is_mixed: bool) -> str:
    if not (is_mixed and isinstance(cell, Entry) and cell.is_few):
        return cell
    text = f"{cell}{FEW}" if cell.has_interval else f"{cell} {FEW}"
    return Entry(text, has_interval=cell.has_interval, is_few=True)


def with_marks(rows: Sequence[AnyRow], agents: Collection[str]) -> tuple[AnyRow, ...]:
    """Return rows in which the names of privileged agents carry the mark.

    Args:
        rows: Any table.
        agents: The privileged agents.
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


def explained(named: NamedFigure, privileged: Collection[str]) -> NamedFigure:
    """Return a figure with the legend of the mark in its caption, where it shows a privileged agent.

    Args:
        named: The figure.
        privileged: The privileged agents, by the names that they have in the figure.
    """
    return replace(named, caption=f"{named.caption} {LEGEND}") if set(named.agents) & set(privileged) else named
