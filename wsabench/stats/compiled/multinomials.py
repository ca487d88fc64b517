"""NumPy's draws of episodes with replacement, to the bit and from the same stream, compiled for one case.

`Generator.multinomial` draws how often each episode comes, one binomial after the other, and computes the
probabilities of each binomial anew. Where all episodes are as likely there are few different binomials, so that their
probabilities fit into a table.

References:
    Kachitvichyanukul & Schmeiser 1988, "Binomial random variate generation", for the inversion that NumPy uses up to an
    expected count of 30.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from wsabench.jit import compiled
from wsabench.types import FloatArray

MOST_EXPECTED = 30.0
"""NumPy inverts binomials up to this expected count and draws larger ones in another way."""
MOST_EPISODES = 128
"""At most so many episodes, and so many draws, have tables; the largest takes 17 MB."""
_SLACK = 1_000
"""Uniform numbers beyond one for each binomial; a number beyond the table, one in some 10^12, is drawn anew."""
_ANOTHER_WAY = -1


class _Tables(NamedTuple):
    """The binomials of one multinomial, by episode (all but the last) and by how many draws are left."""

    chances: FloatArray
    """Probability of 0, 1, ... draws, shape (num_episodes - 1, draws + 1, draws + 1)."""
    most: npt.NDArray[np.int64]
    """Up to where they are looked at, shape (num_episodes - 1, draws + 1); -1 where NumPy draws in another way."""
    is_mirrored: npt.NDArray[np.bool_]
    """Whether the draws that do not take the episode are counted, same shape."""


def compiled_counts(num_episodes: int, draws: int, rng: np.random.Generator, repetitions: int) -> FloatArray | None:
    """Return how often each of some equally likely episodes is drawn.

    Args:
        num_episodes: Number of episodes to draw from.
        draws: Number of draws, with replacement, in each repetition.
        rng: A generator on `PCG64`; the function leaves it as `rng.multinomial` would leave it.
        repetitions: How often so many draws are made.

    Returns:
        What `rng.multinomial(draws, numpy.full(num_episodes, 1 / num_episodes), repetitions)` gives, float64, shape
        (repetitions, num_episodes). None, and `rng` as it was, where NumPy draws in another way, `rng` is not on
        `PCG64`, or there are more than `MOST_EPISODES` episodes or draws.
    """
    bits = rng.bit_generator
    if max(num_episodes, draws) > MOST_EPISODES or not isinstance(bits, np.random.PCG64):
        return None
    tables = _tables_of(num_episodes, draws)
    before = bits.state
    uniforms = rng.random(repetitions * (num_episodes - 1) + _SLACK)
    counts = np.zeros((repetitions, num_episodes))
    used = _filled(counts, uniforms, draws, *tables)
    bits.state = before
    if used == _ANOTHER_WAY:
        return None
    bits.advance(used)
    # Half of a number may be left over from drawing integers; advancing drops it.
    kept = {name: before[name] for name in ("has_uint32", "uinteger")}
    bits.state = cast("Any", {**bits.state, **kept})
    return counts


@cache
def _tables_of(num_episodes: int, draws: int) -> _Tables:
    shape = (num_episodes - 1, draws + 1)
    tables = _Tables(np.zeros((*shape, draws + 1)), np.zeros(shape, np.int64), np.zeros(shape, np.bool_))
    share, rest = 1.0 / num_episodes, 1.0
    for episode in range(num_episodes - 1):
        p = share / rest
        rest -= share
        for left in range(1, draws + 1):
            is_mirrored = p > 0.5
            chance = 1.0 - p if is_mirrored else p
            if chance * left > MOST_EXPECTED:
                tables.most[episode, left] = _ANOTHER_WAY
                continue
            q = 1.0 - chance
            most = int(min(left, left * chance + 10.0 * math.sqrt(left * chance * q + 1.0)))
            at = math.exp(left * math.log(q))
            tables.chances[episode, left, 0] = at
            for count in range(1, most + 1):
                at = ((left - count + 1) * chance * at) / (count * q)
                tables.chances[episode, left, count] = at
            tables.most[episode, left] = most
            tables.is_mirrored[episode, left] = is_mirrored
    return tables


@compiled
def _filled(
    counts: FloatArray,
    uniforms: FloatArray,
    draws: int,
    chances: FloatArray,
    most: npt.NDArray[np.int64],
    is_mirrored: npt.NDArray[np.bool_],
) -> int:
    """Fill the counts and return how many uniform numbers that took, -1 where it cannot be done."""
    used = 0
    repetitions, num_episodes = counts.shape
    for repetition in range(repetitions):
        left = draws
        for episode in range(num_episodes - 1):
            if used >= len(uniforms) or most[episode, left] < 0:
                return -1
            rest = uniforms[used]
            used += 1
            count = 0
            while rest > chances[episode, left, count]:
                rest -= chances[episode, left, count]
                count += 1
                if count > most[episode, left]:
                    if used >= len(uniforms):
                        return -1
                    rest = uniforms[used]
                    used += 1
                    count = 0
            if is_mirrored[episode, left]:
                count = left - count
            counts[repetition, episode] = count
            left -= count
            if left == 0:
                break
        if left > 0:
            counts[repetition, num_episodes - 1] = left
    return used
