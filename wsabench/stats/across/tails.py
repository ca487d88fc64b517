"""The worst families of perturbations and the worst share of cells, chosen and measured on different episodes.

The lowest of several noisy means is too low: it is chosen because it came out low. So half of the episodes choose, and
the other half say how low it is. What is chosen is then measured without bias.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsabench.errors import ShapeError, SpecError
from wsabench.stats.bounds import Replicates, Stratum, corrected_bounds
from wsabench.stats.intervals import seed_note
from wsabench.stats.resampling import count_draws, draw_seeds
from wsabench.stats.statistics import mean_over
from wsabench.types import FloatArray, IntArray
from wsabench.words import counted

NUM_SPLITS = 30
"""Splits into halves over which the estimate is averaged, each used both ways."""
MIN_EPISODES = 4
"""With fewer episodes a half has only one."""
MIN_TAIL_SEEDS = 3
"""With fewer train seeds there is no interval over them."""
TAIL_REPETITIONS = 2_000
"""Bootstrap repetitions: each repeats the choice over all splits."""
_CHUNK_ELEMENTS = 4_000_000


class Tail(NamedTuple):
    """The mean score of the worst groups."""

    value: float
    """The mean, chosen on one half of the episodes and measured on the other; NaN where that cannot be."""
    low: float
    """Lower bound over train seeds; NaN where there is no interval."""
    high: float
    """Upper bound over train seeds; NaN where there is no interval."""
    naive: float
    """The mean, chosen and measured on the same episodes: too low, shown for comparison."""
    chosen: FloatArray
    """How much of the choice each group had over all splits, shape (num_groups,), with sum 1."""
    num_seeds: int
    """The number of train seeds, the fewest of any game."""
    reason: str
    """Why there is no value or no interval; empty when nothing is to be said."""


def worst_group(
    blocks: Sequence[npt.ArrayLike],
    rng: np.random.Generator,
    *,
    repetitions: int = TAIL_REPETITIONS,
    confidence: float = 0.95,
) -> Tail:
    """Return the mean score of the worst group (family, perturbation, cell), chosen and measured on other episodes.

    Args:
        blocks: One array for each game, shape (num_seeds, num_groups, num_episodes), float64: normalised scores of one
            agent, the groups in one order. An episode's score in a group is the mean over the group's cells. Groups are
            averaged over train seeds, then over games. No two episodes of a checkpoint may be copies of each other
            (greedy play): the halves would then know each other.
        rng: Draws splits and train seeds.
        repetitions: Bootstrap repetitions over whole train seeds, games by themselves; the splits stay.
        confidence: The confidence level of the bounds, between 0 and 1; they are corrected for few seeds as in
            `seed_interval`.

    Returns:
        The estimate. It is unbiased for the score, with these checkpoints, of the group that half of the episodes
        picks. Where groups are equal or lie far apart that is the minimum; in between half of the episodes sometimes
        picks another group, so it lies a little above the minimum, never below it on average. That some train seeds
        were unlucky under one group is not corrected: more train seeds help against that. With one group, or fewer than
        four episodes, the numbers are NaN and the reason says why.

    Raises:
        ShapeError: A block has not three axes, or the numbers of groups differ, or a score is NaN.

    References:
        Sample splitting: Cox 1975, "A note on data-splitting for the evaluation of significance levels"; averaged over
        repeated splits as in Chernozhukov et al. 2018, "Double/debiased machine learning", definition 3.3.
    """
    return _tail(blocks, 0.0, rng, (repetitions, confidence))


def conditional_value_at_risk(
    blocks: Sequence[npt.ArrayLike],
    share: float,
    rng: np.random.Generator,
    *,
    repetitions: int = TAIL_REPETITIONS,
    confidence: float = 0.95,
) -> Tail:
    """Return the mean score of the worst `share` of groups (CVaR), chosen and measured on different episodes.

    Args:
        blocks: As for `worst_group`; the groups are cells where CVaR is over cells.
        share: Above 0 and up to 1. Where it is no whole number of groups, the last one counts in part; a share of less
            than one group is the worst group.
        rng: As for `worst_group`.
        repetitions: As for `worst_group`.
        confidence: As for `worst_group`.

    Returns:
        The estimate, as for `worst_group`; with share 1 the mean over groups.

    Raises:
        SpecError: The share is out of range.
        ShapeError: As for `worst_group`.

    References:
        Rockafellar & Uryasev 2002, "Conditional value-at-risk for general loss distributions", proposition 8, for
        discrete distributions.
    """
    if not 0.0 < share <= 1.0:
        raise SpecError(f"The share is {share!r}. Allowed: numbers above 0 and up to 1, 0.25 for the worst quarter.")
    return _tail(blocks, share, rng, (repetitions, confidence))


def _tail(blocks: Sequence[npt.ArrayLike], share: float, rng: np.random.Generator, options: tuple[int, float]) -> Tail:
    arrays = _checked(blocks)
    num_groups, num_seeds = arrays[0].shape[1], min(len(array) for array in arrays)
    episodes = min(array.shape[2] for array in arrays)
    if num_groups < 2 or episodes < MIN_EPISODES:
        too_few = f"{counted(episodes, 'episode')}: too few to split"
        reason = "one group: nothing to choose from" if num_groups < 2 else too_few
        return Tail(np.nan, np.nan, np.nan, np.nan, np.full(num_groups, np.nan), num_seeds, reason)
    weights = _weights(num_groups, share)
    halves = [_halves(array, rng) for array in arrays]
    overall = np.mean([array.mean(axis=(0, 2)) for array in arrays], axis=0)
    naive = float((np.sort(overall) * weights).sum())
    data = [np.full((1, len(array)), 1.0 / len(array)) for array in arrays]
    value, order = _cross_fitted(_means(halves, data), weights)
    chosen = np.bincount(order.ravel(), weights=np.tile(weights, order[..., 0].size)) / order[..., 0].size
    note = seed_note(num_seeds, len(arrays))
    if num_seeds < MIN_TAIL_SEEDS:
        return Tail(float(value[0]), np.nan, np.nan, naive, chosen, num_seeds, note)
    repetitions, confidence = options
    counts = [count_draws(draw_seeds(len(array), rng, repetitions), len(array)) for array in arrays]
    # One product of matrices serves all games; it rounds otherwise than the estimate itself.
    of_seeds = np.concatenate([half.reshape(len(half), -1) for half in halves])
    drawn = np.concatenate([count / count.shape[1] for count in counts], axis=1) / len(counts)
    step = max(1, _CHUNK_ELEMENTS // (4 * NUM_SPLITS * num_groups))
    parts = [
        _cross_fitted((drawn[start : start + step] @ of_seeds).reshape(-1, *halves[0].shape[1:]), weights)[0]
        for start in range(0, repetitions, step)
    ]
    strata = [Stratum(count, count.shape[1]) for count in counts]
    replicates = Replicates(np.concatenate(parts)[:, None], strata)
    low, high = corrected_bounds(replicates, value, confidence)
    return Tail(float(value[0]), float(low[0]), float(high[0]), naive, chosen, num_seeds, note)


def _halves(scores: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return means over both halves of every split, shape (num_seeds, 2, num_splits, num_groups)."""
    order = rng.permuted(np.tile(np.arange(scores.shape[2]), (NUM_SPLITS, 1)), axis=1)
    first = np.zeros((NUM_SPLITS, scores.shape[2]))
    np.put_along_axis(first, order[:, : scores.shape[2] // 2], 1.0, axis=1)
    members = np.stack([first, 1.0 - first])
    members /= members.sum(axis=2, keepdims=True)
    return np.einsum("sge,hke->shkg", scores, members)


def _means(halves: Sequence[FloatArray], weights_of_seeds: Sequence[FloatArray]) -> FloatArray:
    """Return the mean over games, each with its weights of train seeds: (repetitions, 2, num_splits, num_groups)."""
    return mean_over([np.tensordot(drawn, half, axes=1) for drawn, half in zip(weights_of_seeds, halves, strict=True)])


def _cross_fitted(means: FloatArray, weights: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return the estimate of each repetition, and the groups by rising score of each choice; halves change roles."""
    order = np.argsort(means, axis=-1)
    # Those without weight need not be looked at; eight at a time, as sums of eight change no bit.
    some = slice(-(-np.count_nonzero(weights) // 8) * 8)
    measured = np.take_along_axis(means[:, ::-1], order[..., some], axis=-1)
    return (measured * weights[some]).sum(axis=-1).mean(axis=(1, 2)), order


def _weights(num_groups: int, share: float) -> FloatArray:
    """Return the weight of the lowest, second lowest, ... group, with sum 1."""
    amount = max(1.0, share * num_groups)
    whole = math.floor(amount + 1e-9)
    weights = np.zeros(num_groups)
    weights[:whole] = 1.0
    if whole < num_groups:
        weights[whole] = max(0.0, amount - whole)
    return weights / weights.sum()


def _checked(blocks: Sequence[npt.ArrayLike]) -> list[FloatArray]:
    arrays = [np.asarray(block, dtype=np.float64) for block in blocks]
    shapes = [array.shape for array in arrays]
    alike = len({shape[1] for shape in shapes if len(shape) == 3}) == 1
    if not alike or any(len(shape) != 3 or 0 in shape for shape in shapes):
        raise ShapeError(
            f"Episodes have shapes {shapes}. Allowed: one array a game, (num_seeds, num_groups, num_episodes), the "
            "same groups in each, none of them empty."
        )
    if any(np.isnan(array).any() for array in arrays):
        raise ShapeError("Some score is NaN. Leave out games, groups and train seeds without normalised scores.")
    return arrays
