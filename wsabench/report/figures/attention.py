"""Attention weights under each perturbation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes

from wsabench.report.figures.style import GREY
from wsabench.summary.rows import AttentionRow

SHOWN_SPREAD = 0.1
"""Where train seeds differ by more, their mean alone would mislead, and the figure shows their range."""

_WHITE_FROM = 0.68
"""From here on white text has more contrast with the blue below it than black text."""


def draw_attention(table: Sequence[AttentionRow], ax: Axes) -> None:
    """Draw the mean attention weight of every encoder under every perturbation, as numbers on shades of grey-blue.

    Args:
        table: Rows of `Summary.attention`, of one agent and game. The weights of a line sum to 1.
        ax: Where to draw.
    """
    labels, encoders = (
        list(dict.fromkeys(row.label for row in table)),
        list(dict.fromkeys(row.encoder for row in table)),
    )
    weights = np.full((len(labels), len(encoders)), np.nan)
    for row in table:
        weights[labels.index(row.label), encoders.index(row.encoder)] = row.mean
    sns.heatmap(
        weights,
        ax=ax,
        xticklabels=encoders,
        yticklabels=labels,
        vmin=0.0,
        vmax=1.0,
        cmap="Blues",  # light to dark, so the order survives grey print
        linewidths=1.0,
        linecolor="white",
        cbar=False,
    )
    for row in table:
        x, y = encoders.index(row.encoder) + 0.5, labels.index(row.label) + 0.5
        color = "white" if row.mean >= _WHITE_FROM else "black"
        is_split = row.seed_max - row.seed_min > SHOWN_SPREAD
        ax.text(x, y - 0.17 * is_split, f"{row.mean:.2f}", ha="center", va="center", fontsize=7, color=color)
        if is_split:
            spread = f"{row.seed_min:.2f}\u2013{row.seed_max:.2f}"
            ax.text(x, y + 0.24, spread, ha="center", va="center", fontsize=5.5, color=color)
    _write_shifts(table, labels, len(encoders), ax)
    ax.set_xlabel("encoder")
    ax.set_ylabel("")
    ax.tick_params(axis="both", length=0)
    ax.tick_params(axis="y", labelrotation=0)


def _write_shifts(table: Sequence[AttentionRow], labels: list[str], right: int, ax: Axes) -> None:
    """Write how far the weights of each line stand from those under clean, right of the line."""
    shifts = {row.label: row.shift for row in table}
    if all(math.isnan(shift) for shift in shifts.values()):
        return
    ax.text(right + 0.1, -0.1, "shift", va="bottom", fontsize=7, color=GREY)
    for place, label in enumerate(labels):
        if not math.isnan(shifts[label]):
            ax.text(right + 0.1, place + 0.5, f"{shifts[label]:.2f}", va="center", fontsize=7, color=GREY)
