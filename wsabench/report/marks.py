"""Marks in tables and what they mean: agents that read more than pixels, and intervals over too few train seeds."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from wsabench.report.tables import FEW, Table
from wsabench.stats import MIN_TRAIN_SEEDS

PRIVILEGED = "\u00a7"
"""Behind the name of an agent that reads the emulator's memory."""
LEGENDS = {
    PRIVILEGED: f"{PRIVILEGED}: reads the emulator's memory, not only pixels.",
    FEW: f"{FEW}: fewer than {MIN_TRAIN_SEEDS} train seeds, too few to conclude anything.",
}


def privileged_agents(manifest: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the agents that read more than pixels."""
    return frozenset(str(entry["name"]) for entry in manifest.get("agents", []) if entry.get("privileged"))


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
            tuple(_marked(cell, agents) if place < table.num_text_columns else cell for place, cell in enumerate(row))
            for row in table.rows
        )
        title = in_title.sub(rf"\1 {PRIVILEGED}", table.title)
        table = replace(table, title=title, columns=tuple(_marked(c, agents) for c in table.columns), rows=rows)
    texts = (table.title, *table.columns, *(cell for row in table.rows for cell in row))
    shown = [legend for mark, legend in LEGENDS.items() if any(text.endswith(mark) for text in texts)]
    if f" {PRIVILEGED}" in table.title and LEGENDS[PRIVILEGED] not in shown:
        shown.insert(0, LEGENDS[PRIVILEGED])
    return replace(table, caption=" ".join(part for part in (table.caption, *shown) if part)) if shown else table


def _marked(cell: str, agents: Collection[str]) -> str:
    return f"{cell} {PRIVILEGED}" if cell in agents else cell
