"""Tiers: what a set of decided comparisons says about the order of agents, and what it leaves open.

If every decided comparison is true (which holds with the confidence of the family of comparisons), an agent of tier t
has at least t - 1 agents that are truly better, one of each tier above. Agents of one tier are not shown to be equal.

References:
    Mogstad, Romano, Shaikh & Wilhelm 2024, "Inference for ranks with applications to mobility across neighbourhoods and
    academic achievement across countries", for places that follow from simultaneous comparisons.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsabench.errors import ShapeError
from wsabench.types import BoolArray, IntArray


def surely_better(better: npt.ArrayLike) -> BoolArray:
    """Return who is above whom, directly or through others.

    Args:
        better: Whether agent i (row) is shown to be better than agent j (column), shape (num_agents, num_agents).

    Returns:
        The same shape: i reaches j along decided comparisons, and j does not reach i. Comparisons that are about
        different games can form a circle, which puts none of its agents above another.

    Raises:
        ShapeError: The array is not square.
    """
    reaches = np.array(better, dtype=np.bool_)
    if reaches.ndim != 2 or reaches.shape[0] != reaches.shape[1]:
        raise ShapeError(f"The comparisons have shape {reaches.shape}. Allowed: (num_agents, num_agents).")
    for through in range(len(reaches)):
        reaches |= reaches[:, through, None] & reaches[through]
    return reaches & ~reaches.T


def tiers(better: npt.ArrayLike) -> IntArray:
    """Return the tier of each agent: 1 where no agent is shown to be better, else one more than the lowest that is.

    Args:
        better: As for `surely_better`.

    Returns:
        Shape (num_agents,), from 1 on: the length of the longest chain of agents, each shown to be better than the
        next, that ends with this one.

    Raises:
        ShapeError: The array is not square.
    """
    above = surely_better(better)
    found = np.ones(len(above), dtype=np.int64)
    for _ in range(len(above)):
        best = np.where(above, found[:, None] + 1, 1).max(axis=0, initial=1)
        if np.array_equal(best, found):
            break
        found = best
    return found


def possible_places(better: npt.ArrayLike) -> IntArray:
    """Return the places that each agent can have, given the decided comparisons.

    Args:
        better: As for `surely_better`.

    Returns:
        Shape (num_agents, 2), best and worst place from 1 on: at least as many agents are ahead as are shown to be
        better, and at least as many behind as are shown to be worse.

    Raises:
        ShapeError: The array is not square.
    """
    above = surely_better(better)
    return np.stack([1 + above.sum(axis=0), len(above) - above.sum(axis=1)], axis=-1)
