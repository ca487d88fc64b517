"""The hardware's palettes: what ale-py shows for each of the 256 screen bytes."""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wsabench.errors import SpecError, StorageError
from wsabench.games import Standard
from wsabench.resources import data_dir

ColorTable = npt.NDArray[np.uint8]
"""RGB of each screen byte, uint8, shape (256, 3)."""
LuminanceTable = npt.NDArray[np.uint8]
"""Grey level of each screen byte, uint8, shape (256,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Palette:
    """One television standard's colours; both arrays are read-only."""

    standard: Standard
    rgb: ColorTable
    """What ale-py's `getScreenRGB` shows."""
    grey: LuminanceTable
    """What ale-py's `getScreenGrayscale` shows; at odd indices (PAL's colour loss) not the luminance of `rgb`."""


def luminance(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return floor(0.2989 R + 0.5870 G + 0.1140 B + 0.5), in exact integer arithmetic.

    Args:
        rgb: Colours, uint8, shape (..., 3).

    Returns:
        Grey levels 0..255, uint8, shape (...).

    References:
        ITU-R BT.601 weights as ale-py uses them; equal to `getScreenGrayscale` at every even index.
    """
    weighted = rgb.astype(np.int64) @ np.array([2989, 5870, 1140])
    return ((weighted + 5000) // 10000).astype(np.uint8)


@functools.cache
def load_palette(standard: Standard) -> Palette:
    """Return the palette of a television standard, from `perturbations/palettes.csv`.

    Raises:
        StorageError: The file cannot be read.
        SpecError: It does not list every index 0..255 of the standard once, with values 0..255.
    """
    path = data_dir("perturbations") / "palettes.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row.get("standard") == standard]
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror}. Reinstall wsabench.") from error
    try:
        table = np.array([[int(row[key]) for key in ("index", "r", "g", "b", "grey")] for row in rows])
    except (KeyError, TypeError, ValueError) as error:
        raise SpecError(f"{path}, {standard}: a row is malformed ({error}). Reinstall wsabench.") from error
    if table.shape != (256, 5) or not np.array_equal(table[:, 0], np.arange(256)) or not _are_bytes(table):
        raise SpecError(f"{path}, {standard}: {len(rows)} rows. Allowed: indices 0 to 255 in order, values 0 to 255.")
    rgb, grey = table[:, 1:4].astype(np.uint8), table[:, 4].astype(np.uint8)
    rgb.setflags(write=False)
    grey.setflags(write=False)
    return Palette(standard, rgb, grey)


def _are_bytes(values: npt.NDArray[Any]) -> bool:
    """Whether all values are in 0..255."""
    return bool(((values >= 0) & (values <= 255)).all())


def luminance_table(palette: Palette, rgb: ColorTable) -> LuminanceTable:
    """Return what the agent sees for each screen byte when `palette` was changed to `rgb`.

    Bytes whose colour did not change keep ale-py's own grey, so an identity gives exactly `clean`.

    Args:
        palette: The game's unchanged palette.
        rgb: The changed colours, uint8, shape (256, 3).

    Returns:
        Grey levels, uint8, shape (256,).
    """
    is_unchanged = (rgb == palette.rgb).all(axis=1)
    return np.where(is_unchanged, palette.grey, luminance(rgb))
