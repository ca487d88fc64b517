"""What the words and numbers of a report mean."""

from __future__ import annotations

from typing import NamedTuple

from wsabench.results.manifest import RecordedPlan
from wsabench.stats import CLEAN_FLOOR


class Definition(NamedTuple):
    """A word and its meaning."""

    word: str
    """The word, or several that are defined together."""
    meaning: str
    """What it means, in sentences."""


DEFINITIONS = (
    Definition("return", "Undiscounted, unclipped score of a full game."),
    Definition(
        "normalised score",
        "(return - random) / (human - random), with the scores of random and human play that stand under "
        "Provenance. 0: no better than random play; 1: as the human reference; not clipped.",
    ),
    Definition(
        "retention",
        "Normalised score under a perturbation divided by the clean one, both averaged over episodes and train seeds "
        "first (a ratio of means), corrected for bias; then the mean over games. 1: unharmed. 0: no better than "
        f"random. Undefined where the clean score of these checkpoints is not surely above {CLEAN_FLOOR:g} (one-sided "
        "lower 95% bound over their episodes); averages leave such games out. Small dots are each train seed's own "
        "ratio.",
    ),
    Definition(
        "capped retention, cells kept, cells lost",
        "Capped: the mean where each cell counts 1 at most, so that gains do not pay for collapse. Kept and lost: "
        "share of cells with a retention of at least 0.8, and of at most 0.1.",
    ),
    Definition("robustness gap", "Clean minus perturbed normalised score. 0: unharmed."),
    Definition(
        "average",
        "Train seeds first, then the severities of a perturbation, then the perturbations of a game, then games, each "
        "counting the same. What lacks a number leaves the average and is named.",
    ),
    Definition("train seed", "Identifies one training run: one trained network, which plays every cell of its game."),
    Definition(
        "privileged",
        "An agent (§) that reads the emulator's memory, which no perturbation of pixels reaches. It is not compared "
        "with agents on pixels: they alone have ranks, sentences and bold numbers.",
    ),
    Definition("episode seed", "Fixes one episode's randomness. Every agent and perturbation plays the same ones."),
    Definition("cell", "One game, perturbation and severity."),
    Definition(
        "interval over train seeds",
        "95% interval of what another training run could give. Mean scores and gaps: bootstrap-t. Retention: Fieller's "
        "interval with delete-one errors. All others: corrected bootstrap. Whole train seeds are taken, jointly over "
        "all cells of a game and independently between games and agents. With one or two train seeds there is none; "
        "three or four in one game (†) are too few to conclude anything.",
    ),
    Definition(
        "joint and rliable's resampling",
        "Joint: the interval over train seeds as above. rliable (report --interval rliable): percentiles of its own "
        "stratified bootstrap, which draws the train seeds of each cell by themselves (Agarwal et al. 2021, section "
        "4.1). Both are of aggregates and profiles, whose values are rliable's.",
    ),
    Definition(
        "these checkpoints only",
        "Two-sided 95% interval by the corrected bootstrap over the episodes of the given checkpoints, paired between "
        "clean and perturbed by episode seed, train seeds held fixed. It says nothing about another training run.",
    ),
    Definition(
        "mean, median, IQM, optimality gap",
        "After Agarwal et al. 2021. Mean: the average defined here. Median over cells of the mean over train seeds; "
        "interquartile mean, of the middle half of all train seeds and cells; mean shortfall from 1.",
    ),
    Definition(
        "mean score, worst score",
        "Mean and lowest normalised score over the severities that were played.",
    ),
    Definition(
        "area over dose",
        "Mean normalised score over the measured change of the observation, from the weakest to the strongest severity "
        "that was played, by the trapezoidal rule: each severity counts for the stretch of change around it, whatever "
        "its number. Clean play is no part of it: 0 for a total failure, the clean score for an unharmed agent.",
    ),
    Definition(
        "corruption error",
        "Shortfall from the human reference, summed over severities, divided by that of the baseline agent; below 1 "
        "is better. Relative: what is lost against clean takes the place of the shortfall. After Hendrycks and "
        "Dietterich 2019.",
    ),
    Definition(
        "error difference, loss difference",
        "Mean error minus the baseline's, the error being 1 - score / T with T the best of human play and both clean "
        "scores of the game; the same of what is lost against clean. Below 0 is better. Unlike the ratios they are "
        "defined where the baseline makes no error or loses nothing. After Michaelis et al. 2019.",
    ),
    Definition("rank", "Order of the agents by mean normalised score, 1 is best; ties share the mean rank."),
    Definition(
        "adjusted p",
        "Two-sided. Whole train seeds are relabelled, all perturbations together (step-down max-T); where Welch's t "
        "tests after Holm give a larger p, that counts; then it is adjusted over pairs of agents. A comparison is "
        "decided at 0.05 or less, from five train seeds on, or from three in each of several games.",
    ),
    Definition(
        "equivalent within a margin",
        "Two one-sided t tests show that a difference is smaller than a margin that was chosen before looking. Not "
        "decided is never equivalent.",
    ),
    Definition(
        "sample efficiency",
        "IQM over train seeds and games of the normalised score at each point of training, there the mean of the last "
        "50 games, under the conditions of training.",
    ),
    Definition(
        "probability of improvement",
        "How often a random train seed of the first agent scores above a random one of the second, averaged over "
        "cells; ties count half. It does not say by how much.",
    ),
    Definition("performance profile", "Fraction of all train seeds and cells whose normalised score exceeds τ."),
    Definition(
        "effective robustness",
        "Mean perturbed score minus what the mean clean score lets expect, by a least-squares line through the train "
        "seeds of all other agents, each agent weighing the same. From eight agents on. After Taori et al. 2020, "
        "'Measuring robustness to natural distribution shifts in image classification'.",
    ),
    Definition(
        "rank correlation",
        "Spearman's (1904) correlation of the agents' clean and perturbed scores: 1 where the clean order is the "
        "perturbed order. From three agents on, its interval, which draws agents, from eight on.",
    ),
    Definition(
        "components of variance",
        "Of an agent's normalised scores in a game: mean of the cell + train seed + cell x train seed + episode, cells "
        "fixed, the others random. Searle, Casella and McCulloch 1992; intervals after Weerahandi 1993.",
    ),
    Definition(
        "worst family, worst quarter of cells",
        "Lowest mean score of a family of perturbations, and mean score of the lowest quarter of cells (conditional "
        "value at risk, Rockafellar and Uryasev 2002). Half of the episodes choose, the other half measure, over 30 "
        "splits, because what is chosen for being low comes out too low (Cox 1975; Chernozhukov et al. 2018).",
    ),
    Definition(
        "normalisers",
        "What scores above random play are divided by: human play, the best clean score of any agent, the agent's own "
        "clean score; or sign(s) log(1 + |s|) of the human-normalised score s. Agreement of two orders: Kendall's "
        "(1945) tau-b.",
    ),
    Definition(
        "a new game",
        "Interval for the value that one more game of this kind will show, mean +- t s sqrt(1 + 1 / n), and for their "
        "mean, mean +- t s / sqrt(n), from five games on. Higgins, Thompson and Spiegelhalter 2009, 'A "
        "re-evaluation of random-effects meta-analysis'.",
    ),
    Definition(
        "attention weight",
        "Share that the attention gives an encoder at a step; the weights of a step sum to 1. Entropy in nats: 0 when "
        "one encoder takes all. Shift: share of the weight that stands with other encoders than under clean, of the "
        "same train seed, then the mean over train seeds. 0: as under clean; 1: all of it moved.",
    ),
    Definition(
        "static steps",
        "Share of the steps in which replacing the attention's context by that of another random step of the episode "
        "changes no weight by more than 1e-6: the mean of 16 draws, of up to 512 steps of each episode, then the mean "
        "over train seeds. 1: the context could be anything. Missing in runs of earlier versions.",
    ),
    Definition(
        "context's share of variance",
        "Of the variance of the attention weights: the total-effect index E|w(c, s) - w(c', s)|^2 / (2 tr Var w), with "
        "c the context and s the adapted embeddings of a step, c' the context of another step of the episode. 0: the "
        "context does nothing. About 1: it alone decides. Undefined where the weights do not vary.",
    ),
    Definition("change, grey levels", "Mean absolute change of the 84x84 observation, out of 255, on random play."),
    Definition(
        "no effect measured",
        "A cell (‡) that was played, and in which every episode has the return, length and end of the clean episode of "
        "the same network and episode seed: what changed has no weight in what this network does. Cells that cannot "
        "touch an agent at all, whatever its weights, are not played; they stand among the caveats.",
    ),
    Definition("stalled", "Ended after too many steps without reward or lost life; the return counts as it stood."),
)


_SEED_BESIDE_STARTS = (
    " In jobs of greedy play that draw nothing, and so play each start once, the seed does not choose the start: "
    "episodes of one seed need not begin alike there and in other jobs."
)


def definitions_of(plan: RecordedPlan) -> tuple[Definition, ...]:
    """Return the definitions, with what is different in this run.

    Args:
        plan: What was planned.
    """
    once = [job.each_start_once for job in plan.jobs]
    if all(once) or not any(once):
        return DEFINITIONS
    return tuple(
        one._replace(meaning=one.meaning + _SEED_BESIDE_STARTS) if one.word == "episode seed" else one
        for one in DEFINITIONS
    )
