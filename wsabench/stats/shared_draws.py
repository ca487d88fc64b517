"""Draws of episodes that many intervals share: those of one stream are drawn once and kept while there is room.

Agents, cells and averages that have as many train seeds and episodes in a game are resampled by the same draws (common
random numbers). Each interval by itself is what it would be with draws of its own, and bounds of two agents differ less
by chance. Games have streams of their own, so that an average over games is over independent draws.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsabench.seeding import generator
from wsabench.stats.bounds import Stratum
from wsabench.stats.resampling import draw_episode_weights
from wsabench.types import FloatArray

Stream = tuple[int, *tuple[str, ...]]
"""A root seed and the names of a stream of random numbers, as `wsabench.seeding.generator` takes them."""

_MOST_BYTES = 128 * 2**20
"""How much is kept in a process, the latest asked for last to go."""


class EpisodeDraws(NamedTuple):
    """Episodes of the checkpoints of one game, drawn with replacement."""

    weights: FloatArray
    """The weight of each episode in the mean, shape (num_seeds, repetitions, num_episodes)."""
    strata: tuple[Stratum, ...]
    """How often each episode was drawn, one stratum for each checkpoint."""


@dataclass(frozen=True)  # without slots: what is computed from the draws is kept
class SharedEpisodes:
    """Draws of the episodes of one game, and what can be said of means before there are scores."""

    draws: EpisodeDraws
    """The draws themselves."""

    @cached_property
    def centred(self) -> FloatArray:
        """How often each episode of each checkpoint was drawn, less its mean, shape (repetitions, num_units)."""
        counts = np.concatenate([stratum.counts for stratum in self.draws.strata], axis=1, dtype=np.float64)
        return counts - counts.mean(axis=0)

    @cached_property
    def covariances(self) -> FloatArray:
        """Covariances of the weight of each episode with how often each was drawn, shape (num_units, num_units)."""
        weights = np.swapaxes(self.draws.weights, 1, 2)
        return weights.reshape(-1, weights.shape[2]) @ self.centred / weights.shape[2]

    @property
    def num_bytes(self) -> int:
        """Bytes that this may take, what is computed from the draws included."""
        return 2 * self.draws.weights.nbytes + sum(stratum.counts.nbytes for stratum in self.draws.strata)


def draw_episodes(
    num_episodes: int, num_distinct: npt.ArrayLike, rng: np.random.Generator, repetitions: int
) -> EpisodeDraws:
    """Draw episodes of each checkpoint of a game with replacement.

    Args:
        num_episodes: Number of episodes of each checkpoint and cell.
        num_distinct: How many different episodes each checkpoint played, shape (num_seeds,).
        rng: Where the draws come from.
        repetitions: Number of resamples.

    Raises:
        ShapeError: A number of different episodes is outside 1..num_episodes.
    """
    weights = draw_episode_weights(num_episodes, num_distinct, rng, repetitions)
    draws = map(int, np.asarray(num_distinct))
    return EpisodeDraws(weights, tuple(Stratum(one * count, count) for one, count in zip(weights, draws, strict=True)))


def shared_episodes(
    num_episodes: int,
    num_distinct: npt.ArrayLike,
    stream: Stream,
    repetitions: int,
    num_units: npt.ArrayLike | None = None,
) -> SharedEpisodes:
    """Return the first draws of a stream, as `draw_episodes` makes them. They are shared, so do not change them.

    Args:
        num_episodes: As for `draw_episodes`.
        num_distinct: As for `draw_episodes`.
        stream: The stream of random numbers; each game has one.
        repetitions: Number of resamples.
        num_units: The number of draws that each stratum counts as, shape (num_seeds,); None: as many as were made.

    Raises:
        ShapeError: As for `draw_episodes`.
    """
    units = tuple(np.asarray(num_distinct if num_units is None else num_units).tolist())
    key = stream, num_episodes, tuple(np.asarray(num_distinct).tolist()), repetitions, units
    if key in _kept:
        _kept.move_to_end(key)
        return _kept[key]
    drawn = draw_episodes(num_episodes, num_distinct, generator(*stream), repetitions)
    # The numbers of an episode one after another, as products of matrices take them.
    weights = np.ascontiguousarray(np.swapaxes(drawn.weights, 1, 2))
    strata = tuple(
        Stratum(np.round(one.counts).astype(np.uint16), count) for one, count in zip(drawn.strata, units, strict=True)
    )
    found = SharedEpisodes(EpisodeDraws(weights.swapaxes(1, 2), strata))
    _kept[key] = found
    while _kept and sum(one.num_bytes for one in _kept.values()) > _MOST_BYTES:
        _kept.popitem(last=False)
    return found


_kept: OrderedDict[tuple[Stream, int, tuple[int, ...], int, tuple[int, ...]], SharedEpisodes] = OrderedDict()
