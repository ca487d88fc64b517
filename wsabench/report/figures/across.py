"""What one average does not show: beyond the clean score, components of variance, tails, normalisers, games."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from wsabench.report.figures.heatmap import draw_shades
from wsabench.report.figures.intervals import draw_interval, finish_lines
from wsabench.report.figures.layout import entry_legend, narrow_ticks
from wsabench.report.figures.style import GREY, Look, add_tooltip
from wsabench.stats import COMPONENTS, are_enough
from wsabench.summary.insight_rows import (
    CheckpointRow,
    ComponentRow,
    EffectiveRow,
    GameRow,
    NewGameRow,
    NormaliserRow,
    TailRow,
)
from wsabench.summary.rows import grouped
from wsabench.words import decimal

_ONE = Look("#0072b2", "o", "-")
"""Of figures whose agents have a line each, so that they need no looks of their own."""
_FARTHEST = 2.0
"""How many times as high as its agents alone a figure may be so that it shows a line that lies far from them."""
_FILLS = (("#0072b2", ""), ("#e69f00", "////"), ("#d9d9d9", ""))
"""Colour and hatch of each component: dark, hatched, light."""


def draw_effective_line(table: Sequence[EffectiveRow], points: Sequence[CheckpointRow], ax: Axes) -> None:
    """Draw every checkpoint's clean and perturbed score, the line through them, and each agent's number.

    Args:
        table: Rows of `Insight.effective_robustness`; the agents are numbered in their order.
        points: Rows of `Insight.checkpoints`.
        ax: Where to draw.
    """
    for row in points:
        (dot,) = ax.plot(row.clean, row.perturbed, color=GREY, marker=".", markersize=3.0, alpha=0.6, linestyle="")
        add_tooltip(dot, f"{row.agent}, train seed {row.train_seed}: {_scores(row)}")
    ends = np.array([min(row.clean for row in points), max(row.clean for row in points)])
    ax.plot(ends, table[0].intercept + table[0].slope * ends, color="black", linewidth=1.0, zorder=1)
    if unharmed_is_near(table, points):
        ax.plot(ends, ends, color=GREY, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
    for number, row in enumerate(table, 1):
        (mark,) = ax.plot(
            row.clean, row.perturbed, color=_ONE.color, marker="o", markersize=8.5, markerfacecolor="white", zorder=3
        )
        add_tooltip(mark, f"{row.agent}: {_scores(row)}")
        ax.text(row.clean, row.perturbed, str(number), ha="center", va="center_baseline", fontsize=5.5, zorder=4)
    ax.locator_params(nbins=6)
    ax.set_xlabel("clean normalised score")
    ax.set_ylabel("perturbed normalised score")


def unharmed_is_near(table: Sequence[EffectiveRow], points: Sequence[CheckpointRow]) -> bool:
    """Whether the line where nothing is lost can be drawn without pressing all agents into a corner.

    Args:
        table: As in `draw_effective_line`.
        points: As in `draw_effective_line`.
    """
    clean, perturbed = ([getattr(row, name) for row in (*table, *points)] for name in ("clean", "perturbed"))
    span = max(perturbed) - min(perturbed)
    return max(*perturbed, *clean) - min(*perturbed, *clean) <= _FARTHEST * span


def _scores(row: CheckpointRow | EffectiveRow) -> str:
    return f"clean {decimal(row.clean)}, perturbed {decimal(row.perturbed)}"


def draw_effective(table: Sequence[EffectiveRow], ax: Axes) -> None:
    """Draw each agent's effective robustness with its interval, the numbers of `draw_effective_line` before the names.

    Args:
        table: Rows of `Insight.effective_robustness`. Hollow dots stand for too few train seeds.
        ax: Where to draw.
    """
    for place, row in enumerate(table):
        is_hollow = not are_enough(row.num_seeds, row.num_games)
        draw_interval(ax, place, row.value, _ONE, row.agent, is_hollow=is_hollow)
    finish_lines(ax, [f"{row.agent}  {number}" for number, row in enumerate(table, 1)], (0.0,))
    narrow_ticks(ax)
    ax.set_xlabel("effective robustness")


def draw_components(table: Sequence[ComponentRow], ax: Axes) -> None:
    """Draw what share of each agent's variance every component has, over all its games together.

    Args:
        table: Rows of `Insight.variance_components`.
        ax: Where to draw.
    """
    agents = grouped(table, lambda row: row.agent)
    for place, (agent, rows) in enumerate(agents.items()):
        sums = [np.nansum([row.variance.value for row in rows if row.component == name]) for name in COMPONENTS]
        total, left = sum(sums), 0.0
        for name, part, (color, hatch) in zip(COMPONENTS, sums, _FILLS, strict=True):
            share = part / total if total > 0 else 0.0
            (bar,) = ax.barh(
                place, share, left=left, height=0.7, color=color, hatch=hatch, edgecolor="white", linewidth=0.6
            )
            add_tooltip(bar, f"{agent}, {name}: {100 * share:.0f}%")
            left += share
    finish_lines(ax, list(agents), ())
    ax.set_xlim(0.0, 1.0)
    ax.set_xlabel("share of the variance")
    patches = [
        Patch(facecolor=color, hatch=hatch, edgecolor="white", label=name)
        for name, (color, hatch) in zip(COMPONENTS, _FILLS, strict=True)
    ]
    entry_legend(ax.figure, patches)


def draw_tail(table: Sequence[TailRow], ax: Axes) -> None:
    """Draw each agent's mean score of its worst groups: measured on other episodes than those that choose, and naive.

    Args:
        table: Rows of `Insight.tails`, of one kind. Hollow dots stand for too few train seeds.
        ax: Where to draw.
    """
    for place, row in enumerate(table):
        (naive,) = ax.plot(row.naive, place + 0.3, color=GREY, marker="x", markersize=4.0, linestyle="", zorder=2)
        add_tooltip(naive, f"{row.agent}, naive: {decimal(row.naive)}")
        is_hollow = not are_enough(row.num_seeds, row.num_games)
        draw_interval(ax, place, row.value, _ONE, f"{row.agent}, {row.chosen}", is_hollow=is_hollow)
    finish_lines(ax, [row.agent for row in table], (0.0, 1.0))
    narrow_ticks(ax)
    ax.set_title(table[0].kind)


def draw_normalisers(table: Sequence[NormaliserRow], ax: Axes) -> None:
    """Draw the rank of every agent under each normaliser as numbers on shades, the first rank dark.

    Args:
        table: Rows of `Insight.normalisers`.
        ax: Where to draw.
    """
    agents = grouped((row for row in table if not math.isnan(row.rank)), lambda row: row.agent)
    names = list(dict.fromkeys(row.normaliser for rows in agents.values() for row in rows))
    ranks = np.full((len(agents), len(names)), np.nan)
    for line, rows in enumerate(agents.values()):
        for row in rows:
            ranks[line, names.index(row.normaliser)] = row.rank
    shares = 0.9 * (len(agents) - ranks) / max(1, len(agents) - 1)
    draw_shades(shares, [[f"{rank:g}" for rank in line] for line in ranks], ax, list(agents), names)


def draw_games(table: Sequence[NewGameRow], games: Sequence[GameRow], ax: Axes) -> None:
    """Draw each agent's games, the mean with its interval over games, and the interval for a new game.

    Args:
        table: Rows of `Insight.new_game`, of one measure.
        games: Rows of `Insight.per_game`, of the same measure.
        ax: Where to draw.
    """
    of_agent = grouped(games, lambda row: row.agent)
    for place, row in enumerate(table):
        ax.plot([row.new_game.low, row.new_game.high], [place, place], color=GREY, linewidth=0.8, zorder=2)
        draw_interval(ax, place, row.mean, _ONE, row.agent)
        for game in of_agent[row.agent]:
            (dot,) = ax.plot(
                game.value, place + 0.25, color="black", marker="|", markersize=4.0, linestyle="", zorder=2.5
            )
            without = decimal(game.without)
            add_tooltip(dot, f"{row.agent}, {game.game}: {decimal(game.value)}; mean without it {without}")
    finish_lines(ax, [row.agent for row in table], (0.0, 1.0))
    narrow_ticks(ax)
    ax.set_xlabel(table[0].measure.replace("_", " "))
