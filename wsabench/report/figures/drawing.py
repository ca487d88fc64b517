"""Which figures a report has, and what stands under them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from msgspec import structs

from wsabench.report.figures import (
    SampleFrame,
    draw_attention,
    draw_improvement,
    draw_measure,
    draw_profile,
    draw_severity_curve,
    frame_grid,
    interval_height,
    read_picture,
)
from wsabench.report.figures.dose import dose_figures
from wsabench.report.figures.episode import examples_figure
from wsabench.report.figures.insight import insight_figures
from wsabench.report.figures.intervals import Bounds
from wsabench.report.figures.marks import explained, marked_summary, unmarked, with_marks
from wsabench.report.figures.overview import overview_figures
from wsabench.report.figures.selection import MOST_CURVES, MOST_LINES, Part, parts_of, strongest_labels
from wsabench.report.figures.style import ONE_COLUMN_IN, TWO_COLUMNS_IN, NamedFigure, new_figure, settle
from wsabench.results.recorded import SMOOTH_STEPS
from wsabench.results.records import CLEAN, file_stem
from wsabench.results.result import marked_name
from wsabench.stats import MIN_INTERVAL_SEEDS, MIN_TRAIN_SEEDS
from wsabench.summary.aggregates import ALL_PERTURBATIONS
from wsabench.summary.attention import ExampleEpisode
from wsabench.summary.rows import CurveRow, EfficiencyRow, Measure, PerturbationRow, grouped
from wsabench.summary.summarise import Summary

MOST_FRAMES = 24
"""Sample pictures on one page."""


def draw_figures(
    summary: Summary,
    frames: list[SampleFrame],
    examples: Sequence[ExampleEpisode] = (),
    curves: Sequence[CurveRow] = (),
    efficiency: Sequence[EfficiencyRow] = (),
) -> list[NamedFigure]:
    """Draw every figure that the result set has data for; call it inside `figure_style()`.

    Args:
        summary: The numbers; privileged agents are marked wherever a figure names them.
        frames: Sample pictures, maybe none.
        examples: Weights over some episodes, maybe none.
        curves: Learning curves as `learning_curves` reads them.
        efficiency: What `efficiency_table` makes of them.
    """
    privileged = summary.privileged
    summary = marked_summary(summary)
    examples = [
        replace(one, id=structs.replace(one.id, agent=marked_name(one.id.agent, privileged))) for one in examples
    ]
    curves, efficiency = with_marks(curves, privileged), with_marks(efficiency, privileged)
    parts = parts_of(summary)
    drawn = [
        *(_measure_figure(summary, "normalised_score", part) for part in parts),
        *(_measure_figure(summary, "retention", part) for part in parts),
        *_severity_figures(summary),
        *dose_figures(summary),
        _profile_figure(summary),
        *overview_figures(summary, parts, curves, efficiency),
        *insight_figures(summary.insight),
        *(figure for part in parts for figure in _improvement_figures(summary, part)),
        *(figure for part in parts for figure in _attention_figures(summary, part)),
        *_example_figures(examples),
        *_frames_figures(frames),
    ]
    finished = [figure for figure in drawn if figure is not None]
    for named in finished:
        settle(named.figure)
    return [explained(named) for named in finished]


def sample_frames(directories: Sequence[Path], summary: Summary) -> list[SampleFrame]:
    """Read the sample pictures of result sets, in the order of the run.

    Args:
        directories: Their folders `frames`; the first that has a picture gives it.
        summary: Says which games and cells there are.

    Returns:
        The pictures that exist, titled with their perturbation, and with the game where there are several. Of many
        perturbations the strongest severity of each.

    Raises:
        ResultSetError: A picture is damaged.
    """
    cells = dict.fromkeys((row.game, row.label) for row in summary.cells)
    if len(summary.played) > MOST_LINES:
        strongest = strongest_labels(summary)
        cells = [(game, label) for game, label in cells if label in strongest]
    many = len({game for game, _ in cells}) > 1
    frames: list[SampleFrame] = []
    for game, label in cells:
        paths = [directory / f"{file_stem(game, label)}.png" for directory in directories]
        if path := next((path for path in paths if path.exists()), None):
            frames.append(SampleFrame(f"{game}: {label}" if many else label, read_picture(path)))
    return frames


def interval_kind(summary: Summary) -> Bounds:
    """Return which interval the figures show: over train seeds, or over episodes where no agent has enough of them."""
    most = max(row.num_seeds for row in summary.perturbations)
    return "seeds" if most >= MIN_INTERVAL_SEEDS else "episodes"


def _interval_caption(summary: Summary) -> str:
    fewest = min(row.num_seeds for row in summary.perturbations)
    if interval_kind(summary) == "episodes":
        few = f"{_seed_count(fewest).lower()} say{'s' * (fewest == 1)} nothing about training"
        dots = "; small hollow dots: single train seeds" if fewest > 1 else ""
        return f"Lines: 95% interval over episodes of these checkpoints only, {few}{dots}."
    text = "Lines: 95% interval over train seeds; small hollow dots: single train seeds."
    return text + (f" Only {fewest} train seeds: too few." if fewest < MIN_TRAIN_SEEDS else "")


def _measure_figure(summary: Summary, measure: Measure, part: Part) -> NamedFigure | None:
    table, seeds = part.rows(summary.perturbations), part.rows(summary.seeds)
    if measure == "retention":
        table = [row for row in table if row.label != CLEAN]
        seeds = [row for row in seeds if row.label != CLEAN]
    if all(math.isnan(row.measured(measure).value) for row in table):
        return None
    height = interval_height(len({row.label for row in table}), len({row.agent for row in table}))
    figure, ax = new_figure(ONE_COLUMN_IN, height)
    draw_measure(table, ax, measure, seeds, interval_kind(summary))
    games = "" if summary.num_games == 1 else " Mean over games."
    if measure == "retention":
        title, what = "Retention", "Share of its own clean score that an agent keeps. 1: unharmed; 0: random play."
    else:
        title, what = "Normalised score", "0: random play; 1: human play."
    caption = f"{what}{games} {_interval_caption(summary)} {part.note}".rstrip()
    name = part.file_name(measure.replace("_", "-"))
    return NamedFigure(name, f"{title} under each perturbation{part.title_end}", caption, figure)


def _severity_figures(summary: Summary) -> list[NamedFigure]:
    """Return the curves over severity, by family where they are many."""
    if all(math.isnan(row.normalised_score.value) for row in summary.severities):
        return []
    curves = list(grouped(summary.severities, lambda row: row.perturbation).values())
    if len(curves) <= MOST_CURVES:
        return [_severity_figure(summary, curves, "")]
    families = grouped(curves, lambda curve: curve[0].family)
    return [_severity_figure(summary, of_family, family) for family, of_family in families.items()]


def _severity_figure(summary: Summary, curves: Sequence[Sequence[PerturbationRow]], family: str) -> NamedFigure:
    columns = min(4, len(curves))
    rows = -(-len(curves) // columns)
    width = TWO_COLUMNS_IN if columns > 2 else ONE_COLUMN_IN * max(1.0, columns * 0.75)
    figure = Figure(figsize=(width, 0.45 + 1.5 * rows), layout="constrained")
    axes: Any = figure.subplots(rows, columns, squeeze=False, sharey=True)
    strongest = max(row.severity or 0 for row in summary.severities)
    for place, ax in enumerate(axes.flat):
        if place >= len(curves):
            ax.set_axis_off()
            continue
        draw_severity_curve(curves[place], ax)
        ax.set_title(curves[place][0].perturbation)
        ax.set_xlim(-0.4, max(1.4, strongest + 0.4))
        if place % columns:
            ax.set_ylabel("")
        if place + columns < len(curves):
            ax.set_xlabel("")
    axes.flat[0].set_ylim(bottom=min(0.0, axes.flat[0].get_ylim()[0]))
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4)
    caption = f"Normalised score over severity; clean is the curve's beginning. {_interval_caption(summary)}"
    if interval_kind(summary) == "episodes":
        fewest = min(row.num_seeds for row in summary.perturbations)
        caption = f"Normalised score over severity; clean is the curve's beginning. {_seed_count(fewest)}, no interval."
    caption = caption.replace("; small hollow dots: single train seeds", "")
    name, title = ("severity-curves", "Severity curves")
    if family:
        name, title = file_stem(f"{name}-{family}"), f"{title}, {family}"
    return NamedFigure(name, title, caption, figure, is_wide=columns > 2)


def _profile_figure(summary: Summary) -> NamedFigure | None:
    if not summary.profiles:
        return None
    figure, ax = new_figure(ONE_COLUMN_IN, 2.5)
    draw_profile(summary.profiles, ax)
    fewest = min(row.num_seeds for row in summary.profiles)
    by = " by rliable's bootstrap" if summary.interval == "rliable" else ""
    bands = f"Bands: 95% interval over train seeds{by}."
    if fewest < MIN_TRAIN_SEEDS:
        bands = f"{_seed_count(fewest)}: too few for bands."
    caption = (
        f"Fraction of all train seeds and perturbed cells with a normalised score above τ; higher is better. {bands}"
    )
    return NamedFigure("performance-profile", "Performance profile over all perturbations", caption, figure)


def _improvement_figures(summary: Summary, part: Part) -> list[NamedFigure]:
    drawn: list[NamedFigure] = []
    scores = (row for row in summary.improvement if row.measure == "normalised_score")
    part = part._replace(labels=(*part.labels, ALL_PERTURBATIONS))
    for (agent_x, agent_y), pair in grouped(scores, lambda row: (row.agent_x, row.agent_y)).items():
        table = part.rows(pair)
        if all(math.isnan(row.value.value) for row in table):
            continue
        figure, ax = new_figure(ONE_COLUMN_IN, interval_height(len(table)) - 0.2)
        draw_improvement(table, ax)
        fewest = min(row.num_seeds for row in table)
        flag = (
            f" Hollow: {_seed_count(fewest).lower()}, too few to conclude anything; without a line where all agree."
            if fewest < MIN_TRAIN_SEEDS
            else ""
        )
        caption = (
            f"How often a train seed of {agent_x} scores above one of {agent_y}; 0.5: no difference, ties count half. "
            f"It says nothing about how much. Lines: 95% interval over train seeds.{flag}"
        )
        name = file_stem(part.file_name(f"improvement-{unmarked(agent_x)}-{unmarked(agent_y)}"))
        title = f"Probability of improvement, {agent_x} over {agent_y}{part.title_end}"
        drawn.append(NamedFigure(name, title, f"{caption} {part.note}".rstrip(), figure))
    return drawn


def _attention_figures(summary: Summary, part: Part) -> list[NamedFigure]:
    drawn: list[NamedFigure] = []
    shown = part.rows(summary.attention)
    for (agent, game), table in grouped(shown, lambda row: (row.agent, row.game)).items():
        figure, ax = new_figure(ONE_COLUMN_IN, 0.65 + 0.29 * len({row.label for row in table}))
        draw_attention(table, ax)
        seeds = max(row.num_seeds for row in table)
        caption = (
            f"Mean weight of each encoder over all steps of {agent} on {game}, mean of {seeds} train seed"
            f"{'s' if seeds > 1 else ''}; a line sums to 1. Small: least and greatest of the train seeds, where they "
            "differ by more than 0.1. Shift: share of the weight that stands with other encoders than under clean."
        )
        name = part.file_name(f"attention-{unmarked(agent)}-{game}")
        title = f"Attention of {agent} on {game}{part.title_end}"
        caption = f"{caption} {part.note}".rstrip()
        drawn.append(NamedFigure(file_stem(name), title, caption, figure, keeps_colors=True))
    return drawn


def _example_figures(examples: Sequence[ExampleEpisode]) -> list[NamedFigure]:
    drawn: list[NamedFigure] = []
    for (agent, game), shown in grouped(examples, lambda one: (one.id.agent, one.id.game)).items():
        caption = (
            f"Attention weights in every step of one episode (thin) and their moving mean over {SMOOTH_STEPS} steps "
            f"(thick), train seed {shown[0].id.train_seed}: clean, and the perturbations under which the weights move "
            "most."
        )
        name = file_stem(f"attention-episodes-{unmarked(agent)}-{game}")
        title = f"Attention of {agent} over episodes of {game}"
        drawn.append(NamedFigure(name, title, caption, examples_figure(shown), is_wide=True))
    return drawn


def _frames_figures(frames: list[SampleFrame]) -> list[NamedFigure]:
    """Return the sample pictures in grids of a page each."""
    caption = (
        "What a person sees (left) and what the agent sees (right, 84x84 luminance), at one moment of random play."
    )
    drawn: list[NamedFigure] = []
    pages = [frames[start : start + MOST_FRAMES] for start in range(0, len(frames), MOST_FRAMES)]
    for number, page in enumerate(pages, 1):
        end = f"-{number}" if len(pages) > 1 else ""
        title = "Sample frames" + (f", {number} of {len(pages)}" if len(pages) > 1 else "")
        grid = frame_grid(page, columns=3)
        drawn.append(NamedFigure(f"frames{end}", title, caption, grid, is_wide=True, is_picture=True))
    return drawn


def _seed_count(count: int) -> str:
    return "One train seed" if count == 1 else f"{count} train seeds"
