"""Tests between agents, and between clean and perturbed play, with whole train seeds as the unit.

A test gets one array for each game, shape (num_seeds, num_tests): a value of every train seed for each of some
hypotheses. One relabelling of the seeds serves all hypotheses, as one trained network plays every cell. Games are
relabelled independently. Relabellings are enumerated where there are few, else drawn.

References:
    Fisher 1935, "The design of experiments", for both tests; Phipson & Smyth 2010, "Permutation p-values should never
    be zero"; Holm 1979, "A simple sequentially rejective multiple test procedure".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsabench.errors import ShapeError, SpecError
from wsabench.stats.intervals import MIN_TRAIN_SEEDS
from wsabench.stats.resampling import Blocks
from wsabench.types import FloatArray

MAX_ENUMERATED = 20_000
"""Up to so many relabellings all are tried, and p is exact."""
DRAWN = 9_999
"""Relabellings drawn where there are more: with the observed one 10,000, so that p is a round number."""

_TOLERANCE = 1e-10
"""Two sums of the same numbers in another order count as equal up to this share of the scores' size."""


class Test(NamedTuple):
    """Some hypotheses, tested together."""

    __test__ = False
    """Not a test of pytest's."""

    effect: FloatArray
    """Mean over games of the difference of means, shape (num_tests,)."""
    p: FloatArray
    """Two-sided, shape (num_tests,); NaN where a value is NaN."""
    smallest_p: float
    """The smallest p that so many train seeds can give, whatever the scores."""


def two_sample_test(x: Blocks, y: Blocks, rng: np.random.Generator) -> Test:
    """Test whether two agents' train seeds come from one distribution, by permuting whole seeds between them.

    Args:
        x: One array for each game, shape (num_seeds_x, num_tests), float64.
        y: The same games and tests, shape (num_seeds_y, num_tests).
        rng: Where relabellings are drawn from, if there are too many to try all.

    Returns:
        The tests of the mean over games of mean x minus mean y. With equal numbers of seeds the smallest p is
        2 / C(2n, n) for one game: 0.1 with 3 seeds each, 0.03 with 4, 0.008 with 5.

    Raises:
        ShapeError: Games or tests differ.
    """
    if len(x) != len(y) or any(a.shape[1:] != b.shape[1:] for a, b in zip(x, y, strict=True)):
        raise ShapeError("X and Y have different games or tests. Compare the two on the same ones, in the same order.")
    sizes = [(len(a), len(b)) for a, b in zip(x, y, strict=True)]
    pooled = [np.concatenate(pair) for pair in zip(x, y, strict=True)]
    count = math.prod(math.comb(first + second, first) for first, second in sizes)
    exact = count <= MAX_ENUMERATED
    # +1/n for a seed that is labelled x, -1/m for one that is labelled y: a relabelling is a row of weights.
    if exact:
        weights = _every([_all_splits(*size) for size in sizes])
    else:
        weights = np.concatenate([_drawn_splits(*size, rng) for size in sizes], axis=1)
    return _tested(pooled, np.concatenate([_weights_of(*size) for size in sizes]), weights, count, exact)


def sign_flip_test(differences: Blocks, rng: np.random.Generator) -> Test:
    """Test whether paired differences of train seeds are symmetric about 0, by flipping whole seeds' signs.

    Args:
        differences: One array for each game, shape (num_seeds, num_tests), float64: clean minus perturbed scores of
            one train seed, or the difference of one checkpoint in two runs.
        rng: Where relabellings are drawn from, if there are too many to try all.

    Returns:
        The tests of the mean over games of the mean difference. The smallest p is 2 / 2^n for n train seeds of all
        games: 0.25 with 3, 0.06 with 5, 0.03 with 6.

    Raises:
        ShapeError: The games have different tests.
    """
    if len({block.shape[1:] for block in differences}) != 1:
        raise ShapeError("The games have different tests. Give every game the same ones, in the same order.")
    sizes = [len(block) for block in differences]
    count = 2 ** sum(sizes)
    exact = count <= MAX_ENUMERATED
    total = sum(sizes)
    if exact:
        signs = np.array(list(itertools.product([1.0, -1.0], repeat=total)))
    else:
        signs = rng.choice([1.0, -1.0], size=(DRAWN, total))
    observed = np.concatenate([np.full(size, 1.0 / size) for size in sizes])
    return _tested(list(differences), observed, signs * observed, count, exact)


def holm(p: npt.ArrayLike) -> FloatArray:
    """Adjust the p values of a declared family, so that any false claim in it has at most probability alpha.

    Args:
        p: Shape (..., num_tests), float64, each row a family; NaN for tests that could not be made, which count as
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


def smallest_adjusted_p(smallest_p: float, num_pairs: int) -> float:
    """Return the smallest p that can be left when one of `num_pairs` pairs of agents is claimed first.

    Perturbations cost nothing here: step-down max-T leaves the smallest p of a family what it is for a single test.

    Args:
        smallest_p: The smallest p that relabelling a pair's train seeds can give.
        num_pairs: Pairs of agents that are compared, or agents that are compared with their own clean play.
    """
    return min(1.0, smallest_p * num_pairs)


def seeds_to_decide(num_pairs: int, alpha: float = 0.05, *, paired: bool = False) -> int:
    """Return the fewest train seeds (of each agent, one game) with which a report can decide anything at all.

    The adjusted p must be able to get to alpha, and a report claims nothing from fewer than five train seeds.

    Args:
        num_pairs: Pairs of agents that are compared; the number of perturbations does not matter.
        alpha: Share of false claims that is accepted.
        paired: Whether seeds are compared with themselves.
    """
    count = MIN_TRAIN_SEEDS
    while smallest_adjusted_p(2.0 / (2**count if paired else math.comb(2 * count, count)), num_pairs) > alpha:
        count += 1
    return count


def _tested(values: Sequence[FloatArray], observed: FloatArray, weights: FloatArray, count: int, exact: bool) -> Test:
    """Return the tests, given a row of weights a relabelling; `count` is how many relabellings there are in all."""
    scores = np.concatenate([np.asarray(block, dtype=np.float64) for block in values]) / len(values)
    effect = observed @ scores
    slack = _TOLERANCE * np.abs(scores).sum(axis=0)
    sums = weights @ scores
    upper, lower = (sums >= effect - slack).sum(axis=0), (sums <= effect + slack).sum(axis=0)
    fewer = np.minimum(upper, lower)
    # Drawn relabellings do not hold the observed one, which counts as one of them.
    p = 2.0 * fewer / count if exact else 2.0 * (fewer + 1) / (len(weights) + 1)
    smallest = 2.0 / count if exact else 2.0 / (len(weights) + 1)
    return Test(effect, np.where(np.isnan(effect), np.nan, np.minimum(1.0, p)), min(1.0, smallest))


def _weights_of(num_x: int, num_y: int) -> FloatArray:
    return np.concatenate([np.full(num_x, 1.0 / num_x), np.full(num_y, -1.0 / num_y)])


def _all_splits(num_x: int, num_y: int) -> FloatArray:
    """Return the weights of every way to label `num_x` of all seeds as x, one way in each row."""
    chosen = np.array(list(itertools.combinations(range(num_x + num_y), num_x)))
    weights = np.full((len(chosen), num_x + num_y), -1.0 / num_y)
    np.put_along_axis(weights, chosen, 1.0 / num_x, axis=1)
    return weights


def _drawn_splits(num_x: int, num_y: int, rng: np.random.Generator) -> FloatArray:
    return rng.permuted(np.broadcast_to(_weights_of(num_x, num_y), (DRAWN, num_x + num_y)), axis=1)


def _every(parts: Sequence[FloatArray]) -> FloatArray:
    """Return every combination of one row of each part, joined."""
    joined = parts[0]
    for part in parts[1:]:
        left, right = np.repeat(joined, len(part), axis=0), np.tile(part, (len(joined), 1))
        joined = np.concatenate([left, right], axis=1)
    return joined
