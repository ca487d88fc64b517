"""Figures, each a function that takes a data frame and an Axes."""

from wsabench.report.figures.attention import draw_attention
from wsabench.report.figures.curves import draw_profile, draw_severity_curve
from wsabench.report.figures.frames import SampleFrame, draw_picture, frame_grid, read_picture
from wsabench.report.figures.intervals import draw_improvement, draw_measure, interval_height

__all__ = [
    "SampleFrame",
    "draw_attention",
    "draw_improvement",
    "draw_measure",
    "draw_picture",
    "draw_profile",
    "draw_severity_curve",
    "frame_grid",
    "interval_height",
    "read_picture",
]
