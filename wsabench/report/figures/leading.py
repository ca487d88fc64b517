"""The answer in one figure: how each agent plays clean, and what it keeps under perturbations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from msgspec import Struct

from wsabench.report.figures.intervals import finish_lines, show_random_play
from wsabench.report.figures.layout import clipped, entry_legend, num_lines
from wsabench.report.figures.style import GREY, ONE_COLUMN_IN, NamedFigure, add_tooltip, new_figure
from wsabench.report.tables.text import FEW_SEEDS
from wsabench.results.records import CLEAN
from wsabench.stats import MIN_INTERVAL_SEEDS, are_enough
from wsabench.summary.aggregates import ALL_PERTURBATIONS
from wsabench.summary.rows import Bounded, grouped
from wsabench.summary.summarise import Summary
from wsabench.words import decimal

_CLEAN_COLOR, _KEPT_COLOR = "#e69f00", "#0072b2"
_LIFT = 0.16
"""How far clean stands above the line and kept below it, so that their intervals do not hide each other."""

_CAPTION = "0: random play; 1: human play. Kept: mean over perturbations; grey strokes: each of them at each severity."
_MOST_STROKES = 60
"""More strokes on a line than this are thin and have one tooltip together."""
_MOST_LARGE = 10
"""Agents that have room for names of several lines."""


class Standing(Struct, frozen=True):
    """One agent's clean and kept score, over the games and cells that all compared agents played."""

    agent: str
    clean: Bounded
    """Mean clean normalised score."""
    kept: Bounded
    """Mean normalised score over all perturbations."""
    num_seeds: int
    """Number of train seeds, the fewest of any game."""
    num_games: int = 1
    seeds: tuple[tuple[float, float], ...] = ()
    """Clean and kept score of each train seed."""
    is_over_episodes: bool = False
    """Whether the bounds are over the episodes of these checkpoints, because train seeds are too few for any."""
    perturbed: Mapping[str, float] = {}
    """Mean normalised score under each perturbation and severity, by label."""


def standings_of(summary: Summary, order: Sequence[str] = ()) -> list[Standing]:
    """Return what the leading figure shows.

    Args:
        summary: The numbers.
        order: The agents, the first on top; by default as the run has them.

    Returns:
        Agents that have a clean and a perturbed score.
    """
    means = {
        (row.agent, row.scope): row
        for row in summary.aggregates
        if (row.measure, row.metric) == ("normalised_score", "mean")
    }
    seeds = grouped(summary.insight.checkpoints, lambda row: row.agent)
    cells = grouped(summary.perturbations, lambda row: row.agent)
    checkpoints = {row.agent: row for row in summary.these_checkpoints}
    found: list[Standing] = []
    for agent in order or summary.agents:
        clean, kept = means.get((agent, CLEAN)), means.get((agent, ALL_PERTURBATIONS))
        if clean is not None and kept is not None and math.isfinite(clean.value.value + kept.value.value):
            over_episodes = checkpoints.get(agent)
            found.append(
                Standing(
                    agent=agent,
                    clean=clean.value if over_episodes is None else over_episodes.clean.over_episodes,
                    kept=kept.value if over_episodes is None else over_episodes.kept.over_episodes,
                    is_over_episodes=over_episodes is not None,
                    num_seeds=min(clean.num_seeds, kept.num_seeds),
                    num_games=min(clean.num_games, kept.num_games),
                    seeds=tuple((row.clean, row.perturbed) for row in seeds.get(agent, ())),
                    perturbed={
                        row.label: row.normalised_score.value for row in cells.get(agent, ()) if row.label != CLEAN
                    },
                )
            )
    return found


def draw_leading(table: Sequence[Standing], ax: Axes) -> None:
    """Draw clean and kept score of every agent with their intervals, and a stroke for each perturbation.

    Args:
        table: What `standings_of` gives. Without an interval there is a small hollow dot for each train seed.
        ax: Where to draw.
    """
    for place, row in enumerate(table):
        ax.plot([row.clean.value, row.kept.value], [place, place], color=GREY, linewidth=0.8, zorder=1)
        _draw_strokes(row, place, ax)
        sides = ((row.clean, "clean", _CLEAN_COLOR, "D", -_LIFT), (row.kept, "kept", _KEPT_COLOR, "o", _LIFT))
        for column, (one, word, color, marker, lift) in enumerate(sides):
            bounds = ""
            if one.has_bounds:
                bounds = f" [{decimal(one.low)}, {decimal(one.high)}]"
                ax.plot(
                    [one.low, one.high],
                    [place + lift] * 2,
                    color=color,
                    linewidth=1.6,
                    linestyle=_line_style(row),
                    solid_capstyle="butt",
                    zorder=3,
                )
            if len(row.seeds) > 1 and (row.is_over_episodes or not one.has_bounds):
                for seed in row.seeds:
                    ax.plot(
                        seed[column],
                        place + lift,
                        color=color,
                        marker=marker,
                        markersize=3.0,
                        markerfacecolor="white",
                        zorder=3.5,
                    )
            (dot,) = ax.plot(one.value, place + lift, color=color, marker=marker, linestyle="", zorder=4)
            add_tooltip(dot, f"{row.agent}, {word}: {decimal(one.value)}{bounds}")
    names = [row.agent for row in table]
    ax.margins(x=0.05)
    show_random_play(ax)
    finish_lines(ax, names if len(names) <= _MOST_LARGE else [clipped(name) for name in names], (0.0, 1.0))
    ax.locator_params(axis="x", nbins=5)
    ax.set_xlabel("normalised score")
    entry_legend(
        ax.figure,
        [
            Line2D([], [], color=_CLEAN_COLOR, marker="D", linestyle="-", label="clean"),
            Line2D([], [], color=_KEPT_COLOR, marker="o", linestyle="-", label="kept under perturbations"),
        ],
    )


def _line_style(row: Standing) -> str | tuple[int, tuple[float, ...]]:
    """Return how the interval of an agent is drawn: the fewer train seeds stand behind it, the more broken."""
    if row.is_over_episodes:
        return (0, (0.6, 0.6))
    return "-" if are_enough(row.num_seeds, row.num_games) else (0, (2, 1))


def _draw_strokes(row: Standing, place: int, ax: Axes) -> None:
    """Draw a stroke for each perturbation and severity, with a tooltip each where they are few."""
    whole = {f"{label}: {decimal(value)}": [value] for label, value in row.perturbed.items()}
    if len(whole) > _MOST_STROKES:
        whole = {f"{len(whole)} perturbations and severities": list(row.perturbed.values())}
    for about, values in whole.items():
        (stroke,) = ax.plot(
            values,
            [place] * len(values),
            color=GREY,
            marker="|",
            markersize=5.0,
            markeredgewidth=0.8 if len(values) == 1 else 0.4,
            linestyle="",
            zorder=2,
        )
        add_tooltip(stroke, f"{row.agent}, {about}")


def leading_figure(summary: Summary, order: Sequence[str] = ()) -> NamedFigure | None:
    """Return the figure that a report opens with; None without clean and perturbed scores.

    Args:
        summary: The numbers.
        order: As in `standings_of`.
    """
    table = standings_of(summary, order)
    if not table:
        return None
    names = [row.agent for row in table]
    line_in = 0.155
    if len(names) <= _MOST_LARGE:
        line_in = max(0.34 if len(names) <= 4 else 0.22, 0.13 * num_lines(names) + 0.03)
    figure, ax = new_figure(ONE_COLUMN_IN, 0.72 + line_in * len(names))
    draw_leading(table, ax)
    return NamedFigure(
        name="answer",
        title="Clean and kept score of every agent",
        caption=f"{_CAPTION} {_seed_words(table)}",
        figure=figure,
        section="answer",
        data=("aggregates", "checkpoints", "these_checkpoints", "perturbations"),
        agents=tuple(names),
    )


def _seed_words(table: Sequence[Standing]) -> str:
    """Say what the lines and small marks are."""
    bounds = [row for row in table if row.clean.has_bounds or row.kept.has_bounds]
    over_seeds = [row for row in bounds if not row.is_over_episodes]
    words: list[str] = []
    if over_seeds:
        is_enough = all(are_enough(row.num_seeds, row.num_games) for row in over_seeds)
        few = "" if is_enough else f" (dashed: {FEW_SEEDS})"
        words.append(f"Coloured lines: 95% intervals over train seeds{few}.")
    if len(over_seeds) < len(bounds):
        words.append(
            "Dotted lines: 95% intervals over the episodes of these checkpoints, not over other training runs."
        )
    if any(len(row.seeds) > 1 and (row.is_over_episodes or row not in bounds) for row in table):
        words.append(f"Small hollow marks: single train seeds, fewer than {MIN_INTERVAL_SEEDS} give no interval.")
    return " ".join(words)
