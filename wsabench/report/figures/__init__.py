"""Figures: functions that draw the rows of a table (`wsabench.summary.rows`) on an Axes of matplotlib."""

from wsabench.report.figures.across import (
    draw_components,
    draw_effective,
    draw_effective_line,
    draw_games,
    draw_normalisers,
    draw_tail,
)
from wsabench.report.figures.attention import draw_attention
from wsabench.report.figures.curves import draw_dose_curve, draw_profile, draw_severity_curve
from wsabench.report.figures.frames import SampleFrame, draw_picture, frame_grid, read_picture
from wsabench.report.figures.heatmap import draw_heat_map, draw_ranks
from wsabench.report.figures.intervals import draw_aggregate, draw_improvement, draw_measure, interval_height
from wsabench.report.figures.leading import draw_leading, standings_of
from wsabench.report.figures.learning import draw_learning_curves, draw_sample_efficiency
from wsabench.report.figures.scatter import draw_clean_scatter

__all__ = [
    "SampleFrame",
    "draw_aggregate",
    "draw_attention",
    "draw_clean_scatter",
    "draw_components",
    "draw_dose_curve",
    "draw_effective",
    "draw_effective_line",
    "draw_games",
    "draw_heat_map",
    "draw_improvement",
    "draw_leading",
    "draw_learning_curves",
    "draw_measure",
    "draw_normalisers",
    "draw_picture",
    "draw_profile",
    "draw_ranks",
    "draw_sample_efficiency",
    "draw_severity_curve",
    "draw_tail",
    "frame_grid",
    "interval_height",
    "read_picture",
    "standings_of",
]
