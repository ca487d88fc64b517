"""What the perturbations look like: sample pictures, each with what a person and what the agent sees."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wsabench.errors import ResultSetError
from wsabench.report.figures.style import TWO_COLUMNS_IN


class SampleFrame(NamedTuple):
    """One sample picture of a result set."""

    title: str
    """What stands above the picture."""
    pixels: npt.NDArray[np.uint8]
    """RGB, uint8, shape (height, width, 3)."""


def read_picture(path: Path) -> npt.NDArray[np.uint8]:
    """Read a PNG file as RGB.

    Args:
        path: The file.

    Returns:
        uint8, shape (height, width, 3).

    Raises:
        ResultSetError: The file is missing or no picture.
    """
    import cv2

    try:
        content = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    except OSError as error:
        raise ResultSetError(f"The sample frame {path} cannot be read ({error.strerror}). Run again.") from error
    pixels = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    if pixels is None:
        raise ResultSetError(f"The sample frame {path} is not a picture. Delete it, or start the same run again.")
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def draw_picture(frame: SampleFrame, ax: Axes) -> None:
    """Draw one picture with its title, pixels unsmoothed.

    Args:
        frame: What to draw.
        ax: Where to draw; its ticks and border are removed.
    """
    ax.imshow(frame.pixels, interpolation="nearest")
    ax.set_title(frame.title, fontsize=7, fontweight="normal", loc="center")
    ax.set_axis_off()


def frame_grid(frames: Sequence[SampleFrame], columns: int = 3, title: str = "") -> Figure:
    """Return a figure with all pictures in a grid, two journal columns wide.

    Args:
        frames: At least one picture.
        columns: Number of pictures in each row.
        title: Stands over the whole grid; empty for none.
    """
    rows = -(-len(frames) // columns)
    tallest = max(frame.pixels.shape[0] / frame.pixels.shape[1] for frame in frames)
    title_lines = max(frame.title.count("\n") + 1 for frame in frames)
    height = rows * (TWO_COLUMNS_IN / columns * tallest * 0.97 + 0.06 + 0.13 * title_lines)
    figure = Figure(figsize=(TWO_COLUMNS_IN, height + (0.25 if title else 0.0)), layout="constrained")
    axes: Any = figure.subplots(rows, columns, squeeze=False)
    for place, ax in enumerate(axes.flat):
        if place < len(frames):
            draw_picture(frames[place], ax)
        else:
            ax.set_axis_off()
    if title:
        figure.suptitle(title, fontsize=8, fontweight="bold")
    return figure
