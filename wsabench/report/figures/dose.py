"""Curves over the measured change of the observation, a figure for each game."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wsabench.report.figures.curves import draw_dose_curve
from wsabench.report.figures.selection import MOST_CURVES
from wsabench.report.figures.style import GREY, MOST_LOOKS, ONE_COLUMN_IN, TWO_COLUMNS_IN, NamedFigure, looks
from wsabench.results.records import CLEAN, file_stem
from wsabench.summary.rows import DoseRow, grouped
from wsabench.summary.summarise import Summary


def dose_figures(summary: Summary) -> list[NamedFigure]:
    """Draw the curves over dose, a panel for each perturbation; call it inside `figure_style()`.

    Args:
        summary: The numbers. Changes differ between games, so each game has its own figure, divided by family where
            the curves are many.

    Returns:
        The figures, none where no perturbation has two different measured changes.
    """
    drawn: list[NamedFigure] = []
    for game, of_game in grouped(summary.doses, lambda row: row.game).items():
        curves = list(grouped(of_game, lambda row: row.perturbation).values())
        parts = {"": curves} if len(curves) <= MOST_CURVES else grouped(curves, lambda curve: curve[0].family)
        drawn += [_dose_figure(summary, game, part, family) for family, part in parts.items()]
    return drawn


def _dose_figure(summary: Summary, game: str, curves: Sequence[Sequence[DoseRow]], family: str) -> NamedFigure:
    columns = min(4, len(curves))
    rows = -(-len(curves) // columns)
    width = TWO_COLUMNS_IN if columns > 2 else ONE_COLUMN_IN * max(1.0, columns * 0.75)
    figure = Figure(figsize=(width, 0.55 + 1.5 * rows), layout="constrained")
    axes: Any = figure.subplots(rows, columns, squeeze=False, sharey=True)
    agents = [agent for agent in summary.agents if any(row.agent == agent for curve in curves for row in curve)]
    is_crowd = len(agents) > MOST_LOOKS
    clean = {row.agent: row.normalised_score.value for row in summary.cells if (row.game, row.label) == (game, CLEAN)}
    for place, ax in enumerate(axes.flat):
        if place >= len(curves):
            ax.set_axis_off()
            continue
        draw_dose_curve(curves[place], ax, agents)
        if not is_crowd:
            for agent, look in looks(agents).items():
                if agent in clean:
                    ax.axhline(clean[agent], color=look.color, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
        ax.set_title(curves[place][0].perturbation)
        ax.margins(x=0.08)
        if place % columns:
            ax.set_ylabel("")
        if place + columns < len(curves):
            ax.set_xlabel("")
    axes.flat[0].set_ylim(bottom=min(0.0, axes.flat[0].get_ylim()[0]))
    _name_lines(axes.flat[0], agents)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4)
    shown = "Dotted: clean. Lines: 95% interval over train seeds; agents stand a little apart."
    if is_crowd:
        shown = "Grey: each agent; black: their median."
    caption = (
        f"Normalised score on {game} over the mean change of the observation that each severity brings. "
        f"Severities stand in the order of what the agent sees, not of their numbers. {shown}"
    )
    name, title = f"dose-curves-{game}", f"Scores over dose on {game}"
    if family:
        name, title = f"{name}-{family}", f"{title}, {family}"
    return NamedFigure(file_stem(name), title, caption, figure, is_wide=columns > 2)


def _name_lines(ax: Axes, agents: Sequence[str]) -> None:
    """Give the legend its entries."""
    if len(agents) > MOST_LOOKS:
        ax.plot([], [], color=GREY, linewidth=0.6, label=f"{len(agents)} agents")
        ax.plot([], [], color="black", linewidth=1.6, marker="o", markersize=3.0, label="median")
        return
    for agent, look in looks(agents).items():
        ax.plot([], [], color=look.color, marker=look.marker, linestyle=look.dashes, label=agent)
