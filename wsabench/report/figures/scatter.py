"""Clean scores against scores under perturbations."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from wsabench.report.figures.layout import legend_above
from wsabench.report.figures.style import GREY, add_tooltip, looks
from wsabench.results.records import CLEAN
from wsabench.summary.rows import SeedRow, grouped

_MANY = 300
"""More marks than this are drawn small and pale."""


def draw_clean_scatter(
    table: Sequence[SeedRow], ax: Axes, *, has_legend: bool = True, limits: tuple[float, float] | None = None
) -> None:
    """Draw every train seed and cell: its clean score across, its score under a perturbation up.

    Args:
        table: Rows of `Summary.seeds`, clean among them.
        ax: Where to draw. On the line a perturbation changes nothing.
        has_legend: Whether the agents are named above the axes.
        limits: The limits of both axes. None: what the marks take.
    """
    by_agent = grouped(table, lambda row: row.id.agent)
    clean = {row.id: row.normalised_score for row in table if row.label == CLEAN}
    for agent, look in looks(list(by_agent)).items():
        for row in by_agent[agent]:
            start, end = clean.get(row.id, math.nan), row.normalised_score
            if row.label == CLEAN or math.isnan(start) or math.isnan(end):
                continue
            (dot,) = ax.plot(
                start,
                end,
                color=look.color,
                marker=look.marker,
                markerfacecolor="none",
                markeredgewidth=0.9,
                markersize=4.5 if len(table) <= _MANY else 3.0,
                alpha=1.0 if len(table) <= _MANY else 0.6,
                linestyle="",
            )
            about = f"{agent}, train seed {row.id.train_seed}, {row.id.game}, {row.label}"
            add_tooltip(dot, f"{about}: clean {start:.2f}, perturbed {end:.2f}")
    low, high = limits or (min(0.0, *ax.get_xlim(), *ax.get_ylim()), max(*ax.get_xlim(), *ax.get_ylim()))
    ax.plot([low, high], [low, high], color=GREY, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
    ax.set_xlim(low, high)
    ax.set_ylim(low, high)
    ax.set_aspect("equal")
    ax.locator_params(nbins=6)
    ax.set_xlabel("clean normalised score")
    ax.set_ylabel("normalised score under a perturbation")
    if has_legend:
        legend_above(ax.figure, looks(list(by_agent)))
