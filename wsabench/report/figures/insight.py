"""Which figures there are of what one average does not show, and their captions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from wsabench.report.figures.across import (
    draw_components,
    draw_effective,
    draw_effective_line,
    draw_games,
    draw_normalisers,
    draw_tail,
    unharmed_is_near,
)
from wsabench.report.figures.heatmap import heat_map_height
from wsabench.report.figures.intervals import interval_height
from wsabench.report.figures.style import ONE_COLUMN_IN, TWO_COLUMNS_IN, NamedFigure, new_figure
from wsabench.report.tables.text import FEW_SEEDS, interval, number
from wsabench.stats import are_enough
from wsabench.summary.insight_rows import Insight
from wsabench.summary.rows import grouped

_HOLLOW = f" Hollow: {FEW_SEEDS}."


def insight_figures(insight: Insight) -> list[NamedFigure]:
    """Draw the figure of every analysis that has enough data; call it inside `figure_style()`.

    Args:
        insight: The numbers.
    """
    drawn = [
        _effective_figure(insight),
        _component_figure(insight),
        _tail_figure(insight),
        _normaliser_figure(insight),
        _game_figure(insight),
    ]
    return [figure for figure in drawn if figure is not None]


def _effective_figure(insight: Insight) -> NamedFigure | None:
    table = insight.effective_robustness
    if not table:
        return None
    figure = Figure(
        figsize=(TWO_COLUMNS_IN, max(2.8, interval_height([row.agent for row in table]))), layout="constrained"
    )
    left, right = figure.subplots(1, 2, width_ratios=(1.0, 0.8))
    draw_effective_line(table, insight.checkpoints, left)
    draw_effective(table, right)
    overall = insight.rank_correlation[0].value if insight.rank_correlation else None
    ranked = ""
    if overall is not None:
        bounds = f" {interval(overall.low, overall.high)}" if overall.has_bounds else ""
        ranked = f" Rank correlation over agents: {number(overall.value)}{bounds}."
    dashed = ", dashed where nothing is lost" if unharmed_is_near(table, insight.checkpoints) else ""
    caption = (
        "Left: clean and perturbed score of every train seed (dots) and agent (numbers), the line through them"
        f"{dashed}. Right: how far each agent lies above the line through the others, 95% interval over "
        f"agents of the line and own train seeds.{ranked}{_HOLLOW if _has_few(table) else ''}"
    )
    return NamedFigure(
        name="effective-robustness",
        title="Effective robustness",
        caption=caption,
        figure=figure,
        section="methods",
        data=("effective_robustness", "checkpoints"),
        agents=tuple(row.agent for row in table),
        is_wide=True,
        is_folded=True,
    )


def _component_figure(insight: Insight) -> NamedFigure | None:
    table = insight.variance_components
    agents = grouped(table, lambda row: row.agent)
    if not agents:
        return None
    figure, ax = new_figure(ONE_COLUMN_IN, interval_height(list(agents)) + 0.1)
    draw_components(table, ax)
    caption = (
        "Share of the variance of normalised scores, games taken together. Train seed: networks that are better "
        "everywhere; cell x train seed: networks that are good at different perturbations; episode: luck of a game. "
        "Means of cells are left out. The table has the intervals, which few train seeds make wide."
    )
    return NamedFigure(
        name="variance-components",
        title="Components of variance",
        caption=caption,
        figure=figure,
        section="methods",
        data=("variance_components",),
        agents=tuple(agents),
        is_folded=True,
    )


def _tail_figure(insight: Insight) -> NamedFigure | None:
    kinds = grouped(insight.tails, lambda row: row.kind)
    if not kinds:
        return None
    names = max(([row.agent for row in rows] for rows in kinds.values()), key=len)
    height = interval_height(names) + 0.15
    figure = Figure(figsize=(TWO_COLUMNS_IN if len(kinds) > 1 else ONE_COLUMN_IN, height), layout="constrained")
    axes: Any = figure.subplots(1, len(kinds), sharey=True, squeeze=False)
    for ax, table in zip(axes.flat, kinds.values(), strict=True):
        draw_tail(table, ax)
        ax.set_xlabel("normalised score")
    lines = " Lines: 95% interval over train seeds." if any(row.value.has_bounds for row in insight.tails) else ""
    caption = (
        "Mean score of the worst family of perturbations, and of the worst quarter of cells: half of the episodes "
        f"choose them, the other half measure.{lines} Crosses: chosen and measured on the same episodes, too low."
        f"{_HOLLOW if _has_few(insight.tails) else ''}"
    )
    return NamedFigure(
        name="worst-groups",
        title="Worst family and worst cells",
        caption=caption,
        figure=figure,
        section="families",
        data=("tails",),
        agents=tuple(names),
        is_wide=len(kinds) > 1,
        is_folded=True,
    )


def _normaliser_figure(insight: Insight) -> NamedFigure | None:
    if not insight.normaliser_agreement:
        return None
    agents, names = (
        list(dict.fromkeys(of))
        for of in zip(*((row.agent, row.normaliser) for row in insight.normalisers), strict=True)
    )
    figure, ax = new_figure(ONE_COLUMN_IN, heat_map_height(agents, names))
    draw_normalisers(insight.normalisers, ax)
    lowest = min(row.tau for row in insight.normaliser_agreement)
    caption = (
        "Rank by mean perturbed score (strongest shade: 1) when scores are divided by human play, the best agent's or "
        "the agent's own clean score, or taken in logarithms. Lowest agreement of two orders (Kendall's tau): "
        f"{number(lowest)}."
    )
    return NamedFigure(
        name="normalisers",
        title="Ranks under other normalisers",
        caption=caption,
        figure=figure,
        section="methods",
        data=("normalisers", "normaliser_agreement"),
        agents=tuple(agents),
        is_folded=True,
    )


def _game_figure(insight: Insight) -> NamedFigure | None:
    measures = grouped((row for row in insight.new_game if row.new_game.has_bounds), lambda row: row.measure)
    if not measures:
        return None
    names = max(([row.agent for row in rows] for rows in measures.values()), key=len)
    height = interval_height(names) + 0.1
    figure = Figure(figsize=(TWO_COLUMNS_IN if len(measures) > 1 else ONE_COLUMN_IN, height), layout="constrained")
    axes: Any = figure.subplots(
        1, len(measures), sharey=len({len(rows) for rows in measures.values()}) == 1, squeeze=False
    )
    for ax, (measure, table) in zip(axes.flat, measures.items(), strict=True):
        draw_games(table, [row for row in insight.per_game if row.measure == measure], ax)
    caption = (
        "Mean over games under all perturbations. Thick: 95% interval for the mean over games of this kind; thin: for "
        "what one new game will show; strokes: the games."
    )
    return NamedFigure(
        name="games",
        title="Games of this kind and a new game",
        caption=caption,
        figure=figure,
        section="games",
        data=("new_game", "per_game"),
        agents=tuple(names),
        is_wide=len(measures) > 1,
    )


def _has_few(rows: Sequence[Any]) -> bool:
    return not all(are_enough(row.num_seeds, row.num_games) for row in rows)
