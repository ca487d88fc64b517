"""Aggregates over train seeds and tasks: rliable's own numbers, and fast ones for the repetitions of a bootstrap.

What is shown as a value comes from rliable (`point_estimate`, `point_profile`). The other functions take `scores` of
shape (..., num_runs, num_tasks), a run being one train seed, and work on all leading axes at once; the bootstrap puts
its repetitions there. Tests hold both equal to 1e-12.

References:
    Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice", section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wsabench.errors import ShapeError, SpecError, unknown_name
from wsabench.types import FloatArray

MetricName = Literal["mean", "median", "iqm", "optimality_gap", "probability_of_improvement"]
"""The aggregate metrics that rliable defines; the last compares two samples, the others describe one."""


def mean(scores: npt.ArrayLike) -> FloatArray:
    """Return the mean over tasks of the mean over runs.

    Args:
        scores: Shape (..., num_runs, num_tasks), float64.

    Returns:
        Shape (...), float64.

    Raises:
        ShapeError: Fewer than two axes, or no run or task.
    """
    return _checked(scores).mean(axis=-2).mean(axis=-1)


def median(scores: npt.ArrayLike) -> FloatArray:
    """Return the median over tasks of the mean over runs.

    Args:
        scores: Shape (..., num_runs, num_tasks), float64.

    Returns:
        Shape (...), float64.

    Raises:
        ShapeError: Fewer than two axes, or no run or task.
    """
    return np.median(_checked(scores).mean(axis=-2), axis=-1)


def iqm(scores: npt.ArrayLike) -> FloatArray:
    """Return the interquartile mean: the mean of the middle half of all runs of all tasks.

    Args:
        scores: Shape (..., num_runs, num_tasks), float64.

    Returns:
        Shape (...), float64. A quarter of the values, rounded down, is cut off at either end. NaN where a score is NaN.

    Raises:
        ShapeError: Fewer than two axes, or no run or task.
    """
    values = _checked(scores)
    pooled = np.array(values).reshape(*values.shape[:-2], -1)
    cut = pooled.shape[-1] // 4
    # NaN comes last, where it would be cut off.
    is_known = ~np.isnan(pooled.max(axis=-1))
    pooled.partition((cut, pooled.shape[-1] - 1 - cut), axis=-1)
    return np.where(is_known, pooled[..., cut : pooled.shape[-1] - cut].mean(axis=-1), np.nan)


def optimality_gap(scores: npt.ArrayLike, gamma: float = 1.0) -> FloatArray:
    """Return by how much the scores fall short of `gamma`, on average. Scores above `gamma` do not make up for others.

    Args:
        scores: Shape (..., num_runs, num_tasks), float64.
        gamma: The score that counts as reached; a normalised score of 1 is that of human play.

    Returns:
        Shape (...), float64, 0 at best.

    Raises:
        ShapeError: Fewer than two axes, or no run or task.
    """
    return gamma - np.minimum(_checked(scores), gamma).mean(axis=(-2, -1))


def probability_of_improvement(scores_x: npt.ArrayLike, scores_y: npt.ArrayLike) -> FloatArray:
    """Return the probability that a random run of X beats a random run of Y, averaged over tasks. Ties count half.

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
    """Return the fraction of all runs of all tasks with a score above each threshold.

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


FAST_METRICS: Mapping[MetricName, Callable[..., FloatArray]] = {
    "mean": mean,
    "median": median,
    "iqm": iqm,
    "optimality_gap": optimality_gap,
    "probability_of_improvement": probability_of_improvement,
}
"""The fast function that equals each of rliable's metrics, on many repetitions at once."""


def point_estimate(metric: MetricName, *samples: npt.ArrayLike) -> float:
    """Return an aggregate metric as rliable computes it.

    Args:
        metric: A name in `FAST_METRICS`.
        *samples: Score matrices, (num_runs, num_tasks), float64: one, or two of the same tasks for
            `probability_of_improvement`.

    Returns:
        The value of `rliable.metrics.aggregate_METRIC` or `rliable.metrics.probability_of_improvement`. NaN where a
        score is NaN.

    Raises:
        UnknownNameError: There is no such metric.
        SpecError: The metric takes another number of samples.
        ShapeError: A sample is no matrix, or the numbers of tasks differ.
    """
    matrices = checked_samples(metric, samples)
    if any(np.isnan(matrix).any() for matrix in matrices):
        return float("nan")
    from rliable import metrics

    function: Any = getattr(metrics, metric if len(matrices) == 2 else f"aggregate_{metric}")
    return float(function(*matrices))


def point_profile(scores: npt.ArrayLike, thresholds: npt.ArrayLike) -> FloatArray:
    """Return the performance profile as rliable computes it.

    Args:
        scores: A score matrix, (num_runs, num_tasks), float64.
        thresholds: Shape (num_thresholds,), at least one, in the unit of the scores.

    Returns:
        The values of `rliable.library.score_distributions`, shape (num_thresholds,), 0 to 1. NaN where a score is NaN.

    Raises:
        ShapeError: `scores` is no matrix.
    """
    (matrix,) = checked_samples("mean", [scores])
    levels = np.asarray(thresholds, dtype=np.float64)
    if np.isnan(matrix).any():
        return np.full(levels.shape, np.nan)
    from rliable import library

    return np.asarray(library.score_distributions(matrix, levels), dtype=np.float64)


def checked_samples(metric: MetricName, samples: Sequence[npt.ArrayLike]) -> list[FloatArray]:
    """Return the samples as float64 matrices, checked to be what a metric takes.

    Args:
        metric: A name in `FAST_METRICS`.
        samples: Score matrices, (num_runs, num_tasks).

    Raises:
        UnknownNameError: There is no such metric.
        SpecError: The metric takes another number of samples.
        ShapeError: A sample is no matrix, or the numbers of tasks differ.
    """
    if metric not in FAST_METRICS:
        raise unknown_name("aggregate metric", metric, FAST_METRICS)
    needed = 2 if metric == "probability_of_improvement" else 1
    if len(samples) != needed:
        raise SpecError(f"The metric {metric} got {len(samples)} samples of scores. It takes {needed}.")
    matrices = [_checked(sample) for sample in samples]
    shapes = [matrix.shape for matrix in matrices]
    if any(len(shape) != 2 for shape in shapes) or len({shape[-1] for shape in shapes}) > 1:
        raise ShapeError(f"Scores have shapes {shapes}. Allowed: (num_runs, num_tasks), the same tasks in each.")
    return matrices


def _checked(scores: npt.ArrayLike) -> FloatArray:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim < 2 or 0 in values.shape[-2:]:
        raise ShapeError(
            f"Scores have shape {values.shape}. Allowed: (..., num_runs, num_tasks) with at least one run and one task."
        )
    return values
