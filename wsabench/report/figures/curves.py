"""Lines: a measure over severity, and performance profiles."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from wsabench.report.figures.style import GREY, add_tooltip, looks
from wsabench.stats import MIN_TRAIN_SEEDS
from wsabench.summary.tables import rows_where

_LABELS = {"normalised_score": "normalised score", "retention": "retention", "robustness_gap": "robustness gap"}


def draw_severity_curve(table: pd.DataFrame, ax: Axes, measure: str = "normalised_score") -> None:
    """Draw a measure of one perturbation over its severities; severity 0 is clean.

    Args:
        table: Columns agent, severity, the measure, `_low`, `_high`, as `Summary.severities`, of one perturbation.
        ax: Where to draw.
        measure: `normalised_score`, `retention` or `robustness_gap`.
    """
    places = sorted({int(severity) for severity in table["severity"]})
    agents = looks(list(table["agent"]))
    for i, (agent, look) in enumerate(agents.items()):
        curve = rows_where(table, agent=agent).sort_values("severity")
        at = curve["severity"].to_numpy(dtype=np.float64) + 0.06 * (i - (len(agents) - 1) / 2)
        value, low, high = (curve[f"{measure}{end}"].to_numpy(dtype=np.float64) for end in ("", "_low", "_high"))
        ax.vlines(at, low, high, color=look.color, linewidth=1.0)
        ax.plot(at, value, color=look.color, linestyle=look.dashes)
        for x, y, severity in zip(at, value, curve["severity"], strict=True):
            (dot,) = ax.plot(x, y, color=look.color, marker=look.marker, linestyle="")
            add_tooltip(dot, f"{agent}, {f'severity {severity}' if severity else 'clean'}: {y:.2f}")
        ax.plot([], [], color=look.color, marker=look.marker, linestyle=look.dashes, label=agent)
    ax.set_xticks(places, ["clean" if place == 0 else str(place) for place in places])
    ax.set_xlabel("severity")
    ax.set_ylabel(_LABELS[measure])


def draw_profile(table: pd.DataFrame, ax: Axes) -> None:
    """Draw the fraction of train seeds and cells above each normalised score.

    Args:
        table: Columns agent, threshold, value, low, high, num_seeds, as `Summary.profiles`. With too few train seeds
            there are no bands: where all of them agree they would have no width, and elsewhere span everything.
        ax: Where to draw.
    """
    for agent, look in looks(list(table["agent"])).items():
        curve = rows_where(table, agent=agent)
        at, value, low, high = (
            curve[name].to_numpy(dtype=np.float64) for name in ("threshold", "value", "low", "high")
        )
        if int(curve["num_seeds"].min()) >= MIN_TRAIN_SEEDS:
            ax.fill_between(at, low, high, step="post", color=look.color, alpha=0.2, linewidth=0)
        ax.step(at, value, where="post", color=look.color, linestyle=look.dashes, label=agent)
    ax.axhline(0.5, color=GREY, linewidth=0.5, linestyle=(0, (3, 2)), zorder=0)
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlabel("normalised score τ")
    ax.set_ylabel("fraction of runs above τ")
    ax.legend(loc="best")
