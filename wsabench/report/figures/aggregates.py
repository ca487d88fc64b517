"""Aggregates over cells with their intervals, one panel for each metric."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from wsabench.report.figures.intervals import draw_interval, finish_lines
from wsabench.report.figures.style import looks
from wsabench.stats import MIN_TRAIN_SEEDS
from wsabench.summary.rows import AggregateRow, Metric

METRIC_NAMES: dict[Metric, str] = {"mean": "mean", "median": "median", "iqm": "IQM", "optimality_gap": "optimality gap"}


def draw_aggregate(table: Sequence[AggregateRow], ax: Axes, metric: Metric = "iqm") -> None:
    """Draw one aggregate of every agent with its interval over train seeds.

    Args:
        table: Rows of `Summary.aggregates`, of one scope and measure. Hollow dots stand for too few train seeds.
        ax: Where to draw.
        metric: `mean`, `median`, `iqm` or `optimality_gap`.
    """
    agents = looks([row.agent for row in table])
    rows = {row.agent: row for row in table if row.metric == metric}
    for place, (agent, look) in enumerate(agents.items()):
        if agent in rows:
            is_hollow = rows[agent].num_seeds < MIN_TRAIN_SEEDS
            draw_interval(ax, place, rows[agent].value, look, agent, is_hollow=is_hollow)
    finish_lines(ax, list(agents), ())
    ax.margins(x=0.12)
    ax.set_title(METRIC_NAMES[metric])
    ax.locator_params(axis="x", nbins=3)
