"""Score, robustness gap and retention of cells over games, with intervals over the episodes of given checkpoints."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from wsabench.stats.bounds import Stratum, corrected_rows
from wsabench.stats.intervals import (
    CHECKPOINTS_ONLY,
    DEFAULT_REPETITIONS,
    Estimate,
    checked_options,
    shared_episode_interval,
)
from wsabench.stats.resampling import Blocks, episode_means, pooled_means
from wsabench.stats.robustness import retention_is_defined
from wsabench.stats.shared_draws import SharedEpisodes, Stream, shared_episodes
from wsabench.stats.statistics import mean_over, over_seeds
from wsabench.types import FloatArray, IntArray

MOST_UNITS = 300
"""Up to so many episodes of all checkpoints in a game, covariances of the draws are the faster way."""


class CheckpointEpisodes(NamedTuple):
    """Normalised scores of episodes that the checkpoints of one agent played in one game, paired by episode seed."""

    scores: FloatArray
    """Scores of clean play, then of the cells, shape (num_seeds, 1 + num_cells, num_episodes); NaN where a cell lacks
    an episode. If cells of any game change what random play scores, the arrays of all games have 1 + 2 num_cells on the
    second axis: the scores of the same cells above random play of the changed game come last."""
    num_distinct: IntArray
    """How many different episodes each checkpoint played, shape (num_seeds,)."""
    stream: Stream
    """The stream of random numbers that the draws come from; each game has a stream of its own."""
    has_retention: bool
    """Whether the game enters the mean retention."""
    num_units: IntArray | None = None
    """How many different episodes the shortest cell of each checkpoint has, shape (num_seeds,): the interval is
    corrected as one over so few. None: `num_distinct`."""


def measures_over_episodes(
    games: Sequence[CheckpointEpisodes],
    num_cells: int,
    *,
    repetitions: int = DEFAULT_REPETITIONS,
    confidence: float = 0.95,
) -> Estimate:
    """Return mean score, robustness gap and retention of cells, averaged over games, with intervals over episodes.

    It is what `episode_interval` gives for them. All agents and cells with the same number of train seeds and episodes
    in a game share their draws. How much an episode moves a mean is known from the draws alone, and is computed once.

    Args:
        games: One agent's games, all with the same cells.
        num_cells: The number of cells.
        repetitions: Bootstrap repetitions.
        confidence: The confidence level of the interval, between 0 and 1.

    Returns:
        The estimate, arrays of shape (num_cells, 3): score, gap and retention. Retention is NaN where it is defined in
        no game.

    Raises:
        ShapeError: The arrays do not fit each other.
        SpecError: `confidence` or `repetitions` is out of range.
    """
    checked_options(repetitions, confidence)
    defined = [game for game in games if game.has_retention]
    if not all(map(_is_plain, games)):
        parts = [
            shared_episode_interval(
                partial(statistic, num_cells=num_cells),
                [(game.scores, game.num_distinct) for game in some],
                [game.stream for game in some],
                num_units=[game.num_units for game in some],
                repetitions=repetitions,
                confidence=confidence,
            )
            for statistic, some in ((score_and_gap, games), (ratio_of_means, defined))
            if some
        ]
        values = [[end.reshape(num_cells, -1) for end in part[:3]] for part in parts]
    else:
        drawn = [
            shared_episodes(game.scores.shape[2], game.num_distinct, game.stream, repetitions, game.num_units)
            for game in games
        ]
        values = _complete(games, drawn, num_cells, confidence)
    nothing = np.full((num_cells, 1), np.nan)
    value, low, high = (
        np.concatenate([*ends, *([] if defined else [nothing])], axis=1) for ends in zip(*values, strict=True)
    )
    return Estimate(value, low, high, min(len(game.scores) for game in games), CHECKPOINTS_ONLY)


def _is_plain(game: CheckpointEpisodes) -> bool:
    """Whether covariances of draws serve: nothing is missing, there is an interval, and they fit into a table."""
    has_all, num_units = not np.isnan(game.scores).any(), len(game.scores) * game.scores.shape[2]
    return bool(has_all and game.num_distinct.min() >= 2 and num_units <= MOST_UNITS)


def score_and_gap(blocks: Blocks, num_cells: int) -> FloatArray:
    """Statistic: mean score and robustness gap of some cells, averaged over train seeds, then games.

    Args:
        blocks: One array for each game, shape (repetitions, num_seeds, 1 + num_cells or 1 + 2 num_cells), as `scores`
            of `CheckpointEpisodes`.
        num_cells: The number of cells.

    Returns:
        Shape (repetitions, num_cells, 2): score and gap.
    """
    means = mean_over([over_seeds(block) for block in blocks]).T
    return np.stack([means[1 : 1 + num_cells], means[:1] - means[-num_cells:]]).T


def ratio_of_means(blocks: Blocks, num_cells: int) -> FloatArray:
    """Statistic: retention of some cells as ratios of means over train seeds, averaged over games.

    Args:
        blocks: As for `score_and_gap`.
        num_cells: The number of cells.

    Returns:
        Shape (repetitions, num_cells); NaN where a clean mean is not above 0.
    """
    return mean_over([_ratios(over_seeds(block).T, num_cells) for block in blocks]).T


def _ratios(means: FloatArray, num_cells: int) -> FloatArray:
    return means[-num_cells:] / np.where(retention_is_defined(means[:1]), means[:1], np.nan)


def _complete(
    games: Sequence[CheckpointEpisodes], drawn: Sequence[SharedEpisodes], num_cells: int, confidence: float
) -> list[list[FloatArray]]:
    """Return value, low and high of score and gap, and of retention where it is defined, of games without holes."""
    repetitions = drawn[0].draws.weights.shape[1]
    means = np.zeros((games[0].scores.shape[1], repetitions))
    ratios = np.zeros((num_cells, repetitions))
    defined = [game.has_retention for game in games]
    for game, one in zip(games, drawn, strict=True):
        of_game = pooled_means(game.scores, one.draws.weights)[:, 0].T
        means += of_game
        if game.has_retention:
            ratios += _ratios(of_game, num_cells)
    means /= len(games)
    rows = np.concatenate([means[1 : 1 + num_cells], means[:1] - means[-num_cells:]])
    blocks = [episode_means(game.scores)[None] for game in games]
    value = score_and_gap(blocks, num_cells)[0]
    low, high = corrected_rows(rows, _linear_influences(games, drawn, num_cells), value.T.ravel(), confidence)
    found = [[value, low.reshape(2, -1).T, high.reshape(2, -1).T]]
    if any(defined):
        ratios /= sum(defined)
        of_some = list(itertools.compress(drawn, defined))
        value = ratio_of_means(list(itertools.compress(blocks, defined)), num_cells)[0]
        influences = ((ratios @ one.centred / repetitions, one.draws.strata) for one in of_some)
        ends = corrected_rows(ratios, influences, value, confidence)
        found.append([value[:, None], *(end[:, None] for end in ends)])
    return found


def _linear_influences(
    games: Sequence[CheckpointEpisodes], drawn: Sequence[SharedEpisodes], num_cells: int
) -> Iterator[tuple[FloatArray, Sequence[Stratum]]]:
    """Yield the influence of each game's episodes on mean scores and gaps, (2 num_cells, num_units)."""
    for game, one in zip(games, drawn, strict=True):
        num_seeds, num_columns, _ = game.scores.shape
        columns = np.swapaxes(game.scores, 0, 1).reshape(num_columns, -1)
        influences = columns @ one.covariances / (num_seeds * len(games))
        yield (
            np.concatenate([influences[1 : 1 + num_cells], influences[:1] - influences[-num_cells:]]),
            one.draws.strata,
        )
