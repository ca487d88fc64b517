"""Which figures a report has, in the order in which they stand there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from wsabench.report.figures.dose import dose_figures
from wsabench.report.figures.episode import examples_figure
from wsabench.report.figures.frames import SampleFrame, frame_grid, read_picture
from wsabench.report.figures.insight import insight_figures
from wsabench.report.figures.leading import leading_figure
from wsabench.report.figures.marks import explained, marked_summary, unmarked, with_marks
from wsabench.report.figures.measures import (
    attention_figures,
    improvement_figures,
    measure_figures,
    profile_figure,
    severity_figures,
)
from wsabench.report.figures.overview import overview_figures
from wsabench.report.figures.selection import MOST_LINES, parts_of, strongest_labels
from wsabench.report.figures.style import NamedFigure, settle
from wsabench.results.recorded import SMOOTH_STEPS
from wsabench.results.records import file_stem
from wsabench.results.result import marked_name
from wsabench.summary.attention import ExampleEpisode
from wsabench.summary.rows import CurveRow, EfficiencyRow, grouped
from wsabench.summary.summarise import Summary

MOST_FRAMES = 24
"""Sample pictures on one page, at most."""


def draw_figures(
    summary: Summary,
    frames: list[SampleFrame],
    examples: Sequence[ExampleEpisode] = (),
    curves: Sequence[CurveRow] = (),
    efficiency: Sequence[EfficiencyRow] = (),
    order: Sequence[str] = (),
) -> list[NamedFigure]:
    """Draw every figure that the result set has data for; call it inside `figure_style()`.

    Args:
        summary: The numbers; privileged agents are marked wherever a figure names them.
        frames: Sample pictures, maybe none.
        examples: Attention weights over some episodes, maybe none.
        curves: Learning curves as `learning_curves` reads them.
        efficiency: The rows that `efficiency_table` makes of them.
        order: The agents of the leading figure, the first on top; by default as the run has them.
    """
    privileged = summary.privileged
    summary = marked_summary(summary)
    examples = [
        replace(one, id=structs.replace(one.id, agent=marked_name(one.id.agent, privileged))) for one in examples
    ]
    curves, efficiency = with_marks(curves, privileged), with_marks(efficiency, privileged)
    parts = parts_of(summary)
    drawn = [
        leading_figure(summary, [marked_name(agent, privileged) for agent in order]),
        *(figure for part in parts for figure in measure_figures(summary, "retention", part)),
        *(figure for part in parts for figure in measure_figures(summary, "normalised_score", part)),
        *severity_figures(summary),
        *dose_figures(summary),
        profile_figure(summary),
        *overview_figures(summary, parts, curves, efficiency),
        *insight_figures(summary.insight),
        *(figure for part in parts for figure in improvement_figures(summary, part)),
        *(figure for part in parts for figure in attention_figures(summary, part)),
        *_example_figures(examples),
        *_frames_figures(frames),
    ]
    finished = [figure for figure in drawn if figure is not None]
    for named in finished:
        settle(named.figure)
    return [explained(named, summary.privileged) for named in finished]


def sample_frames(directories: Sequence[Path], summary: Summary) -> list[SampleFrame]:
    """Read the sample pictures of result sets, in the order of the run.

    Args:
        directories: The folders `frames` of the result sets; each picture comes from the first folder that has it.
        summary: The numbers, which say which games and cells there are.

    Returns:
        The pictures that exist. Their titles are their labels, with the game where there are several games. Where there
        are many perturbations, each is shown at its strongest severity only.

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
        drawn.append(
            NamedFigure(
                name=name,
                title=title,
                caption=caption,
                figure=examples_figure(shown),
                section="inside",
                agents=(agent,),
                is_wide=True,
            )
        )
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
        drawn.append(
            NamedFigure(
                name=f"frames{end}",
                title=title,
                caption=caption,
                figure=grid,
                section="inside",
                is_wide=True,
                is_picture=True,
            )
        )
    return drawn
