"""Statistics of scores, NumPy and SciPy only: normalisation, aggregates, robustness, intervals, comparisons, power."""

from wsabench.stats.aggregates import iqm, mean, median, optimality_gap, performance_profile, probability_of_improvement
from wsabench.stats.bounds import METHODS
from wsabench.stats.clean_floor import CLEAN_FLOOR, CleanBound, clean_bound, commonly_defined
from wsabench.stats.comparisons import holm, seeds_to_decide, sign_flip_test, smallest_adjusted_p, two_sample_test
from wsabench.stats.fieller import FiellerSet, GameSeeds, Region, fieller_set
from wsabench.stats.intervals import (
    CHECKPOINTS_ONLY,
    DEFAULT_METHOD,
    DEFAULT_REPETITIONS,
    MIN_TRAIN_SEEDS,
    Estimate,
    Statistic,
    episode_interval,
    game_interval,
    seed_interval,
    seed_note,
)
from wsabench.stats.normalisation import normalised_mean, normalised_score
from wsabench.stats.power import (
    PLANNING_CONFIDENCE,
    Design,
    Plan,
    Variation,
    plans,
    power_of,
    seed_sd_limit,
    variation_of,
)
from wsabench.stats.ratios import (
    MIN_RATIO_SEEDS,
    RatioEstimate,
    capped_mean_retention,
    mean_retention,
    retention_difference,
    retention_interval,
)
from wsabench.stats.resampling import Blocks
from wsabench.stats.robustness import (
    KeptShares,
    kept_shares,
    retention,
    retention_is_defined,
    robustness_gap,
    seed_retention,
)
from wsabench.stats.severity import (
    corruption_error,
    mean_over_severities,
    ranks,
    relative_corruption_error,
    severity_area,
    worst_case,
)
from wsabench.stats.statistics import cell_means, over_matrix, per_task, sample_efficiency
from wsabench.stats.studentised import studentised_interval

__all__ = [
    "CHECKPOINTS_ONLY",
    "CLEAN_FLOOR",
    "DEFAULT_METHOD",
    "DEFAULT_REPETITIONS",
    "METHODS",
    "MIN_RATIO_SEEDS",
    "MIN_TRAIN_SEEDS",
    "PLANNING_CONFIDENCE",
    "Blocks",
    "CleanBound",
    "Design",
    "Estimate",
    "FiellerSet",
    "GameSeeds",
    "KeptShares",
    "Plan",
    "RatioEstimate",
    "Region",
    "Statistic",
    "Variation",
    "capped_mean_retention",
    "cell_means",
    "clean_bound",
    "commonly_defined",
    "corruption_error",
    "episode_interval",
    "fieller_set",
    "game_interval",
    "holm",
    "iqm",
    "kept_shares",
    "mean",
    "mean_over_severities",
    "mean_retention",
    "median",
    "normalised_mean",
    "normalised_score",
    "optimality_gap",
    "over_matrix",
    "per_task",
    "performance_profile",
    "plans",
    "power_of",
    "probability_of_improvement",
    "ranks",
    "relative_corruption_error",
    "retention",
    "retention_difference",
    "retention_interval",
    "retention_is_defined",
    "robustness_gap",
    "sample_efficiency",
    "seed_interval",
    "seed_note",
    "seed_retention",
    "seed_sd_limit",
    "seeds_to_decide",
    "severity_area",
    "sign_flip_test",
    "smallest_adjusted_p",
    "studentised_interval",
    "two_sample_test",
    "variation_of",
    "worst_case",
]
