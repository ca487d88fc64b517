"""Dots with intervals, one line for each perturbation: scores, retention, probability of improvement."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes

from wsabench.report.figures.style import GREY, LIGHT_GREY, Look, add_tooltip, looks
from wsabench.stats import MIN_TRAIN_SEEDS
from wsabench.summary.rows import Bounded, ImprovementRow, Measure, PerturbationRow, SeedRow, grouped

Bounds = Literal["seeds", "episodes"]

_LABEL_WIDTH = 34
"""Characters that stand under the narrowest axes."""
_GUIDES: dict[Measure, tuple[float, ...]] = {
    "normalised_score": (0.0, 1.0),
    "retention": (0.0, 1.0),
    "robustness_gap": (0.0,),
}
"""Where a measure says random play, human play, or unharmed."""


def draw_measure(
    table: Sequence[PerturbationRow],
    ax: Axes,
    measure: Measure = "normalised_score",
    seeds: Sequence[SeedRow] = (),
    bounds: Bounds = "seeds",
) -> None:
    """Draw one measure of every perturbation and agent.

    Args:
        table: Rows of `Summary.perturbations`.
        ax: Where to draw.
        measure: `normalised_score`, `retention` or `robustness_gap`.
        seeds: Rows of `Summary.seeds`; each train seed becomes a small hollow dot.
        bounds: Which interval is drawn: over train seeds, or over episodes of these checkpoints only.
    """
    labels = list(dict.fromkeys(row.label for row in table))
    agents = looks([row.agent for row in table])
    for agent, look, shift in _dodged(agents):
        rows = {row.label: row for row in table if row.agent == agent}
        for place, label in enumerate(labels):
            if label in rows:
                one = rows[label].measured(measure)
                drawn = one if bounds == "seeds" else Bounded(one.value, one.episode_low, one.episode_high)
                draw_interval(ax, place + shift, drawn, look, f"{agent}, {label}")
        if seeds:
            means = _seed_means((row for row in seeds if row.id.agent == agent), measure)
            heights = [labels.index(label) + shift for label, _ in means if label in labels]
            values = [value for (label, _), value in means.items() if label in labels]
            ax.scatter(values, heights, s=7, facecolors="white", edgecolors=look.color, linewidths=0.6, zorder=3.5)
        ax.plot([], [], color=look.color, marker=look.marker, linestyle="", label=agent)
    finish_lines(ax, labels, _GUIDES[measure])
    ax.set_xlabel(measure.replace("_", " "))
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(4, len(agents)), borderaxespad=0.3)


def draw_improvement(table: Sequence[ImprovementRow], ax: Axes) -> None:
    """Draw the probability that one agent beats another, one line for each perturbation.

    Args:
        table: Rows of `Summary.improvement`, of one pair and one measure. Hollow dots stand for too few train seeds.
        ax: Where to draw.
    """
    look = looks(["first"])["first"]
    for place, row in enumerate(table):
        draw_interval(ax, place, row.value, look, row.label, is_hollow=row.num_seeds < MIN_TRAIN_SEEDS)
    finish_lines(ax, [row.label for row in table], (0.5,))
    ax.set_xlim(-0.04, 1.04)
    words = f"probability that {table[0].agent_x} beats {table[0].agent_y}"
    ax.set_xlabel(textwrap.fill(words, _LABEL_WIDTH, break_long_words=False))


def interval_height(num_lines: int, num_agents: int = 1) -> float:
    """Return a fitting height in inches for a figure with that many lines.

    Args:
        num_lines: Perturbations.
        num_agents: Agents drawn on each line.
    """
    return 0.75 + num_lines * max(0.2, 0.13 * num_agents)


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
        estimate: Without bounds the marker stands alone.
        look: The agent's.
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
    bounds = f" [{low:.2f}, {high:.2f}]" if estimate.has_bounds else ""
    add_tooltip(dot, f"{about}: {value:.2f}{bounds}")


def _seed_means(rows: Iterable[SeedRow], measure: Measure) -> dict[tuple[str, int], float]:
    """Return the mean over games of each label and train seed."""
    by_seed = grouped(rows, lambda row: (row.label, row.id.train_seed))
    return {key: float(np.mean([row.value(measure) for row in games])) for key, games in by_seed.items()}


def finish_lines(ax: Axes, labels: Sequence[str], guides: Sequence[float]) -> None:
    """Name the lines, first on top, and draw guides across them where these lie near the data."""
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    for place in range(len(labels)):
        ax.axhline(place + 0.5, color=LIGHT_GREY, linewidth=0.5, zorder=0)
    low, high = ax.get_xlim()
    margin = 0.25 * (high - low)
    for line in guides:
        if low - margin <= line <= high + margin:
            ax.axvline(line, color=GREY, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
