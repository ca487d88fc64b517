"""Lines: a measure over severity or over the measured change of the observation, and performance profiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from wsabench.report.figures.layout import entry_legend, legend_above, legend_lines, wrapped
from wsabench.report.figures.style import GREY, MOST_LOOKS, ONE_COLUMN_IN, TWO_COLUMNS_IN, add_tooltip, looks
from wsabench.stats import are_enough, dose_curve
from wsabench.summary.rows import Bounded, DoseRow, Measure, PerturbationRow, ProfileRow, grouped
from wsabench.words import decimal

_MARKERS_A_CURVE = 6
"""Marks along a profile, which tell agents apart where their lines run together."""
_FEW_AGENTS = 3
"""More agents than this are hard to tell apart in a low panel: where it stands alone it is higher."""


def draw_severity_curve(table: Sequence[PerturbationRow], ax: Axes, measure: Measure = "normalised_score") -> None:
    """Draw a measure of one perturbation over its severities; severity 0 is clean.

    Args:
        table: Rows of `Summary.severities`, of one perturbation. More agents than `MOST_LOOKS` are thin grey lines with
            their median in black.
        ax: Where to draw.
        measure: `normalised_score`, `retention` or `robustness_gap`.
    """
    places = sorted({row.severity or 0 for row in table})
    agents = looks([row.agent for row in table])
    if len(agents) > MOST_LOOKS:
        _draw_crowd(
            {
                agent: [(row.severity or 0, row.measured(measure).value) for row in table if row.agent == agent]
                for agent in agents
            },
            ax,
        )
        agents = {}
    for i, (agent, look) in enumerate(agents.items()):
        curve = sorted((row for row in table if row.agent == agent), key=lambda row: row.severity or 0)
        severities = [row.severity or 0 for row in curve]
        at = np.array(severities, dtype=np.float64) + 0.06 * (i - (len(agents) - 1) / 2)
        measured = [row.measured(measure) for row in curve]
        value = [one.value for one in measured]
        draw_bounds(list(zip(at, measured, strict=True)), ax, look.color)
        ax.plot(at, value, color=look.color, linestyle=look.dashes)
        for x, y, severity in zip(at, value, severities, strict=True):
            (dot,) = ax.plot(x, y, color=look.color, marker=look.marker, linestyle="")
            add_tooltip(dot, f"{agent}, {f'severity {severity}' if severity else 'clean'}: {decimal(y)}")
    ax.set_xticks(places, ["clean" if place == 0 else str(place) for place in places])
    ax.set_xlabel("severity")
    ax.set_ylabel(measure.replace("_", " "))


def draw_bounds(estimates: Sequence[tuple[float, Bounded]], ax: Axes, color: str) -> None:
    """Draw upright lines over the intervals of a curve's estimates, all as one artist; none where there is none.

    Args:
        estimates: Each place on the horizontal axis with the estimate there.
        ax: Where to draw.
        color: Colour of the lines.
    """
    lines = [(x, one.low, one.high) for x, one in estimates if one.has_bounds]
    if lines:
        ax.vlines(*zip(*lines, strict=True), color=color, linewidth=1.0)


def draw_dose_curve(table: Sequence[DoseRow], ax: Axes, agents: Sequence[str]) -> None:
    """Draw the normalised score of one perturbation in a game over the measured change of the observation.

    Args:
        table: Rows of `Summary.doses`, of one game and perturbation.
        ax: Where to draw. More agents than `MOST_LOOKS` are thin grey lines with their median in black.
        agents: All agents of the figure, so that each looks the same in all panels.
    """
    curves = grouped(table, lambda row: row.agent)
    is_crowd = len(agents) > MOST_LOOKS
    of_all = looks(agents)
    span = max(row.dose for row in table) - min(row.dose for row in table)
    for agent, rows in curves.items():
        curve = dose_curve([row.normalised_score.value for row in rows], [row.dose for row in rows])
        if is_crowd:
            (line,) = ax.plot(curve.doses, curve.scores, color=GREY, linewidth=0.6, alpha=0.6)
            add_tooltip(line, agent)
            continue
        look = of_all[agent]
        shift = 0.015 * span * (agents.index(agent) - (len(agents) - 1) / 2)
        ax.plot(curve.doses + shift, curve.scores, color=look.color, linestyle=look.dashes)
        draw_bounds([(row.dose + shift, row.normalised_score) for row in rows], ax, look.color)
        for row in rows:
            score = row.normalised_score
            (dot,) = ax.plot(row.dose + shift, score.value, color=look.color, marker=look.marker, linestyle="")
            add_tooltip(dot, f"{agent}, {row.label}, {row.dose:.1f} grey levels: {decimal(score.value)}")
    if is_crowd:
        at = sorted({row.dose for row in table})
        of_dose = grouped(table, lambda row: row.dose)
        middle = [float(np.median([row.normalised_score.value for row in of_dose[dose]])) for dose in at]
        ax.plot(at, middle, color="black", linewidth=1.6, marker="o", markersize=3.0)
    ax.set_xlabel("change, grey levels")
    ax.set_ylabel("normalised score")


def draw_start(clean: Mapping[str, float], ax: Axes, agents: Sequence[str]) -> None:
    """Draw each agent's clean score as a hollow mark where the observation changes by 0.

    Args:
        clean: Clean normalised scores, by agent.
        ax: The axes that hold the curves of `draw_dose_curve`.
        agents: All agents of the figure, in its order.
    """
    # Marks stand a little apart, as those of the curves do; beside each other they are told apart in grey too.
    step = 0.02 * float(ax.dataLim.x1)
    for place, (agent, look) in enumerate(looks(agents).items()):
        if agent in clean:
            at = step * (place - (len(agents) - 1) / 2)
            (mark,) = ax.plot(at, clean[agent], color=look.color, marker=look.marker, markerfacecolor="none")
            add_tooltip(mark, f"{agent}, clean: {decimal(clean[agent])}")


def draw_profile(table: Sequence[ProfileRow], ax: Axes) -> None:
    """Draw the fraction of train seeds and cells above each normalised score.

    Args:
        table: Rows of `Summary.profiles`. With too few train seeds there are no bands: bands would have no
            width where all train seeds agree, and elsewhere span everything.
        ax: Where to draw.
    """
    curves = grouped(table, lambda row: row.agent)
    for place, (agent, look) in enumerate(looks(list(curves)).items()):
        curve = curves[agent]
        if len(curves) > MOST_LOOKS:
            (line,) = ax.step(
                [row.threshold for row in curve],
                [row.value.value for row in curve],
                where="post",
                color=GREY,
                linewidth=0.6,
            )
            add_tooltip(line, agent)
            continue
        at, low, high = zip(*((row.threshold, row.value.low, row.value.high) for row in curve), strict=True)
        if all(are_enough(row.num_seeds, row.num_games) for row in curve):
            ax.fill_between(at, low, high, step="post", color=look.color, alpha=0.2, linewidth=0)
        every = max(1, len(curve) // _MARKERS_A_CURVE)
        ax.step(
            at,
            [row.value.value for row in curve],
            where="post",
            color=look.color,
            linestyle=look.dashes,
            marker=look.marker,
            markersize=3.5,
            markevery=(every * place // len(curves), every),
        )
    if len(curves) > MOST_LOOKS:
        of_threshold = grouped(table, lambda row: row.threshold)
        middle = [float(np.median([row.value.value for row in rows])) for rows in of_threshold.values()]
        ax.step(list(of_threshold), middle, where="post", color="black", linewidth=1.6)
        crowd_legend(ax.figure, len(curves))
    elif len(curves) > 1:
        legend_above(ax.figure, looks(list(curves)), has_lines=True)
    ax.axhline(0.5, color=GREY, linewidth=0.5, linestyle=(0, (3, 2)), zorder=0)
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlabel("normalised score τ")
    ax.set_ylabel("fraction of runs above τ")


def curve_grid(titles: Sequence[str], agents: Sequence[str], draw: Callable[[int, Axes], None]) -> Figure:
    """Return a figure with a panel for each curve, the agents named once above all of them.

    Args:
        titles: The titles of the panels. One or two stand in a narrower figure.
        agents: The agents of the figure.
        draw: Called with the place of a title and the panel's axes; it draws the panel.
    """
    columns = min(4, len(titles))
    rows = -(-len(titles) // columns)
    width = TWO_COLUMNS_IN if columns > 2 else ONE_COLUMN_IN * max(1.0, columns * 0.75)
    is_crowd = len(agents) > MOST_LOOKS
    legend_in = 0.14 * (1 if is_crowd else legend_lines(agents, width))
    panel_in = 2.1 if len(titles) <= 2 and len(agents) > _FEW_AGENTS else 1.5
    figure = Figure(figsize=(width, 0.35 + legend_in + panel_in * rows), layout="constrained")
    axes: Any = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for place, ax in enumerate(axes.flat):
        if place >= len(titles):
            ax.set_axis_off()
            continue
        draw(place, ax)
        ax.set_title(wrapped(titles[place], 22))
        if place % columns:
            ax.set_ylabel("")
        if place + columns < len(titles):
            ax.set_xlabel("")
    axes.flat[0].set_ylim(bottom=min(0.0, axes.flat[0].get_ylim()[0]))
    if is_crowd:
        crowd_legend(figure, len(agents))
    elif len(agents) > 1:
        legend_above(figure, looks(agents), has_lines=True)
    return figure


def crowd_legend(figure: Figure | SubFigure, num_agents: int) -> None:
    """Say above the axes that grey lines are agents and black is their median.

    Args:
        figure: The figure, with the layout `constrained`.
        num_agents: Number of agents.
    """
    lines = [
        Line2D([], [], color=GREY, linewidth=0.6, label=f"{num_agents} agents"),
        Line2D([], [], color="black", linewidth=1.6, label="median"),
    ]
    entry_legend(figure, lines)


def _draw_crowd(curves: Mapping[str, Sequence[tuple[float, float]]], ax: Axes) -> None:
    """Draw curves as thin grey lines with their median in black."""
    for agent, points in curves.items():
        (line,) = ax.plot(*zip(*sorted(points), strict=True), color=GREY, linewidth=0.6, alpha=0.6)
        add_tooltip(line, agent)
    at = sorted({place for points in curves.values() for place, _ in points})
    of_place = [[value for points in curves.values() for place, value in points if place == one] for one in at]
    ax.plot(
        at,
        [float(np.nanmedian(values)) for values in of_place],
        color="black",
        linewidth=1.6,
        marker="o",
        markersize=3.0,
    )
