"""Attention weights under each perturbation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from wsabench.report.figures.heatmap import draw_shades
from wsabench.report.figures.style import GREY, ink_on
from wsabench.summary.rows import AttentionRow

SHOWN_SPREAD = 0.1
"""Where train seeds differ by more, their mean alone would mislead, and the figure shows their range."""
_MOST_LARGE = 6
"""Encoders beside each other whose numbers have the usual size."""


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
    draw_shades(weights, [[""] * len(encoders) for _ in labels], ax, labels, encoders)
    size = 7.0 if len(encoders) <= _MOST_LARGE else 5.5
    for row in table:
        x, y = encoders.index(row.encoder) + 0.5, labels.index(row.label) + 0.5
        color = ink_on(row.mean)
        is_split = row.seed_max - row.seed_min > SHOWN_SPREAD
        ax.text(x, y - 0.17 * is_split, f"{row.mean:.2f}", ha="center", va="center", fontsize=size, color=color)
        if is_split:
            spread = f"{row.seed_min:.2f}\u2013{row.seed_max:.2f}"
            ax.text(x, y + 0.24, spread, ha="center", va="center", fontsize=min(5.5, size - 1), color=color)
    _write_shifts(table, labels, len(encoders), ax)
    ax.set_xlabel("encoder")


def _write_shifts(table: Sequence[AttentionRow], labels: list[str], right: int, ax: Axes) -> None:
    """Write how far the weights of each line stand from those under clean, right of the line."""
    shifts = {row.label: row.shift for row in table}
    if all(math.isnan(shift) for shift in shifts.values()):
        return
    ax.text(right + 0.1, -0.1, "shift", va="bottom", fontsize=7, color=GREY)
    for place, label in enumerate(labels):
        if not math.isnan(shifts[label]):
            ax.text(right + 0.1, place + 0.5, f"{shifts[label]:.2f}", va="center", fontsize=7, color=GREY)
