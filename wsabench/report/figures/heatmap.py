"""Perturbations against agents as a heat map."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from wsabench.report.figures.style import GREY
from wsabench.report.tables.text import number
from wsabench.summary.rows import Measure, PerturbationRow

_WHITE_FROM = 0.68
"""From here on white text has more contrast with the blue below it than black text."""


def draw_heat_map(table: Sequence[PerturbationRow], ax: Axes, measure: Measure = "retention") -> None:
    """Draw a measure of every perturbation and agent as numbers on shades of blue, white 0 and dark 1 or more.

    Args:
        table: Rows of `Summary.perturbations`. What has no value is hatched.
        ax: Where to draw.
        measure: `retention` or `normalised_score`.
    """
    labels, agents = list(dict.fromkeys(row.label for row in table)), list(dict.fromkeys(row.agent for row in table))
    values = np.full((len(labels), len(agents)), np.nan)
    for row in table:
        values[labels.index(row.label), agents.index(row.agent)] = row.measured(measure).value
    sns.heatmap(
        values.clip(0.0, 1.0),
        ax=ax,
        xticklabels=agents,
        yticklabels=labels,
        vmin=0.0,
        vmax=1.0,
        cmap="Blues",  # light to dark, so the order survives grey print
        linewidths=1.0,
        linecolor="white",
        cbar=False,
    )
    for (row, column), value in np.ndenumerate(values):
        if math.isnan(value):
            box = Rectangle((column, row), 1, 1, fill=False, hatch="////", edgecolor=GREY, linewidth=0)
            ax.add_patch(box)
            continue
        color = "white" if value >= _WHITE_FROM else "black"
        ax.text(column + 0.5, row + 0.5, number(value), ha="center", va="center", fontsize=7, color=color)
    ax.set_xlabel(measure.replace("_", " "))
    ax.set_ylabel("")
    ax.tick_params(axis="both", length=0)
    ax.tick_params(axis="y", labelrotation=0)
    ax.tick_params(axis="x", labelrotation=0 if max(map(len, agents)) * len(agents) < 30 else 30)
