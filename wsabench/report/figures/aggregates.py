"""Aggregates over cells with their intervals, one panel a metric."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from wsabench.report.figures.intervals import draw_interval, finish_lines
from wsabench.report.figures.style import looks
from wsabench.stats import MIN_TRAIN_SEEDS
from wsabench.summary.tables import rows_of, rows_where

METRIC_NAMES = {"mean": "mean", "median": "median", "iqm": "IQM", "optimality_gap": "optimality gap"}


def draw_aggregate(table: pd.DataFrame, ax: Axes, metric: str = "iqm") -> None:
    """Draw one aggregate of every agent with its interval over train seeds.

    Args:
        table: Columns agent, metric, value, low, high, num_seeds, as `Summary.aggregates`, of one scope and measure.
            Hollow dots stand for too few train seeds.
        ax: Where to draw.
        metric: `mean`, `median`, `iqm` or `optimality_gap`.
    """
    agents = looks(list(table["agent"]))
    rows = {row["agent"]: row for row in rows_of(rows_where(table, metric=metric))}
    for place, (agent, look) in enumerate(agents.items()):
        if agent in rows:
            row = rows[agent]
            estimate = (row["value"], row["low"], row["high"])
            draw_interval(ax, place, estimate, look, agent, is_hollow=row["num_seeds"] < MIN_TRAIN_SEEDS)
    finish_lines(ax, list(agents), ())
    ax.margins(x=0.12)
    ax.set_title(METRIC_NAMES[metric])
    ax.locator_params(axis="x", nbins=3)
