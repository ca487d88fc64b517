"""Figures by perturbation: scores and retention, curves over severity, profiles, improvement, attention."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wsabench.report.figures.attention import draw_attention
from wsabench.report.figures.curves import curve_grid, draw_profile, draw_severity_curve
from wsabench.report.figures.heatmap import heat_map_height
from wsabench.report.figures.intervals import Bounds, draw_improvement, draw_measure, interval_height
from wsabench.report.figures.layout import TALLEST_IN, agent_panels, legend_lines, wrapped
from wsabench.report.figures.marks import unmarked
from wsabench.report.figures.selection import MOST_CURVES, Part
from wsabench.report.figures.style import (
    MOST_LOOKS,
    ONE_COLUMN_IN,
    TWO_COLUMNS_IN,
    NamedFigure,
    new_figure,
)
from wsabench.report.tables.text import FEW_SEEDS
from wsabench.results.records import CLEAN, file_stem
from wsabench.stats import MIN_INTERVAL_SEEDS, are_enough
from wsabench.summary.aggregates import ALL_PERTURBATIONS
from wsabench.summary.rows import ImprovementRow, Measure, PerturbationRow, ProfileRow, SeedRow, grouped
from wsabench.summary.summarise import Summary
from wsabench.words import counted

_MOST_PAIRS = 6
"""Pairs that have a figure each; more pairs stand in one figure, over all perturbations."""
_WORDS: dict[Measure, tuple[str, str]] = {
    "retention": ("Retention", "Share of its own clean score that an agent keeps. 1: unharmed; 0: random play."),
    "normalised_score": ("Normalised score", "0: random play; 1: human play."),
}


def interval_kind(summary: Summary) -> Bounds:
    """Return which interval the figures show: over train seeds, or over episodes where no agent has enough of them."""
    most = max(row.num_seeds for row in summary.perturbations)
    return "seeds" if most >= MIN_INTERVAL_SEEDS else "episodes"


def _interval_caption(summary: Summary, *, has_dots: bool = True) -> str:
    fewest = min(row.num_seeds for row in summary.perturbations)
    dots = "; small hollow dots: single train seeds" if has_dots and fewest > 1 else ""
    if interval_kind(summary) == "episodes":
        few = f"{seed_count(fewest).lower()} say{'s' * (fewest == 1)} nothing about training"
        return f"Lines: 95% interval over episodes of these checkpoints only, {few}{dots}."
    text = f"Lines: 95% interval over train seeds{dots}."
    few = _few(summary.perturbations)
    if not few:
        return text
    if len(few) < len(summary.perturbations) and summary.num_games > 1:
        return f"{text} Too few: {FEW_SEEDS}."
    return f"{text} Only {counted(fewest, 'train seed')}: too few."


def _few(rows: Sequence[PerturbationRow | ProfileRow | ImprovementRow]) -> list[int]:
    """Return the numbers of train seeds of the rows that rest on too few of them."""
    return [row.num_seeds for row in rows if not are_enough(row.num_seeds, row.num_games)]


def measure_figures(summary: Summary, measure: Measure, part: Part) -> list[NamedFigure]:
    """Draw a measure of each perturbation and agent; where there are many agents, each has a panel of its own.

    Args:
        summary: The numbers.
        measure: `normalised_score` or `retention`.
        part: The perturbations that the figures show.
    """
    table, seeds = part.rows(summary.perturbations), part.rows(summary.seeds)
    if measure == "retention":
        table = [row for row in table if row.label != CLEAN]
        seeds = [row for row in seeds if row.label != CLEAN]
    if all(math.isnan(row.measured(measure).value) for row in table):
        return []
    agents, labels = (
        list(dict.fromkeys(names)) for names in zip(*((row.agent, row.label) for row in table), strict=True)
    )
    games = "" if summary.num_games == 1 else " Mean over games."
    title, what = _WORDS[measure]
    height = interval_height(labels, len(agents)) + 0.13 * (legend_lines(agents, ONE_COLUMN_IN) - 1)
    is_many = len(agents) > MOST_LOOKS or (len(agents) > 1 and height > TALLEST_IN)
    if is_many:
        drawn = _measure_panels(table, seeds, measure, interval_kind(summary))
    else:
        figure, ax = new_figure(ONE_COLUMN_IN, height)
        draw_measure(table, ax, measure, seeds, interval_kind(summary), has_legend=len(agents) > 1)
        if len(agents) == 1:
            ax.set_title(wrapped(agents[0]))
        drawn = [figure]
    caption = f"{what}{games} {_interval_caption(summary)} {part.note}".rstrip()
    named: list[NamedFigure] = []
    for place, figure in enumerate(drawn, 1):
        end, words = (f"-{place}", f", page {place} of {len(drawn)}") if len(drawn) > 1 else ("", "")
        named.append(
            NamedFigure(
                name=part.file_name(measure.replace("_", "-")) + end,
                title=f"{title} under each perturbation{part.title_end}{words}",
                caption=caption,
                figure=figure,
                section="families",
                data=("perturbations", "seeds"),
                agents=tuple(agents),
                is_wide=is_many,
                is_folded=measure != "retention" or is_many,
            )
        )
    return named


def _measure_panels(
    table: Sequence[PerturbationRow], seeds: Sequence[SeedRow], measure: Measure, bounds: Bounds
) -> list[Figure]:
    """Draw a panel for each agent."""
    labels = list(dict.fromkeys(row.label for row in table))

    def draw(agent: str, ax: Axes) -> None:
        rows = {row.label: row for row in table if row.agent == agent}
        own = [rows[label] for label in labels if label in rows]
        draw_measure(own, ax, measure, [row for row in seeds if row.id.agent == agent], bounds, has_legend=False)

    agents = [agent for agent, rows in grouped(table, lambda row: row.agent).items() if len(rows) == len(labels)]
    rest = [agent for agent in dict.fromkeys(row.agent for row in table) if agent not in agents]
    height = interval_height(labels) - 0.65
    words = measure.replace("_", " ")
    figures = agent_panels(agents, height, draw, words) if agents else []
    # What lacks some perturbation has its own axes: panels share the names of their lines.
    return figures + [figure for agent in rest for figure in agent_panels([agent], height, draw, words)]


def severity_figures(summary: Summary) -> list[NamedFigure]:
    """Draw the curves over severity, by family where they are many.

    Args:
        summary: The numbers.
    """
    if all(math.isnan(row.normalised_score.value) for row in summary.severities):
        return []
    curves = list(grouped(summary.severities, lambda row: row.perturbation).values())
    if len(curves) <= MOST_CURVES:
        return [_severity_figure(summary, curves, "")]
    families = grouped(curves, lambda curve: curve[0].family)
    return [_severity_figure(summary, of_family, family) for family, of_family in families.items()]


def _severity_figure(summary: Summary, curves: Sequence[Sequence[PerturbationRow]], family: str) -> NamedFigure:
    agents = list(dict.fromkeys(row.agent for curve in curves for row in curve))
    strongest = max(row.severity or 0 for row in summary.severities)

    def draw(place: int, ax: Axes) -> None:
        draw_severity_curve(curves[place], ax)
        ax.set_xlim(-0.4, max(1.4, strongest + 0.4))

    figure = curve_grid([curve[0].perturbation for curve in curves], agents, draw)
    fewest = min(row.num_seeds for row in summary.perturbations)
    lines = _interval_caption(summary, has_dots=False)
    if interval_kind(summary) == "episodes":
        lines = f"{seed_count(fewest)}, no interval."
    if len(agents) > MOST_LOOKS:
        lines = "Thin: each agent; thick: their median."
    name, title = ("severity-curves", "Severity curves")
    if family:
        name, title = file_stem(f"{name}-{family}"), f"{title}, {family}"
    return NamedFigure(
        name=name,
        title=title,
        caption=f"Normalised score over severity; clean is the curve's beginning. {lines}",
        figure=figure,
        section="families",
        data=("severities",),
        agents=tuple(agents),
        is_wide=bool(figure.get_figwidth() >= TWO_COLUMNS_IN),
        is_folded=bool(family),
    )


def profile_figure(summary: Summary) -> NamedFigure | None:
    """Draw the performance profiles; None where there are none.

    Args:
        summary: The numbers.
    """
    if not summary.profiles:
        return None
    agents = list(dict.fromkeys(row.agent for row in summary.profiles))
    is_crowd = len(agents) > MOST_LOOKS
    legend_in = 0.13 * (1 if is_crowd else legend_lines(agents, ONE_COLUMN_IN))
    figure, ax = new_figure(ONE_COLUMN_IN, 2.3 + legend_in)
    draw_profile(summary.profiles, ax)
    fewest = min(row.num_seeds for row in summary.profiles)
    by = " by rliable's bootstrap" if summary.interval == "rliable" else ""
    bands = f"Bands: 95% interval over train seeds{by}."
    if _few(summary.profiles):
        bands = f"{seed_count(fewest)}: too few for bands."
    if is_crowd:
        bands = "Thin: each agent; thick: their median."
    caption = (
        f"Fraction of all train seeds and perturbed cells with a normalised score above τ; higher is better. {bands}"
    )
    return NamedFigure(
        name="performance-profile",
        title="Performance profile over all perturbations",
        caption=caption,
        figure=figure,
        section="methods",
        data=("profiles",),
        agents=tuple(agents),
        is_folded=True,
    )


def improvement_figures(summary: Summary, part: Part) -> list[NamedFigure]:
    """Draw how often one agent beats another: a figure for each pair, or one figure for all where there are many pairs.

    Args:
        summary: The numbers.
        part: The perturbations; the line over all perturbations stands last.
    """
    scores = [
        row for row in summary.improvement if row.measure == "normalised_score" and math.isfinite(row.value.value)
    ]
    pairs = grouped(scores, lambda row: (row.agent_x, row.agent_y))
    if len(pairs) > _MOST_PAIRS:
        whole = [row for row in scores if row.label == ALL_PERTURBATIONS]
        is_first = ALL_PERTURBATIONS in {row.label for row in whole} and part.is_first
        return [_pairs_figure(whole)] if is_first else []
    part = part._replace(labels=(*part.labels, ALL_PERTURBATIONS))
    return [_pair_figure(part.rows(pair), part) for pair in pairs.values() if part.rows(pair)]


def _pair_figure(table: Sequence[ImprovementRow], part: Part) -> NamedFigure:
    agent_x, agent_y = table[0].agent_x, table[0].agent_y
    figure, ax = new_figure(ONE_COLUMN_IN, interval_height([row.label for row in table]) + 0.1)
    draw_improvement(table, ax)
    caption = (
        f"How often a train seed of {agent_x} scores above one of {agent_y}; 0.5: no difference, ties count half. "
        f"It says nothing about how much. {_improvement_words(table)} {part.note}".rstrip()
    )
    return NamedFigure(
        name=file_stem(part.file_name(f"improvement-{unmarked(agent_x)}-{unmarked(agent_y)}")),
        title=f"Probability of improvement, {agent_x} over {agent_y}{part.title_end}",
        caption=caption,
        figure=figure,
        section="methods",
        data=("improvement",),
        agents=(agent_x, agent_y),
        is_folded=True,
    )


def _pairs_figure(table: Sequence[ImprovementRow]) -> NamedFigure:
    """Draw all pairs over all perturbations, a line each."""
    first = table[0].agent_x
    shown = [row for row in table if row.agent_x == first]
    names = [row.agent_y for row in shown]
    figure, ax = new_figure(ONE_COLUMN_IN, interval_height(names) + 0.1)
    draw_improvement(shown, ax, names=names)
    ax.set_xlabel(f"probability that {wrapped(first, 18)}\nbeats this agent")
    caption = (
        f"How often a train seed of {first} scores above one of each other agent, over all perturbations; 0.5: no "
        f"difference, ties count half. {_improvement_words(shown)}"
    )
    return NamedFigure(
        name=file_stem(f"improvement-{unmarked(first)}"),
        title=f"Probability of improvement, {first} over each other agent",
        caption=caption,
        figure=figure,
        section="methods",
        data=("improvement",),
        agents=(first, *names),
        is_folded=True,
    )


def _improvement_words(table: Sequence[ImprovementRow]) -> str:
    few = _few(table)
    lines = "Lines: 95% interval over train seeds." if any(row.value.has_bounds for row in table) else ""
    if few:
        is_mixed = len(few) < len(table) and any(row.num_games > 1 for row in table)
        which = f"{FEW_SEEDS}: too few" if is_mixed else f"{seed_count(min(few)).lower()}, too few"
        lines = f"{lines} Hollow: {which} to conclude anything{'; without a line where all agree' if lines else ''}."
    return lines.strip()


def attention_figures(summary: Summary, part: Part) -> list[NamedFigure]:
    """Draw the attention weights, a figure for each agent and game.

    Args:
        summary: The numbers.
        part: The perturbations that the figures show.
    """
    drawn: list[NamedFigure] = []
    shown = part.rows(summary.attention)
    for (agent, game), table in grouped(shown, lambda row: (row.agent, row.game)).items():
        labels, encoders = (
            list(dict.fromkeys(names)) for names in zip(*((row.label, row.encoder) for row in table), strict=True)
        )
        height = heat_map_height(labels, encoders) + 0.1 * len(labels)
        figure, ax = new_figure(ONE_COLUMN_IN if len(encoders) <= MOST_LOOKS else TWO_COLUMNS_IN, height)
        draw_attention(table, ax)
        seeds = max(row.num_seeds for row in table)
        spread = " Small: least and greatest of the train seeds, where they differ by more than 0.1." * (seeds > 1)
        caption = (
            f"Mean weight of each encoder over all steps of {agent} on {game}, mean of {counted(seeds, 'train seed')}; "
            f"a line sums to 1.{spread} "
            f"Shift: share of the weight that stands with other encoders than under clean. {part.note}".rstrip()
        )
        drawn.append(
            NamedFigure(
                name=file_stem(part.file_name(f"attention-{unmarked(agent)}-{game}")),
                title=f"Attention of {agent} on {game}{part.title_end}",
                caption=caption,
                figure=figure,
                section="inside",
                data=("attention",),
                agents=(agent,),
                is_wide=len(encoders) > MOST_LOOKS,
                is_folded=not part.is_first,
            )
        )
    return drawn


def seed_count(count: int) -> str:
    """Return a number of train seeds in words for the beginning of a sentence."""
    return "One train seed" if count == 1 else counted(count, "train seed")
