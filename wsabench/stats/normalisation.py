"""Returns brought to one scale: 0 is random play, 1 is the reference, which is human play unless said."""

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
        Same shape, float64, no unit. 0: no better than random. 1: as the reference. Not clipped. All NaN where the
        random or the reference score is NaN, that is, unknown.

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


def normalised_mean(
    returns: npt.ArrayLike,
    random_score: float,
    reference_score: float,
    *,
    perturbed_random: npt.ArrayLike | None = None,
    axis: int | tuple[int, ...] = -1,
) -> FloatArray:
    """Average returns, then normalise: equal totals give equal scores, and a total of random play gives exactly 0.

    Returns are whole points, so their sum is exact and their mean is rounded once. A mean of scores that were
    normalised one by one is off by about 1e-17, which a ratio takes for a positive score.

    Args:
        returns: Undiscounted, unclipped episodic returns, in points of the game; any shape.
        random_score: Mean return of random play in the unchanged game, in the same points.
        reference_score: Mean return of the reference (human play unless said), in the same points.
        perturbed_random: Mean return of random play in the perturbed game, where the perturbation changes what random
            play scores (dynamics). It fits the averaged returns, for example one value for each cell. It is subtracted
            in place of `random_score`; the span stays that of the unchanged game, so gaps are in the same unit.
        axis: What is averaged over: episodes, or (train seeds, episodes) for one number of several seeds.

    Returns:
        The returns' shape without `axis`, float64, no unit. All NaN where the random or the reference score is NaN,
        that is, unknown.

    Raises:
        SpecError: The reference is not above random play.
    """
    means = np.mean(np.asarray(returns, dtype=np.float64), axis=axis)
    if perturbed_random is None:
        return normalised_score(means, random_score, reference_score)
    span = reference_score - random_score
    return normalised_score(means - np.asarray(perturbed_random, dtype=np.float64), 0.0, span)
