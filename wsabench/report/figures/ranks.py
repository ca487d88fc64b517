"""Who comes first under each perturbation, and whether that changes against clean."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from wsabench.report.figures.intervals import finish_lines
from wsabench.report.figures.style import add_tooltip, looks
from wsabench.summary.rows import RankRow


def draw_ranks(table: Sequence[RankRow], ax: Axes, all_agents: Sequence[str] = ()) -> None:
    """Draw the rank of every agent under every perturbation; a line that stays vertical keeps its rank.

    Args:
        table: Rows of `Summary.ranks`, clean first.
        ax: Where to draw.
        all_agents: Those of figures beside this one, where there are more, so that each looks the same in all of them.
    """
    names = list(dict.fromkeys(row.perturbation for row in table))
    drawn = list(dict.fromkeys(row.agent for row in table))
    of_all = looks([*all_agents, *drawn])
    agents = {agent: of_all[agent] for agent in drawn}
    for agent, look in agents.items():
        rows = [row for row in table if row.agent == agent and not math.isnan(row.rank.value)]
        heights = [names.index(row.perturbation) for row in rows]
        ranks = [row.rank.value for row in rows]
        ax.plot(ranks, heights, color=look.color, linestyle=look.dashes, linewidth=1.0, zorder=2)
        for row, rank, height in zip(rows, ranks, heights, strict=True):
            (dot,) = ax.plot(rank, height, color=look.color, marker=look.marker, linestyle="", zorder=3)
            add_tooltip(dot, f"{agent}, {row.perturbation}: rank {rank:g}")
        ax.plot([], [], color=look.color, marker=look.marker, linestyle=look.dashes, label=agent)
    finish_lines(ax, names, ())
    ax.set_xticks(range(1, len(agents) + 1))
    ax.set_xlim(0.6, len(agents) + 0.4)
    ax.set_xlabel("rank (1 is best)")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(4, len(agents)), borderaxespad=0.3)
