"""How much the context of an attention does: the share of static steps, and its share of the weights' variance."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")
Indices = npt.NDArray[np.int64]
Reweigh = Callable[[Indices, Indices], npt.NDArray[np.float32]]
"""A function of the indices of M steps, and of the M steps that lend them their contexts. It returns attention weights,
float32, shape (M, num_places)."""

TOLERANCE = 1e-6
"""Weights, which sum to 1, that differ by no more than this are the same: rounding in float32 reaches a few 1e-7."""
NUM_DRAWS = 16
"""How often each step is given the context of another one."""


@dataclass(frozen=True, slots=True)
class ContextEffect:
    """Sums over steps, from which both measures come; sums of several episodes can be added."""

    static_steps: float
    """Steps whose weights another step's context left as they were: the mean over draws of their number."""
    change: float
    """Sum over steps of |w(c, s) - w(c', s)|^2, each step's mean over draws."""
    variance: float
    """Number of steps times the sum over places of the weights' variance over steps, with divisor n - 1."""
    num_steps: int
    """Number of steps."""

    @property
    def static_share(self) -> float:
        """Share of static steps, 0..1; NaN without steps."""
        return self.static_steps / self.num_steps if self.num_steps else math.nan

    @property
    def variance_share(self) -> float:
        """Context's share of the weights' variance; NaN where the weights do not vary.

        The total-effect index E|w(c, s) - w(c', s)|^2 / (2 tr Var w): 0 where the context changes nothing, about 1
        where it alone decides. Where context and embeddings depend on each other, as they do in a game, it can exceed
        1: c' then stands with embeddings with which it never occurs.

        References:
            Jansen 1999, "Analysis of variance designs for model output"; Saltelli et al. 2010, table 2 (f).
        """
        return self.change / (2 * self.variance) if self.variance > 0 else math.nan


def total_effect(effects: Iterable[ContextEffect]) -> ContextEffect:
    """Return the sums over several parts, each compared within itself; without any part all sums are 0."""
    parts = list(effects)
    return ContextEffect(
        math.fsum(part.static_steps for part in parts),
        math.fsum(part.change for part in parts),
        math.fsum(part.variance for part in parts),
        sum(part.num_steps for part in parts),
    )


def context_effect(
    reweigh: Reweigh,
    num_steps: int,
    generator: np.random.Generator,
    *,
    num_draws: int = NUM_DRAWS,
    rows_at_once: int = 1024,
) -> ContextEffect:
    """Give every step the context of another step, drawn anew `num_draws` times, and see what its weights do.

    Args:
        reweigh: Gives the weights of steps under the contexts of other steps.
        num_steps: Number of steps; with fewer than two there is no other step, and all sums are 0.
        generator: Draws the other steps, each equally likely.
        num_draws: How often each step is given another context.
        rows_at_once: Most rows that `reweigh` is asked for; bounds memory.

    Returns:
        The sums. A step is static where no weight changes by more than `TOLERANCE`; such a change counts as 0, and
        weights whose range over all steps is no larger as constant.
    """
    if num_steps < 2:
        return ContextEffect(0.0, 0.0, 0.0, 0)
    steps = np.arange(num_steps)
    own = np.concatenate([reweigh(part, part) for part in _parts(steps, rows_at_once)]).astype(np.float64)
    static, change = 0, 0.0
    for _ in range(num_draws):
        others = (steps + generator.integers(1, num_steps, num_steps)) % num_steps
        for part in _parts(steps, rows_at_once):
            difference = np.abs(reweigh(part, others[part]) - own[part])
            is_static = difference.max(axis=1) <= TOLERANCE
            static += int(is_static.sum())
            change += float(np.square(difference[~is_static]).sum())
    varies = bool((np.ptp(own, axis=0) > TOLERANCE).any())
    variance = float(own.var(axis=0, ddof=1).sum()) if varies else 0.0
    return ContextEffect(static / num_draws, change / num_draws, num_steps * variance, num_steps)


def _parts(steps: Indices, size: int) -> Iterator[Indices]:
    for start in range(0, len(steps), size):
        yield steps[start : start + size]


class EvenSample(Generic[T]):
    """Keeps evenly spaced items of a stream of unknown length: every one at first, then every second, fourth, ..."""

    def __init__(self, capacity: int) -> None:
        """Keep at most `capacity` items, at least 1, and at least half as many once the stream had `capacity` items."""
        self.items: list[T] = []
        self._capacity = capacity
        self._interval = 1
        self._num_seen = 0

    def offer(self, make: Callable[[], T]) -> None:
        """Take notice of the next item; `make` is called to make it if it is kept."""
        if self._num_seen % self._interval == 0:
            if len(self.items) == self._capacity:
                del self.items[1::2]
                self._interval *= 2
            if self._num_seen % self._interval == 0:
                self.items.append(make())
        self._num_seen += 1
