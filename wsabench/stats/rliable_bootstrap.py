"""Intervals by rliable's own stratified bootstrap, which resamples the runs of each task by themselves.

It is right where every task has networks of its own. Where one network plays several tasks, as the cells of a game
here, its good or bad luck shows in all of them, and these intervals are too narrow; `seed_interval` draws a train seed
with all its cells and is what conclusions rest on. Both are offered so that they can stand side by side.

References:
    Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice", section 4.1.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from wsabench.errors import SpecError
from wsabench.stats.aggregates import (
    FAST_METRICS,
    MetricName,
    checked_samples,
    performance_profile,
    point_estimate,
    point_profile,
)
from wsabench.stats.compiled.loading import pays
from wsabench.stats.intervals import DEFAULT_REPETITIONS, Estimate, checked_options, seed_note
from wsabench.types import FloatArray, IntArray

MIN_RLIABLE_SEEDS = 3
"""With fewer train seeds there is no interval over them, whatever the method."""

_CHUNK_ELEMENTS = 1_000_000
"""Drawn scores that are held at once (8 MB)."""
_TOGETHER: tuple[MetricName, ...] = ("mean", "median", "iqm", "optimality_gap")
"""What is computed at once, where it is asked for."""
_COUNTING = 7e-8
"""Seconds for each drawn score by which compiled code is sooner."""
_GLOBAL_GENERATOR = threading.Lock()


def rliable_interval(
    metrics: Sequence[MetricName],
    samples: Sequence[npt.ArrayLike],
    rng: np.random.Generator,
    *,
    num_games: int = 1,
    repetitions: int = DEFAULT_REPETITIONS,
    confidence: float = 0.95,
) -> Estimate:
    """Return the percentile interval of aggregate metrics, by rliable's own stratified bootstrap.

    rliable draws; the metrics of many draws are then computed at once, where `rliable.library.get_interval_estimates`
    computes them one by one. The bounds are the same.

    Args:
        metrics: Names in `FAST_METRICS`, at least one; all take one sample, or all two.
        samples: Score matrices, (num_runs, num_tasks), float64; a run is a train seed, a task a cell of a game.
        rng: Where the seed of rliable's draws comes from. The same generator state gives the same interval.
        num_games: The number of games that the tasks are in; the note says 'too few' where train seeds are.
        repetitions: Bootstrap repetitions. This project's functions compute their metrics, equal to rliable's and far
            faster.
        confidence: Share of repetitions between the bounds.

    Returns:
        The estimate, its arrays of shape (num_metrics,); values are rliable's. With fewer than three train seeds, or
        where a score is NaN, the bounds are NaN.

    Raises:
        UnknownNameError: There is no such metric.
        SpecError: A metric takes another number of samples, or `confidence` or `repetitions` is out of range.
        ShapeError: A sample is no matrix, or the numbers of tasks differ.
    """
    if not metrics:
        raise SpecError(f"No metric is named. Allowed: one or more of {', '.join(FAST_METRICS)}.")
    matrices = checked_samples(metrics[0], samples)
    value = np.array([point_estimate(metric, *matrices) for metric in metrics])

    def statistic(*drawn: FloatArray) -> FloatArray:
        return np.stack([FAST_METRICS[metric](*drawn) for metric in metrics], axis=-1)

    values = partial(_aggregates, matrices[0]) if tuple(metrics) == _TOGETHER else partial(_each, statistic, matrices)
    return _interval(values, value, matrices, rng, (num_games, repetitions, confidence))


def rliable_profile(
    scores: npt.ArrayLike,
    thresholds: npt.ArrayLike,
    rng: np.random.Generator,
    *,
    num_games: int = 1,
    repetitions: int = DEFAULT_REPETITIONS,
    confidence: float = 0.95,
) -> Estimate:
    """Return the performance profile with rliable's pointwise percentile band.

    Args:
        scores: A score matrix, (num_runs, num_tasks), float64.
        thresholds: Shape (num_thresholds,), at least one, in the unit of the scores.
        rng: As for `rliable_interval`.
        num_games: As for `rliable_interval`.
        repetitions: Bootstrap repetitions.
        confidence: Share of repetitions between the bounds, at each threshold.

    Returns:
        The estimate, its arrays of shape (num_thresholds,); values are rliable's.

    Raises:
        SpecError: `confidence` or `repetitions` is out of range.
        ShapeError: `scores` is no matrix.
    """
    matrices = checked_samples("mean", [scores])
    levels = np.asarray(thresholds, dtype=np.float64)

    def statistic(drawn: FloatArray) -> FloatArray:
        return performance_profile(drawn, levels)

    values = partial(_each, statistic, matrices)
    return _interval(values, point_profile(scores, levels), matrices, rng, (num_games, repetitions, confidence))


def _interval(
    drawn_values: Callable[[int], FloatArray],
    value: FloatArray,
    matrices: list[FloatArray],
    rng: np.random.Generator,
    options: tuple[int, int, float],
) -> Estimate:
    num_games, repetitions, confidence = options
    checked_options(repetitions, confidence)
    seed = int(rng.integers(2**32))
    num_seeds = min(len(matrix) for matrix in matrices)
    if num_seeds < MIN_RLIABLE_SEEDS:
        return Estimate.without_interval(value, num_seeds)
    if np.isnan(value).any():
        return Estimate.without_interval(value, num_seeds, "some score is unknown: no interval")
    with _global_generator(seed):
        values = drawn_values(repetitions)
    tail = (1.0 - confidence) / 2.0
    low, high = np.percentile(values, [100.0 * tail, 100.0 * (1.0 - tail)], axis=0)
    return Estimate(value, low, high, num_seeds, seed_note(num_seeds, num_games))


def _each(statistic: Callable[..., FloatArray], matrices: Sequence[FloatArray], repetitions: int) -> FloatArray:
    """Return a statistic of what rliable's bootstrap draws, (repetitions, ...)."""
    from rliable import library

    if len(matrices) == 1:
        (matrix,) = matrices
        return np.concatenate([statistic(_taken(matrix, rows)) for rows in _rows(matrix, repetitions)])
    independent: Any = library.StratifiedIndependentBootstrap
    step = max(1, _CHUNK_ELEMENTS // sum(matrix.size for matrix in matrices))
    parts: list[FloatArray] = []
    for start in range(0, repetitions, step):
        bootstrap = independent(*matrices)
        found = [bootstrap.update_indices()[0] for _ in range(min(step, repetitions - start))]
        draws = [np.stack([one[place][0] for one in found]) for place in range(len(matrices))]
        parts.append(statistic(*map(_taken, matrices, draws)))
    return np.concatenate(parts)


def _rows(matrix: FloatArray, repetitions: int) -> Iterator[IntArray]:
    """Yield the drawn runs of each task, (repetitions, num_runs, num_tasks), several repetitions at once.

    They are what `StratifiedBootstrap.update_indices` draws so many times, in one call.
    """
    step = max(1, _CHUNK_ELEMENTS // matrix.size)
    for start in range(0, repetitions, step):
        size = (min(step, repetitions - start), *matrix.shape)
        yield np.random.choice(len(matrix), size, replace=True)  # noqa: NPY002


def _taken(matrix: FloatArray, rows: IntArray) -> FloatArray:
    return matrix[rows, np.arange(matrix.shape[1])]


def _aggregates(matrix: FloatArray, repetitions: int) -> FloatArray:
    """Return mean, median, interquartile mean and optimality gap of what rliable draws, (repetitions, 4).

    The scores are sorted once: those of a resample are the same, each as often as it was drawn.
    """
    order = np.argsort(matrix, axis=None, kind="stable")
    sums_of = _sums
    if pays(_COUNTING * repetitions * matrix.size):
        from wsabench.stats.compiled.trimming import drawn_aggregates as sums_of
    total, middle, inner, capped = np.concatenate(
        [sums_of(matrix, order, rows) for rows in _rows(matrix, repetitions)]
    ).T
    size = matrix.size
    return np.stack([total / size, middle / len(matrix), inner / (size - 2 * (size // 4)), 1.0 - capped / size], axis=1)


def _sums(matrix: FloatArray, order: IntArray, rows: IntArray) -> FloatArray:
    """Return what `drawn_aggregates` does, to the bit: numbers are added one after the other."""
    drawn = _taken(matrix, rows)
    flat, (count, num_tasks) = drawn.reshape(len(rows), -1), (matrix.size, matrix.shape[1])
    places = rows * num_tasks + np.arange(num_tasks) + count * np.arange(len(rows))[:, None, None]
    often = np.bincount(places.ravel(), minlength=count * len(rows)).reshape(len(rows), count)
    first, last = count // 4, count - count // 4
    kept = np.diff(np.cumsum(often[:, order], axis=1).clip(first, last), axis=1, prepend=first)
    inner = np.cumsum(kept * matrix.ravel()[order], axis=1)[:, -1]
    total, capped = (np.cumsum(values, axis=1)[:, -1] for values in (flat, np.minimum(flat, 1.0)))
    return np.stack([total, np.median(drawn.sum(axis=1), axis=1), inner, capped], axis=1)


@contextmanager
def _global_generator(seed: int) -> Iterator[None]:
    """Seed NumPy's global generator for a while, and leave it as it was found.

    rliable 1.2 draws from it whatever `random_state` it is given, so this is the only way to repeat its draws.
    """
    with _GLOBAL_GENERATOR:
        state = np.random.get_state()  # noqa: NPY002
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002
