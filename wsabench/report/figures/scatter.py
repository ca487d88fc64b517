"""Clean scores against scores under perturbations."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from wsabench.report.figures.layout import legend_above
from wsabench.report.figures.style import GREY, add_tooltip, looks
from wsabench.results.records import CLEAN
from wsabench.summary.rows import SeedRow, grouped
from wsabench.words import decimal

_MANY = 150
"""More marks than this are drawn small and pale, and only their agent is named in a tooltip."""


def draw_clean_scatter(
    table: Sequence[SeedRow], ax: Axes, *, has_legend: bool = True, limits: tuple[float, float] | None = None
) -> None:
    """Draw a mark for every train seed and cell: the clean score on the horizontal axis, the perturbed on the vertical.

    Args:
        table: Rows of `Summary.seeds`, clean among them.
        ax: Where to draw. Marks on the dashed line are of perturbations that change nothing.
        has_legend: Whether the agents are named above the axes.
        limits: The limits of both axes. None: those that show all marks.
    """
    by_agent = grouped(table, lambda row: row.id.agent)
    clean = {row.id: row.normalised_score for row in table if row.label == CLEAN}
    is_many = len(table) > _MANY
    for agent, look in looks(list(by_agent)).items():
        perturbed = (row for row in by_agent[agent] if row.label != CLEAN)
        ends = [(clean.get(row.id, math.nan), row.normalised_score, row) for row in perturbed]
        known = [one for one in ends if math.isfinite(one[0]) and math.isfinite(one[1])]
        # A mark each has a tooltip each; thousands of them would say nothing, and take minutes to draw.
        for group in [known] if is_many and known else [[one] for one in known]:
            (dots,) = ax.plot(
                [start for start, _, _ in group],
                [end for _, end, _ in group],
                color=look.color,
                marker=look.marker,
                markerfacecolor="none",
                markeredgewidth=0.9,
                markersize=3.0 if is_many else 4.5,
                alpha=0.6 if is_many else 1.0,
                linestyle="",
            )
            start, end, row = group[0]
            about = f"{agent}, train seed {row.id.train_seed}, {row.id.game}, {row.label}"
            add_tooltip(dots, agent if is_many else f"{about}: clean {decimal(start)}, perturbed {decimal(end)}")
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
