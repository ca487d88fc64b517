"""Returns brought to one scale: 0 is random play, 1 is the reference."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsabench.errors import SpecError
from wsabench.types import FloatArray


def normalised_score(returns: npt.ArrayLike, random_score: float, reference_score: float) -> FloatArray:
    """Return `(returns - random_score) / (reference_score - random_score)`.

    Args:
        returns: Undiscounted, unclipped episodic returns or their means; any shape, in points of the game.
        random_score: Mean return of random play, in the same points.
        reference_score: Mean return of the reference (human play unless said), in the same points.

    Returns:
        Same shape, float64, no unit. 0: no better than random. 1: as the reference. Not clipped. All NaN where a
        reference is NaN, that is unknown.

    Raises:
        SpecError: The reference is not above random play.

    References:
        Mnih et al. 2015, "Human-level control through deep reinforcement learning", extended data table 2.
    """
    values = np.asarray(returns, dtype=np.float64)
    span = reference_score - random_score
    if span <= 0:
        raise SpecError(
            f"The reference score {reference_score:g} is not above the random score {random_score:g}. "
            "A normalised score needs a reference above random play. Correct the table of reference scores."
        )
    return (values - random_score) / span
