"""Bilinear magnification of luminance frames in one compiled pass, to the bit what OpenCV's `remap` gives.

OpenCV works in fixed point, places in 1/32 pixel: with the horizontal part fx and the vertical part fy in 0..31, a
pixel is (sum of source x weight + 2^14) >> 15, the weights being 32 (32 - fx) (32 - fy) and so on. The places of a zoom
form a grid, so the sum falls into a horizontal and a vertical one, of which the second vectorises.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsabench.jit import compiled

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int32]


class Grid(NamedTuple):
    """Where the rows and columns of a magnified frame come from."""

    rows: Places
    """Row above each row's place, int32, shape (height,)."""
    row_parts: Places
    """How far below that row the place is, in 1/32 pixel, 0..31."""
    columns: Places
    """Column left of each column's place, int32, shape (width,)."""
    column_parts: Places
    """How far to the right of that column the place is, in 1/32 pixel, 0..31."""


@compiled
def magnify(image: Bytes, grid: Grid, magnified: Bytes) -> None:
    """Write the magnified frame.

    Args:
        image: uint8, shape (height, width).
        grid: Places in it; the last row and column are repeated beyond the edge.
        magnified: Where the result is written, dtype and shape as `image`.
    """
    height, width = image.shape
    lines = np.zeros((2, width), np.int32)
    held = np.full(2, -1, np.int32)
    for y in range(height):
        for place in range(2):
            source = min(grid.rows[y] + place, height - 1)
            # Rows alternate between both lines, so that the next row of the frame finds one of them done.
            line = source % 2
            if held[line] != source:
                held[line] = source
                for x in range(width):
                    left, part = grid.columns[x], grid.column_parts[x]
                    right = min(left + 1, width - 1)
                    lines[line, x] = (32 - part) * np.int32(image[source, left]) + part * np.int32(image[source, right])
        part = grid.row_parts[y]
        upper, lower = grid.rows[y] % 2, min(grid.rows[y] + 1, height - 1) % 2
        for x in range(width):
            total = (32 - part) * lines[upper, x] + part * lines[lower, x]
            magnified[y, x] = np.uint8((total + 512) >> 10)
