"""The noise of a finished run, from which the next one is planned."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from wsabench import stats
from wsabench.errors import ResultSetError
from wsabench.results.records import CLEAN
from wsabench.results.tables import with_labels
from wsabench.stats import Variation
from wsabench.summary.scores import (
    GameScores,
    collect_scores,
    random_means,
    reference_scores,
    without_random_play,
)
from wsabench.summary.summarise import Results
from wsabench.types import FloatArray


class RunNoise(NamedTuple):
    """What a run says about the noise of the next one."""

    variation: Variation
    """The estimated noise, in the unit of the measure; the deviation between train seeds may be 0 by chance."""
    seed_sd_limit: float
    """Upper limit of the standard deviation between train seeds, to plan with; 0 where the run does not tell it."""


def noise_of_run(result: Results, measure: str = "retention") -> RunNoise:
    """Estimate how much a train seed's value varies between seeds and between episodes, pooled over cells and agents.

    Args:
        result: A result set with clean play and perturbations, at least two train seeds, and two episodes in each cell.
        measure: `retention`, `robustness_gap` or `normalised_score`, of one cell. A retention is one ratio of means
            over seeds; what an episode adds to it is linearised: r + (perturbed - r clean) / mean clean, with r
            and the clean mean over all seeds, so that a seed that fails clean does not count as noisier.

    Returns:
        Standard deviations in the unit of the measure.

    Raises:
        ResultSetError: The run is too small for it, or the measure is undefined in every cell.
    """
    episodes = with_labels(result.episodes)
    plan = result.manifest.plan
    episodes, random_play = without_random_play(episodes, plan)
    references = reference_scores(list(episodes["game"].unique()), plan)
    scores, _ = collect_scores(episodes, plan, references, random_means(random_play))
    # Jobs may have different numbers of episodes: the noise is read from those that all train seeds played.
    cells = (
        [block for values in _episode_values(game, measure) if min((block := _complete(values)).shape) >= 2]
        for game in scores
    )
    groups = [blocks for blocks in cells if blocks]
    if not groups:
        raise ResultSetError(
            f"This run does not tell how {measure} varies: that takes clean and perturbed cells with at least two "
            "train seeds and two episodes, and clean play above random. Give --seed-sd and --episode-sd instead."
        )
    everything = [block for blocks in groups for block in blocks]
    return RunNoise(stats.variation_of(everything), stats.seed_sd_limit(groups))


def _complete(values: FloatArray) -> FloatArray:
    return values[:, np.isfinite(values).all(axis=0)]


def _episode_values(game: GameScores, measure: str) -> list[FloatArray]:
    """Return one array for each perturbed cell, shape (num_seeds, num_episodes); row means are the seeds' values."""
    clean = game.index(CLEAN)
    values: list[FloatArray] = []
    for column, label in enumerate(game.labels):
        if label == CLEAN:
            continue
        perturbed = game.scores[:, column]
        of_clean = np.full_like(perturbed, np.nan) if clean is None else game.scores[:, clean]
        if measure == "normalised_score":
            values.append(perturbed)
        elif measure == "robustness_gap":
            values.append(of_clean - perturbed)
        else:
            mean = stats.episode_means(of_clean).mean()
            kept = stats.retention(mean, stats.episode_means(perturbed).mean())
            values.append(kept + (perturbed - kept * of_clean) / np.where(mean > 0, mean, np.nan))
    return values
