"""Robustness over the severities of a perturbation, against a baseline, and ranks of agents."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsabench.errors import ShapeError
from wsabench.types import FloatArray


def worst_case(scores: npt.ArrayLike) -> FloatArray:
    """Return the lowest score over severities, or over all cells given.

    Args:
        scores: Normalised scores, shape (..., num_severities), float64: means over episodes and train seeds. The
            minimum of noisy numbers is too low on average, the more so the more there are.

    Returns:
        Shape (...), float64; NaN where a score is NaN.

    Raises:
        ShapeError: There is no severity.
    """
    return _checked(scores).min(axis=-1)


def corruption_error(scores: npt.ArrayLike, baseline: npt.ArrayLike) -> FloatArray:
    """Return the error over severities relative to a baseline's; the mean over perturbations is the mCE.

    The error of a score is its shortfall from human play, max(0, 1 - score), which stands for the classification
    error of ImageNet-C.

    Args:
        scores: Normalised scores, shape (..., num_severities), float64.
        baseline: The baseline's, same shape.

    Returns:
        Shape (...), float64: sum of errors / sum of the baseline's errors. Below 1: better than the baseline. NaN where
        the baseline has no error.

    Raises:
        ShapeError: The shapes do not match.

    References:
        Hendrycks & Dietterich 2019, section 4.1: CE, and mCE as its mean over corruptions (there in per cent).
    """
    ours, theirs = _pair(scores, baseline)
    return _ratio(np.maximum(0.0, 1.0 - ours).sum(axis=-1), np.maximum(0.0, 1.0 - theirs).sum(axis=-1))


def relative_corruption_error(
    clean: npt.ArrayLike, scores: npt.ArrayLike, clean_baseline: npt.ArrayLike, baseline: npt.ArrayLike
) -> FloatArray:
    """Return the score lost over severities relative to what a baseline loses.

    Args:
        clean: Normalised clean score, shape (...), float64.
        scores: Shape (..., num_severities).
        clean_baseline: The baseline's clean score, shape of `clean`.
        baseline: The baseline's scores, shape of `scores`.

    Returns:
        Shape (...), float64: sum of robustness gaps / sum of the baseline's. Below 1: loses less. NaN where the
        baseline loses nothing.

    Raises:
        ShapeError: The shapes do not match.

    References:
        Hendrycks & Dietterich 2019, section 4.1, relative CE.
    """
    ours, theirs = _pair(scores, baseline)
    gaps = (np.asarray(clean)[..., None] - ours).sum(axis=-1)
    return _ratio(gaps, (np.asarray(clean_baseline)[..., None] - theirs).sum(axis=-1))


def error_ceiling(clean: npt.ArrayLike, clean_baseline: npt.ArrayLike) -> FloatArray:
    """Return the score that counts as without error in one game: the best of human play and both clean scores.

    Args:
        clean: Normalised clean score, any shape, float64.
        clean_baseline: The baseline's, same shape.

    Returns:
        Same shape, at least 1, the score of human play; so a division by it is always defined.
    """
    return np.maximum(1.0, np.maximum(clean, clean_baseline))


def error_difference(scores: npt.ArrayLike, baseline: npt.ArrayLike, ceiling: npt.ArrayLike) -> FloatArray:
    """Return the error over severities minus a baseline's, on a scale that does not vanish.

    The error of a score is 1 - score / ceiling: 0 at the ceiling, 1 at random play, as a classifier's error is 0 at
    best and near 1 for guessing. `corruption_error` divides by the baseline's error, which is 0 where the baseline
    reaches human play; a difference is defined for every baseline, and says by how much and not how many times.

    Args:
        scores: Normalised scores, shape (..., num_severities), float64; several games may stand one after another.
        baseline: The baseline's, same shape.
        ceiling: The score without error, `error_ceiling` of each game, broadcast to the shape of `scores`.

    Returns:
        Shape (...), float64: below 0 less error than the baseline; -0.1: a tenth of the way from random play to the
        ceiling less. Not clipped.

    Raises:
        ShapeError: The shapes do not match.

    References:
        Michaelis et al. 2019, "Benchmarking robustness in object detection: autonomous driving when winter is coming",
        who compare mean performance under corruption (mPC) without dividing by a baseline's; errors after Hendrycks &
        Dietterich 2019, section 4.1.
    """
    ours, theirs = _pair(scores, baseline)
    return ((theirs - ours) / np.asarray(ceiling, dtype=np.float64)).mean(axis=-1)


def loss_difference(gaps: npt.ArrayLike, baseline_gaps: npt.ArrayLike, ceiling: npt.ArrayLike) -> FloatArray:
    """Return the score lost over severities minus what a baseline loses, on a scale that does not vanish.

    It stands beside `relative_corruption_error` as `error_difference` beside `corruption_error`: defined also where the
    baseline loses nothing.

    Args:
        gaps: Robustness gaps, clean minus perturbed score, shape (..., num_severities), float64.
        baseline_gaps: The baseline's, same shape.
        ceiling: As for `error_difference`.

    Returns:
        Shape (...), float64: below 0 loses less than the baseline.

    Raises:
        ShapeError: The shapes do not match.
    """
    return error_difference(baseline_gaps, gaps, ceiling)


def ranks(scores: npt.ArrayLike) -> FloatArray:
    """Return the rank of each agent, 1 the best; equal scores share the mean of their ranks.

    Args:
        scores: Shape (..., num_agents), float64.

    Returns:
        Same shape, float64; NaN everywhere on an axis that holds a NaN.
    """
    from scipy.stats import rankdata  # here: it takes most of a second to load

    return rankdata(-np.asarray(scores, dtype=np.float64), axis=-1)


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return the quotient; NaN where the denominator is not above 0, which is said and not divided by."""
    undefined = np.full(np.shape(numerator), np.nan)
    return np.divide(numerator, denominator, out=undefined, where=np.asarray(denominator) > 0)


def _pair(scores: npt.ArrayLike, baseline: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    ours, theirs = _checked(scores), _checked(baseline)
    if ours.shape != theirs.shape:
        raise ShapeError(f"The scores have shape {ours.shape}, the baseline's {theirs.shape}. They must be equal.")
    return ours, theirs


def _checked(scores: npt.ArrayLike) -> FloatArray:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim < 1 or values.shape[-1] == 0:
        raise ShapeError(f"Scores have shape {values.shape}. Allowed: (..., num_severities), at least one severity.")
    return values
