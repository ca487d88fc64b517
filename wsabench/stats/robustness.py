"""How much of an agent's score is left under a perturbation."""

from __future__ import annotations

import numpy as np

from wsabench.errors import ShapeError
from wsabench.types import BoolArray, FloatArray


def retention(clean: FloatArray, perturbed: FloatArray) -> FloatArray:
    """Share of the clean normalised score that is left under a perturbation.

    Args:
        clean: Normalised score without perturbation (0: random agent, 1: reference).
            Shape (num_runs, num_tasks) or any other, float64, no unit.
        perturbed: Same shape and train seeds, under one perturbation at one severity.

    Returns:
        Same shape, float64, no unit. 1: unharmed. 0: no better than random. Not clipped: above 1 the perturbation
        helped, below 0 it made the agent worse than random. NaN where clean is not above 0 (see
        `retention_is_defined`): an agent that fails clean has nothing to retain.

    Raises:
        ShapeError: The shapes do not match.

    References:
        The ratio of perturbed to clean performance, as relative robustness in Hendrycks & Dietterich 2019,
        "Benchmarking neural network robustness to common corruptions and perturbations", section 4.
    """
    clean, perturbed = _same_shape(clean, perturbed)
    defined = retention_is_defined(clean)
    return np.divide(perturbed, clean, out=np.full(clean.shape, np.nan), where=defined)


def retention_is_defined(clean: FloatArray) -> BoolArray:
    """Whether a clean normalised score is above 0, so that retention can be computed.

    Args:
        clean: Normalised scores, any shape.

    Returns:
        Same shape, bool; False also where clean is NaN.
    """
    return np.asarray(clean, dtype=np.float64) > 0.0


def robustness_gap(clean: FloatArray, perturbed: FloatArray) -> FloatArray:
    """Clean minus perturbed normalised score.

    Args:
        clean: Normalised score without perturbation, any shape, float64, no unit.
        perturbed: Same shape and train seeds, under one perturbation at one severity.

    Returns:
        Same shape, float64, no unit. 0: unharmed; positive: the perturbation costs score. Defined also for agents that
        fail clean.

    Raises:
        ShapeError: The shapes do not match.
    """
    clean, perturbed = _same_shape(clean, perturbed)
    return clean - perturbed


def _same_shape(clean: FloatArray, perturbed: FloatArray) -> tuple[FloatArray, FloatArray]:
    clean, perturbed = np.asarray(clean, dtype=np.float64), np.asarray(perturbed, dtype=np.float64)
    if clean.shape != perturbed.shape:
        raise ShapeError(
            f"The clean scores have shape {clean.shape}, the perturbed ones {perturbed.shape}. "
            "They must be equal, with the same train seeds in the same rows."
        )
    return clean, perturbed
