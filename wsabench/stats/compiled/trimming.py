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
        rows: Float64, shape (num_rows, count), no NaN; put into another order.
    """
    count = rows.shape[1]
    found = np.empty(len(rows))
    for place in range(len(rows)):
        middle = smallest(rows[place], count, count // 2)
        found[place] = middle if count % 2 else (smallest(rows[place], count, count // 2 - 1) + middle) / 2.0
    return found


@compiled
def trimmed_sums(values: FloatArray, units: IntArray, counts: IntArray, first: int, last: int) -> FloatArray:
    """Return the sum of those of some numbers, each several times, that stand from `first` to before `last`.

    Args:
        values: The numbers, sorted, float64, shape (num_values,).
        units: What unit each belongs to, shape (num_values,).
        counts: How often each unit counts, shape (repetitions, num_units).
        first: How many of the smallest numbers are left out.
        last: How many numbers are left with the largest left out.

    Returns:
        Shape (repetitions,), added from the smallest to the largest.
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
