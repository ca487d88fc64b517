"""Dots with intervals, on one line for each perturbation or agent: scores, retention, improvement, aggregates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes

from wsabench.report.figures.layout import legend_above, narrow_ticks, num_lines, wrapped
from wsabench.report.figures.style import GREY, LIGHT_GREY, Look, add_tooltip, looks
from wsabench.report.tables.text import METRIC_NAMES
from wsabench.stats import are_enough
from wsabench.summary.rows import (
    AggregateRow,
    Bounded,
    ImprovementRow,
    Measure,
    Metric,
    PerturbationRow,
    SeedRow,
    grouped,
)
from wsabench.words import decimal

Bounds = Literal["seeds", "episodes"]
"""What an interval is over: train seeds, or the episodes of these checkpoints."""

_GUIDES: dict[Measure, tuple[float, ...]] = {
    "normalised_score": (0.0, 1.0),
    "retention": (0.0, 1.0),
    "robustness_gap": (0.0,),
}
"""Where a measure says random play, human play, or unharmed."""
SHARES: tuple[Metric, ...] = ("kept_share", "lost_share")
"""The metrics that are shares of cells; their axis always goes from none to all."""


def draw_measure(
    table: Sequence[PerturbationRow],
    ax: Axes,
    measure: Measure = "normalised_score",
    seeds: Sequence[SeedRow] = (),
    bounds: Bounds = "seeds",
    *,
    has_legend: bool = True,
) -> None:
    """Draw one measure of every perturbation and agent.

    Args:
        table: Rows of `Summary.perturbations`.
        ax: Where to draw.
        measure: `normalised_score`, `retention` or `robustness_gap`.
        seeds: Rows of `Summary.seeds`; each train seed becomes a small hollow dot.
        bounds: Which interval is drawn: over train seeds, or over episodes of these checkpoints only.
        has_legend: Whether the agents are named above the axes.
    """
    labels = list(dict.fromkeys(row.label for row in table))
    agents = looks([row.agent for row in table])
    for agent, look, shift in _dodged(agents):
        rows = {row.label: row for row in table if row.agent == agent}
        for place, label in enumerate(labels):
            if label in rows:
                one = rows[label].measured(measure)
                drawn = one if bounds == "seeds" else one.over_episodes
                draw_interval(ax, place + shift, drawn, look, f"{agent}, {label}")
        if seeds:
            means = _seed_means((row for row in seeds if row.id.agent == agent), measure)
            heights = [labels.index(label) + shift for label, _ in means if label in labels]
            values = [value for (label, _), value in means.items() if label in labels]
            ax.scatter(values, heights, s=7, facecolors="white", edgecolors=look.color, linewidths=0.6, zorder=3.5)
    show_random_play(ax)
    finish_lines(ax, labels, _GUIDES[measure])
    ax.set_xlabel(measure.replace("_", " "))
    if has_legend:
        legend_above(ax.figure, agents)


def draw_improvement(table: Sequence[ImprovementRow], ax: Axes, names: Sequence[str] = ()) -> None:
    """Draw the probability that one agent beats another, one line for each perturbation.

    Args:
        table: Rows of `Summary.improvement`, of one pair and one measure. Hollow dots stand for too few train seeds.
        ax: Where to draw.
        names: The names of the lines; by default the labels.
    """
    look = looks(["first"])["first"]
    for place, row in enumerate(table):
        is_hollow = not are_enough(row.num_seeds, row.num_games)
        draw_interval(ax, place, row.value, look, row.label, is_hollow=is_hollow)
    finish_lines(ax, names or [row.label for row in table], (0.5,))
    ax.set_xlim(-0.04, 1.04)
    ax.set_xlabel(f"probability that {wrapped(table[0].agent_x, 18)}\nbeats {wrapped(table[0].agent_y)}")


def draw_aggregate(table: Sequence[AggregateRow], ax: Axes, metric: Metric = "iqm") -> None:
    """Draw one aggregate of every agent with its interval over train seeds.

    Args:
        table: Rows of `Summary.aggregates`, of one scope and measure. Hollow dots stand for too few train seeds.
        ax: Where to draw.
        metric: One that the table has, such as `iqm`.
    """
    agents = looks([row.agent for row in table])
    rows = {row.agent: row for row in table if row.metric == metric}
    for place, (agent, look) in enumerate(agents.items()):
        if agent in rows:
            is_hollow = not are_enough(rows[agent].num_seeds, rows[agent].num_games)
            draw_interval(ax, place, rows[agent].value, look, agent, is_hollow=is_hollow)
    finish_lines(ax, list(agents), ())
    ax.margins(x=0.12)
    if metric in SHARES:
        ax.set_xlim(-0.04, 1.04)
    ax.set_title(METRIC_NAMES[metric])
    narrow_ticks(ax)


def interval_height(names: Sequence[str], num_agents: int = 1) -> float:
    """Return a fitting height in inches for a figure with a line for each name.

    Args:
        names: The names of the lines: perturbations or agents.
        num_agents: Number of agents that are drawn on each line.
    """
    return 0.75 + len(names) * max(0.2, 0.13 * num_agents, 0.12 * num_lines(names) + 0.04)


def _dodged(agents: dict[str, Look]) -> list[tuple[str, Look, float]]:
    """Return the agents with their vertical shift within a line."""
    count = len(agents)
    step = 0.0 if count == 1 else min(0.34, 0.7 / (count - 1))
    return [(agent, look, step * (i - (count - 1) / 2)) for i, (agent, look) in enumerate(agents.items())]


def draw_interval(
    ax: Axes,
    height: float,
    estimate: Bounded,
    look: Look,
    about: str = "",
    is_hollow: bool = False,
) -> None:
    """Draw one estimate as a marker on the line of its interval; nothing where it is not a number.

    Args:
        ax: Where to draw.
        height: Place on the vertical axis.
        estimate: The number and its bounds; without bounds the marker stands alone.
        look: The agent's look.
        about: What the tooltip says before the numbers.
        is_hollow: Whether the marker is open, for estimates that are too uncertain to conclude from.
    """
    value, low, high = estimate.value, estimate.low, estimate.high
    if not math.isfinite(value):
        return
    if estimate.has_bounds:
        ax.plot([low, high], [height, height], color=look.color, linewidth=1.3, solid_capstyle="butt", zorder=3)
    fill = "white" if is_hollow else look.color
    (dot,) = ax.plot(value, height, color=look.color, marker=look.marker, markerfacecolor=fill, linestyle="", zorder=4)
    bounds = f" [{decimal(low)}, {decimal(high)}]" if estimate.has_bounds else ""
    add_tooltip(dot, f"{about}: {decimal(value)}{bounds}")


def _seed_means(rows: Iterable[SeedRow], measure: Measure) -> dict[tuple[str, int], float]:
    """Return the mean of each label and train seed over the games in which the seed has a value."""
    by_seed = grouped(rows, lambda row: (row.label, row.id.train_seed))
    values = {
        key: [value for row in games if math.isfinite(value := row.value(measure))] for key, games in by_seed.items()
    }
    return {key: float(np.mean(of_seed)) for key, of_seed in values.items() if of_seed}


def show_random_play(ax: Axes) -> None:
    """Widen a horizontal axis of scores so that it holds 0, which is random play or no loss, to show distances."""
    # As a point of the data and not as a limit: panels that share the axis may still widen it.
    ax.update_datalim([(0.0, 0.0)], updatey=False)
    ax.autoscale_view(scaley=False)


def finish_lines(ax: Axes, names: Sequence[str], guides: Sequence[float]) -> None:
    """Name the lines, first on top, and draw guides across them where these lie near the data."""
    ax.set_yticks(range(len(names)), [wrapped(name) for name in names])
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    across = ax.get_yaxis_transform()
    ax.hlines(np.arange(len(names)) + 0.5, 0, 1, color=LIGHT_GREY, linewidth=0.5, zorder=0, transform=across)
    low, high = ax.get_xlim()
    margin = 0.25 * (high - low)
    for line in guides:
        if low - margin <= line <= high + margin:
            ax.axvline(line, color=GREY, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
