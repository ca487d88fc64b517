"""Statistics of scores, NumPy and SciPy only: normalisation, aggregates, robustness, intervals, comparisons, power."""

from wsabench.stats.aggregates import iqm, mean, median, optimality_gap, performance_profile, probability_of_improvement
from wsabench.stats.bounds import METHODS
from wsabench.stats.comparisons import holm, seeds_to_decide, sign_flip_test, smallest_adjusted_p, two_sample_test
from wsabench.stats.components import COMPONENTS, VarianceComponents, variance_components
from wsabench.stats.contrasts import Contrast, contrast
from wsabench.stats.equivalence import EquivalenceTest, equivalence_test
from wsabench.stats.families import (
    ClaimFamily,
    Detectable,
    FamilyTest,
    PageError,
    adjust_over_pairs,
    detectable_effects,
    family_test,
    page_error,
    step_down,
)
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
from wsabench.stats.normalisation import normalised_score
from wsabench.stats.power import (
    PLANNING_CONFIDENCE,
    Design,
    Plan,
    Variation,
    detectable_effect,
    plans,
    power_of,
    seed_sd_limit,
    variation_of,
)
from wsabench.stats.resampling import Blocks
from wsabench.stats.robustness import retention, retention_is_defined, robustness_gap
from wsabench.stats.severity import (
    corruption_error,
    mean_over_severities,
    ranks,
    relative_corruption_error,
    severity_area,
    worst_case,
)
from wsabench.stats.statistics import cell_means, over_matrix, per_task, sample_efficiency

__all__ = [
    "CHECKPOINTS_ONLY",
    "COMPONENTS",
    "DEFAULT_METHOD",
    "DEFAULT_REPETITIONS",
    "METHODS",
    "MIN_TRAIN_SEEDS",
    "PLANNING_CONFIDENCE",
    "Blocks",
    "ClaimFamily",
    "Contrast",
    "Design",
    "Detectable",
    "EquivalenceTest",
    "Estimate",
    "FamilyTest",
    "PageError",
    "Plan",
    "Statistic",
    "VarianceComponents",
    "Variation",
    "adjust_over_pairs",
    "cell_means",
    "contrast",
    "corruption_error",
    "detectable_effect",
    "detectable_effects",
    "episode_interval",
    "equivalence_test",
    "family_test",
    "game_interval",
    "holm",
    "iqm",
    "mean",
    "mean_over_severities",
    "median",
    "normalised_score",
    "optimality_gap",
    "over_matrix",
    "page_error",
    "per_task",
    "performance_profile",
    "plans",
    "power_of",
    "probability_of_improvement",
    "ranks",
    "relative_corruption_error",
    "retention",
    "retention_is_defined",
    "robustness_gap",
    "sample_efficiency",
    "seed_interval",
    "seed_note",
    "seed_sd_limit",
    "seeds_to_decide",
    "severity_area",
    "sign_flip_test",
    "smallest_adjusted_p",
    "step_down",
    "two_sample_test",
    "variance_components",
    "variation_of",
    "worst_case",
]
