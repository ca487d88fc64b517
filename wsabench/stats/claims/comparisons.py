"""Correction for several tests between agents, and how many train seeds can decide anything.

Whole train seeds are relabelled, as one trained network plays every cell. Relabellings are enumerated where there are
few, else drawn.

References:
    Holm 1979, "A simple sequentially rejective multiple test procedure".
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from wsabench.errors import SpecError
from wsabench.stats.intervals import MIN_TRAIN_SEEDS
from wsabench.types import FloatArray

MAX_ENUMERATED = 20_000
"""Where there are at most so many relabellings, all are tried, and p is exact."""
DRAWN = 9_999
"""Relabellings drawn where there are more: with the observed one 10,000, so that p is a round number."""


def holm(p: npt.ArrayLike) -> FloatArray:
    """Adjust the p values of a declared family, so that any false claim in it has at most probability alpha.

    Args:
        p: Shape (..., num_tests), float64, one family in each row; NaN for tests that could not be made, which count as
            members all the same.

    Returns:
        Adjusted values, shape (..., num_tests), at most 1, in the order of `p`; NaN stays NaN.

    Raises:
        SpecError: A value is outside 0..1.
    """
    values = np.asarray(p, dtype=np.float64)
    if np.any((values < 0) | (values > 1)):
        raise SpecError(f"p values are {values.tolist()}. Allowed: 0 to 1, or NaN for a test that was not made.")
    order = np.argsort(values, axis=-1, kind="stable")  # NaN comes last
    steps = np.minimum(1.0, np.take_along_axis(values, order, axis=-1) * np.arange(values.shape[-1], 0, -1))
    adjusted = np.empty_like(values)
    np.put_along_axis(adjusted, order, np.maximum.accumulate(steps, axis=-1), axis=-1)
    return adjusted


def seeds_to_decide(num_pairs: int, alpha: float = 0.05, *, paired: bool = False) -> int:
    """Return the fewest train seeds (of each agent, one game) with which a report can decide anything at all.

    The adjusted p must be able to get to alpha, and a report claims nothing from fewer than five train seeds in one
    game.

    Args:
        num_pairs: Pairs of agents that are compared; the number of perturbations does not matter.
        alpha: Probability of any false claim that is accepted.
        paired: Whether every train seed is compared with itself, as in clean against perturbed play.
    """
    count = MIN_TRAIN_SEEDS
    while num_pairs * 2.0 / (2**count if paired else math.comb(2 * count, count)) > alpha:
        count += 1
    return count
