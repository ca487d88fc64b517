"""Statistics of scores, NumPy and SciPy only: normalisation, aggregates, robustness, interval estimates."""

from wsabench.stats.aggregates import iqm, mean, median, optimality_gap, performance_profile, probability_of_improvement
from wsabench.stats.intervals import (
    CHECKPOINTS_ONLY,
    DEFAULT_REPETITIONS,
    METHODS,
    MIN_TRAIN_SEEDS,
    Estimate,
    cell_means,
    episode_interval,
    over_matrix,
    seed_interval,
    seed_note,
)
from wsabench.stats.normalisation import normalised_score
from wsabench.stats.resampling import Blocks, resample_seeds
from wsabench.stats.robustness import retention, retention_is_defined, robustness_gap

__all__ = [
    "CHECKPOINTS_ONLY",
    "DEFAULT_REPETITIONS",
    "METHODS",
    "MIN_TRAIN_SEEDS",
    "Blocks",
    "Estimate",
    "cell_means",
    "episode_interval",
    "iqm",
    "mean",
    "median",
    "normalised_score",
    "optimality_gap",
    "over_matrix",
    "performance_profile",
    "probability_of_improvement",
    "resample_seeds",
    "retention",
    "retention_is_defined",
    "robustness_gap",
    "seed_interval",
    "seed_note",
]
