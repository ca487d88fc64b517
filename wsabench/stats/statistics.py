"""Statistics of blocks: functions that an interval can be made for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from wsabench.errors import ShapeError
from wsabench.stats.intervals import Statistic
from wsabench.stats.resampling import Blocks
from wsabench.types import FloatArray

_SMALL = 1_000
"""Numbers that are averaged as NumPy does it, whatever the order of its sums is."""


def over_matrix(aggregate: Callable[..., FloatArray]) -> Statistic:
    """Turn an aggregate of score matrices into a statistic of blocks, by joining the cells of all games.

    Args:
        aggregate: A function of matrices (..., num_runs, num_tasks), for example `iqm`, with one argument for
            each sample.

    Returns:
        The statistic. It raises ShapeError where games have different numbers of train seeds: a matrix has none.
    """

    def statistic(*samples: Blocks) -> FloatArray:
        return aggregate(*(_joined(blocks) for blocks in samples))

    return statistic


def over_seeds(block: FloatArray) -> FloatArray:
    """Return the mean over train seeds. A block that holds their mean already, as one row, is not copied.

    Args:
        block: Shape (..., num_seeds, num_cells), float64.

    Returns:
        Shape (..., num_cells).
    """
    return block[..., 0, :] if block.shape[-2] == 1 else block.mean(axis=-2)


def mean_over(arrays: Sequence[FloatArray]) -> FloatArray:
    """Return the mean of some arrays, as `numpy.mean(arrays, axis=0)`, without putting large ones into one.

    Args:
        arrays: At least one, all of one shape, float64.

    Returns:
        Of that shape and, for large ones, the first one's order in memory.
    """
    if arrays[0].size < _SMALL:
        return np.mean(arrays, axis=0)
    total = arrays[0].copy(order="K")
    for array in arrays[1:]:
        total += array
    total /= len(arrays)
    return total


def per_task(scores: npt.ArrayLike) -> list[FloatArray]:
    """Split a score matrix into one block for each task, for rliable's resampling of every task on its own.

    This is right where each task has networks of its own (one cell in each game). Where one network plays several
    tasks, its good and bad luck shows in all of them, and intervals made this way are far too narrow.

    Args:
        scores: Shape (num_runs, num_tasks), float64.

    Returns:
        `num_tasks` blocks of shape (num_runs, 1), for `seed_interval`; with `method="percentile"` its bounds are
        rliable's within Monte-Carlo error.

    Raises:
        ShapeError: There are not two axes.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 2:
        raise ShapeError(f"Scores have shape {values.shape}. Allowed: (num_runs, num_tasks).")
    return list(values.T[:, :, None])


def sample_efficiency(aggregate: Callable[..., FloatArray]) -> Statistic:
    """Turn an aggregate of score matrices into a curve over training time.

    Args:
        aggregate: A function of matrices (..., num_runs, num_tasks), for example `iqm`.

    Returns:
        The statistic of blocks whose columns are points in time, one block for each game, (repetitions,
        num_seeds, num_points): a train seed is drawn with its whole curve. It returns (repetitions, num_points), the
        aggregate over train seeds and games at each point. It raises ShapeError where games differ in train seeds or
        points.

    References:
        Agarwal et al. 2021, section 4.3, "sample efficiency curves".
    """

    def statistic(*samples: Blocks) -> FloatArray:
        matrices = [np.stack([np.moveaxis(block, -1, -2) for block in _alike(blocks)], axis=-1) for blocks in samples]
        return aggregate(*matrices)

    return statistic


def _alike(blocks: Blocks) -> Blocks:
    shapes = {block.shape[-2:] for block in blocks}
    if len(shapes) != 1:
        raise ShapeError(
            f"The games' curves have shapes {sorted(shapes)}. Allowed: the same train seeds and points in time in each."
        )
    return blocks


def _joined(blocks: Blocks) -> FloatArray:
    counts = {block.shape[-2] for block in blocks}
    if len(counts) != 1:
        raise ShapeError(
            f"The games have different numbers of train seeds: {sorted(counts)}. "
            "An aggregate over games needs the same number in each; leave seeds out or train the missing ones."
        )
    return np.concatenate(list(blocks), axis=-1)
