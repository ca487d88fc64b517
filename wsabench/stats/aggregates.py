"""Aggregates over train seeds and tasks, with rliable's definitions.

Every function takes `scores` of shape (..., num_runs, num_tasks), a run being one train seed, and works on all leading
axes at once; the bootstrap puts its repetitions there.

References:
    Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice", section 4; the
    definitions are those of the library rliable 1.2, and the tests compare with it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsabench.errors import ShapeError
from wsabench.types import FloatArray


def mean(scores: npt.ArrayLike) -> FloatArray:
    """Mean over tasks of the mean over runs.

    Args:
        scores: Shape (..., num_runs, num_tasks), float64.

    Returns:
        Shape (...), float64.

    Raises:
        ShapeError: Fewer than two axes, or no run or task.
    """
    return _checked(scores).mean(axis=-2).mean(axis=-1)


def median(scores: npt.ArrayLike) -> FloatArray:
    """Median over tasks of the mean over runs.

    Args:
        scores: Shape (..., num_runs, num_tasks), float64.

    Returns:
        Shape (...), float64.

    Raises:
        ShapeError: Fewer than two axes, or no run or task.
    """
    return np.median(_checked(scores).mean(axis=-2), axis=-1)


def iqm(scores: npt.ArrayLike) -> FloatArray:
    """Interquartile mean: the mean of the middle half of all runs of all tasks.

    Args:
        scores: Shape (..., num_runs, num_tasks), float64.

    Returns:
        Shape (...), float64. A quarter of the values, rounded down, is cut off at either end.

    Raises:
        ShapeError: Fewer than two axes, or no run or task.
    """
    values = _checked(scores)
    pooled = np.sort(values.reshape(*values.shape[:-2], -1), axis=-1)
    cut = pooled.shape[-1] // 4
    return pooled[..., cut : pooled.shape[-1] - cut].mean(axis=-1)


def optimality_gap(scores: npt.ArrayLike, gamma: float = 1.0) -> FloatArray:
    """Amount by which the scores fall short of `gamma`, on average; what lies above does not make up for it.

    Args:
        scores: Shape (..., num_runs, num_tasks), float64.
        gamma: The score that counts as reached; 1 is the reference for normalised scores.

    Returns:
        Shape (...), float64, 0 at best.

    Raises:
        ShapeError: Fewer than two axes, or no run or task.
    """
    return gamma - np.minimum(_checked(scores), gamma).mean(axis=(-2, -1))


def probability_of_improvement(scores_x: npt.ArrayLike, scores_y: npt.ArrayLike) -> FloatArray:
    """Probability that a random run of X beats a random run of Y, averaged over tasks; ties count half.

    Args:
        scores_x: Shape (..., num_runs_x, num_tasks), float64.
        scores_y: Shape (..., num_runs_y, num_tasks), float64, the same tasks.

    Returns:
        Shape (...), float64, 0 to 1. It says how often, not by how much. NaN where a score is NaN.

    Raises:
        ShapeError: The numbers of tasks differ, or there is no run or task.
    """
    x, y = _checked(scores_x), _checked(scores_y)
    if x.shape[-1] != y.shape[-1]:
        raise ShapeError(
            f"X has {x.shape[-1]} tasks, Y has {y.shape[-1]}. Compare the two on the same tasks, in the same order."
        )
    difference = x[..., :, None, :] - y[..., None, :, :]
    return ((np.sign(difference) + 1.0) / 2.0).mean(axis=(-3, -2)).mean(axis=-1)


def performance_profile(scores: npt.ArrayLike, thresholds: npt.ArrayLike) -> FloatArray:
    """Fraction of all runs of all tasks with a score above each threshold.

    Args:
        scores: Shape (..., num_runs, num_tasks), float64.
        thresholds: Shape (num_thresholds,), float64, in the unit of the scores.

    Returns:
        Shape (..., num_thresholds), float64, 0 to 1, falling with the threshold.

    Raises:
        ShapeError: Fewer than two axes, or no run or task.
    """
    values = _checked(scores)
    levels = np.asarray(thresholds, dtype=np.float64)
    # One pass a threshold keeps the memory at that of the scores, however many repetitions they hold.
    return np.stack([(values > level).mean(axis=(-2, -1)) for level in levels], axis=-1)


def _checked(scores: npt.ArrayLike) -> FloatArray:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim < 2 or 0 in values.shape[-2:]:
        raise ShapeError(
            f"Scores have shape {values.shape}. Allowed: (..., num_runs, num_tasks) with at least one run and one task."
        )
    return values
