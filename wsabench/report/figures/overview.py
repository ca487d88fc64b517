"""Figures that set agents side by side: aggregates, heat map, ranks, scatter, learning curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from wsabench.report.figures import (
    draw_aggregate,
    draw_clean_scatter,
    draw_heat_map,
    draw_learning_curves,
    draw_ranks,
    draw_sample_efficiency,
    interval_height,
)
from wsabench.report.figures.selection import Part
from wsabench.report.figures.style import ONE_COLUMN_IN, TWO_COLUMNS_IN, NamedFigure, new_figure
from wsabench.results.records import CLEAN, file_stem
from wsabench.stats import MIN_TRAIN_SEEDS
from wsabench.summary.rows import CurveRow, EfficiencyRow, Metric, grouped
from wsabench.summary.summarise import Summary


def overview_figures(
    summary: Summary,
    parts: Sequence[Part],
    curves: Sequence[CurveRow] = (),
    efficiency: Sequence[EfficiencyRow] = (),
) -> list[NamedFigure]:
    """Draw the figures that compare agents; call it inside `figure_style()`.

    Args:
        summary: The numbers.
        parts: How perturbations are divided among figures.
        curves: Learning curves as `learning_curves` reads them.
        efficiency: What `efficiency_table` makes of them.
    """
    drawn = [
        *_aggregate_figures(summary),
        *(_heat_map_figure(summary, part) for part in parts),
        *(_rank_figure(summary, part) for part in parts),
        _scatter_figure(summary),
        *_learning_figures(curves),
        _efficiency_figure(efficiency),
    ]
    return [figure for figure in drawn if figure is not None]


def _aggregate_figures(summary: Summary) -> list[NamedFigure]:
    drawn: list[NamedFigure] = []
    for (scope, measure), table in grouped(summary.aggregates, lambda row: (row.scope, row.measure)).items():
        num_agents = len({row.agent for row in table})
        if all(math.isnan(row.value.value) for row in table) or num_agents < 2:
            continue
        metrics: list[Metric] = list(dict.fromkeys(row.metric for row in table))
        height = interval_height(num_agents) + 0.1
        figure = Figure(figsize=(TWO_COLUMNS_IN, height), layout=ConstrainedLayoutEngine(wspace=0.06))
        axes: Any = figure.subplots(1, len(metrics), sharey=True, squeeze=False)
        for ax, metric in zip(axes.flat, metrics, strict=True):
            draw_aggregate(table, ax, metric)
        words = measure.replace("_", " ")
        figure.supxlabel(words, fontsize=7.5)
        fewest = min(row.num_seeds for row in table)
        flag = " Hollow: too few train seeds to conclude anything." if fewest < MIN_TRAIN_SEEDS else ""
        cells = max(row.num_cells for row in table)
        has_lines = any(row.value.has_bounds for row in table)
        by = " by rliable's bootstrap" if table[0].interval == "rliable" else ""
        lines = f"Lines: 95% interval over train seeds{by}." if has_lines else "No interval over so few train seeds."
        caption = (
            f"{words.capitalize()} over {cells} cell{'s' if cells > 1 else ''} that these agents played ({scope}). "
            f"{lines}{flag} Each panel has its own scale; "
            f"of {'the optimality gap' if measure == 'normalised_score' else 'cells lost'} less is better."
        )
        name = file_stem(f"aggregates-{scope}-{measure}".replace(" ", "-").replace("_", "-"))
        drawn.append(NamedFigure(name, f"Aggregates of the {words}, {scope}", caption, figure, is_wide=True))
    return drawn


def _heat_map_figure(summary: Summary, part: Part) -> NamedFigure | None:
    table = [row for row in part.rows(summary.perturbations) if row.label != CLEAN]
    if all(math.isnan(row.retention.value) for row in table) or len(summary.agents) < 2:
        return None
    figure, ax = new_figure(ONE_COLUMN_IN, 0.6 + 0.19 * len({row.label for row in table}))
    draw_heat_map(table, ax)
    games = "" if summary.num_games == 1 else " Mean over games."
    caption = (
        f"Share of its own clean score that each agent keeps. 1 or more (dark): unharmed; 0: random play; hatched: "
        f"undefined.{games} "
        f"{part.note}".rstrip()
    )
    name = part.file_name("retention-heat-map")
    return NamedFigure(name, f"Retention by agent{part.title_end}", caption, figure, keeps_colors=True)


def _rank_figure(summary: Summary, part: Part) -> NamedFigure | None:
    table = part.by_perturbation(summary).rows(summary.ranks, lambda row: row.perturbation)
    names = {row.perturbation for row in table}
    if not names - {CLEAN}:
        return None
    figure, ax = new_figure(ONE_COLUMN_IN, interval_height(len(names)))
    draw_ranks(table, ax, summary.agents)
    whose = "the agents" if summary.compared == summary.agents else "the agents on pixels"
    caption = (
        f"Order of {whose} by normalised score. A line that turns is a change of order; whether it is more than "
        f"chance is for the comparisons to say. {part.note}".rstrip()
    )
    return NamedFigure(part.file_name("ranks"), f"Ranks under each perturbation{part.title_end}", caption, figure)


def _scatter_figure(summary: Summary) -> NamedFigure | None:
    scored = {row.label for row in summary.seeds if not math.isnan(row.normalised_score)}
    if CLEAN not in scored or scored == {CLEAN}:
        return None
    figure, ax = new_figure(ONE_COLUMN_IN, ONE_COLUMN_IN)
    draw_clean_scatter(summary.seeds, ax)
    caption = (
        "Each mark is one train seed in one cell. On the dashed line a perturbation changes nothing; below it harms."
    )
    return NamedFigure("clean-against-perturbed", "Clean against perturbed", caption, figure)


def _learning_figures(curves: Sequence[CurveRow]) -> list[NamedFigure]:
    drawn: list[NamedFigure] = []
    for game, table in grouped(curves, lambda row: row.id.game).items():
        figure, ax = new_figure(ONE_COLUMN_IN, 2.5)
        draw_learning_curves(table, ax)
        caption = (
            f"Unclipped return on {game} during training, mean of the last 50 games, one line a train seed. Curves of "
            "the very checkpoints that were evaluated."
        )
        name = file_stem(f"learning-curves-{game}")
        drawn.append(NamedFigure(name, f"Learning curves on {game}", caption, figure))
    return drawn


def _efficiency_figure(table: Sequence[EfficiencyRow]) -> NamedFigure | None:
    if not table:
        return None
    figure, ax = new_figure(ONE_COLUMN_IN, 2.5)
    draw_sample_efficiency(table, ax)
    games, fewest = max(row.num_games for row in table), min(row.num_seeds for row in table)
    counts = f"{fewest} train seed{'s' * (fewest != 1)} of each agent"
    bands = "Bands: 95% interval over train seeds." if fewest >= MIN_TRAIN_SEEDS else "Too few of them for bands."
    caption = (
        f"Interquartile mean of the normalised score during training (mean of the last 50 games) over {counts} and "
        f"{games} game{'s' * (games != 1)}, at each point of training. {bands}"
    )
    return NamedFigure("sample-efficiency", "Sample efficiency", caption, figure)
