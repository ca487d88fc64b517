"""Marking agents that read more than pixels, wherever a table names them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from wsabench.report.tables import Table

MARK = "\u2020"
"""Behind the name of an agent that reads the emulator's memory."""


def privileged_agents(manifest: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the agents that read more than pixels."""
    return frozenset(str(entry["name"]) for entry in manifest.get("agents", []) if entry.get("privileged"))


def marked(table: Table, agents: Collection[str]) -> Table:
    """Return a table with a mark behind the names of some agents, in title, head and the columns that hold names."""
    if not agents:
        return table
    names = "|".join(re.escape(name) for name in sorted(agents, key=len, reverse=True))
    in_title = re.compile(rf"(?<![\w.+-])({names})(?![\w.+-])")
    rows = tuple(
        tuple(_marked(cell, agents) if place < table.num_text_columns else cell for place, cell in enumerate(row))
        for row in table.rows
    )
    return replace(
        table,
        title=in_title.sub(rf"\1 {MARK}", table.title),
        columns=tuple(_marked(column, agents) for column in table.columns),
        rows=rows,
    )


def _marked(cell: str, agents: Collection[str]) -> str:
    return f"{cell} {MARK}" if cell in agents else cell
