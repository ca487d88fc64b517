"""How long workers take for episodes of known lengths: a run in fast motion, handed out as a real one hands out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from wsabench.evaluation.rollout import NUM_LANES
from wsabench.types import FloatArray

MOST_EPISODES = 3_000
"""More are not followed one by one."""


class Cost(NamedTuple):
    """What an agent's play takes, in seconds."""

    turn: float
    """Seconds of a turn, whatever the number of lanes: batches are filled up to one size."""
    step: float
    """Seconds of each lane's step in it."""
    load: float
    """Seconds to load the agent."""
    own_turn: float = 0.0
    """Seconds of a turn of its own clean play; 0 where it needs none."""


class Duration(NamedTuple):
    """How long a run plays."""

    seconds: float
    turns: FloatArray
    """Forward passes of each agent, in all workers."""


def duration_of(lengths: Sequence[FloatArray], costs: Sequence[Cost], num_workers: int, scale: float = 1.0) -> Duration:
    """Return how long a run plays.

    Args:
        lengths: The lengths of each agent's episodes in steps, float64, in the order in which they are begun.
        costs: What the play of each agent takes.
        num_workers: Processes, each with a core of its own.
        scale: How many episodes each of them stands for.
    """
    total = sum(len(own) for own in lengths)
    steps = np.array([float(own.sum()) for own in lengths])
    if total * scale > MOST_EPISODES:
        turns = scale * steps / NUM_LANES
        own = [
            passes * cost.turn + scale * played * cost.step + cost.load
            for passes, played, cost in zip(turns, steps, costs, strict=True)
            if played
        ]
        longest = max((float(each.max()) * cost.turn for each, cost in zip(lengths, costs, strict=True) if len(each)))
        return Duration(sum(own) / num_workers + longest / 2.0, turns)
    return _Run(lengths, costs, min(num_workers, total)).duration()


class _Run:
    """The state of a run: who plays what, and what nobody has taken."""

    def __init__(self, lengths: Sequence[FloatArray], costs: Sequence[Cost], num_workers: int) -> None:
        self._left = [list(own[::-1]) for own in lengths]
        self._costs = costs
        self._times = np.zeros(num_workers)
        self._turns = np.zeros(len(lengths))
        self._players: list[int | None] = [None] * num_workers
        self._lanes: list[list[float]] = [[] for _ in range(num_workers)]

    def duration(self) -> Duration:
        """Play to the end; return when the last worker is done, and the turns of all."""
        at_work = set(range(len(self._times)))
        while at_work:
            worker = min(at_work, key=lambda one: self._times[one])
            self._fill(worker)
            if self._lanes[worker]:
                self._advance(worker)
            elif not self._choose(worker):
                at_work.discard(worker)
        return Duration(float(self._times.max(initial=0.0)), self._turns)

    def _choose(self, worker: int) -> bool:
        """Give an idle worker the agent that fewest play, of those the one with most left; no where nothing is left."""
        self._players[worker] = None
        open_ones = [index for index, left in enumerate(self._left) if left]
        if not open_ones:
            return False
        best = min(open_ones, key=lambda index: (self._players.count(index), -len(self._left[index]), index))
        self._players[worker] = best
        self._times[worker] += self._costs[best].load
        self._fill(worker)
        return True

    def _fill(self, worker: int) -> None:
        """Begin episodes in free lanes, no more than the worker's share of what is left."""
        player, lanes = self._players[worker], self._lanes[worker]
        if player is None:
            return
        held = sum(len(one) for one in self._lanes)
        share = -(-(sum(len(left) for left in self._left) + held) // len(self._lanes))
        left = self._left[player]
        for _ in range(min(NUM_LANES - len(lanes), len(left), max(share - len(lanes), 0))):
            lanes.append(left.pop())

    def _advance(self, worker: int) -> None:
        """Play until the next episode of a worker ends."""
        player, lanes = self._players[worker], self._lanes[worker]
        if player is None:
            return
        cost, turns = self._costs[player], min(lanes)
        self._times[worker] += turns * (cost.turn + cost.step * len(lanes))
        self._turns[player] += turns
        self._lanes[worker] = [steps - turns for steps in lanes if steps > turns]
