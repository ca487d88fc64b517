"""The difference of two means of which only mean, spread and number are known."""

from __future__ import annotations

import math
from typing import NamedTuple

from wsabench.errors import SpecError
from wsabench.stats.bounds import t_quantile


class MeanOfEpisodes(NamedTuple):
    """A mean over episodes, with their spread and number; any unit, the same for mean and deviation."""

    mean: float
    deviation: float
    """Standard deviation over episodes, 0 for a mean that counts as certain."""
    episodes: int
    """The number of episodes, at least 1."""


def difference_of_means(first: MeanOfEpisodes, second: MeanOfEpisodes, confidence: float = 0.95) -> tuple[float, float]:
    """Return Welch's interval of the first mean minus the second, for spreads that need not be equal.

    Args:
        first: One side, such as the episodes played here.
        second: The other side, such as what a paper states.
        confidence: The confidence level of the interval, between 0 and 1.

    Returns:
        The lower and the upper bound; both the difference itself where neither side varies.

    Raises:
        SpecError: A number of episodes is below 1, or a side that varies has only one.

    References:
        Welch 1947, "The generalization of 'Student's' problem when several different population variances are
        involved", Biometrika 34.
    """
    sides = (first, second)
    if any(side.episodes < 1 or (side.deviation > 0 and side.episodes < 2) for side in sides):
        raise SpecError("A mean is of fewer than 1 episode, or varies over one. Allowed: 2 episodes or more.")
    difference = first.mean - second.mean
    variances = [side.deviation**2 / side.episodes for side in sides]
    if not sum(variances):
        return difference, difference
    parts = (variance**2 / (side.episodes - 1) for variance, side in zip(variances, sides, strict=True) if variance > 0)
    quantile = float(t_quantile((1 + confidence) / 2, sum(variances) ** 2 / sum(parts)))
    arm = quantile * math.sqrt(sum(variances))
    return difference - arm, difference + arm
