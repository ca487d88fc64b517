"""Runs to a precision: the second stage's numbers of episodes, from the episodes of the first."""

from __future__ import annotations

import math

import numpy as np

from wsabench.errors import SpecError
from wsabench.evaluation.plan import Plan
from wsabench.results.comparing import listed
from wsabench.results.manifest import SavingEntry
from wsabench.results.result import ResultSet
from wsabench.results.tables import with_labels
from wsabench.stats import normalised_score
from wsabench.stats.allocation import Allocation, allocate
from wsabench.words import counted

PILOT_DIR = "pilot"
"""Where a run to a precision keeps its first stage: a result set of its own inside the run's directory."""


def allocation_of(plan: Plan, pilot: ResultSet) -> Allocation:
    """Return how many episodes each job gets beside the pilot. It depends on the pilot's episodes and the plan only.

    Args:
        plan: A plan with a precision.
        pilot: Its finished first stage.

    Raises:
        SpecError: The plan has no precision, or the pilot lacks a job.
    """
    if plan.precision is None:
        raise SpecError("The plan has no precision. Give --precision and --max-episodes.")
    groups = with_labels(pilot.episodes).groupby(["agent", "train_seed", "game", "label"])["return"]
    returns = {key: part.to_numpy(np.float64) for key, part in groups}
    references = pilot.manifest.plan.reference_scores
    sds: list[float] = []
    for job in plan.jobs:
        known = references[job.game]
        played = returns.get((job.agent, job.train_seed, job.game, job.perturbation))
        if played is None or known.random is None or known.human is None:
            raise SpecError(f"{pilot.path} does not tell how much {job.describe()} varies. Start the run again.")
        sds.append(float(normalised_score(played, known.random, known.human).std(ddof=1)))
    wanted = plan.precision
    most = wanted.max_episodes - wanted.pilot_episodes
    return allocate(np.array(sds), wanted.half_width, wanted.pilot_episodes, most, wanted.target)


def saving_of(plan: Plan, found: Allocation) -> SavingEntry:
    """Return what the manifest says about the numbers of episodes.

    Args:
        plan: The plan of the first stage.
        found: What `allocation_of` returned for it.
    """
    episodes, pilot = int(found.numbers.sum()), plan.num_episodes * len(plan.jobs)
    is_known = math.isfinite(found.share)
    fixed = math.ceil(found.fixed * len(plan.jobs) - 1e-9) if is_known else 0
    return SavingEntry(
        episodes=episodes,
        pilot_episodes=pilot,
        fixed_episodes=fixed if is_known else None,
        share=round(episodes / fixed, 4) if is_known else None,
        share_with_pilot=round((episodes + pilot) / fixed, 4) if is_known else None,
        bound=round(found.bound, 4) if is_known else None,
        capped=tuple(job.describe() for job, is_capped in zip(plan.jobs, found.is_capped, strict=True) if is_capped),
    )


def sentences_of(plan: Plan, found: Allocation, saving: SavingEntry) -> list[str]:
    """Return what the user is told when the pilot is finished.

    Args:
        plan: The plan of the first stage.
        found: Its numbers of episodes.
        saving: What they save.
    """
    if plan.precision is None:
        return []
    numbers, width = found.numbers, plan.precision.half_width
    fewest, most = int(numbers.min()), int(numbers.max())
    each = f"{counted(most, 'episode')} each" if fewest == most else f"{fewest} to {most} episodes"
    whose = "every cell" if plan.precision.target == "cell" else "cells on the average"
    sentences = [
        f"The pilot is finished. For a half-width of {width:g} in {whose}, jobs get {each}, "
        f"{saving.episodes} in all; the {saving.pilot_episodes} of the pilot are kept apart and do not count."
    ]
    if saving.fixed_episodes is not None and saving.share is not None and saving.bound is not None:
        sentences.append(
            f"The same number in every job would take {saving.fixed_episodes} episodes for the same precision: this "
            f"run plays {saving.share:.0%} of that ({saving.share_with_pilot:.0%} with the pilot); no choice of "
            f"numbers could take less than {saving.bound:.0%}."
        )
    if saving.capped:
        widest = float(found.half_widths.max())
        sentences.append(
            f"{len(saving.capped)} of {counted(len(plan.jobs), 'job')} would need more than "
            f"{plan.precision.max_episodes} episodes and stop there, with half-widths up to about {widest:.2g}: "
            f"{listed(saving.capped, '; ')}."
        )
    return sentences
