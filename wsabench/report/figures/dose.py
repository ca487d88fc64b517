"""Curves over the measured change of the observation (the dose), with a figure for each game."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from wsabench.report.figures.curves import curve_grid, draw_dose_curve, draw_start
from wsabench.report.figures.selection import MOST_CURVES
from wsabench.report.figures.style import MOST_LOOKS, TWO_COLUMNS_IN, NamedFigure
from wsabench.results.records import CLEAN, file_stem
from wsabench.summary.rows import DoseRow, grouped
from wsabench.summary.summarise import Summary


def dose_figures(summary: Summary) -> list[NamedFigure]:
    """Draw the curves over dose, a panel for each perturbation; call it inside `figure_style()`.

    Args:
        summary: The numbers. Changes differ between games, so each game has its own figure, divided by family where
            the curves are many.

    Returns:
        The figures, none where no perturbation has two different measured changes.
    """
    drawn: list[NamedFigure] = []
    for game, of_game in grouped(summary.doses, lambda row: row.game).items():
        curves = list(grouped(of_game, lambda row: row.perturbation).values())
        parts = {"": curves} if len(curves) <= MOST_CURVES else grouped(curves, lambda curve: curve[0].family)
        drawn += [_dose_figure(summary, game, part, family) for family, part in parts.items()]
    return drawn


def _dose_figure(summary: Summary, game: str, curves: Sequence[Sequence[DoseRow]], family: str) -> NamedFigure:
    agents = [agent for agent in summary.agents if any(row.agent == agent for curve in curves for row in curve)]
    clean = {row.agent: row.normalised_score.value for row in summary.cells if (row.game, row.label) == (game, CLEAN)}
    is_crowd = len(agents) > MOST_LOOKS

    def draw(place: int, ax: Axes) -> None:
        draw_dose_curve(curves[place], ax, agents)
        if not is_crowd:
            draw_start(clean, ax, agents)
        ax.margins(x=0.08)

    figure = curve_grid([curve[0].perturbation for curve in curves], agents, draw)
    has_lines = any(row.normalised_score.has_bounds for curve in curves for row in curve)
    shown = f"Hollow, at 0: clean.{' Lines: 95% interval over train seeds.' * has_lines} Agents stand a little apart."
    if is_crowd:
        shown = "Thin: each agent; thick: their median."
    caption = (
        f"Normalised score on {game} over the mean change of the observation that each severity brings. "
        f"Severities stand in the order of what the agent sees, not of their numbers. {shown}"
    )
    name, title = f"dose-curves-{game}", f"Scores over dose on {game}"
    if family:
        name, title = f"{name}-{family}", f"{title}, {family}"
    return NamedFigure(
        name=file_stem(name),
        title=title,
        caption=caption,
        figure=figure,
        section="games",
        data=("doses",),
        agents=tuple(agents),
        is_wide=bool(figure.get_figwidth() >= TWO_COLUMNS_IN),
        is_folded=summary.num_games > 1 or bool(family),
    )
