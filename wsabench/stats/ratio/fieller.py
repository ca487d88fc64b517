"""Fieller's confidence set for a ratio of means over train seeds: all ratios that a t test does not reject.

References:
    Fieller 1954, "Some problems in interval estimation"; von Luxburg & Franz 2009, "A geometric approach to confidence
    sets for ratios", for sets that are not bounded.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsabench.errors import ShapeError, SpecError
from wsabench.stats.bounds import t_quantile
from wsabench.types import FloatArray

GameSeeds = tuple[FloatArray, FloatArray]
"""Scores of one game: clean, shape (..., num_seeds), and perturbed, shape (..., num_seeds, num_cells)."""


class Region(IntEnum):
    """What shape Fieller's set has."""

    BOUNDED = 0
    """All values from `low` to `high`."""
    COMPLEMENT = 1
    """All values up to `low` and all from `high`: the clean mean is not surely above 0, so there is no bound."""
    WHOLE_LINE = 2
    """Every value: the data say nothing about the ratio."""

    @property
    def words(self) -> str:
        """The shape as a report writes it."""
        return ("bounded", "complement", "whole line")[self]


class FiellerSet(NamedTuple):
    """All ratios that a t test over train seeds does not reject, for each cell."""

    low: FloatArray
    """Where the set begins, shape (..., num_cells). Of a complement: where the excluded values begin (-inf: it has no
    lower branch). Of the whole line: -inf."""
    high: FloatArray
    """Where the set ends, shape (..., num_cells). Of a complement: where the excluded values end (inf: it has no upper
    branch). Of the whole line: inf."""
    region: npt.NDArray[np.int8]
    """A `Region`, shape (..., num_cells), int8."""


def fieller_set(clean: FloatArray, perturbed: FloatArray, *, confidence: float = 0.95) -> FiellerSet:
    """Return the ratios of means that a t test over train seeds does not reject.

    A ratio q is kept where the mean over train seeds of (perturbed - q clean) is not significantly different from 0, so
    clean and perturbed are paired within a seed and the whole covariance enters. The set is bounded only where the
    clean mean differs significantly from 0.

    Args:
        clean: Clean scores of train seeds, shape (..., num_seeds), float64, at least two seeds.
        perturbed: Scores of the same seeds in some cells, shape (..., num_seeds, num_cells), float64.
        confidence: The confidence level of the set, between 0 and 1.

    Returns:
        The set of each cell. It always holds the ratio of means.

    Raises:
        ShapeError: The shapes do not match, or there are fewer than two train seeds.
        SpecError: The confidence is out of range.

    References:
        Fieller 1954, section 3; von Luxburg & Franz 2009, definition 1.
    """
    clean, perturbed = checked_game(clean, perturbed, confidence)
    num_seeds = clean.shape[-1]
    if num_seeds < 2:
        raise ShapeError("There is one train seed. Fieller's set needs two or more: it rests on their spread.")
    scale = t_quantile((1.0 + confidence) / 2.0, num_seeds - 1) ** 2 / num_seeds / (num_seeds - 1)
    x, y = clean[..., None], perturbed
    x_mean, y_mean = x.mean(axis=-2), y.mean(axis=-2)
    x, y = x - x_mean[..., None, :], y - y_mean[..., None, :]
    # Kept are the q with a q^2 - 2 b q + c <= 0.
    a = x_mean**2 - scale * (x**2).sum(axis=-2)
    b = x_mean * y_mean - scale * (x * y).sum(axis=-2)
    c = y_mean**2 - scale * (y**2).sum(axis=-2)
    a = np.broadcast_to(a, b.shape)
    return _solved(a, b, c)


def checked_game(clean: FloatArray, perturbed: FloatArray, confidence: float) -> GameSeeds:
    """Return the scores of one game as float64 arrays, checked.

    Args:
        clean: Clean scores of train seeds, shape (..., num_seeds).
        perturbed: Scores of the same seeds in some cells, shape (..., num_seeds, num_cells).
        confidence: A confidence level, which must be between 0 and 1.

    Raises:
        ShapeError: The shapes do not match.
        SpecError: The confidence is out of range.
    """
    x, y = np.asarray(clean, dtype=np.float64), np.asarray(perturbed, dtype=np.float64)
    if x.ndim < 1 or y.shape[:-1] != x.shape or 0 in y.shape:
        raise ShapeError(
            f"The clean scores have shape {x.shape}, the perturbed ones {y.shape}. "
            "Allowed: (..., num_seeds) and (..., num_seeds, num_cells), with the same train seeds, none of them 0."
        )
    if not 0.0 < confidence < 1.0:
        raise SpecError(f"The confidence is {confidence!r}. Allowed: numbers between 0 and 1, 0.95 for a 95% interval.")
    return x, y


def _solved(a: FloatArray, b: FloatArray, c: FloatArray) -> FiellerSet:
    """Solve a q^2 - 2 b q + c <= 0."""
    discriminant = b**2 - a * c
    is_whole = (a <= 0.0) & ((discriminant < 0.0) | ((a == 0.0) & (b == 0.0)))
    root = np.sqrt(np.maximum(discriminant, 0.0))
    # Of the two roots, the one further from 0 and the other from their product: nothing cancels.
    far = b + np.where(b < 0.0, -root, root)
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = far / a, np.where(far == 0.0, 0.0, c / far)
    low, high = np.minimum(first, second), np.maximum(first, second)
    # A line instead of a parabola: one branch of the complement is gone.
    is_line = (a == 0.0) & ~is_whole
    low = np.where(is_line, np.where(b > 0.0, -np.inf, second), low)
    high = np.where(is_line, np.where(b > 0.0, second, np.inf), high)
    region = np.where(is_whole, Region.WHOLE_LINE, np.where(a > 0.0, Region.BOUNDED, Region.COMPLEMENT))
    low, high = np.where(is_whole, -np.inf, low), np.where(is_whole, np.inf, high)
    return FiellerSet(low, high, region.astype(np.int8))
