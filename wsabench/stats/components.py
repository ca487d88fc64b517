"""Components of variance of one agent's scores: train seeds, what single train seeds are good or bad at, episodes.

The model of an episode is score = mean of the cell + train seed + cell x train seed + episode. Cells are fixed, as they
were chosen; the other three are random and independent.

References:
    Searle, Casella & McCulloch 1992, "Variance components", chapters 4 and 5 (Henderson's method III); Thompson 1962,
    "The problem of negative estimates of variance components": with equal numbers, leaving out a component that would
    be negative gives restricted maximum likelihood (REML); Weerahandi 1993, "Generalized confidence intervals".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsabench.errors import ShapeError
from wsabench.types import BoolArray, FloatArray
from wsabench.words import counted

COMPONENTS = ("train seed", "cell x train seed", "episode")
"""The order of a result's components."""
_DRAWS = 10_000
_LEVELS = (0.025, 0.975)


class VarianceComponents(NamedTuple):
    """Variances in the scores' unit squared, in the order of `COMPONENTS`, each array of shape (3,)."""

    variance: FloatArray
    """Estimates, at least 0. With one cell the second is NaN, and the first holds both."""
    low: FloatArray
    """Lower bounds of 95 % intervals, for normal effects."""
    high: FloatArray
    """Upper bounds. With few train seeds that of the first is far away: few seeds tell little about their spread."""
    num_train_seeds: int
    num_cells: int
    num_episodes: int
    """Number of episodes in all."""


class _Sums(NamedTuple):
    """Sums of squares of a model, what they are expected to be, and their degrees of freedom, by component."""

    squares: FloatArray
    """Shape (num_components,), the components of the model in the order of `COMPONENTS`."""
    expected: FloatArray
    """Expected sums of squares = this matrix @ components, upper triangular."""
    freedom: FloatArray


class _Cells(NamedTuple):
    """Means of each train seed and cell, and projections that their sums of squares need."""

    mean: FloatArray
    episodes: FloatArray
    seed: npt.NDArray[np.int64]
    within: float
    """Sum of squares of episodes about their mean."""
    by_cell: FloatArray
    """Orthonormal columns that span the cells' means, rows weighted by the root of the count."""
    by_both: FloatArray
    """Those that span cells and train seeds."""


def variance_components(
    scores: npt.ArrayLike, train_seed: npt.ArrayLike, cell: npt.ArrayLike, rng: np.random.Generator
) -> VarianceComponents:
    """Split the variance of one agent's episodes in one game into train seeds, cell x train seed and episodes.

    Args:
        scores: One score for each episode, float64, shape (num_episodes,).
        train_seed: The train seed of each episode, shape (num_episodes,), any integers or names.
        cell: The cell of each episode, shape (num_episodes,), any integers or names. Numbers of episodes may differ,
            and train seeds may lack cells.
        rng: Where the draws behind the intervals come from.

    Returns:
        The components. With equal numbers of episodes the estimates are those of REML, else those of the method of
        moments.

    Raises:
        ShapeError: There are fewer than two train seeds, no cell with two episodes of a train seed, no cell that two
            train seeds share, or a score is not finite.
    """
    values = np.asarray(scores, dtype=np.float64)
    seeds, seed = np.unique(np.asarray(train_seed), return_inverse=True)
    cells, place = np.unique(np.asarray(cell), return_inverse=True)
    if values.ndim != 1 or not values.shape == seed.shape == place.shape or not np.isfinite(values).all():
        raise ShapeError(
            "Scores, train seeds and cells differ in shape, or a score is not finite. Give one an episode."
        )
    table = _cells(values, seed, place)
    num_rows, num_both = len(table.mean), table.by_both.shape[1]
    if len(seeds) < 2 or len(values) == num_rows or num_both == len(cells):
        raise ShapeError(
            f"{counted(len(seeds), 'train seed')}, {counted(len(cells), 'cell')}, {counted(len(values), 'episode')} "
            "are too few to split their variance. Allowed: two train seeds that share a cell, and two episodes of a "
            "train seed in a cell."
        )
    is_used = np.array([True, num_rows > num_both, True])
    is_estimable = is_used.copy()
    while True:
        sums = _sums(table, len(values), is_used)
        found = np.linalg.solve(sums.expected, sums.squares)
        is_negative = found[:-1] < 0
        if not is_negative.any():
            break
        # The component of the lower stratum goes first; what is left is pooled, as restricted likelihood would.
        is_used[np.flatnonzero(is_used)[np.flatnonzero(is_negative)[-1]]] = False
    variance = np.where(is_estimable, 0.0, np.nan)
    variance[is_used] = found
    low, high = _bounds(_sums(table, len(values), is_estimable), rng)
    bounds = np.full((2, len(COMPONENTS)), np.nan)
    bounds[:, is_estimable] = low, high
    return VarianceComponents(variance, bounds[0], bounds[1], len(seeds), len(cells), len(values))


def _cells(values: FloatArray, seed: npt.NDArray[np.int64], cell: npt.NDArray[np.int64]) -> _Cells:
    pairs, row, count = np.unique(np.stack([seed, cell]), axis=1, return_inverse=True, return_counts=True)
    row = row.ravel()
    mean = np.bincount(row, weights=values) / count
    weight = np.sqrt(count)[:, None]
    of_cell = weight * (pairs[1][:, None] == np.arange(cell.max() + 1))
    of_seed = weight * (pairs[0][:, None] == np.arange(seed.max() + 1))
    return _Cells(
        mean=mean,
        episodes=count.astype(np.float64),
        seed=pairs[0],
        within=float(np.square(values - mean[row]).sum()),
        by_cell=of_cell / np.linalg.norm(of_cell, axis=0),
        by_both=_span(np.concatenate([of_cell, of_seed], axis=1)),
    )


def _span(columns: FloatArray) -> FloatArray:
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return left[:, sizes > sizes[0] * len(columns) * np.finfo(np.float64).eps]


def _sums(table: _Cells, num_episodes: int, is_used: BoolArray) -> _Sums:
    """Return the sums of squares of the model with some components, and what they are expected to be."""
    z = np.sqrt(table.episodes) * table.mean
    z_squares, rows = float(z @ z), len(z)
    fitted = [float(np.square(span.T @ z).sum()) for span in (table.by_cell, table.by_both)]
    leverage = [np.square(span).sum(axis=1) for span in (table.by_cell, table.by_both)]
    ranks = [table.by_cell.shape[1], table.by_both.shape[1]]
    lower = 1 if is_used[0] else 0  # what the second stratum leaves out: cells, or cells and train seeds
    squares, freedom = [table.within], [float(num_episodes - rows)]
    expected = [[0.0, 0.0, float(num_episodes - rows)]]
    rest, rest_freedom = z_squares - fitted[lower], float(rows - ranks[lower])
    if is_used[1]:
        squares.insert(0, rest)
        freedom.insert(0, rest_freedom)
        expected.insert(0, [0.0, float(table.episodes @ (1.0 - leverage[lower])), rest_freedom])
    else:
        squares[0] += rest
        freedom[0] += rest_freedom
        expected[0][2] += rest_freedom
    if is_used[0]:
        of_seeds = float(ranks[1] - ranks[0])
        squares.insert(0, fitted[1] - fitted[0])
        freedom.insert(0, of_seeds)
        by_seed = np.sqrt(table.episodes)[:, None] * (table.seed[:, None] == np.arange(table.seed.max() + 1))
        seeds = float(np.square(by_seed).sum() - np.square(table.by_cell.T @ by_seed).sum())
        expected.insert(0, [seeds, float(table.episodes @ (leverage[1] - leverage[0])), of_seeds])
    return _Sums(np.array(squares), np.array(expected)[:, is_used], np.array(freedom))


def _bounds(sums: _Sums, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Return 95 % generalised confidence intervals: expected mean squares that explain those found, with chance."""
    chance = rng.chisquare(sums.freedom, size=(_DRAWS, len(sums.freedom))) / sums.freedom
    drawn = np.linalg.solve(sums.expected, (sums.squares / chance).T)
    low, high = np.quantile(np.maximum(drawn, 0.0), _LEVELS, axis=1)
    return low, high
