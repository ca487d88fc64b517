"""Camera shift, camera jitter and zoom; what comes into view at an edge repeats the edge."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import cv2
import numpy as np
import numpy.typing as npt

from wsabench.perturb.corruption import OWN_CHOICE
from wsabench.perturb.kinds import Range, kind
from wsabench.perturb.stages import Image

if TYPE_CHECKING:
    from wsabench.perturb.corruption.bilinear import Grid


Shift = Annotated[int, Range(-100, 100)]
"""A parameter in native pixels."""


@kind("image.camera_shift", source="after `translate` of ImageNet-P")
def translate(image: Image, right: Shift, down: Shift) -> Image:
    """Move the picture by `right` and `down` native pixels, always the same; edges repeated; 0, 0: identity.

    Args:
        image: The frame, larger than the shift.
        right: Columns to the right; negative: to the left.
        down: Rows down; negative: up.
    """
    if not (right or down):
        return image
    height, width = image.shape[:2]
    kept = image[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
    top, bottom, left, rest = max(0, down), max(0, -down), max(0, right), max(0, -right)
    moved = np.empty_like(image)
    cv2.copyMakeBorder(kept, top, bottom, left, rest, cv2.BORDER_REPLICATE, dst=moved)
    return moved


@kind("image.camera_jitter", source=f"{OWN_CHOICE}, after `translate` of ImageNet-P")
@dataclass(frozen=True, slots=True)
class CameraJitter:
    """Move the picture by an offset that is drawn anew in every step; 0: identity.

    Along each axis it is drawn uniformly from -pixels to pixels; edges are repeated.
    """

    pixels: Annotated[int, Range(0, 100)]
    """Largest offset along each axis, in native pixels."""

    def start_image(self, generator: np.random.Generator, shape: tuple[int, ...]) -> _JitterState:
        """Return the state for an episode."""
        del shape
        return _JitterState(self.pixels, generator)


class _JitterState:
    """Jitter at work in one lane and episode."""

    def __init__(self, pixels: int, generator: np.random.Generator) -> None:
        self._pixels = pixels
        self._generator = generator
        self._offset = (0, 0)

    def apply(self, image: Image) -> Image:
        """Return the frame at a new offset."""
        right, down = self._generator.integers(-self._pixels, self._pixels, size=2, endpoint=True).tolist()
        self._offset = (right, down)
        return translate(image, right, down)

    def preview(self, image: Image) -> Image:
        """Return the picture at the last offset."""
        return translate(image, *self._offset)


@kind("image.zoom", source="after `scale` of ImageNet-P")
def zoom(image: Image, factor: Annotated[float, Range(0.1, 10)]) -> Image:
    """Magnify by `factor` about the centre, bilinear; below 1 the picture is smaller, edges repeated; 1: identity."""
    if factor == 1:
        return image
    if image.ndim == 2:
        from wsabench.perturb.corruption.bilinear import magnify  # here, because it loads numba

        zoomed = np.empty_like(image)
        magnify(image, _zoom_grid(*image.shape, factor), zoomed)
        return zoomed
    height, width = image.shape[:2]
    # With one more row and column no place of the maps is at the rim, which OpenCV does three times slower.
    padded = cv2.copyMakeBorder(image, 0, 1, 0, 1, cv2.BORDER_REPLICATE)
    zoomed = np.empty_like(image)
    cv2.remap(padded, *_zoom_maps(height, width, factor), cv2.INTER_LINEAR, dst=zoomed)
    return zoomed


@functools.lru_cache(maxsize=32)
def _zoom_grid(height: int, width: int, factor: float) -> Grid:
    """Return where rows and columns come from, in the fixed-point form (1/32 pixel) that OpenCV works with."""
    from wsabench.perturb.corruption.bilinear import Grid

    whole, part = _zoom_maps(height, width, factor)
    columns, rows = (np.ascontiguousarray(places, np.int32) for places in (whole[0, :, 0], whole[:, 0, 1]))
    column_parts, row_parts = (np.ascontiguousarray(p, np.int32) for p in (part[0, :] % 32, part[:, 0] // 32))
    return Grid(rows, row_parts, columns, column_parts)


@functools.lru_cache(maxsize=32)
def _zoom_maps(height: int, width: int, factor: float) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint16]]:
    """Return where each pixel comes from, in the fixed-point form (1/32 pixel) that OpenCV works with."""
    columns, rows = (
        np.clip((np.arange(size) - (size - 1) / 2) / factor + (size - 1) / 2, 0, size - 1).astype(np.float32)
        for size in (width, height)
    )
    whole, part = cv2.convertMaps(*np.meshgrid(columns, rows), cv2.CV_16SC2)
    return np.asarray(whole, np.int16), np.asarray(part, np.uint16)
