"""Figures that set agents side by side: aggregates, heat map, ranks, scatter, learning curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from wsabench.report.figures.heatmap import draw_heat_map, draw_ranks, heat_map_height, ranked
from wsabench.report.figures.intervals import draw_aggregate, interval_height
from wsabench.report.figures.layout import agent_panels, legend_lines
from wsabench.report.figures.learning import draw_learning_curves, draw_sample_efficiency
from wsabench.report.figures.scatter import draw_clean_scatter
from wsabench.report.figures.selection import Part
from wsabench.report.figures.style import MOST_LOOKS, ONE_COLUMN_IN, TWO_COLUMNS_IN, NamedFigure, new_figure
from wsabench.results.records import CLEAN, file_stem
from wsabench.stats import CLEAN_FLOOR, are_enough
from wsabench.summary.rows import CurveRow, EfficiencyRow, Metric, grouped
from wsabench.summary.summarise import Summary
from wsabench.words import counted

_NARROW_AGENTS = 4
"""Columns of a heat map that fit one journal column."""
_PANEL_IN = 1.35
"""Height of a panel with a curve."""


def overview_figures(
    summary: Summary,
    parts: Sequence[Part],
    curves: Sequence[CurveRow] = (),
    efficiency: Sequence[EfficiencyRow] = (),
) -> list[NamedFigure]:
    """Draw the figures that compare agents; call it inside `figure_style()`.

    Args:
        summary: The numbers.
        parts: The perturbations, divided among figures.
        curves: Learning curves as `learning_curves` reads them.
        efficiency: The rows that `efficiency_table` makes of them.
    """
    drawn = [
        *_aggregate_figures(summary),
        *(_heat_map_figure(summary, part) for part in parts),
        *(_rank_figure(summary, part) for part in parts),
        *_scatter_figures(summary),
        *_learning_figures(curves),
        *_efficiency_figures(efficiency),
    ]
    return [figure for figure in drawn if figure is not None]


def _aggregate_figures(summary: Summary) -> list[NamedFigure]:
    drawn: list[NamedFigure] = []
    for (scope, measure), table in grouped(summary.aggregates, lambda row: (row.scope, row.measure)).items():
        num_agents = len({row.agent for row in table})
        if all(math.isnan(row.value.value) for row in table) or num_agents < 2:
            continue
        metrics: list[Metric] = list(dict.fromkeys(row.metric for row in table))
        agents = tuple(dict.fromkeys(row.agent for row in table))
        height = interval_height(agents) + 0.1
        figure = Figure(figsize=(TWO_COLUMNS_IN, height), layout=ConstrainedLayoutEngine(wspace=0.06))
        axes: Any = figure.subplots(1, len(metrics), sharey=True, squeeze=False)
        for ax, metric in zip(axes.flat, metrics, strict=True):
            draw_aggregate(table, ax, metric)
        words = measure.replace("_", " ")
        figure.supxlabel(words, fontsize=7.5)
        is_enough = all(are_enough(row.num_seeds, row.num_games) for row in table)
        flag = "" if is_enough else " Hollow: too few train seeds to conclude anything."
        cells = max(row.num_cells for row in table)
        has_lines = any(row.value.has_bounds for row in table)
        by = " by rliable's bootstrap" if table[0].interval == "rliable" else ""
        lines = f"Lines: 95% interval over train seeds{by}." if has_lines else "No interval over so few train seeds."
        caption = (
            f"{words.capitalize()} over {counted(cells, 'cell')} that these agents played ({scope}). "
            f"{lines}{flag} Each panel has its own scale; "
            f"of {'the optimality gap' if measure == 'normalised_score' else 'cells lost'} less is better."
        )
        name = file_stem(f"aggregates-{scope}-{measure}".replace(" ", "-").replace("_", "-"))
        drawn.append(
            NamedFigure(
                name=name,
                title=f"Aggregates of the {words}, {scope}",
                caption=caption,
                figure=figure,
                section="methods",
                data=("aggregates",),
                agents=agents,
                is_wide=True,
                is_folded=True,
            )
        )
    return drawn


def _heat_map_figure(summary: Summary, part: Part) -> NamedFigure | None:
    table = [row for row in part.rows(summary.perturbations) if row.label != CLEAN]
    if all(math.isnan(row.retention.value) for row in table) or len(summary.agents) < 2:
        return None
    agents, labels = (
        list(dict.fromkeys(names)) for names in zip(*((row.agent, row.label) for row in table), strict=True)
    )
    is_wide = len(agents) > _NARROW_AGENTS
    figure, ax = new_figure(TWO_COLUMNS_IN if is_wide else ONE_COLUMN_IN, heat_map_height(labels, agents))
    draw_heat_map(table, ax)
    games = "" if summary.num_games == 1 else " Mean over games."
    caption = (
        f"Share of its own clean score that each agent keeps. 1 or more (strongest shade): unharmed; 0: random play; "
        f"hatched: undefined.{games} "
        f"{part.note}".rstrip()
    )
    name = part.file_name("retention-heat-map")
    return NamedFigure(
        name=name,
        title=f"Retention by agent{part.title_end}",
        caption=caption,
        figure=figure,
        section="families",
        data=("perturbations",),
        agents=tuple(agents),
        is_wide=is_wide,
        is_folded=len(agents) <= MOST_LOOKS or not part.is_first,
    )


def _rank_figure(summary: Summary, part: Part) -> NamedFigure | None:
    table = ranked(part.by_perturbation(summary).rows(summary.ranks, lambda row: row.perturbation))
    agents, names = (
        list(dict.fromkeys(of)) for of in (((row.agent for row in table)), (row.perturbation for row in table))
    )
    if not set(names) - {CLEAN}:
        return None
    is_wide = len(agents) > _NARROW_AGENTS
    figure, ax = new_figure(TWO_COLUMNS_IN if is_wide else ONE_COLUMN_IN, heat_map_height(names, agents))
    draw_ranks(table, ax)
    whose = "the agents" if summary.compared == summary.agents else "the agents on pixels"
    all_names = {
        row.perturbation for row in part.by_perturbation(summary).rows(summary.ranks, lambda row: row.perturbation)
    }
    left_out = sorted(all_names - set(names))
    at_random = (
        f" Not shown, because all agents score at most {CLEAN_FLOOR:g}: {', '.join(left_out)}." if left_out else ""
    )
    caption = (
        f"Order of {whose} by normalised score; the strongest shade is first. Whether a difference is more than chance "
        f"is for the comparisons to say.{at_random} {part.note}".rstrip()
    )
    return NamedFigure(
        name=part.file_name("ranks"),
        title=f"Ranks under each perturbation{part.title_end}",
        caption=caption,
        figure=figure,
        section="families",
        data=("ranks",),
        agents=tuple(agents),
        is_wide=is_wide,
        is_folded=True,
    )


def _scatter_figures(summary: Summary) -> list[NamedFigure]:
    scored = {row.label for row in summary.seeds if not math.isnan(row.normalised_score)}
    if CLEAN not in scored or scored == {CLEAN}:
        return []
    of_agent = grouped(summary.seeds, lambda row: row.id.agent)
    agents = list(of_agent)
    values = [row.normalised_score for row in summary.seeds if math.isfinite(row.normalised_score)]
    low, high = min(0.0, *values), max(values)
    slack = 0.05 * (high - low)

    def draw(agent: str, ax: Axes) -> None:
        draw_clean_scatter(of_agent[agent], ax, has_legend=False, limits=(low - slack, high + slack))
        ax.set_aspect("auto")

    labels = ("clean normalised score", "normalised score under a perturbation")
    if len(agents) > MOST_LOOKS:
        figures = agent_panels(agents, _PANEL_IN, draw, *labels)
    else:
        figure, ax = new_figure(ONE_COLUMN_IN, ONE_COLUMN_IN + 0.25 * legend_lines(agents, ONE_COLUMN_IN))
        draw_clean_scatter(summary.seeds, ax, has_legend=len(agents) > 1)
        figures = [figure]
    caption = (
        "Each mark is one train seed in one cell. On the dashed line a perturbation changes nothing; below it harms."
    )
    return _pages(figures, "clean-against-perturbed", "Clean against perturbed", caption, ("seeds",), agents)


def _learning_figures(curves: Sequence[CurveRow]) -> list[NamedFigure]:
    drawn: list[NamedFigure] = []
    for game, table in grouped(curves, lambda row: row.id.game).items():
        of_agent = grouped(table, lambda row: row.id.agent)

        def draw(agent: str, ax: Axes, rows: dict[str, list[CurveRow]] = of_agent) -> None:
            draw_learning_curves(rows[agent], ax, has_legend=False)

        agents = list(of_agent)
        if len(agents) > MOST_LOOKS:
            figures = agent_panels(agents, _PANEL_IN, draw, "steps of training", "mean return of the last games")
        else:
            figure, ax = new_figure(ONE_COLUMN_IN, 2.3 + 0.13 * legend_lines(agents, ONE_COLUMN_IN))
            draw_learning_curves(table, ax)
            figures = [figure]
        caption = (
            f"Unclipped return on {game} during training, mean of the last 50 games, one line a train seed. Curves of "
            "the very checkpoints that were evaluated."
        )
        name = file_stem(f"learning-curves-{game}")
        drawn += _pages(figures, name, f"Learning curves on {game}", caption, ("learning_curves",), agents)
    return drawn


def _efficiency_figures(table: Sequence[EfficiencyRow]) -> list[NamedFigure]:
    if not table:
        return []
    of_agent = grouped(table, lambda row: row.agent)
    agents = list(of_agent)

    def draw(agent: str, ax: Axes) -> None:
        draw_sample_efficiency(of_agent[agent], ax, has_legend=False)

    if len(agents) > MOST_LOOKS:
        figures = agent_panels(agents, _PANEL_IN, draw, "steps of training", "IQM of the normalised score")
    else:
        figure, ax = new_figure(ONE_COLUMN_IN, 2.3 + 0.13 * legend_lines(agents, ONE_COLUMN_IN))
        draw_sample_efficiency(table, ax)
        figures = [figure]
    games, fewest = max(row.num_games for row in table), min(row.num_seeds for row in table)
    counts = f"{counted(fewest, 'train seed')} of each agent"
    is_enough = all(are_enough(row.num_seeds, row.num_games) for row in table)
    bands = "Bands: 95% interval over train seeds." if is_enough else "Too few of them for bands."
    caption = (
        f"Interquartile mean of the normalised score during training (mean of the last 50 games) over {counts} and "
        f"{counted(games, 'game')}, at each point of training. {bands}"
    )
    return _pages(figures, "sample-efficiency", "Sample efficiency", caption, ("sample_efficiency",), agents)


def _pages(
    figures: Sequence[Figure], name: str, title: str, caption: str, data: tuple[str, ...], agents: Sequence[str]
) -> list[NamedFigure]:
    """Return folded figures of the methods, numbered where there are several."""
    named: list[NamedFigure] = []
    for place, figure in enumerate(figures, 1):
        end, words = (f"-{place}", f", page {place} of {len(figures)}") if len(figures) > 1 else ("", "")
        named.append(
            NamedFigure(
                name=f"{name}{end}",
                title=f"{title}{words}",
                caption=caption,
                figure=figure,
                section="methods",
                data=data,
                agents=tuple(agents),
                is_wide=len(agents) > MOST_LOOKS,
                is_folded=True,
            )
        )
    return named
