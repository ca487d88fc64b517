"""Robustness over how much the observation changes, instead of over the number of a severity.

A severity is a rank in a catalogue; the change of the observation that it brings is measured, differs between games and
need not rise with it. That change is the dose: mean grey levels by which the 84x84 observation moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from wsabench.errors import ShapeError
from wsabench.types import FloatArray

DoseReason = Literal["", "no scale", "change not measured", "one dose"]
"""Why there is no area over dose; empty where there is one."""


class DoseCurve(NamedTuple):
    """Scores over rising doses."""

    doses: FloatArray
    """Different doses, rising, shape (num_doses,)."""
    scores: FloatArray
    """Shape (..., num_doses): the score at each dose, the mean where several severities have the same."""


class DoseArea(NamedTuple):
    """The mean score over the doses that were played."""

    value: FloatArray
    """Shape (...), in the unit of the scores; NaN where there is none."""
    lowest: float
    """The first dose, where the area begins; NaN where there is none."""
    highest: float
    """The last dose, where it ends; NaN where there is none."""
    reason: DoseReason
    """Why there is none; empty where there is one."""


class MeanDoseArea(NamedTuple):
    """The mean of the areas of several perturbations."""

    value: FloatArray
    """Shape (...); NaN where no perturbation has an area."""
    num_perturbations: int
    """How many perturbations entered the mean."""
    left_out: Mapping[DoseReason, tuple[str, ...]]
    """The names of the perturbations that did not enter, by reason."""


def dose_curve(scores: npt.ArrayLike, doses: npt.ArrayLike) -> DoseCurve:
    """Return scores in the order of their doses.

    Args:
        scores: Shape (..., num_severities), float64.
        doses: Shape (num_severities,), in any order, the measured change of each severity in grey levels.

    Returns:
        The curve. Severities of equal dose are one point, the mean of their scores.

    Raises:
        ShapeError: The numbers of scores and doses differ, or a dose is negative or NaN.
    """
    values, changes = _checked(scores, doses)
    if not np.all(changes >= 0):
        raise ShapeError(f"Doses are {changes.tolist()}. Allowed: one measured change, at least 0, for each severity.")
    levels = np.unique(changes)
    return DoseCurve(levels, np.stack([values[..., changes == level].mean(axis=-1) for level in levels], axis=-1))


def dose_area(scores: npt.ArrayLike, doses: npt.ArrayLike | None) -> DoseArea:
    """Return the mean score over the doses between the weakest and the strongest that were played.

    The curve over dose is drawn by straight lines, and its area is divided by its width: a mean over severities in
    which each counts for the stretch of dose around it. Clean play is no part of it: an agent that fails at every
    severity has 0, where an area that starts at clean has a share of the clean score. An agent that loses nothing has
    its clean score. A second severity with nearly the same dose hardly counts.

    Args:
        scores: Shape (..., num_severities), float64.
        doses: Shape (num_severities,), in any order, in grey levels, NaN where the change was not measured. None for a
            perturbation without a scale. To see what the choice of dose does, give the numbers of the severities.

    Returns:
        The area, or the reason why there is none. It belongs to its range of doses: areas of agents in one game and
        perturbation can be compared, those of two perturbations only beside their ranges.

    Raises:
        ShapeError: The numbers of scores and doses differ, or a dose is negative.

    References:
        The trapezoidal rule; the severities that it replaces weigh the same in Hendrycks & Dietterich 2019,
        "Benchmarking neural network robustness to common corruptions and perturbations", section 4.1.
    """
    values = _checked(scores, None)[0]
    if doses is None:
        return _without(values, "no scale")
    if np.isnan(_checked(scores, doses)[1]).any():
        return _without(values, "change not measured")
    levels, means = dose_curve(values, doses)
    if len(levels) < 2:
        return _without(values, "one dose")
    area = np.trapezoid(means, levels, axis=-1) / (levels[-1] - levels[0])
    return DoseArea(np.asarray(area), float(levels[0]), float(levels[-1]), "")


def mean_dose_area(areas: Mapping[str, DoseArea]) -> MeanDoseArea:
    """Average the areas of perturbations, each counting the same, and name those that have none.

    Args:
        areas: The area of each perturbation, at least one; all values have one shape.

    Returns:
        The mean and the names of what it leaves out.

    Raises:
        ShapeError: There is no perturbation.
    """
    if not areas:
        raise ShapeError("There is no perturbation whose area could be averaged. Give at least one.")
    with_area = [area.value for area in areas.values() if not area.reason]
    left_out: dict[DoseReason, tuple[str, ...]] = {}
    for name, area in areas.items():
        if area.reason:
            left_out[area.reason] = (*left_out.get(area.reason, ()), name)
    shape = next(iter(areas.values())).value.shape
    value = np.mean(with_area, axis=0) if with_area else np.full(shape, np.nan)
    return MeanDoseArea(np.asarray(value), len(with_area), left_out)


def _without(values: FloatArray, reason: DoseReason) -> DoseArea:
    return DoseArea(np.full(values.shape[:-1], np.nan), np.nan, np.nan, reason)


def _checked(scores: npt.ArrayLike, doses: npt.ArrayLike | None) -> tuple[FloatArray, FloatArray]:
    values = np.asarray(scores, dtype=np.float64)
    changes = np.zeros(values.shape[-1:]) if doses is None else np.asarray(doses, dtype=np.float64)
    if values.ndim < 1 or values.shape[-1] == 0 or changes.shape != values.shape[-1:] or np.any(changes < 0):
        raise ShapeError(
            f"Doses are {changes.tolist()} for scores of shape {values.shape}. Allowed: one measured change, at least "
            "0, for each score on the last axis, at least one."
        )
    return values, changes
