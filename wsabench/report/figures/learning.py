"""How the agents learned."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from wsabench.report.figures.layout import legend_above
from wsabench.report.figures.style import add_tooltip, looks
from wsabench.stats import are_enough
from wsabench.summary.rows import CurveRow, EfficiencyRow, grouped
from wsabench.words import decimal

_MARKERS_A_CURVE = 6


def draw_learning_curves(table: Sequence[CurveRow], ax: Axes, *, has_legend: bool = True) -> None:
    """Draw the return during training, one line for each train seed, in the look of its agent.

    Args:
        table: Learning curves of one game.
        ax: Where to draw.
        has_legend: Whether the agents are named above the axes.
    """
    by_agent = grouped(table, lambda row: row.id.agent)
    for agent, look in looks(list(by_agent)).items():
        curves = grouped(by_agent[agent], lambda row: row.id.train_seed)
        for place, (train_seed, curve) in enumerate(curves.items()):
            every = max(1, len(curve) // _MARKERS_A_CURVE)
            (line,) = ax.plot(
                [row.steps for row in curve],
                [row.return_mean for row in curve],
                color=look.color,
                linestyle=look.dashes,
                linewidth=1.0,
                marker=look.marker,
                markersize=3.5,
                markevery=(every // 2 + place * every // 3, every),
            )
            add_tooltip(line, f"{agent}, train seed {train_seed}")
    ax.set_xlim(left=0)
    ax.xaxis.set_major_formatter(FuncFormatter(_short_steps))
    ax.set_xlabel("steps of training")
    ax.set_ylabel("mean return of the last games")
    if has_legend:
        legend_above(ax.figure, looks(list(by_agent)), has_lines=True)


def draw_sample_efficiency(table: Sequence[EfficiencyRow], ax: Axes, *, has_legend: bool = True) -> None:
    """Draw an aggregate over train seeds and games during training, one line for each agent.

    Args:
        table: What `efficiency_table` gives. With too few train seeds there are no bands.
        ax: Where to draw.
        has_legend: Whether the agents are named above the axes.
    """
    curves = grouped(table, lambda row: row.agent)
    for agent, look in looks(list(curves)).items():
        curve = curves[agent]
        steps, value = [row.steps for row in curve], [row.value.value for row in curve]
        if all(are_enough(row.num_seeds, row.num_games) for row in curve):
            low, high = [row.value.low for row in curve], [row.value.high for row in curve]
            ax.fill_between(steps, low, high, color=look.color, alpha=0.2, linewidth=0)
        every = max(1, len(steps) // _MARKERS_A_CURVE)
        (line,) = ax.plot(
            steps,
            value,
            color=look.color,
            linestyle=look.dashes,
            marker=look.marker,
            markersize=3.5,
            markevery=(every // 2, every),
        )
        add_tooltip(line, f"{agent}: {decimal(value[-1])} at the end")
    ax.set_xlim(left=0)
    ax.xaxis.set_major_formatter(FuncFormatter(_short_steps))
    ax.set_xlabel("steps of training")
    ax.set_ylabel("IQM of the normalised score")
    if has_legend:
        legend_above(ax.figure, looks(list(curves)), has_lines=True)


def _short_steps(steps: float, _: int) -> str:
    """Return a number of steps in thousands or millions."""
    if steps >= 1e6:
        return f"{steps / 1e6:g}M"
    return f"{steps / 1e3:g}k" if steps else "0"
