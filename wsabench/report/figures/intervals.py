"""Dots with intervals, one line a perturbation: scores, retention, probability of improvement."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from wsabench.report.figures.style import GREY, LIGHT_GREY, Look, add_tooltip, looks
from wsabench.stats import MIN_TRAIN_SEEDS
from wsabench.summary.tables import rows_of, rows_where

Bounds = Literal["seeds", "episodes"]

_AXIS_LABELS = {
    "normalised_score": "normalised score",
    "retention": "retention",
    "robustness_gap": "robustness gap",
}
_LABEL_WIDTH = 34
"""Characters that stand under the narrowest axes."""
_REFERENCE_LINES = {"normalised_score": (0.0, 1.0), "retention": (0.0, 1.0), "robustness_gap": (0.0,)}


def draw_measure(
    table: pd.DataFrame,
    ax: Axes,
    measure: str = "normalised_score",
    seeds: pd.DataFrame | None = None,
    bounds: Bounds = "seeds",
) -> None:
    """Draw one measure of every perturbation and agent.

    Args:
        table: Columns agent, label, the measure and its bounds (`_low`, `_high`, `_episode_low`, `_episode_high`), as
            `Summary.perturbations`.
        ax: Where to draw.
        measure: `normalised_score`, `retention` or `robustness_gap`.
        seeds: Columns agent, label, train_seed and the measure, as `Summary.seeds`; each train seed becomes a small
            hollow dot. None: no dots.
        bounds: Which interval is drawn: over train seeds, or over episodes of these checkpoints only.
    """
    labels = list(dict.fromkeys(table["label"]))
    agents = looks(list(table["agent"]))
    suffix = "" if bounds == "seeds" else "_episode"
    for agent, look, shift in _dodged(agents):
        rows = {row["label"]: row for row in rows_of(rows_where(table, agent=agent))}
        for place, label in enumerate(labels):
            if label in rows:
                row = rows[label]
                low, high = row[f"{measure}{suffix}_low"], row[f"{measure}{suffix}_high"]
                about = f"{agent}, {label}"
                draw_interval(ax, place + shift, (row[measure], low, high), look, about)
        if seeds is not None:
            _draw_seeds(ax, labels, rows_where(seeds, agent=agent), (measure, shift), look)
        ax.plot([], [], color=look.color, marker=look.marker, linestyle="", label=agent)
    finish_lines(ax, labels, _REFERENCE_LINES[measure])
    ax.set_xlabel(_AXIS_LABELS[measure])
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(4, len(agents)), borderaxespad=0.3)


def draw_improvement(table: pd.DataFrame, ax: Axes) -> None:
    """Draw the probability that one agent beats another, one line a perturbation.

    Args:
        table: Columns agent_x, agent_y, label, value, low, high, num_seeds, as `Summary.improvement`, of one pair and
            one measure. Hollow dots stand for too few train seeds.
        ax: Where to draw.
    """
    rows = rows_of(table)
    look = looks(["first"])["first"]
    for place, row in enumerate(rows):
        is_flagged = row["num_seeds"] < MIN_TRAIN_SEEDS
        draw_interval(ax, place, (row["value"], row["low"], row["high"]), look, row["label"], is_hollow=is_flagged)
    finish_lines(ax, [row["label"] for row in rows], (0.5,))
    ax.set_xlim(-0.04, 1.04)
    words = f"probability that {rows[0]['agent_x']} beats {rows[0]['agent_y']}"
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
    estimate: tuple[float, float, float],
    look: Look,
    about: str = "",
    is_hollow: bool = False,
) -> None:
    """Draw one estimate as a marker on the line of its interval; nothing where it is not a number.

    Args:
        ax: Where to draw.
        height: Place on the vertical axis.
        estimate: Value, lower and upper bound; bounds that are NaN leave the marker alone.
        look: The agent's.
        about: What the tooltip says before the numbers.
        is_hollow: Whether the marker is open, for estimates that are too uncertain to conclude from.
    """
    value, low, high = estimate
    if not math.isfinite(value):
        return
    if math.isfinite(low) and math.isfinite(high):
        ax.plot([low, high], [height, height], color=look.color, linewidth=1.3, solid_capstyle="butt", zorder=3)
    fill = "white" if is_hollow else look.color
    (dot,) = ax.plot(value, height, color=look.color, marker=look.marker, markerfacecolor=fill, linestyle="", zorder=4)
    bounds = f" [{low:.2f}, {high:.2f}]" if math.isfinite(low) and math.isfinite(high) else ""
    add_tooltip(dot, f"{about}: {value:.2f}{bounds}")


def _draw_seeds(
    ax: Axes, labels: Sequence[str], seeds: pd.DataFrame, measure_shift: tuple[str, float], look: Look
) -> None:
    measure, shift = measure_shift
    means: dict[tuple[Any, Any], list[float]] = {}
    for row in rows_of(seeds):
        means.setdefault((row["label"], row["train_seed"]), []).append(row[measure])
    heights = [labels.index(label) + shift for label, _ in means if label in labels]
    values = [float(np.mean(games)) for (label, _), games in means.items() if label in labels]
    ax.scatter(values, heights, s=7, facecolors="white", edgecolors=look.color, linewidths=0.6, zorder=3.5)


def finish_lines(ax: Axes, labels: Sequence[str], reference_lines: Sequence[float]) -> None:
    """Name the lines, first on top, and draw reference lines where they lie near the data."""
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    for place in range(len(labels)):
        ax.axhline(place + 0.5, color=LIGHT_GREY, linewidth=0.5, zorder=0)
    low, high = ax.get_xlim()
    margin = 0.25 * (high - low)
    for line in reference_lines:
        if low - margin <= line <= high + margin:
            ax.axvline(line, color=GREY, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
