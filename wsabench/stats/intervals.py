"""Interval estimates by the bootstrap: over train seeds, or over the episodes of given checkpoints only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from wsabench.errors import ShapeError, SpecError, unknown_name
from wsabench.stats.bounds import METHODS, Replicates, Stratum
from wsabench.stats.resampling import (
    Blocks,
    checked_blocks,
    count_draws,
    draw_seeds,
    episode_means,
    pooled_means,
    weighted_means,
)
from wsabench.stats.shared_draws import EpisodeDraws, Stream, draw_episodes, shared_episodes
from wsabench.types import FloatArray, IntArray

MIN_TRAIN_SEEDS = 5
"""With fewer trainings, over all games together, an interval is shown but flagged: it says nothing reliable about
training."""
MIN_INTERVAL_SEEDS = 3
"""With fewer train seeds there is no interval over them at all: two seeds tell nothing about a spread."""
DEFAULT_REPETITIONS = 10_000
"""Bootstrap repetitions."""
DEFAULT_METHOD = "corrected"
"""Percentiles corrected for few seeds: see `wsabench.stats.bounds`."""
CHECKPOINTS_ONLY = "these checkpoints only"
"""The note of every interval over episodes: it says nothing about another training run."""

_CHUNK_ELEMENTS = 4_000_000
"""Resampled values handed to a statistic at once (32 MB)."""

Statistic = Callable[..., FloatArray]
"""A function of one list of blocks for each sample, each block of shape (repetitions, num_seeds, num_cells). It returns
the statistic of each repetition, shape (repetitions, ...)."""


class Estimate(NamedTuple):
    """A value, or an array of values, with its interval."""

    value: FloatArray
    """The statistic on the data themselves; NaN where undefined."""
    low: FloatArray
    """Lower bound, shape of `value`; NaN where there is no interval."""
    high: FloatArray
    """Upper bound, shape of `value`; NaN where there is no interval."""
    num_seeds: int
    """The number of train seeds: the fewest of any game and agent that enters."""
    note: str
    """Why there is no interval, or how little it says; empty when nothing is to be said."""

    @classmethod
    def without_interval(cls, value: FloatArray, num_seeds: int, reason: str | None = None) -> Estimate:
        """Return a value that has no interval.

        Args:
            value: The statistic on the data itself.
            num_seeds: The number of train seeds.
            reason: Why it has none; None: they are too few.
        """
        nothing = np.full(np.shape(value), np.nan)
        return cls(value, nothing, nothing, num_seeds, seed_note(num_seeds) if reason is None else reason)

    def within(self, lowest: float, highest: float) -> Estimate:
        """Return the same with bounds cut to the range of the statistic, as 0 to 1 for a probability."""
        return self._replace(low=np.clip(self.low, lowest, highest), high=np.clip(self.high, lowest, highest))


def are_enough(num_seeds: int, num_games: int = 1) -> bool:
    """Return whether train seeds are enough to claim something: five, or three in each of several games.

    Each game has networks of its own, so a mean over ten games with three train seeds in each rests on 30 trainings.

    Args:
        num_seeds: The number of train seeds, the fewest of any game and agent.
        num_games: The number of games that are averaged or compared together.
    """
    return num_seeds >= MIN_INTERVAL_SEEDS and num_seeds * num_games >= MIN_TRAIN_SEEDS


def seed_note(num_seeds: int, num_games: int = 1) -> str:
    """Return what an interval over train seeds cannot say; empty where they `are_enough`.

    Args:
        num_seeds: As for `are_enough`.
        num_games: As for `are_enough`.
    """
    if num_seeds < 2:
        return "one train seed: no interval"
    if num_seeds < MIN_INTERVAL_SEEDS:
        return f"fewer than {MIN_INTERVAL_SEEDS} train seeds: no interval"
    if not are_enough(num_seeds, num_games):
        return f"too few train seeds ({num_seeds})"
    return ""


def seed_interval(  # noqa: PLR0913 - each a choice of its own, named by its keyword
    statistic: Statistic,
    samples: Sequence[Blocks],
    rng: np.random.Generator,
    *,
    of_means: bool = False,
    method: str = DEFAULT_METHOD,
    repetitions: int = DEFAULT_REPETITIONS,
    confidence: float = 0.95,
) -> Estimate:
    """Return an interval over train seeds: whole seeds are resampled jointly over all cells of a game.

    Args:
        statistic: A function of one list of blocks for each sample, each block (repetitions, num_seeds, num_cells). It
            returns (repetitions, ...). It works on many repetitions at a time.
        samples: One list of blocks for each agent; agents and games are resampled independently.
        rng: Where the draws come from. The same generator state gives the same interval.
        of_means: Whether the statistic looks at nothing but means over train seeds. Its resamples then have one row
            each, (repetitions, 1, num_cells), which is their mean; three to five seeds have so few different
            resamples that each mean is computed once.
        method: A name in `METHODS`: `corrected` for few seeds, `percentile` as rliable, `bca`.
        repetitions: Bootstrap repetitions.
        confidence: The confidence level of the interval, between 0 and 1.

    Returns:
        The estimate. With fewer than three train seeds the bounds are NaN; with three or four in one game the note says
        'too few'.

    Raises:
        ShapeError: A block has not two axes, or there is no block.
        SpecError: `confidence` or `repetitions` is out of range.
        UnknownNameError: There is no such method.
    """
    checked_options(repetitions, confidence, method)
    arrays = [checked_blocks(blocks) for blocks in samples]
    rows = [[draw_seeds(block.shape[0], rng, repetitions) for block in blocks] for blocks in arrays]
    num_seeds = min(block.shape[0] for blocks in arrays for block in blocks)
    value = _on_data(statistic, arrays)

    if num_seeds < MIN_INTERVAL_SEEDS:
        return Estimate.without_interval(value, num_seeds)
    drawn = [
        [resamples_of(*pair, of_means=of_means) for pair in zip(*sample, strict=True)]
        for sample in zip(arrays, rows, strict=True)
    ]
    sizes = (block.shape[1] if of_means else block.size for blocks in arrays for block in blocks)

    def resampled(part: slice) -> list[Blocks]:
        return [[of_game(part) for of_game in of_sample] for of_sample in drawn]

    values = _replicates(statistic, resampled, repetitions, sum(sizes))
    strata = [Stratum(count_draws(index, index.shape[1]), index.shape[1]) for sample in rows for index in sample]
    low, high = METHODS[method](Replicates(values, strata), value, confidence)
    return Estimate(value, low, high, num_seeds, seed_note(num_seeds, min(map(len, arrays))))


def episode_interval(  # noqa: PLR0913 - each a choice of its own, named by its keyword
    statistic: Statistic,
    samples: Sequence[Sequence[tuple[FloatArray, IntArray]]],
    rng: np.random.Generator,
    *,
    of_means: bool = False,
    method: str = DEFAULT_METHOD,
    repetitions: int = DEFAULT_REPETITIONS,
    confidence: float = 0.95,
) -> Estimate:
    """Return an interval over episodes of given checkpoints, which says nothing about another training run.

    Args:
        statistic: As for `seed_interval`, on the mean scores of checkpoints.
        samples: One list for each agent, with one entry for each game. An entry holds scores, (num_seeds, num_cells,
            num_episodes), paired over cells by episode seed, NaN where a cell lacks an episode; and how many different
            episodes each checkpoint played, (num_seeds,).
        rng: Where the draws come from.
        of_means: As for `seed_interval`: means over the checkpoints of a game.
        method: A name in `METHODS`.
        repetitions: Bootstrap repetitions.
        confidence: The confidence level of the interval, between 0 and 1.

    Returns:
        The estimate; its note begins with `CHECKPOINTS_ONLY`. NaN bounds where a checkpoint played one episode.

    Raises:
        ShapeError: The arrays do not fit each other.
        SpecError: `confidence` or `repetitions` is out of range.
        UnknownNameError: There is no such method.
    """
    checked_options(repetitions, confidence, method)
    arrays = [[_checked_episodes(scores, distinct) for scores, distinct in games] for games in samples]
    drawn = [
        [draw_episodes(scores.shape[2], distinct, rng, repetitions) for scores, distinct in games] for games in samples
    ]
    return _over_episodes(statistic, arrays, drawn, (of_means, method, confidence))


def shared_episode_interval(
    statistic: Statistic,
    games: Sequence[tuple[FloatArray, IntArray]],
    streams: Sequence[Stream],
    *,
    num_units: Sequence[IntArray | None] | None = None,
    repetitions: int = DEFAULT_REPETITIONS,
    confidence: float = 0.95,
) -> Estimate:
    """Return `episode_interval` of one agent and a statistic of means, with draws that it shares.

    All agents with the same numbers of train seeds and episodes in a game get the same draws of the game's stream,
    which are made once.

    Args:
        statistic: As for `episode_interval`, of means over the checkpoints of a game (`of_means`).
        games: The agent's games, as a sample of `episode_interval`.
        streams: The random numbers of each game: a stream of its own, so that games are resampled independently.
        num_units: For each game, how many different episodes the shortest cell of each checkpoint has, (num_seeds,):
            the interval is corrected as one over so few. None: as many as are drawn.
        repetitions: Bootstrap repetitions.
        confidence: The confidence level of the interval, between 0 and 1.

    Returns:
        As for `episode_interval`.

    Raises:
        ShapeError: The arrays do not fit each other.
        SpecError: `confidence` or `repetitions` is out of range.
    """
    checked_options(repetitions, confidence)
    arrays = [_checked_episodes(scores, distinct) for scores, distinct in games]
    drawn = [
        shared_episodes(scores.shape[2], distinct, stream, repetitions, units).draws
        for (scores, distinct), stream, units in zip(games, streams, num_units or [None] * len(games), strict=True)
    ]
    return _over_episodes(statistic, [arrays], [drawn], (True, DEFAULT_METHOD, confidence))


def _over_episodes(
    statistic: Statistic,
    arrays: Sequence[Blocks],
    drawn: Sequence[Sequence[EpisodeDraws]],
    options: tuple[bool, str, float],
) -> Estimate:
    """Return the interval of a statistic of means over drawn episodes; options: `of_means`, method, confidence."""
    of_means, method, confidence = options
    num_seeds = min(scores.shape[0] for games in arrays for scores in games)
    value = _on_data(statistic, [[episode_means(scores) for scores in games] for games in arrays])
    means = pooled_means if of_means else weighted_means
    strata = [stratum for games in drawn for game in games for stratum in game.strata]
    if min(stratum.num_draws for stratum in strata) < 2:
        return Estimate.without_interval(value, num_seeds, f"{CHECKPOINTS_ONLY}: one distinct episode, no interval")

    def resampled(part: slice) -> list[Blocks]:
        pairs = zip(arrays, drawn, strict=True)
        return [[means(s, d.weights[:, part]) for s, d in zip(*pair, strict=True)] for pair in pairs]

    sizes = (s.shape[1] if of_means else s[..., 0].size for games in arrays for s in games)
    values = _replicates(statistic, resampled, drawn[0][0].weights.shape[1], sum(sizes))
    low, high = METHODS[method](Replicates(values, strata), value, confidence)
    return Estimate(value, low, high, num_seeds, CHECKPOINTS_ONLY)


def _on_data(statistic: Statistic, arrays: Sequence[Blocks]) -> FloatArray:
    return np.asarray(statistic(*([block[None] for block in blocks] for blocks in arrays))[0])


def resamples_of(block: FloatArray, rows: IntArray, *, of_means: bool) -> Callable[[slice], FloatArray]:
    """Return a function that gives some resamples of one game, or their means over train seeds.

    Args:
        block: Shape (num_seeds, num_cells), float64.
        rows: As `draw_seeds` gives them.
        of_means: Whether the means are wanted, as one row each.

    Returns:
        The function takes the slice of the repetitions and returns shape (repetitions, num_seeds or 1, num_cells).
    """
    if not of_means:
        return lambda part: block[rows[part]]
    num_seeds = len(block)
    if num_seeds**num_seeds > len(rows):
        return lambda part: block[rows[part]].mean(axis=-2, keepdims=True)
    means, ways = different_means(block, rows)
    return lambda part: means[ways[part]]


def different_means(block: FloatArray, rows: IntArray) -> tuple[FloatArray, IntArray]:
    """Return the means over train seeds of one game's resamples; where few resamples differ, equal ones once.

    Args:
        block: Shape (num_seeds, num_cells), float64.
        rows: As `draw_seeds` gives them.

    Returns:
        The means, (num_ways, 1, num_cells), and the place in them of each repetition, (repetitions,).
    """
    num_seeds = len(block)
    if num_seeds**num_seeds > len(rows):
        step = max(1, _CHUNK_ELEMENTS // block.size)
        parts = [block[rows[start : start + step]].mean(axis=-2) for start in range(0, len(rows), step)]
        return np.concatenate(parts)[:, None], np.arange(len(rows))
    # So few seeds can be drawn in so few ways that each is averaged once.
    every = np.indices((num_seeds,) * num_seeds).reshape(num_seeds, -1).T
    return block[every].mean(axis=-2, keepdims=True), rows @ num_seeds ** np.arange(num_seeds)[::-1]


def _checked_episodes(scores: FloatArray, num_distinct: npt.ArrayLike) -> FloatArray:
    values, counts = np.asarray(scores, dtype=np.float64), np.asarray(num_distinct)
    if values.ndim != 3 or 0 in values.shape or counts.shape != values.shape[:1]:
        raise ShapeError(
            f"Episodes have shape {values.shape}, their distinct counts {counts.shape}. "
            "Allowed: (num_seeds, num_cells, num_episodes) and (num_seeds,), none of them 0."
        )
    return values


def checked_options(repetitions: int, confidence: float, method: str = DEFAULT_METHOD) -> None:
    """Refuse options of an interval that are out of range.

    Args:
        repetitions: Bootstrap repetitions.
        confidence: The confidence level of the interval, between 0 and 1.
        method: A name in `METHODS`.

    Raises:
        SpecError: `confidence` or `repetitions` is out of range.
        UnknownNameError: There is no such method.
    """
    if method not in METHODS:
        raise unknown_name("interval method", method, METHODS)
    if not 0.0 < confidence < 1.0:
        raise SpecError(f"The confidence is {confidence!r}. Allowed: numbers between 0 and 1, 0.95 for a 95% interval.")
    if repetitions < 1:
        raise SpecError(f"The number of repetitions is {repetitions}. Allowed: integers from 1; use 10000.")


def _replicates(
    statistic: Callable[..., FloatArray], resampled: Callable[[slice], list[Any]], repetitions: int, elements: int
) -> FloatArray:
    chunk = max(1, _CHUNK_ELEMENTS // max(1, elements))
    parts = [statistic(*resampled(slice(start, start + chunk))) for start in range(0, repetitions, chunk)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
