"""Who comes first under each perturbation, and whether that changes against clean."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from wsabench.report.figures.heatmap import draw_shades
from wsabench.stats import CLEAN_FLOOR
from wsabench.summary.rows import RankRow, grouped


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
