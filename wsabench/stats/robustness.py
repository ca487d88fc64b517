"""How much of an agent's score is left under a perturbation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from wsabench.errors import ShapeError
from wsabench.stats.resampling import episode_means
from wsabench.types import BoolArray, FloatArray


def retention(clean: FloatArray, perturbed: FloatArray) -> FloatArray:
    """Return the share of the clean normalised score that is left under a perturbation.

    Args:
        clean: Normalised score without perturbation (0: random play, 1: human play).
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
    """Return whether a clean normalised score is above 0, so that retention can be computed.

    Args:
        clean: Normalised scores, any shape.

    Returns:
        Same shape, bool; False also where clean is NaN.
    """
    return np.asarray(clean, dtype=np.float64) > 0.0


def robustness_gap(clean: FloatArray, perturbed: FloatArray) -> FloatArray:
    """Return the clean minus the perturbed normalised score.

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


def seed_retention(clean_episodes: FloatArray, perturbed_episodes: FloatArray) -> FloatArray:
    """Return each train seed's own ratio of means over its episodes, corrected for the noise of the denominator.

    A noisy clean mean makes the plain ratio too high. Beale's estimator (x y + cov) / (x^2 + var), with the means x and
    y and the variance and covariance of these means, is free of bias up to the second order and never divides by
    nearly nothing.

    Args:
        clean_episodes: Normalised scores of clean episodes, shape (num_seeds, num_episodes), float64; NaN where there
            is no such episode.
        perturbed_episodes: Normalised scores, shape (num_seeds, num_cells, num_episodes), paired with the clean ones by
            episode seed. Means are over each job's own episodes, the covariance over those that both have.

    Returns:
        Shape (num_seeds, num_cells). NaN where a seed's clean mean is not above 0. One episode: not corrected.

    Raises:
        ShapeError: The shapes do not match.

    References:
        Beale 1962, "Some uses of computers in operational research"; Tin 1965, "Comparison of some ratio estimators".
    """
    x, y = np.asarray(clean_episodes, dtype=np.float64), np.asarray(perturbed_episodes, dtype=np.float64)
    if x.ndim != 2 or y.ndim != 3 or (y.shape[0], y.shape[2]) != x.shape or 0 in y.shape:
        raise ShapeError(
            f"The clean episodes have shape {x.shape}, the perturbed ones {y.shape}. "
            "Allowed: (num_seeds, num_episodes) and (num_seeds, num_cells, num_episodes), none of them 0."
        )
    x_mean, y_mean = episode_means(x)[:, None], episode_means(y)
    x_rest, y_rest = (x - x_mean)[:, None], y - y_mean[..., None]
    x_count, y_count = (~np.isnan(x)).sum(axis=1)[:, None], (~np.isnan(y)).sum(axis=2)
    num_paired = (~np.isnan(x_rest * y_rest)).sum(axis=2)
    variance = np.nansum(x_rest**2, axis=2) / (x_count * np.maximum(1, x_count - 1))
    shared = np.divide(num_paired, x_count * y_count, out=np.zeros(y_mean.shape), where=num_paired > 0)
    covariance = np.nansum(x_rest * y_rest, axis=2) / np.maximum(1, num_paired - 1) * shared
    defined = np.broadcast_to(x_mean > 0.0, y_mean.shape)
    top, bottom = x_mean * y_mean + covariance, np.broadcast_to(x_mean**2 + variance, y_mean.shape)
    return np.divide(top, bottom, out=np.full(y_mean.shape, np.nan), where=defined)


class KeptShares(NamedTuple):
    """In what share of cells a score survives, and in what share it is lost."""

    kept: float
    """Share of cells whose retention is at least `kept_at`, averaged over games."""
    lost: float
    """Share of cells whose retention is at most `lost_at`, averaged over games."""


def kept_shares(retentions: Sequence[FloatArray], *, kept_at: float = 0.8, lost_at: float = 0.1) -> KeptShares:
    """Return the share of cells that keep at least 0.8 of the clean score, and of those that keep at most 0.1.

    Args:
        retentions: Retention of each cell, one array for each game, shape (num_cells,).
        kept_at: The retention from which on a cell counts as kept.
        lost_at: The retention up to which a cell counts as lost.

    Returns:
        The two shares, each averaged over cells, then games. NaN where a retention is NaN. They count estimates, so
        noise moves them towards each other; they have no interval.

    Raises:
        ShapeError: There is no game, or a game has no cell.
    """
    arrays = [np.asarray(values, dtype=np.float64) for values in retentions]
    if not arrays or any(values.ndim != 1 or not values.size for values in arrays):
        raise ShapeError("Shares of cells need one array (num_cells,) a game, at least one game and one cell in each.")
    (found,) = kept_shares_of_each([values[None] for values in arrays], kept_at=kept_at, lost_at=lost_at)
    return found


def kept_shares_of_each(
    retentions: Sequence[FloatArray], *, kept_at: float = 0.8, lost_at: float = 0.1
) -> list[KeptShares]:
    """Return `kept_shares` of several data sets.

    Args:
        retentions: One array for each game, shape (num_sets, num_cells).
        kept_at: As for `kept_shares`.
        lost_at: As for `kept_shares`.

    Returns:
        The shares of each data set, in order; NaN where one of its retentions is NaN.
    """
    is_known = np.all([~np.isnan(values).any(axis=1) for values in retentions], axis=0)
    both: list[FloatArray] = []
    for counts in ([values >= kept_at for values in retentions], [values <= lost_at for values in retentions]):
        of_games = np.stack([of_game.mean(axis=1) for of_game in counts], axis=-1)
        both.append(np.where(is_known, of_games.mean(axis=-1), np.nan))
    return [KeptShares(*one) for one in np.stack(both, axis=-1).tolist()]


def _same_shape(clean: FloatArray, perturbed: FloatArray) -> tuple[FloatArray, FloatArray]:
    clean, perturbed = np.asarray(clean, dtype=np.float64), np.asarray(perturbed, dtype=np.float64)
    if clean.shape != perturbed.shape:
        raise ShapeError(
            f"The clean scores have shape {clean.shape}, the perturbed ones {perturbed.shape}. "
            "They must be equal, with the same train seeds in the same rows."
        )
    return clean, perturbed
