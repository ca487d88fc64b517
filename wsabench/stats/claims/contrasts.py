"""Differences of means over games with their standard errors and t tests, one column for each hypothesis.

Blocks of two agents are independent train seeds (Welch's test); one list of blocks holds paired differences of train
seeds (the t test of one sample). A game that lacks a perturbation has NaN in its whole column and is left out there.

References:
    Welch 1947, "The generalization of 'Student's' problem when several different population variances are involved",
    and Satterthwaite 1946, "An approximate distribution of estimates of variance components", for the degrees of
    freedom.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special

from wsabench.errors import ShapeError
from wsabench.stats.resampling import Blocks, checked_blocks
from wsabench.types import BoolArray, FloatArray

_TOLERANCE = 1e-10
"""A standard error below this share of the scores' size is rounding: the seeds do not differ."""


class Contrast(NamedTuple):
    """Estimated differences of means, each array of shape (num_tests,)."""

    effect: FloatArray
    """Mean x minus mean y, averaged over the games that have the perturbation; NaN where a value is NaN."""
    standard_error: FloatArray
    """Standard error of the effect, over train seeds; NaN also where a game has one train seed of an agent."""
    freedom: FloatArray
    """Degrees of freedom of the standard error, after Welch and Satterthwaite."""
    num_games: FloatArray
    """Number of games that have the perturbation."""

    def p(self, shift: float = 0.0) -> tuple[FloatArray, FloatArray]:
        """Return the p values of two one-sided tests, each of shape (num_tests,).

        The first is small where the effect is shown to be below the shift, the second where it is shown to be above.

        Args:
            shift: The effect under both hypotheses, in the unit of the scores.
        """
        statistic = (self.effect - shift) / self.standard_error
        return special.stdtr(self.freedom, statistic), special.stdtr(self.freedom, -statistic)


class Samples(NamedTuple):
    """Checked scores of one or two agents: what is missing is 0 and has weight 0."""

    x: list[FloatArray]
    """One block for each game, shape (num_seeds, num_tests)."""
    y: list[FloatArray] | None
    """The same games of the other agent; None where x holds paired differences."""
    weights: FloatArray
    """Weight of each game in each test, shape (num_games, num_tests); the games that a test has sum to 1."""
    is_defined: BoolArray
    """Shape (num_tests,): no value is NaN, and some game has the test."""
    floor: FloatArray
    """Standard errors below this are rounding, shape (num_tests,)."""

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """The numbers of train seeds of x and of y in each game; 0 of y where x holds paired differences."""
        return [(len(x), 0 if self.y is None else len(self.y[place])) for place, x in enumerate(self.x)]

    @property
    def sides(self) -> list[list[FloatArray]]:
        """The independent samples: x, and y where there is one, each by game."""
        return [self.x] if self.y is None else [self.x, self.y]


def checked_samples(x: Blocks, y: Blocks | None) -> Samples:
    """Return scores ready to compare.

    Args:
        x: One array for each game, shape (num_seeds_x, num_tests), float64. A game without some perturbation has NaN
            in its whole column.
        y: The same games and tests, shape (num_seeds_y, num_tests); None where x holds paired differences.

    Raises:
        ShapeError: Games or tests differ, or a block has not two axes.
    """
    sides = [checked_blocks(side) for side in ([x] if y is None else [x, y])]
    if len({len(side) for side in sides}) != 1 or len({block.shape[1] for side in sides for block in side}) != 1:
        raise ShapeError("Games or tests differ. Give every agent and game the same tests, in the same order.")
    lacks = np.any([[np.isnan(block).all(axis=0) for block in side] for side in sides], axis=0)
    broken = np.any([[np.isnan(block).any(axis=0) for block in side] for side in sides], axis=0) & ~lacks
    filled = [
        [np.where(gone | np.isnan(block), 0.0, block) for block, gone in zip(side, lacks, strict=True)]
        for side in sides
    ]
    count = (~lacks).sum(axis=0)
    size = np.max([[np.abs(block).max(axis=0) for block in side] for side in filled], axis=(0, 1))
    return Samples(
        x=filled[0],
        y=None if y is None else filled[1],
        weights=~lacks / np.maximum(count, 1),
        is_defined=~broken.any(axis=0) & (count > 0),
        floor=np.maximum(_TOLERANCE * size, np.finfo(np.float64).tiny),
    )


def contrast(x: Blocks, y: Blocks | None = None) -> Contrast:
    """Estimate the mean over games of mean x minus mean y, with its standard error over train seeds.

    Args:
        x: One array for each game, shape (num_seeds_x, num_tests), float64. A game without some perturbation has NaN
            in its whole column.
        y: The same games and tests, shape (num_seeds_y, num_tests); None where x holds paired differences.

    Returns:
        The estimates. Without any spread the standard error is that of rounding, so that p is close to 0 or 1.

    Raises:
        ShapeError: Games or tests differ, or a block has not two axes.
    """
    return contrast_of(checked_samples(x, y))


def contrast_of(samples: Samples) -> Contrast:
    """Return the estimates from checked scores."""
    weights, signs = samples.weights, (1.0, -1.0)
    effect = np.zeros(weights.shape[1])
    variance, squares = np.zeros_like(effect), np.zeros_like(effect)
    for sign, side in zip(signs, samples.sides, strict=False):
        for block, weight in zip(side, weights, strict=True):
            effect += sign * weight * block.mean(axis=0)
            if len(block) < 2:
                variance += np.where(weight > 0, np.nan, 0.0)
                continue
            part = weight**2 * block.var(axis=0, ddof=1) / len(block)
            variance += part
            squares += part**2 / (len(block) - 1)
    # Without any spread every number of degrees of freedom says the same.
    freedom = np.divide(variance**2, squares, out=np.ones_like(variance), where=squares > 0)
    effect = np.where(samples.is_defined, effect, np.nan)
    error = np.where(samples.is_defined, np.maximum(np.sqrt(variance), samples.floor), np.nan)
    return Contrast(effect, error, freedom, (weights > 0).sum(axis=0).astype(np.float64))
