"""Lines: a measure over severity, and performance profiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from wsabench.report.figures.style import GREY, MOST_LOOKS, add_tooltip, looks
from wsabench.stats import MIN_TRAIN_SEEDS, dose_curve
from wsabench.summary.rows import DoseRow, Measure, PerturbationRow, ProfileRow, grouped


def draw_severity_curve(table: Sequence[PerturbationRow], ax: Axes, measure: Measure = "normalised_score") -> None:
    """Draw a measure of one perturbation over its severities; severity 0 is clean.

    Args:
        table: Rows of `Summary.severities`, of one perturbation.
        ax: Where to draw.
        measure: `normalised_score`, `retention` or `robustness_gap`.
    """
    places = sorted({row.severity or 0 for row in table})
    agents = looks([row.agent for row in table])
    for i, (agent, look) in enumerate(agents.items()):
        curve = sorted((row for row in table if row.agent == agent), key=lambda row: row.severity or 0)
        severities = [row.severity or 0 for row in curve]
        at = np.array(severities, dtype=np.float64) + 0.06 * (i - (len(agents) - 1) / 2)
        measured = [row.measured(measure) for row in curve]
        value = [one.value for one in measured]
        lines = [(x, one.low, one.high) for x, one in zip(at, measured, strict=True) if one.has_bounds]
        if lines:
            ax.vlines(*zip(*lines, strict=True), color=look.color, linewidth=1.0)
        ax.plot(at, value, color=look.color, linestyle=look.dashes)
        for x, y, severity in zip(at, value, severities, strict=True):
            (dot,) = ax.plot(x, y, color=look.color, marker=look.marker, linestyle="")
            add_tooltip(dot, f"{agent}, {f'severity {severity}' if severity else 'clean'}: {y:.2f}")
        ax.plot([], [], color=look.color, marker=look.marker, linestyle=look.dashes, label=agent)
    ax.set_xticks(places, ["clean" if place == 0 else str(place) for place in places])
    ax.set_xlabel("severity")
    ax.set_ylabel(measure.replace("_", " "))


def draw_dose_curve(table: Sequence[DoseRow], ax: Axes, agents: Sequence[str]) -> None:
    """Draw the normalised score of one perturbation in a game over the measured change of the observation.

    Args:
        table: Rows of `Summary.doses`, of one game and perturbation.
        ax: Where to draw. More agents than `MOST_LOOKS` are thin grey lines with their median in black.
        agents: All of the figure, so that each looks the same in all panels.
    """
    curves = grouped(table, lambda row: row.agent)
    is_crowd = len(agents) > MOST_LOOKS
    of_all = looks(agents)
    span = max(row.dose for row in table) - min(row.dose for row in table)
    for agent, rows in curves.items():
        curve = dose_curve([row.normalised_score.value for row in rows], [row.dose for row in rows])
        if is_crowd:
            (line,) = ax.plot(curve.doses, curve.scores, color=GREY, linewidth=0.6, alpha=0.6)
            add_tooltip(line, agent)
            continue
        look = of_all[agent]
        shift = 0.015 * span * (agents.index(agent) - (len(agents) - 1) / 2)
        ax.plot(curve.doses + shift, curve.scores, color=look.color, linestyle=look.dashes)
        for row in rows:
            score = row.normalised_score
            ax.vlines(row.dose + shift, score.low, score.high, color=look.color, linewidth=1.0)
            (dot,) = ax.plot(row.dose + shift, score.value, color=look.color, marker=look.marker, linestyle="")
            add_tooltip(dot, f"{agent}, {row.label}, {row.dose:.1f} grey levels: {score.value:.2f}")
    if is_crowd:
        at = sorted({row.dose for row in table})
        of_dose = grouped(table, lambda row: row.dose)
        middle = [float(np.median([row.normalised_score.value for row in of_dose[dose]])) for dose in at]
        ax.plot(at, middle, color="black", linewidth=1.6, marker="o", markersize=3.0)
    ax.set_xlabel("change, grey levels")
    ax.set_ylabel("normalised score")


def draw_profile(table: Sequence[ProfileRow], ax: Axes) -> None:
    """Draw the fraction of train seeds and cells above each normalised score.

    Args:
        table: Rows of `Summary.profiles`. With too few train seeds there are no bands: where all of them agree they
            would have no width, and elsewhere span everything.
        ax: Where to draw.
    """
    curves = grouped(table, lambda row: row.agent)
    for agent, look in looks(list(curves)).items():
        curve = curves[agent]
        at, low, high = zip(*((row.threshold, row.value.low, row.value.high) for row in curve), strict=True)
        if min(row.num_seeds for row in curve) >= MIN_TRAIN_SEEDS:
            ax.fill_between(at, low, high, step="post", color=look.color, alpha=0.2, linewidth=0)
        ax.step(
            at, [row.value.value for row in curve], where="post", color=look.color, linestyle=look.dashes, label=agent
        )
    ax.axhline(0.5, color=GREY, linewidth=0.5, linestyle=(0, (3, 2)), zorder=0)
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlabel("normalised score τ")
    ax.set_ylabel("fraction of runs above τ")
    ax.legend(loc="best")
