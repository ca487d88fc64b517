"""Heat maps and ranks: numbers on shades of blue, which a dark page shows in the opposite order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from wsabench.report.figures.layout import clipped, num_lines, width_of, wrapped
from wsabench.report.figures.style import GREY, ink_on, shade_places, shades
from wsabench.report.tables.text import number
from wsabench.stats import CLEAN_FLOOR
from wsabench.summary.rows import Measure, PerturbationRow, RankRow, grouped
from wsabench.types import FloatArray

_CROWD = 9
"""More columns than this have names of one line, and small numbers."""
_UPRIGHT_FROM = 7
"""From so many columns on their names stand upright."""
_LEVEL_CHARACTERS = 34
"""What stands beside each other under the narrowest heat map."""
_COLUMN_WIDTH = 20


def draw_heat_map(table: Sequence[PerturbationRow], ax: Axes, measure: Measure = "retention") -> None:
    """Draw a measure of every perturbation and agent as numbers on shades of blue, white 0 and dark 1 or more.

    Args:
        table: Rows of `Summary.perturbations`. A place without a value is hatched.
        ax: Where to draw.
        measure: `retention` or `normalised_score`.
    """
    labels, agents = list(dict.fromkeys(row.label for row in table)), list(dict.fromkeys(row.agent for row in table))
    values = np.full((len(labels), len(agents)), np.nan)
    for row in table:
        values[labels.index(row.label), agents.index(row.agent)] = row.measured(measure).value
    texts = [[number(value) for value in line] for line in values]
    draw_shades(values, texts, ax, labels, agents)
    ax.set_xlabel(measure.replace("_", " "))


def draw_shades(
    shares: FloatArray, texts: Sequence[Sequence[str]], ax: Axes, lines: Sequence[str], columns: Sequence[str]
) -> None:
    """Draw a table of shares, white 0 and dark 1, each with its text.

    Args:
        shares: Shape (num_lines, num_columns). NaN is hatched and has no text.
        texts: What stands on the shades, in the same order.
        ax: Where to draw.
        lines: Names of the lines, the first on top.
        columns: Names of the columns.
    """
    size = 7.0 if len(columns) <= _CROWD else 6.0
    is_missing = np.isnan(shares)
    sns.heatmap(
        shade_places(np.where(is_missing, 0.0, shares)),
        mask=is_missing,
        ax=ax,
        vmin=0.0,
        vmax=1.0,
        cmap=shades(),
        linewidths=1.0,
        linecolor="#ffffff",
        cbar=False,
    )
    for place, share in np.ndenumerate(shares):
        line, column = int(place[0]), int(place[1])
        if math.isnan(share):
            ax.add_patch(Rectangle((column, line), 1, 1, fill=False, hatch="////", edgecolor=GREY, linewidth=0))
            continue
        color = ink_on(min(max(share, 0.0), 1.0))
        ax.text(column + 0.5, line + 0.5, texts[line][column], ha="center", va="center", fontsize=size, color=color)
    ax.set_xlim(0, len(columns))
    ax.set_ylim(len(lines), 0)
    is_upright = names_stand(columns)
    ax.set_xticks(
        [place + 0.5 for place in range(len(columns))],
        _column_names(columns),
        rotation=90 if is_upright else 0,
    )
    ax.set_yticks([place + 0.5 for place in range(len(lines))], [wrapped(name) for name in lines], rotation=0)
    ax.tick_params(axis="both", length=0)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)


def _column_names(columns: Sequence[str]) -> list[str]:
    """Return the names of columns in lines, in one line each where there are many."""
    if len(columns) > _CROWD:
        return [clipped(name, _COLUMN_WIDTH + 8) for name in columns]
    return [wrapped(name, _COLUMN_WIDTH) for name in columns]


def names_stand(columns: Sequence[str]) -> bool:
    """Whether the names of columns stand upright, because they have no room beside each other."""
    longest = max(width_of(line) for name in columns for line in wrapped(name, _COLUMN_WIDTH).split("\n"))
    return len(columns) >= _UPRIGHT_FROM or (longest + 1) * len(columns) > _LEVEL_CHARACTERS


def heat_map_height(lines: Sequence[str], columns: Sequence[str]) -> float:
    """Return a fitting height in inches for a heat map.

    Args:
        lines: Names of the lines.
        columns: Names of the columns.
    """
    longest = max(width_of(line) for name in _column_names(columns) for line in name.split("\n"))
    foot = 0.062 * longest if names_stand(columns) else 0.12 * num_lines(columns, _COLUMN_WIDTH)
    return 0.45 + foot + len(lines) * max(0.19, 0.12 * num_lines(lines) + 0.03)


def is_at_random(rows: Sequence[RankRow]) -> bool:
    """Whether no agent is clearly above random play, so that the order of the agents says nothing.

    Args:
        rows: All agents under one perturbation.
    """
    return not any(row.score > CLEAN_FLOOR for row in rows)


def ranked(table: Sequence[RankRow]) -> list[RankRow]:
    """Return the rows of the perturbations under which some agent is above random play.

    Args:
        table: Rows of `Summary.ranks`.
    """
    return [
        row for rows in grouped(table, lambda row: row.perturbation).values() if not is_at_random(rows) for row in rows
    ]


def draw_ranks(table: Sequence[RankRow], ax: Axes) -> None:
    """Draw the rank of every agent under every perturbation as numbers on shades, the first rank dark.

    Args:
        table: Rows of `Summary.ranks`, clean first. Lines in which all agents play at random are hatched.
        ax: Where to draw.
    """
    names = list(dict.fromkeys(row.perturbation for row in table))
    agents = list(dict.fromkeys(row.agent for row in table))
    shares = np.full((len(names), len(agents)), np.nan)
    texts = [[""] * len(agents) for _ in names]
    for row in ranked(table):
        if not math.isnan(row.rank.value):
            line, column = names.index(row.perturbation), agents.index(row.agent)
            shares[line, column] = 0.9 * (len(agents) - row.rank.value) / max(1, len(agents) - 1)
            texts[line][column] = f"{row.rank.value:g}"
    draw_shades(shares, texts, ax, names, agents)
    ax.set_xlabel("rank (1 is best)")
