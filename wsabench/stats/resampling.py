"""Bootstrap resamples of whole train seeds, or of the episodes that given checkpoints played.

Scores come as **blocks**, one array for each game, of shape (num_seeds, num_cells). A train seed is one trained network
that plays every cell of its game, so cells of one game are not independent. For each game one vector of seed indices is
drawn and applied to all its cells at once. Games are trained separately and are resampled independently.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from wsabench.errors import ShapeError
from wsabench.stats.compiled.loading import pays
from wsabench.types import FloatArray

Blocks = Sequence[FloatArray]
"""One array for each game, float64, shape (num_seeds, num_cells), or with further leading axes (repetitions)."""

_DRAWING = 3e-8
"""Seconds for each episode by which compiled code draws sooner."""


def draw_seeds(num_seeds: int, rng: np.random.Generator, repetitions: int) -> npt.NDArray[np.int64]:
    """Draw train seeds with replacement: one vector of row indices for each repetition, for all cells.

    Args:
        num_seeds: Number of train seeds of the game.
        rng: Where the draws come from.
        repetitions: Number of resamples.

    Returns:
        Row indices, int64, shape (repetitions, num_seeds).
    """
    return rng.integers(0, num_seeds, size=(repetitions, num_seeds))


def checked_blocks(blocks: Blocks) -> list[FloatArray]:
    """Return the blocks as float64 arrays of shape (num_seeds, num_cells).

    Raises:
        ShapeError: A block has not two axes or no train seed, or there is no block.
    """
    arrays = [np.asarray(block, dtype=np.float64) for block in blocks]
    if not arrays:
        raise ShapeError("There are no scores to estimate from. Give each sample at least one block.")
    for block in arrays:
        if block.ndim != 2 or 0 in block.shape:
            raise ShapeError(
                f"A block has shape {block.shape}. Allowed: (num_seeds, num_cells), at least one seed and one cell."
            )
    return arrays


def draw_episode_weights(
    num_episodes: int, num_distinct: npt.ArrayLike, rng: np.random.Generator, repetitions: int
) -> FloatArray:
    """Draw episodes of each checkpoint with replacement, as the weight of each episode in the mean.

    Args:
        num_episodes: Number of episodes of each checkpoint and cell.
        num_distinct: How many different episodes each checkpoint played, shape (num_seeds,). Equal episodes carry no
            news, so only that many are drawn (greedy play without sticky actions repeats itself).
        rng: Where the draws come from.
        repetitions: Number of resamples.

    Returns:
        Weights that sum to 1 over episodes, shape (num_seeds, repetitions, num_episodes), float64. The same weights
        serve all cells of a checkpoint: cells are paired by episode seed.

    Raises:
        ShapeError: A number of different episodes is outside 1..num_episodes.
    """
    distinct = np.asarray(num_distinct, dtype=np.int64)
    if distinct.ndim != 1 or np.any(distinct < 1) or np.any(distinct > num_episodes):
        raise ShapeError(
            f"Distinct episodes are {distinct.tolist()}. Allowed: one integer a checkpoint, 1 to {num_episodes}."
        )
    weights = np.empty((len(distinct), repetitions, num_episodes))
    for of_checkpoint, draws in zip(weights, distinct, strict=True):
        np.divide(_episode_counts(num_episodes, int(draws), rng, repetitions), draws, out=of_checkpoint)
    return weights


def _episode_counts(num_episodes: int, draws: int, rng: np.random.Generator, repetitions: int) -> FloatArray:
    """Return how often each episode is drawn, (repetitions, num_episodes)."""
    if pays(_DRAWING * repetitions * num_episodes):
        from wsabench.stats.compiled.multinomials import compiled_counts

        counts = compiled_counts(num_episodes, draws, rng, repetitions)
        if counts is not None:
            return counts
    even = np.full(num_episodes, 1.0 / num_episodes)
    return rng.multinomial(draws, even, size=repetitions).astype(np.float64)


def episode_means(episodes: FloatArray) -> FloatArray:
    """Return the mean over episodes, where cells may have different numbers of them.

    Args:
        episodes: Shape (..., num_episodes), float64; NaN where there is no such episode.

    Returns:
        Shape (...), float64; NaN where there is no episode at all.
    """
    is_played = ~np.isnan(episodes)
    counts = is_played.sum(axis=-1)
    sums = np.where(is_played, episodes, 0.0).sum(axis=-1)
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)


def weighted_means(episodes: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the mean score of each checkpoint and cell under each repetition's weights.

    Args:
        episodes: Shape (num_seeds, num_cells, num_episodes), float64; NaN where a cell lacks an episode.
        weights: Shape (num_seeds, repetitions, num_episodes), float64. A cell's mean is over its own episodes; where
            none of them has any weight, it is the plain mean.

    Returns:
        Shape (repetitions, num_seeds, num_cells), float64; NaN where a cell has no episode.
    """
    is_played = ~np.isnan(episodes)
    if is_played.all():
        return np.matmul(weights, np.swapaxes(episodes, 1, 2)).swapaxes(0, 1)
    sums = np.matmul(weights, np.swapaxes(np.where(is_played, episodes, 0.0), 1, 2))
    total = np.matmul(weights, np.swapaxes(is_played.astype(np.float64), 1, 2))
    plain = np.broadcast_to(episode_means(episodes)[:, None], sums.shape)
    return np.divide(sums, total, out=plain.copy(), where=total > 0.0).swapaxes(0, 1)


def pooled_means(episodes: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the mean over checkpoints of what `weighted_means` gives, by one product of matrices where it can be.

    Args:
        episodes: As for `weighted_means`.
        weights: As for `weighted_means`.

    Returns:
        Shape (repetitions, 1, num_cells), float64. Where no episode is missing the numbers of a cell lie one after
        another in memory.
    """
    num_seeds, num_cells, num_episodes = episodes.shape
    if np.isnan(episodes).any():
        return weighted_means(episodes, weights).mean(axis=1, keepdims=True)
    columns = np.swapaxes(episodes, 0, 1).reshape(num_cells, num_seeds * num_episodes)
    of_all = np.swapaxes(weights, 1, 2).reshape(num_seeds * num_episodes, -1)
    return (columns @ of_all / num_seeds).T[:, None]


def count_draws(rows: npt.NDArray[np.int64], num_units: int) -> FloatArray:
    """Count how often each unit was drawn.

    Args:
        rows: The places of the drawn units, int64, shape (repetitions, num_draws).
        num_units: Number of units to draw from.

    Returns:
        Shape (repetitions, num_units), float64.
    """
    offsets = np.arange(len(rows))[:, None] * num_units
    counts = np.bincount((rows + offsets).ravel(), minlength=len(rows) * num_units)
    return counts.reshape(len(rows), num_units).astype(np.float64)
