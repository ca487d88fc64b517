"""Intervals of averages over games, where each game gives its numbers by itself: from its few different resamples.

Three to five train seeds can be drawn in so few ways (27 to 3,125) that the numbers of a game are computed once for
each way, however often it is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from wsabench.stats.bounds import Replicates, Stratum, corrected_bounds
from wsabench.stats.intervals import (
    DEFAULT_REPETITIONS,
    MIN_INTERVAL_SEEDS,
    Estimate,
    checked_options,
    different_means,
    seed_note,
)
from wsabench.stats.resampling import Blocks, checked_blocks, count_draws, draw_seeds
from wsabench.types import BoolArray, FloatArray

_CHUNK_ELEMENTS = 4_000_000
"""Numbers that are joined at once (32 MB)."""

OfGame = Callable[[int, FloatArray], FloatArray]
"""A function that computes what one game gives, from nothing but means over train seeds. It is called with the place of
the game and its block, shape (repetitions, num_seeds or 1, num_cells), and returns the game's numbers, shape
(repetitions, num_values)."""


def averaged_interval(
    of_game: OfGame,
    is_there: BoolArray,
    blocks: Blocks,
    rng: np.random.Generator,
    *,
    repetitions: int = DEFAULT_REPETITIONS,
    confidence: float = 0.95,
) -> Estimate:
    """Return averages over games of what each game gives, with intervals over train seeds.

    It is what `seed_interval` gives for the averages, to the rounding of a float; the note goes by the average over the
    fewest games.

    Args:
        of_game: Computes what a game gives.
        is_there: Whether each game has each number, bool, shape (num_games, num_values); a number's average leaves out
            the games that lack it.
        blocks: One array for each game, shape (num_seeds, num_cells), float64.
        rng: Where the draws come from; games are resampled independently.
        repetitions: Bootstrap repetitions.
        confidence: The confidence level of the interval, between 0 and 1.

    Returns:
        The estimate, arrays of shape (num_values,); NaN where no game has the number.

    Raises:
        ShapeError: A block has not two axes, or there is no block.
        SpecError: `confidence` or `repetitions` is out of range.
    """
    checked_options(repetitions, confidence)
    arrays = checked_blocks(blocks)
    value, num_seeds = over_games(of_game, is_there, arrays), min(map(len, arrays))
    if num_seeds < MIN_INTERVAL_SEEDS:
        return Estimate.without_interval(value, num_seeds)
    values, strata = _resampled(of_game, is_there, arrays, rng, repetitions)
    low, high = corrected_bounds(Replicates(values.T, strata), value, confidence)
    return Estimate(value, low, high, num_seeds, seed_note(num_seeds, _fewest_games(is_there)))


def over_games(of_game: OfGame, is_there: BoolArray, blocks: Blocks) -> FloatArray:
    """Return averages over games on the data themselves, as the value of `averaged_interval`.

    Args:
        of_game: As for `averaged_interval`.
        is_there: As for `averaged_interval`.
        blocks: As for `averaged_interval`.

    Returns:
        Shape (num_values,); NaN where no game has the number.
    """
    numbers = np.concatenate([of_game(place, block[None]) for place, block in enumerate(blocks)])
    found = np.full(is_there.shape[1], np.nan)
    for place, has in enumerate(is_there.T):
        if has.any():
            found[place] = np.mean(numbers[has, place][:, None], axis=0)[0]
    return found


def joined_interval(  # noqa: PLR0913 - each a choice of its own, named by its keyword
    of_game: Callable[[int, int, FloatArray], FloatArray],
    are_there: Sequence[BoolArray],
    join: Callable[[FloatArray], FloatArray],
    samples: Sequence[Blocks],
    rng: np.random.Generator,
    *,
    repetitions: int = DEFAULT_REPETITIONS,
    confidence: float = 0.95,
) -> Estimate:
    """Return a statistic that sets the averages of several agents side by side, such as ranks, with its interval.

    It is what `seed_interval` gives, without holding the resamples of many agents beside each other. Agents are
    resampled independently.

    Args:
        of_game: As for `averaged_interval`, called with the place of an agent first.
        are_there: For each agent an array as `is_there` of `averaged_interval`.
        join: Called with the averages of all agents, shape (repetitions, num_values, num_agents); it returns the
            statistic, shape (repetitions, ...).
        samples: The blocks of each agent, as for `averaged_interval`.
        rng: As for `averaged_interval`.
        repetitions: As for `averaged_interval`.
        confidence: As for `averaged_interval`.

    Returns:
        The estimate, arrays of shape (...).

    Raises:
        ShapeError: As for `averaged_interval`.
        SpecError: As for `averaged_interval`.
    """
    checked_options(repetitions, confidence)
    arrays = [checked_blocks(blocks) for blocks in samples]
    num_seeds = min(len(block) for blocks in arrays for block in blocks)
    each = [partial(of_game, place) for place in range(len(arrays))]
    on_data = [over_games(*of_agent) for of_agent in zip(each, are_there, arrays, strict=True)]
    value = np.asarray(join(np.stack(on_data, axis=-1)[None])[0])
    if num_seeds < MIN_INTERVAL_SEEDS:
        return Estimate.without_interval(value, num_seeds)
    averages: list[FloatArray] = []
    strata: list[Stratum] = []
    for of_agent in zip(each, are_there, arrays, strict=True):
        values, of_games = _resampled(*of_agent, rng, repetitions)
        averages.append(values)
        # Bytes: of many agents and games the counts are most of what is held.
        strata += [Stratum(counts.astype(np.uint8), draws) for counts, draws, _ in of_games]
    step = max(1, _CHUNK_ELEMENTS // sum(map(len, averages)))
    parts = [
        join(np.stack([values[:, start : start + step].T for values in averages], axis=-1))
        for start in range(0, repetitions, step)
    ]
    averages.clear()  # they are in the parts
    low, high = corrected_bounds(Replicates(np.concatenate(parts), strata), value, confidence)
    return Estimate(value, low, high, num_seeds, seed_note(num_seeds, min(map(_fewest_games, are_there))))


def _fewest_games(is_there: BoolArray) -> int:
    """Return the number of games of the number that the fewest games have; numbers that none has do not count."""
    counts = is_there.sum(axis=0)
    return int(counts[counts > 0].min(initial=len(is_there)))


def _resampled(
    of_game: OfGame, is_there: BoolArray, arrays: Blocks, rng: np.random.Generator, repetitions: int
) -> tuple[FloatArray, list[Stratum]]:
    """Return the averages of all resamples, (num_values, repetitions), and the strata of the games."""
    sums = np.zeros((is_there.shape[1], repetitions))
    strata: list[Stratum] = []
    for place, (block, has) in enumerate(zip(arrays, is_there, strict=True)):
        rows = draw_seeds(len(block), rng, repetitions)
        means, ways = different_means(block, rows)
        numbers = np.ascontiguousarray(of_game(place, means).T)
        for of_value, sum_of_value in zip(numbers[has], np.flatnonzero(has), strict=True):
            sums[sum_of_value] += of_value[ways]
        strata.append(Stratum(count_draws(rows, len(block)), len(block)))
    num_games = is_there.sum(axis=0)[:, None]
    sums /= np.where(num_games > 0, num_games, np.nan)
    return sums, strata
