"""Interval estimates by the bootstrap: over train seeds, or over the episodes of given checkpoints only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsabench.errors import ShapeError, SpecError, unknown_name
from wsabench.stats.resampling import Blocks, checked_blocks, draw_episode_weights, draw_seeds, weighted_means
from wsabench.types import FloatArray

MIN_TRAIN_SEEDS = 5
"""With fewer train seeds an interval is shown but flagged: it says nothing reliable about training."""
DEFAULT_REPETITIONS = 10_000
CHECKPOINTS_ONLY = "these checkpoints only"
"""Label of every interval over episodes: it says nothing about another training run."""

_CHUNK_ELEMENTS = 4_000_000
"""Resampled values handed to a statistic at once (32 MB)."""

IntArray = npt.NDArray[np.int64]

Statistic = Callable[..., FloatArray]
"""Gets one list of blocks a sample, each block (repetitions, num_seeds, num_cells); returns (repetitions, ...)."""


class Estimate(NamedTuple):
    """A value, or an array of values, with its interval."""

    value: FloatArray
    """What the statistic is on the data itself; NaN where undefined."""
    low: FloatArray
    """Lower bound, shape of `value`; NaN where there is no interval."""
    high: FloatArray
    """Upper bound, shape of `value`; NaN where there is no interval."""
    num_seeds: int
    """Train seeds, the fewest of any game and agent that enters."""
    note: str
    """Why there is no interval, or how little it says; empty when nothing is to be said."""


def seed_note(num_seeds: int) -> str:
    """Return what an interval over `num_seeds` train seeds cannot say; empty from five seeds on."""
    if num_seeds < 2:
        return "one train seed: no interval"
    if num_seeds < MIN_TRAIN_SEEDS:
        return f"too few train seeds ({num_seeds})"
    return ""


def percentile_bounds(replicates: FloatArray, value: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Return the percentiles of the replicates that hold `confidence` between them.

    Args:
        replicates: Shape (repetitions, ...), the statistic on each resample.
        value: Shape (...), the statistic on the data; not used by this method.
        confidence: Between 0 and 1.

    Returns:
        Lower and upper bound, each of shape (...); NaN where any replicate is NaN.

    References:
        Efron & Tibshirani 1993, "An introduction to the bootstrap", chapter 13.
    """
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(replicates, [tail, 1.0 - tail], axis=0)
    return np.asarray(low), np.asarray(high)


METHODS: dict[str, Callable[[FloatArray, FloatArray, float], tuple[FloatArray, FloatArray]]] = {
    "percentile": percentile_bounds
}
"""How replicates become bounds, by name."""


def seed_interval(
    statistic: Statistic,
    samples: Sequence[Blocks],
    rng: np.random.Generator,
    *,
    method: str = "percentile",
    repetitions: int = DEFAULT_REPETITIONS,
    confidence: float = 0.95,
) -> Estimate:
    """Interval over train seeds: whole seeds are resampled jointly over all cells of a game.

    Args:
        statistic: Called with one list of blocks a sample, each block (repetitions, num_seeds, num_cells); returns
            (repetitions, ...). Not called once a repetition: it works on many at a time.
        samples: One list of blocks an agent; agents and games are resampled independently.
        rng: Where the draws come from. The same generator state gives the same interval.
        method: A name in `METHODS`.
        repetitions: Bootstrap repetitions.
        confidence: Share of repetitions between the bounds.

    Returns:
        The estimate. With one train seed the bounds are NaN; with two to four the note says 'too few'.

    Raises:
        ShapeError: A block has not two axes, or there is none.
        SpecError: `confidence` or `repetitions` is out of range.
        UnknownNameError: There is no such method.
    """
    _check_options(method, repetitions, confidence)
    arrays = [checked_blocks(blocks) for blocks in samples]
    rows = [[draw_seeds(block.shape[0], rng, repetitions) for block in blocks] for blocks in arrays]
    num_seeds = min(block.shape[0] for blocks in arrays for block in blocks)
    value = statistic(*([block[None] for block in blocks] for blocks in arrays))[0]

    def resampled(part: slice) -> list[Blocks]:
        return [
            [block[index[part]] for block, index in zip(*pair, strict=True)] for pair in zip(arrays, rows, strict=True)
        ]

    if num_seeds < 2:
        low = high = np.full(np.shape(value), np.nan)
    else:
        replicates = _replicates(statistic, resampled, repetitions, sum(b.size for blocks in arrays for b in blocks))
        low, high = METHODS[method](replicates, value, confidence)
    return Estimate(np.asarray(value), low, high, num_seeds, seed_note(num_seeds))


def episode_interval(
    statistic: Statistic,
    samples: Sequence[Sequence[tuple[FloatArray, IntArray]]],
    rng: np.random.Generator,
    *,
    method: str = "percentile",
    repetitions: int = DEFAULT_REPETITIONS,
    confidence: float = 0.95,
) -> Estimate:
    """Interval over episodes of given checkpoints: it says nothing about another training run.

    Args:
        statistic: As for `seed_interval`, on the mean scores of checkpoints.
        samples: One list an agent; an entry a game: scores (num_seeds, num_cells, num_episodes), paired over cells by
            episode seed, and how many different episodes each checkpoint played, (num_seeds,).
        rng: Where the draws come from.
        method: A name in `METHODS`.
        repetitions: Bootstrap repetitions.
        confidence: Share of repetitions between the bounds.

    Returns:
        The estimate; its note begins with `CHECKPOINTS_ONLY`. NaN bounds where a checkpoint played one episode.

    Raises:
        ShapeError: The arrays do not fit each other.
        SpecError: `confidence` or `repetitions` is out of range.
        UnknownNameError: There is no such method.
    """
    _check_options(method, repetitions, confidence)
    arrays = [[_checked_episodes(scores, distinct) for scores, distinct in games] for games in samples]
    weights = [
        [draw_episode_weights(scores.shape[2], distinct, rng, repetitions) for scores, distinct in games]
        for games in samples
    ]
    num_seeds = min(scores.shape[0] for games in arrays for scores in games)
    value = statistic(*([scores.mean(axis=2)[None] for scores in games] for games in arrays))[0]

    def resampled(part: slice) -> list[Blocks]:
        pairs = zip(arrays, weights, strict=True)
        return [[weighted_means(s, w[:, part]) for s, w in zip(*pair, strict=True)] for pair in pairs]

    if min(int(np.min(distinct)) for games in samples for _, distinct in games) < 2:
        low = high = np.full(np.shape(value), np.nan)
        return Estimate(
            np.asarray(value), low, high, num_seeds, f"{CHECKPOINTS_ONLY}: one distinct episode, no interval"
        )
    means = sum(scores[..., 0].size for games in arrays for scores in games)
    low, high = METHODS[method](_replicates(statistic, resampled, repetitions, means), value, confidence)
    return Estimate(np.asarray(value), low, high, num_seeds, CHECKPOINTS_ONLY)


def _checked_episodes(scores: FloatArray, num_distinct: IntArray) -> FloatArray:
    values, counts = np.asarray(scores, dtype=np.float64), np.asarray(num_distinct)
    if values.ndim != 3 or 0 in values.shape or counts.shape != values.shape[:1]:
        raise ShapeError(
            f"Episodes have shape {values.shape}, their distinct counts {counts.shape}. "
            "Allowed: (num_seeds, num_cells, num_episodes) and (num_seeds,), none of them 0."
        )
    return values


def _check_options(method: str, repetitions: int, confidence: float) -> None:
    if method not in METHODS:
        raise unknown_name("interval method", method, METHODS)
    if not 0.0 < confidence < 1.0:
        raise SpecError(f"The confidence is {confidence!r}. Allowed: numbers between 0 and 1, 0.95 for a 95% interval.")
    if repetitions < 1:
        raise SpecError(f"The number of repetitions is {repetitions}. Allowed: integers from 1; use 10000.")


def _replicates(
    statistic: Statistic, resampled: Callable[[slice], list[Blocks]], repetitions: int, elements: int
) -> FloatArray:
    chunk = max(1, _CHUNK_ELEMENTS // max(1, elements))
    parts = [statistic(*resampled(slice(start, start + chunk))) for start in range(0, repetitions, chunk)]
    return np.concatenate(parts)


def over_matrix(aggregate: Callable[..., FloatArray]) -> Statistic:
    """Turn an aggregate of score matrices into a statistic of blocks, by joining the cells of all games.

    Args:
        aggregate: A function of matrices (..., num_runs, num_tasks), for example `iqm`; one argument a sample.

    Returns:
        The statistic. It raises ShapeError where games have different numbers of train seeds: a matrix has none.
    """

    def statistic(*samples: Blocks) -> FloatArray:
        return aggregate(*(_joined(blocks) for blocks in samples))

    return statistic


def cell_means(blocks: Blocks) -> FloatArray:
    """Statistic: the mean over train seeds of every cell, the games one after another.

    Args:
        blocks: One array a game, shape (repetitions, num_seeds, num_cells).

    Returns:
        Shape (repetitions, number of cells of all games), float64.
    """
    return np.concatenate([block.mean(axis=-2) for block in blocks], axis=-1)


def _joined(blocks: Blocks) -> FloatArray:
    counts = {block.shape[-2] for block in blocks}
    if len(counts) != 1:
        raise ShapeError(
            f"The games have different numbers of train seeds: {sorted(counts)}. "
            "An aggregate over games needs the same number in each; leave seeds out or train the missing ones."
        )
    return np.concatenate(list(blocks), axis=-1)
