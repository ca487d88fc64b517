"""Badges of the leaderboard: where an agent stands, for its README."""

from __future__ import annotations

from wsabench.leaderboard.board import BoardTable, Line
from wsabench.report.badge import BLUE, GREEN, GREY, Badge
from wsabench.report.tables.text import DASH, interval, number


def badge_of(line: Line, table: BoardTable) -> Badge:
    """Return the badge of an agent in a table: its tier, or why it has none, and its robust score with the interval.

    Args:
        line: The agent.
        table: Where it stands.
    """
    robust = line.marks.robust
    score = "no robust score" if number(robust.value) == DASH else f"robust {number(robust.value)}"
    if robust.has_bounds:
        score += f" {interval(robust.low, robust.high)}"
    tier = f"no tier ({table.why_no_tier(line)})" if line.standing is None else f"tier {line.standing.tier}"
    value = f"{tier}, {score}"
    color = GREY if line.standing is None else GREEN if line.standing.tier == 1 else BLUE
    label = f"wsabench {table.title.replace(', version ', ' v')}" if len(table.suites) == 1 else "wsabench all suites"
    return Badge(label, value, color, f"{line.name}: {label}, {value}")
