"""Clean scores against scores under perturbations."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from wsabench.report.figures.style import GREY, add_tooltip, looks
from wsabench.summary.tables import rows_of, rows_where

CLEAN = "clean"
_MANY = 300
"""More marks than this are drawn small and pale."""


def draw_clean_scatter(table: pd.DataFrame, ax: Axes) -> None:
    """Draw every train seed and cell: its clean score across, its score under a perturbation up.

    Args:
        table: Columns agent, game, train_seed, label, normalised_score, as `Summary.seeds`, clean among the labels.
        ax: Where to draw. On the line a perturbation changes nothing.
    """
    agents = looks(list(table["agent"]))
    keys = ("agent", "game", "train_seed")
    clean = {
        tuple(row[key] for key in keys): row["normalised_score"] for row in rows_of(rows_where(table, label=CLEAN))
    }
    for agent, look in agents.items():
        for row in rows_of(rows_where(table, agent=agent)):
            start, end = clean.get(tuple(row[key] for key in keys)), row["normalised_score"]
            if row["label"] == CLEAN or start is None or pd.isna(start) or pd.isna(end):
                continue
            (dot,) = ax.plot(
                start,
                end,
                color=look.color,
                marker=look.marker,
                markerfacecolor="none",
                markeredgewidth=0.9,
                markersize=4.5 if len(table) <= _MANY else 3.0,
                alpha=1.0 if len(table) <= _MANY else 0.6,
                linestyle="",
            )
            about = f"{agent}, train seed {row['train_seed']}, {row['game']}, {row['label']}"
            add_tooltip(dot, f"{about}: clean {start:.2f}, perturbed {end:.2f}")
        ax.plot([], [], color=look.color, marker=look.marker, markerfacecolor="none", linestyle="", label=agent)
    low = min(0.0, *ax.get_xlim(), *ax.get_ylim())
    high = max(*ax.get_xlim(), *ax.get_ylim())
    ax.plot([low, high], [low, high], color=GREY, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
    ax.set_xlim(low, high)
    ax.set_ylim(low, high)
    ax.set_aspect("equal")
    ax.locator_params(nbins=6)
    ax.set_xlabel("clean normalised score")
    ax.set_ylabel("normalised score under a perturbation")
    ax.legend(loc="upper left")
