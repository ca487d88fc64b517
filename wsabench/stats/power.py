"""How many train seeds and episodes a planned comparison needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from wsabench.errors import ShapeError, SpecError
from wsabench.stats import one_sided
from wsabench.stats.claims.comparisons import seeds_to_decide
from wsabench.stats.gate import DEFAULT_ALPHA, DEFAULT_MARGIN, MARGIN_FLOOR_SCORE, smallest_p
from wsabench.stats.one_sided import Part
from wsabench.types import FloatArray
from wsabench.words import counted

MAX_SEEDS = 1_000
"""No plan has more train seeds."""
PLANNING_CONFIDENCE = 0.8
"""Confidence of the upper limit of noise (`seed_sd_limit`) with which a comparison is planned from a run."""

_SPREADS = 2_000
"""Quantiles of the spread over which a power is averaged."""
_HALVINGS = 50


class Variation(NamedTuple):
    """What makes the value of a train seed vary; both in the unit of the effect."""

    seed_sd: float
    """Standard deviation between train seeds, apart from the noise of their episodes."""
    episode_sd: float
    """Standard deviation between episodes of one train seed."""


class Design(NamedTuple):
    """What a planned comparison should be able to find."""

    effect: float
    """Difference of means that should be found, for example 0.1 of retention."""
    paired: bool = False
    """Whether every train seed is compared with itself (clean against perturbed)."""
    num_tests: int = 1
    """Perturbations that a pair of agents is tested on, over which alpha is divided (Holm's first step of t tests)."""
    alpha: float = 0.05
    """Probability of any false claim that is accepted; tests are two-sided."""
    power: float = 0.8
    """Probability with which the effect should be found."""
    num_pairs: int = 1
    """Pairs of agents that are compared, over which alpha is divided too."""


class GateDesign(NamedTuple):
    """What a check of one checkpoint against its reference should be able to find."""

    drop: float
    """Share of the reference's score that is lost; like the margin, the share of 0.1 where that score is below 0.1."""
    score: float
    """Normalised score of the reference in a cell."""
    margin: float = DEFAULT_MARGIN
    """Share of the reference's score that may be lost."""
    num_cells: int = 1
    """Number of cells that an agent's average is over."""
    num_agents: int = 1
    """Number of agents in the check, each with `num_cells` cells."""
    alpha: float = DEFAULT_ALPHA
    """Probability of any false alarm in the whole check."""


class GatePower(NamedTuple):
    """Probabilities of an alarm."""

    cell: float
    """Probability of an alarm by the test of one cell, if that cell drops."""
    average: float
    """Probability of an alarm by the test of an agent's average, if all its cells drop; the same as `cell` where it has
    only one cell."""


class Plan(NamedTuple):
    """One way to reach the power that is asked for."""

    num_episodes: int
    """Number of episodes of each train seed in each cell."""
    num_seeds: int
    """Number of train seeds, of each agent unless paired."""
    power: float
    """The power that these numbers reach."""


def power_of(design: Design, variation: Variation, num_seeds: int, num_episodes: int) -> float:
    """Return the probability with which a design finds its effect, computed for the t test.

    A claim needs both the t test and the test by relabelling; the t test is taken as the stricter of the two.

    Args:
        design: The comparison.
        variation: Noise between train seeds and between episodes.
        num_seeds: Number of train seeds, of each agent unless paired; at least 2.
        num_episodes: Number of episodes of each train seed in each cell.

    Returns:
        0 to 1; 0 where so few seeds cannot get the adjusted p to alpha, whatever the scores.

    References:
        Cohen 1988, "Statistical power analysis for the behavioral sciences", chapter 2: noncentral t.
    """
    if num_seeds < seeds_to_decide(design.num_pairs, design.alpha, paired=design.paired):
        return 0.0
    variance = variation.seed_sd**2 + variation.episode_sd**2 / num_episodes
    if variance == 0:
        return 1.0
    samples = 1 if design.paired else 2
    freedom = samples * (num_seeds - 1)
    shift = abs(design.effect) / np.sqrt(samples * variance / num_seeds)
    return one_sided.power(float(shift), freedom, design.alpha / design.num_tests / design.num_pairs / 2.0)


def plans(design: Design, variation: Variation, episodes: Sequence[int]) -> list[Plan | None]:
    """Return, for each number of episodes, the fewest train seeds that reach the power; None above 1,000 seeds.

    Args:
        design: The comparison.
        variation: Noise between train seeds and between episodes.
        episodes: Numbers of episodes of each cell to plan for.

    Raises:
        SpecError: An option is out of range.
    """
    _check(design, variation)
    found: list[Plan | None] = []
    for num_episodes in episodes:
        low, high = seeds_to_decide(design.num_pairs, design.alpha, paired=design.paired), MAX_SEEDS
        if power_of(design, variation, high, num_episodes) < design.power:
            found.append(None)
            continue
        while low < high:
            middle = (low + high) // 2
            enough = power_of(design, variation, middle, num_episodes) >= design.power
            low, high = (low, middle) if enough else (middle + 1, high)
        found.append(Plan(num_episodes, low, power_of(design, variation, low, num_episodes)))
    return found


def averaged(variation: Variation, num_cells: int) -> Variation:
    """Return the noise of the average over cells that one network plays.

    Args:
        variation: The noise of one cell.
        num_cells: Cells that are averaged, at least 1.

    Returns:
        Episodes of different cells are independent, so their part shrinks. What a training run does to one cell it may
        do to all, so the part of train seeds stays: the plan is on the safe side.
    """
    return Variation(variation.seed_sd, variation.episode_sd / float(np.sqrt(num_cells)))


def gate_power(design: GateDesign, episode_sd: float, num_run: int, num_reference: int) -> GatePower:
    """Return how probably `wsabench check` alarms, for one checkpoint on each side and episodes that are not paired.

    Args:
        design: The check.
        episode_sd: Standard deviation between episodes of a cell, in normalised scores, on both sides; above 0.
        num_run: Episodes of each cell in the run, at least 2.
        num_reference: Episodes of each cell in the reference, at least 2.

    Returns:
        Powers by Welch's t test, Holm's first step and half of alpha for averages. The gate's permutation test agrees
        with it for scores that are not far from normal; skewed scores find less, see docs/gate.md.

    Raises:
        SpecError: A number is out of range.
    """
    if min(num_run, num_reference) < 2 or min(design.num_cells, design.num_agents) < 1 or not episode_sd > 0:
        raise SpecError(
            f"Found: {counted(num_run, 'episode')} against {num_reference}, {counted(design.num_cells, 'cell')}, "
            f"{counted(design.num_agents, 'agent')} and a standard deviation of {episode_sd:g}. Allowed: 2 episodes, "
            "1 cell, 1 agent and more, and a standard deviation above 0."
        )
    if not (0 < design.margin < design.drop <= 1 and 0 < design.alpha < 1 and np.isfinite(design.score)):
        raise SpecError(
            f"The drop is {design.drop:g}, the margin {design.margin:g}, alpha {design.alpha:g}. Allowed: 0 < margin < "
            "drop <= 1 and 0 < alpha < 1: a drop within the margin is no regression."
        )
    kept = 1.0 - design.margin if design.score >= MARGIN_FLOOR_SCORE else 1.0
    parts = [
        Part(np.array(scale * episode_sd**2 / n), n - 1) for scale, n in ((1.0, num_run), (kept**2, num_reference))
    ]
    variance, freedom = float(sum(part.variance for part in parts)), float(one_sided.freedom(parts))
    shift = (design.drop - design.margin) * max(design.score, MARGIN_FLOOR_SCORE)
    powers = []
    # Rows are episodes over all cells, so the average has no more degrees of freedom.
    for num_averaged, num_tests in ((1, design.num_cells * design.num_agents), (design.num_cells, design.num_agents)):
        level = smallest_p(num_tests, design.alpha, halved=design.num_cells > 1)
        powers.append(one_sided.power(shift / math.sqrt(variance / num_averaged), freedom, level))
    return GatePower(*powers)


def variation_of(blocks: Sequence[FloatArray]) -> Variation:
    """Estimate the noise between train seeds and between episodes from cells that were played.

    Args:
        blocks: One array for each cell, shape (num_seeds, num_episodes), float64, with at least 2 seeds and 2 episodes.

    Returns:
        The root mean squares over cells. The variance between seeds is that of their means without the episodes' share,
        0 at least.

    Raises:
        ShapeError: A cell has fewer than two train seeds or episodes.

    References:
        The method of moments for one random effect: Searle, Casella & McCulloch 1992, "Variance components", chapter 3.
    """
    within, means, share = _moments(blocks)
    between = float(np.mean(means - within / share))
    return Variation(float(np.sqrt(max(0.0, between))), float(np.sqrt(within.mean())))


def seed_sd_limit(groups: Sequence[Sequence[FloatArray]], confidence: float = PLANNING_CONFIDENCE) -> float:
    """Return an upper confidence limit of the standard deviation between train seeds, to plan with.

    The estimate of `variation_of` from few train seeds is often far too small, and often 0.

    Args:
        groups: For each agent and game its cells, as `variation_of` takes them. Cells of the same networks are not
            independent, so together they count as one; where they are, the limit is on the safe side. Agents and games
            may vary unequally.
        confidence: Probability, at least, with which the limit is not below the truth, for normal values.

    Returns:
        The root of: the limit of the variance of a seed's mean, averaged over cells, minus the episodes' share. 0 where
        even the limit is no more than episodes explain: then the cells say nothing about seeds, and 0 is no number to
        plan with.

    Raises:
        ShapeError: A cell has fewer than two train seeds or episodes.

    References:
        Browne 1995, "On the use of a pilot sample for sample size determination": an upper 80% limit.
        Graybill and Wang 1980, "Confidence intervals on nonnegative linear combinations of variances": exact for one
        group, on the safe side for several.
    """
    within, means, share = _moments([block for blocks in groups for block in blocks])
    places = np.repeat(np.arange(len(groups)), [len(blocks) for blocks in groups])
    parts = np.bincount(places, weights=means) / len(means)
    freedom = np.array([len(blocks[0]) - 1 for blocks in groups])
    above = (freedom / (2.0 * special.gammaincinv(freedom / 2.0, 1.0 - confidence)) - 1.0) * parts
    limit = parts.sum() + np.sqrt(np.sum(above**2))
    return float(np.sqrt(max(0.0, limit - (within / share).mean())))


def detectable_effect(
    standard_error: FloatArray, freedom: FloatArray, critical: FloatArray, power: float = 0.8
) -> FloatArray:
    """Return the smallest effects that t tests with known critical values find with a given power.

    Args:
        standard_error: The standard error of each effect, shape (num_tests,), float64.
        freedom: Degrees of freedom of the standard errors, shape (num_tests,).
        critical: How many standard errors an estimate must exceed, shape (num_tests,).
        power: Probability with which the effect should be found, in its own direction.

    Returns:
        Effects in the unit of the standard errors, shape (num_tests,); NaN where one of them is NaN.

    Raises:
        SpecError: The power is not between 0 and 1.

    References:
        Cohen 1988, chapter 2: noncentral t, here as the mean of a normal probability over the spread's distribution,
        because scipy's function fails for large shifts.
    """
    if not 0 < power < 1:
        raise SpecError(f"The power is {power:g}. Allowed: numbers above 0 and below 1, for example 0.8.")
    freedom, critical = np.asarray(freedom, dtype=np.float64), np.asarray(critical, dtype=np.float64)
    levels = (np.arange(_SPREADS) + 0.5) / _SPREADS
    spreads = np.sqrt(special.chdtri(freedom[:, None], 1.0 - levels) / freedom[:, None])
    limits = critical[:, None] * spreads
    low, high = np.zeros_like(critical), limits.max(axis=1, initial=0.0) + one_sided.CERTAIN
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        is_enough = special.ndtr(middle[:, None] - limits).mean(axis=1) >= power
        low, high = np.where(is_enough, low, middle), np.where(is_enough, middle, high)
    return np.where(np.isnan(critical), np.nan, high) * standard_error


def _moments(blocks: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return, by cell, the variance within train seeds, that of their means, and the number of episodes."""
    if not blocks or any(min(block.shape) < 2 for block in blocks):
        raise ShapeError("Too little to estimate from. Allowed: cells with at least two train seeds and two episodes.")
    within = np.array([block.var(axis=1, ddof=1).mean() for block in blocks])
    means = np.array([block.mean(axis=1).var(ddof=1) for block in blocks])
    return within, means, np.array([block.shape[1] for block in blocks], dtype=np.float64)


def _check(design: Design, variation: Variation) -> None:
    if not (np.isfinite(design.effect) and design.effect != 0):
        raise SpecError(f"The effect is {design.effect:g}. Allowed: numbers other than 0, for example 0.1.")
    if not (np.isfinite(variation).all() and min(variation) >= 0):
        raise SpecError(
            f"Standard deviations are {variation.seed_sd:g} between train seeds, {variation.episode_sd:g} between "
            "episodes. Allowed: numbers from 0."
        )
    if not (0 < design.alpha < 1 and design.alpha < design.power < 1 and min(design.num_tests, design.num_pairs) >= 1):
        raise SpecError(
            f"alpha is {design.alpha:g}, the power {design.power:g}, the number of tests {design.num_tests}, "
            f"that of pairs {design.num_pairs}. Allowed: 0 < alpha < power < 1, at least one test and one pair."
        )
