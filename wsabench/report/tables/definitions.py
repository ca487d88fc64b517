"""What every number of a report means."""

from __future__ import annotations

from typing import NamedTuple


class Definition(NamedTuple):
    """A word and its meaning."""

    word: str
    meaning: str


DEFINITIONS = (
    Definition("return", "Undiscounted, unclipped score of a full game."),
    Definition(
        "normalised score",
        "(return - random) / (human - random), with the scores of random and human play that stand under "
        "Provenance. 0: no better than random play; 1: as the human reference; not clipped.",
    ),
    Definition(
        "retention",
        "Normalised score under a perturbation divided by the clean normalised score of the same train seed, then the "
        "mean over train seeds. 1: unharmed. 0: no better than random. Undefined where the clean score is not above "
        "random play.",
    ),
    Definition("robustness gap", "Clean minus perturbed normalised score of the same train seed. 0: unharmed."),
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
        "95% interval from a bootstrap. Whole train seeds are drawn with replacement, jointly over all cells of a game "
        "and independently between games and agents. It covers what another training run could give. With one train "
        "seed there is none; with two to four (†) they are too few to conclude anything.",
    ),
    Definition(
        "these checkpoints only",
        "95% percentile bootstrap over the episodes of the given checkpoints, paired between clean and perturbed by "
        "episode seed. It says nothing about another training run.",
    ),
    Definition(
        "mean, median, IQM, optimality gap",
        "Over train seeds and cells, after Agarwal et al. 2021: mean over cells of the mean over train seeds; median "
        "over cells of that mean; mean of the middle half of all values (interquartile mean); mean shortfall from 1.",
    ),
    Definition(
        "mean score, worst score, area",
        "Over the severities that were played: mean and lowest normalised score, and the area under the curve of the "
        "normalised score over severity from clean on, divided by the greatest severity.",
    ),
    Definition(
        "corruption error",
        "Shortfall from the human reference, summed over severities, divided by that of the baseline agent; below 1 "
        "is better. Relative: what is lost against clean takes the place of the shortfall. After Hendrycks and "
        "Dietterich 2019.",
    ),
    Definition("rank", "Order of the agents by mean normalised score, 1 is best; ties share the mean rank."),
    Definition(
        "adjusted p",
        "Two-sided. Whole train seeds are relabelled, all perturbations together (step-down max-T); where Welch's t "
        "tests after Holm give a larger p, that counts; then it is adjusted over pairs of agents. A comparison is "
        "decided at 0.05 or less, from five train seeds on.",
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
