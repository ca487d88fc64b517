"""The k-th smallest of many numbers, without sorting them.

References:
    Hoare 1961, "Algorithm 65: find"; Floyd & Rivest 1975, "Algorithm 489: select", for bounds from a sample.
"""

from __future__ import annotations

import numpy as np

from wsabench.jit import compiled
from wsabench.types import FloatArray

_SAMPLE = 200
"""Numbers from which the bounds of both tails are guessed."""
_TAIL = 3.0
"""Share of the sample beyond a bound, in shares of the numbers looked for: so the bound rarely fails."""


@compiled
def smallest(values: FloatArray, count: int, place: int) -> float:
    """Return the number that stands at a place when the numbers are sorted.

    Args:
        values: Float64, one axis, no NaN; the function puts the first `count` into another order.
        count: How many numbers, from the first on, are sorted.
        place: From 0, below `count`.
    """
    left, right = 0, count
    while right - left > 1:
        a, b, c = values[left], values[(left + right) // 2], values[right - 1]
        pivot = max(min(a, b), min(max(a, b), c))
        # Without a branch on what is compared: which way it goes cannot be foretold.
        below = left
        for at in range(left, right):
            value = values[at]
            values[at] = values[below]
            values[below] = value
            below += value < pivot
        if place < below:
            right = below
            continue
        equal = below
        for at in range(below, right):
            value = values[at]
            values[at] = values[equal]
            values[equal] = value
            equal += value <= pivot
        if place < equal:
            return pivot
        left = equal
    return values[left]


@compiled
def tails(numbers: FloatArray, low: int, high: int) -> FloatArray:
    """Return two neighbours in either tail of each row's sorted numbers.

    Args:
        numbers: Float64, shape (num_rows, count).
        low: Place in the lower tail, from 0.
        high: Place in the upper tail, below count - 1.

    Returns:
        Shape (num_rows, 4): the numbers at `low`, `low + 1`, `high` and `high + 1`; NaN where a row has one.
    """
    rows, count = numbers.shape
    found = np.full((rows, 4), np.nan)
    lower, upper, sample = np.empty(count), np.empty(count), np.empty(min(_SAMPLE, count))
    stride = count // len(sample)
    tail = max(low + 2, count - high)
    beyond = min(int(_TAIL * tail * len(sample) / count) + 1, len(sample) - 1)
    for row in range(rows):
        values = numbers[row]
        if np.isnan(values).any():
            continue
        for at in range(len(sample)):
            sample[at] = values[at * stride]
        least = smallest(sample, len(sample), beyond)
        most = smallest(sample, len(sample), len(sample) - 1 - beyond)
        num_lower, num_upper = 0, 0
        for at in range(count):
            value = values[at]
            lower[num_lower] = value
            upper[num_upper] = -value
            num_lower += value <= least
            num_upper += value >= most
        if num_lower < low + 2:
            lower[:], num_lower = values, count
        if num_upper < count - high:
            upper[:], num_upper = -values, count
        found[row, 0] = smallest(lower, num_lower, low)
        found[row, 1] = smallest(lower, num_lower, low + 1)
        found[row, 2] = -smallest(upper, num_upper, count - 1 - high)
        found[row, 3] = -smallest(upper, num_upper, count - 2 - high)
    return found
