"""Medians and trimmed means of many rows."""

from __future__ import annotations

import numpy as np

from wsabench.jit import compiled
from wsabench.stats.compiled.selection import smallest
from wsabench.types import FloatArray, IntArray


@compiled
def medians(rows: FloatArray) -> FloatArray:
    """Return the median of each row, as `numpy.median`.

    Args:
        rows: Float64, shape (num_rows, count), no NaN; the function puts each row into another order.

    Returns:
        Float64, shape (num_rows,).
    """
    count = rows.shape[1]
    found = np.empty(len(rows))
    for place in range(len(rows)):
        middle = smallest(rows[place], count, count // 2)
        found[place] = middle if count % 2 else (smallest(rows[place], count, count // 2 - 1) + middle) / 2.0
    return found


@compiled
def trimmed_sums(values: FloatArray, units: IntArray, counts: IntArray, first: int, last: int) -> FloatArray:
    """Return sums of sorted numbers, each as often as its unit counts, without the smallest and the largest.

    A row of `counts` makes a sorted list in which each number stands as often as its unit counts. The sum is over the
    places from `first` to before `last` of that list.

    Args:
        values: The numbers, sorted, float64, shape (num_values,).
        units: The unit that each number belongs to, int64, shape (num_values,).
        counts: How often each unit counts, int64, shape (repetitions, num_units).
        first: The first place that is summed: so many of the smallest numbers are left out.
        last: The place behind the last one that is summed.

    Returns:
        Float64, shape (repetitions,), added from the smallest to the largest.
    """
    sums = np.zeros(len(counts))
    for repetition in range(len(counts)):
        total, taken = 0.0, 0
        row = counts[repetition]
        for place in range(len(values)):
            before = taken
            taken += row[units[place]]
            total += max(0, min(taken, last) - max(before, first)) * values[place]
        sums[repetition] = total
    return sums


@compiled
def drawn_aggregates(scores: FloatArray, order: IntArray, rows: IntArray) -> FloatArray:
    """Return the sums behind aggregates of score matrices whose runs are drawn task by task.

    Args:
        scores: Float64, shape (num_runs, num_tasks), no NaN.
        order: Places of the scores, one run after another, from the smallest to the largest.
        rows: The run that is drawn, for each place of a resample, shape (repetitions, num_runs, num_tasks).

    Returns:
        Shape (repetitions, 4): the sum of all scores, the median over tasks of the sum over runs, the sum of the middle
        half of all scores, and the sum of all scores cut at 1.
    """
    repetitions, num_runs, num_tasks = rows.shape
    size = num_runs * num_tasks
    first, last = size // 4, size - size // 4
    found = np.empty((repetitions, 4))
    sums, counts = np.empty(num_tasks), np.empty(size, dtype=np.int64)
    for repetition in range(repetitions):
        total, capped, inner, taken = 0.0, 0.0, 0.0, 0
        counts[:], sums[:] = 0, 0.0
        for run in range(num_runs):
            for task in range(num_tasks):
                drawn = rows[repetition, run, task]
                value = scores[drawn, task]
                counts[drawn * num_tasks + task] += 1
                sums[task] += value
                total += value
                capped += min(value, 1.0)
        for place in order:
            before = taken
            taken += counts[place]
            inner += max(0, min(taken, last) - max(before, first)) * scores[place // num_tasks, place % num_tasks]
        middle = smallest(sums, num_tasks, num_tasks // 2)
        if num_tasks % 2 == 0:
            middle = (smallest(sums, num_tasks, num_tasks // 2 - 1) + middle) / 2.0
        found[repetition] = total, middle, inner, capped
    return found
