"""How long an agent's answers take with those changes of its encoders that stand side by side in a run.

The sample mixes all cells, to see the lengths of each. A run plays one cell after the other, and what its lanes ask for
is more alike: a batch in which an encoder joins in some lanes alone passes the fusion twice, and a feature is copied
where any lane changes it. So mixtures like those of the run are asked for a few answers each.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Sequence

import numpy as np

from wsabench.evaluation.rollout import NUM_LANES, EpisodeLanes
from wsabench.types import DeclaredPolicy, EncoderOperation, LaneBatch

Operations = tuple[EncoderOperation, ...]
"""The encoder operations of one lane."""

_MOMENTS = 16
"""Of a run, evenly over its time."""
_TURNS = 4
"""Answers that are timed to a mixture, after one that starts its operations."""
_SHAPE = 2.0
"""Of a Weibull distribution: lengths here only say how far cells overlap."""


def mixtures_of(order: Sequence[Operations], draws: np.random.Generator) -> list[tuple[Operations, ...]]:
    """Return what lanes ask for together at some moments of a run.

    Args:
        order: The operations of an agent's episodes, in the order in which they are begun.
        draws: Draws lengths, and the order of the moments.

    Returns:
        The operations of 1 to `NUM_LANES` lanes for each moment, in random order; none where no episode has any.
    """
    if not any(order):
        return []
    free = [0.0] * min(NUM_LANES, len(order))
    begins, ends = np.zeros(len(order)), np.zeros(len(order))
    for index, length in enumerate(draws.weibull(_SHAPE, len(order))):
        begins[index] = heapq.heappop(free)
        ends[index] = begins[index] + length
        heapq.heappush(free, float(ends[index]))
    moments = ends.max() * (np.arange(_MOMENTS) + 0.5) / _MOMENTS
    playing = [np.flatnonzero((begins <= moment) & (moment < ends)).tolist() for moment in draws.permutation(moments)]
    return [tuple(order[index] for index in own) for own in playing]


def answer_seconds(
    policy: DeclaredPolicy, lanes: EpisodeLanes, mixtures: Sequence[Sequence[Operations]], until: float
) -> float | None:
    """Return how long an agent takes for an answer, on average over mixtures.

    Args:
        policy: The agent.
        lanes: Where it has played; it is shown what was last seen there.
        mixtures: What up to `NUM_LANES` lanes ask for.
        until: When to end, by `time.time`; the first mixture is always timed.

    Returns:
        Seconds; None without mixtures.
    """
    found: list[float] = []
    for mixture in mixtures:
        if found and time.time() >= until:
            break
        policy.act(*_asked(policy, lanes, mixture, is_start=True))
        begin = time.perf_counter()
        for _ in range(_TURNS):
            policy.act(*_asked(policy, lanes, mixture, is_start=False))
        found.append((time.perf_counter() - begin) / _TURNS)
    return float(np.mean(found)) if found else None


def _asked(
    policy: DeclaredPolicy, lanes: EpisodeLanes, mixture: Sequence[Operations], *, is_start: bool
) -> tuple[np.ndarray, LaneBatch]:
    """Return what a policy is asked; one that does not pad for itself sees all lanes, as in a run."""
    number = len(mixture) if policy.abilities.batch_size is not None else lanes.num_lanes
    operations = (*mixture, *[()] * (number - len(mixture)))
    generators = tuple(np.random.default_rng(index) for index in range(number))
    batch = LaneBatch(
        ids=np.arange(number),
        generators=generators,
        episode_starts=np.full(number, is_start),
        encoder_operations=operations,
        inputs={name: lanes.inputs[name][:number] for name in policy.abilities.inputs},
        encoder_generators=generators,
        game=lanes.game,
    )
    return lanes.observations[:number].copy(), batch
