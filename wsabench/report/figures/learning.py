"""How the agents learned."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from wsabench.report.figures.style import add_tooltip, looks
from wsabench.stats import MIN_TRAIN_SEEDS
from wsabench.summary.tables import groups_of, rows_where

_MARKERS_A_CURVE = 6


def draw_learning_curves(table: pd.DataFrame, ax: Axes) -> None:
    """Draw the return during training, one line a train seed, in the look of its agent.

    Args:
        table: Columns agent, train_seed, steps, return_mean (mean return of the last games at that step), of one game.
        ax: Where to draw.
    """
    agents = looks(list(table["agent"]))
    for agent, look in agents.items():
        for place, ((train_seed,), curve) in enumerate(groups_of(rows_where(table, agent=agent), "train_seed")):
            steps = curve["steps"].to_numpy(dtype=np.float64)
            every = max(1, len(steps) // _MARKERS_A_CURVE)
            (line,) = ax.plot(
                steps,
                curve["return_mean"].to_numpy(dtype=np.float64),
                color=look.color,
                linestyle=look.dashes,
                linewidth=1.0,
                marker=look.marker,
                markersize=3.5,
                markevery=(every // 2 + place * every // 3, every),
            )
            add_tooltip(line, f"{agent}, train seed {train_seed}")
        ax.plot([], [], color=look.color, marker=look.marker, linestyle=look.dashes, label=agent)
    ax.set_xlim(left=0)
    ax.xaxis.set_major_formatter(FuncFormatter(_short_steps))
    ax.set_xlabel("steps of training")
    ax.set_ylabel("mean return of the last games")
    ax.legend(loc="best")


def draw_sample_efficiency(table: pd.DataFrame, ax: Axes) -> None:
    """Draw an aggregate over train seeds and games during training, one line an agent.

    Args:
        table: Columns agent, steps, value, low, high, num_seeds, as `efficiency_table` gives them. With too few train
            seeds there are no bands.
        ax: Where to draw.
    """
    for agent, look in looks(list(table["agent"])).items():
        curve = rows_where(table, agent=agent)
        steps, value, low, high = (curve[name].to_numpy(np.float64) for name in ("steps", "value", "low", "high"))
        if int(curve["num_seeds"].min()) >= MIN_TRAIN_SEEDS:
            ax.fill_between(steps, low, high, color=look.color, alpha=0.2, linewidth=0)
        every = max(1, len(steps) // _MARKERS_A_CURVE)
        (line,) = ax.plot(
            steps,
            value,
            color=look.color,
            linestyle=look.dashes,
            marker=look.marker,
            markersize=3.5,
            markevery=(every // 2, every),
            label=agent,
        )
        add_tooltip(line, f"{agent}: {value[-1]:.2f} at the end")
    ax.set_xlim(left=0)
    ax.xaxis.set_major_formatter(FuncFormatter(_short_steps))
    ax.set_xlabel("steps of training")
    ax.set_ylabel("IQM of the normalised score")
    ax.legend(loc="best")


def _short_steps(steps: float, _: int) -> str:
    """Return a number of steps in thousands or millions."""
    if steps >= 1e6:
        return f"{steps / 1e6:g}M"
    return f"{steps / 1e3:g}k" if steps else "0"
