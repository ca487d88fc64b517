"""Whether an agent plays a game well enough without perturbation for its retention to mean anything."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsabench.errors import ShapeError, SpecError
from wsabench.stats.bounds import t_quantile
from wsabench.stats.resampling import episode_means
from wsabench.types import FloatArray

CLEAN_FLOOR = 0.1
"""Retention is defined where the clean normalised score is surely above this: a tenth of the way from random to human
play."""
OVER_EPISODES = "t over the episodes of these checkpoints"
OVER_SEEDS = "t over train seeds"
ALL_STARTS = "exact: every start was played"
NO_BOUND = "no bound"


class CleanBound(NamedTuple):
    """How well some checkpoints of one agent surely play one game."""

    value: float
    """Mean clean normalised score over train seeds and episodes."""
    low: float
    """One-sided lower bound of what these checkpoints score on average; NaN where there is none."""
    is_defined: bool
    """Whether the lower bound lies above the floor, so that retention is defined."""
    method: str
    """How the bound was found: `OVER_EPISODES`; `OVER_SEEDS` where some seed has one different episode only and could
    play others; `ALL_STARTS` where the mean of every seed is exact; `NO_BOUND`."""


def clean_bound(
    episodes: FloatArray,
    num_distinct: npt.ArrayLike | None = None,
    *,
    is_exact: npt.ArrayLike | None = None,
    floor: float = CLEAN_FLOOR,
    confidence: float = 0.95,
) -> CleanBound:
    """Return the lower bound of the clean score of given checkpoints, and whether it lies above a floor.

    The train seeds are held fixed: the question is whether these networks play, not whether others would. The variance
    is that of each seed's episodes, and t has Satterthwaite's degrees of freedom. Returns have a long right tail; there
    the lower t bound errs to the safe side, because samples with a high mean have a high spread too.

    Args:
        episodes: Normalised scores of clean episodes, shape (num_seeds, num_episodes), float64; NaN where a seed has
            fewer episodes than others.
        num_distinct: The number of different episodes of each seed, shape (num_seeds,), from 1 to the number of its
            episodes; None: all differ. Greedy play repeats itself, and repeated episodes carry no news.
        is_exact: Whether each seed played all the episodes there are, shape (num_seeds,): its mean is then no estimate.
            None: none did.
        floor: What the bound must exceed.
        confidence: The one-sided confidence level, between 0.5 and 1.

    Returns:
        The bound. Where some seed has one different episode and could play others, the seeds' own spread is used
        instead, which is larger on average; with one seed there is no bound then, and retention is not defined.

    Raises:
        ShapeError: The shapes do not match, or a number of different episodes is out of range.
        SpecError: The confidence is out of range.

    References:
        Satterthwaite 1946; Johnson 1978, "Modified t tests and confidence intervals for asymmetrical populations", for
        the direction in which skewness moves t.
    """
    scores = np.asarray(episodes, dtype=np.float64)
    if scores.ndim != 2 or 0 in scores.shape:
        raise ShapeError(
            f"Clean episodes have shape {scores.shape}. Allowed: (num_seeds, num_episodes), none of them 0."
        )
    if not 0.5 < confidence < 1.0:
        raise SpecError(f"The confidence is {confidence!r}. Allowed: numbers between 0.5 and 1, 0.95 for a 95% bound.")
    num_seeds, num_episodes = len(scores), (~np.isnan(scores)).sum(axis=1)
    counts = num_episodes if num_distinct is None else np.asarray(num_distinct, dtype=np.int64)
    if counts.shape != (num_seeds,) or np.any(counts < 1) or np.any(counts > num_episodes):
        raise ShapeError(
            f"Distinct episodes are {counts.tolist()}. Allowed: one integer a train seed, 1 to {num_episodes.max()}."
        )
    means = episode_means(scores)
    value = float(means.mean())
    exact = np.zeros(num_seeds, dtype=np.bool_) if is_exact is None else np.asarray(is_exact, dtype=np.bool_)
    if exact.all():
        return CleanBound(value, value, value > floor, ALL_STARTS)
    if (counts[~exact] >= 2).all():
        squares = np.where(exact, 0.0, np.nansum((scores - means[:, None]) ** 2, axis=1))
        parts = squares / np.maximum(num_episodes - 1, 1) / counts / num_seeds**2
        method, freedoms = OVER_EPISODES, np.maximum(counts - 1.0, 1.0)
    elif num_seeds >= 2:
        parts = np.array([means.var(ddof=1) / num_seeds])
        method, freedoms = OVER_SEEDS, np.array([num_seeds - 1.0])
    else:
        return CleanBound(value, np.nan, False, NO_BOUND)
    variance, squares = parts.sum(), (parts**2 / freedoms).sum()
    freedom = variance**2 / squares if squares > 0.0 else np.inf
    low = value - float(t_quantile(confidence, freedom) * np.sqrt(variance))
    return CleanBound(value, low, low > floor, method)
