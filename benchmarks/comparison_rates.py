"""False claims and power of comparisons between agents, by simulation: the tables of docs/statistics.md.

Run: python benchmarks/comparison_rates.py (one core, some minutes), or with --data-sets 200 for a first look.

A data set is a pair of agents on 7 perturbations, with a score a train seed and perturbation. The normal draws behind
the scores of one seed are correlated 0.5 unless said. `few are wide`: the agent with fewer seeds (the second, where the
numbers are equal) has three times the spread; `many are wide`: the other one. A real effect is as large as a single
Welch test finds it in 90 % of data sets of that design with normal scores.

holm: the permutation test of the difference of means, corrected by Holm. max-T: studentised step-down max-T. both:
the larger of max-T's p and that of Welch's tests after Holm, which is what `wsabench.stats.family_test` reports.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy import special
from scipy import stats as scipy_stats

from wsabench import stats
from wsabench.seeding import generator
from wsabench.stats.claims.comparisons import MAX_ENUMERATED
from wsabench.stats.claims.contrasts import checked_samples, contrast_of
from wsabench.stats.claims.families import relabel, studentised
from wsabench.types import BoolArray, FloatArray

NUM_TESTS = 7
NUM_REAL = 3
ALPHA = 0.05
DRAWN = 1_999
RATIO_DRAWN = 999
WIDE = 3.0
FOUND = 0.9
CHUNK = 50
"""Data sets that share the relabellings of the plain test."""
METHODS = ("holm", "max-T", "both")


class Law(NamedTuple):
    """How the scores of a train seed are spread."""

    name: str
    rho: float = 0.5
    is_lognormal: bool = False
    spreads: tuple[float, float] = (1.0, 1.0)


class SeedCounts(NamedTuple):
    """Train seeds of both agents, the same in each game."""

    num_x: int
    num_y: int
    num_games: int = 1


LAWS = (
    Law("normal, cells independent", 0.0),
    Law("normal, cells correlated 0.9", 0.9),
    Law("lognormal", is_lognormal=True),
    Law("few are wide", spreads=(1.0, WIDE)),
    Law("many are wide", spreads=(WIDE, 1.0)),
    Law("lognormal, few are wide", is_lognormal=True, spreads=(1.0, WIDE)),
)
COUNTS = (
    *(SeedCounts(3, 3), SeedCounts(5, 5), SeedCounts(10, 10), SeedCounts(20, 5), SeedCounts(5, 5, 4)),
    *(SeedCounts(3, 3, 2), SeedCounts(3, 3, 4), SeedCounts(3, 3, 10)),
)
RATIO_COUNTS = (SeedCounts(5, 5), SeedCounts(10, 10), SeedCounts(20, 5), SeedCounts(5, 5, 4), SeedCounts(3, 3, 4))


def scores(law: Law, num_seeds: int, spread: float, data_sets: int, rng: np.random.Generator) -> FloatArray:
    """Draw scores with mean 0, shape (data_sets, num_seeds, NUM_TESTS); `spread` is their standard deviation."""
    shared = rng.normal(size=(data_sets, num_seeds, 1))
    normal = np.sqrt(law.rho) * shared + np.sqrt(1 - law.rho) * rng.normal(size=(data_sets, num_seeds, NUM_TESTS))
    if not law.is_lognormal:
        return spread * normal
    return spread * (np.exp(normal) - np.exp(0.5)) / np.sqrt((np.e - 1.0) * np.e)


def real_effect(law: Law, counts: SeedCounts) -> float:
    """Return the effect that a Welch test finds in 90 % where scores are normal."""
    parts = np.square(law.spreads) / (counts.num_x, counts.num_y) / counts.num_games
    below = np.array([counts.num_x, counts.num_y]) - 1
    freedom = counts.num_games * parts.sum() ** 2 / (parts**2 / below).sum()
    critical = scipy_stats.t.ppf(1 - ALPHA / 2, freedom)
    error = np.sqrt(parts.sum())
    return float(stats.detectable_effect(np.array([error]), np.array([freedom]), np.array([critical]), FOUND)[0])


class RatioLaw(NamedTuple):
    """How two agents' clean and perturbed scores are spread; sd are of the log, episodes include a share of zeros."""

    name: str
    clean: tuple[float, float] = (3.0, 1.0)
    """True clean normalised scores of both agents: seldom the same."""
    seeds: tuple[float, float] = (0.5, 0.5)
    cells: tuple[float, float] = (0.4, 0.4)
    episodes: tuple[float, float] = (1.0, 1.0)
    zeros: tuple[float, float] = (0.15, 0.15)
    collapsed: float = 0.0
    """Share of train seeds that score 0 in every perturbed cell."""


KEPT, KEPT_REAL = 0.5, 0.1
"""True retention; that of the second agent where the difference is real."""
NUM_EPISODES = 10
RATIO_LAWS = (
    RatioLaw("mild", seeds=(0.2, 0.2), cells=(0.15, 0.15), episodes=(0.4, 0.4), zeros=(0.0, 0.0)),
    RatioLaw("heavy"),
    RatioLaw("heavy, clean 1 and 0.3", clean=(1.0, 0.3)),
    RatioLaw("heavy, 10 % collapsed", collapsed=0.1),
    RatioLaw("mild and heavy", seeds=(0.2, 0.5), cells=(0.15, 0.4), episodes=(0.4, 1.0), zeros=(0.0, 0.15)),
)
RATIO_WAYS = ("linearised", "delete-one", "relabelled")


class RatioScores(NamedTuple):
    """Scores of one agent in one game."""

    clean: FloatArray
    """Of episodes, shape (data_sets, num_seeds, NUM_EPISODES)."""
    perturbed: FloatArray
    """Means over episodes, shape (data_sets, num_seeds, NUM_TESTS)."""


def ratio_scores(
    law: RatioLaw, place: int, num_seeds: int, kept: FloatArray, data_sets: int, rng: np.random.Generator
) -> RatioScores:
    """Draw clean and perturbed scores of one of the two agents."""
    shape = (data_sets, num_seeds, 1 + NUM_TESTS, NUM_EPISODES)

    def effect(sd: float, size: tuple[int, ...]) -> FloatArray:
        return np.exp(sd * rng.normal(size=size) - sd**2 / 2)

    levels = law.clean[place] * np.concatenate([[1.0], kept])
    means = levels[:, None] * effect(law.seeds[place], (*shape[:2], 1, 1)) * effect(law.cells[place], (*shape[:3], 1))
    values = means * effect(law.episodes[place], shape) / (1 - law.zeros[place])
    values[rng.random(shape) < law.zeros[place]] = 0.0
    values[:, :, 1:] *= (rng.random((*shape[:2], 1, 1)) >= law.collapsed) / (1 - law.collapsed)
    return RatioScores(values[:, :, 0], values[:, :, 1:].mean(axis=-1))


def linearised(clean: FloatArray, perturbed: FloatArray) -> FloatArray:
    """Return the ratio of means and each seed's share in it, to first order."""
    ratio = perturbed.mean(axis=0) / clean.mean()
    return ratio + (perturbed - ratio * clean[:, None]) / clean.mean()


def relabelled_p(x: list[FloatArray], y: list[FloatArray], rng: np.random.Generator, draws: int) -> FloatArray:
    """Return max-T's p of ratios that are computed anew from relabelled seeds.

    Args:
        x: For each game clean and perturbed scores by train seed, divided by the agent's mean clean score, shape
            (num_seeds, 1 + NUM_TESTS).
        y: The other agent's.
        rng: Where relabellings are drawn from.
        draws: How many, where there are too many to try all.
    """
    labels = relabel([(len(a), len(b)) for a, b in zip(x, y, strict=True)], rng, draws).games
    difference, variance = 0.0, 0.0
    for one, a, b in zip(labels, x, y, strict=True):
        pooled = np.concatenate([a, b])
        for sign, chosen in ((1.0, one), (-1.0, 1.0 - one)):
            count = chosen.sum(axis=1, keepdims=True)
            means = chosen @ pooled / count
            ratio = means[:, 1:] / means[:, :1]
            squares = chosen @ pooled[:, 1:] ** 2 - 2 * ratio * (chosen @ (pooled[:, 1:] * pooled[:, :1]))
            squares += ratio**2 * (chosen @ pooled[:, :1] ** 2)
            difference = difference + sign * ratio
            variance = variance + squares.clip(0.0) / (count * (count - 1)) / means[:, :1] ** 2
    return stats.step_down(np.abs(difference) / np.sqrt(np.maximum(variance, 1e-300)))


class RatioClaims(NamedTuple):
    """What was claimed of ratios; arrays over data sets in which retention is defined for both agents."""

    max_t: BoolArray
    """Claims of max-T by itself, shape (ways, data_sets, NUM_TESTS)."""
    both: BoolArray
    """Of the larger of it and the t tests' p after Holm."""
    share_given: float


def ratio_claims(law: RatioLaw, counts: SeedCounts, num_real: int, data_sets: int) -> RatioClaims:
    """Test both agents' retention in each data set by three kinds of unit."""
    rng = generator(0, "comparison rates", "ratio", law.name, *counts, num_real)
    kept = np.full(NUM_TESTS, KEPT), np.where(np.arange(NUM_TESTS) < num_real, KEPT_REAL, KEPT)
    numbers = counts.num_x, counts.num_y
    sides = [
        [ratio_scores(law, place, numbers[place], kept[place], data_sets, rng) for _ in range(counts.num_games)]
        for place in (0, 1)
    ]
    found: list[FloatArray] = []
    for place in range(data_sets):
        if not all(stats.clean_bound(one.clean[place]).is_defined for side in sides for one in side):
            continue
        games = [[(one.clean[place].mean(axis=1), one.perturbed[place]) for one in side] for side in sides]
        units = [[[way(*game) for game in side] for side in games] for way in (linearised, stats.retention_shares)]
        if any(np.isnan(block).any() for side in units[1] for block in side):
            continue
        tests = [stats.family_test(*unit, rng, ALPHA, RATIO_DRAWN) for unit in units]
        scaled = [[np.column_stack(game) / game[0].mean() for game in side] for side in games]
        again = relabelled_p(*scaled, rng, RATIO_DRAWN)
        welch = stats.holm(tests[1].welch_p)
        max_t = [tests[0].max_t_p, tests[1].max_t_p, again]
        found.append(np.array([max_t, [tests[0].adjusted_p, tests[1].adjusted_p, np.maximum(again, welch)]]))
    claims = np.moveaxis(np.array(found) <= ALPHA, 0, 2)
    return RatioClaims(claims[0], claims[1], len(found) / data_sets)


def print_ratio_table(data_sets: int) -> None:
    """Print false claims about retention, and power, by what stands for a train seed."""
    print("\n| train seeds | scores | given | " + " | ".join(f"nothing real: {way}" for way in RATIO_WAYS), end=" | ")
    print("max-T alone: delete-one | " + " | ".join(f"3 of 7 real: {way}" for way in RATIO_WAYS), end=" | ")
    print(" | ".join(f"found: {way}" for way in RATIO_WAYS) + " |")
    print("| --- | --- | ---: |" + " ---: |" * 10)
    for counts in RATIO_COUNTS:
        games = f", {counts.num_games} games" if counts.num_games > 1 else ""
        for law in RATIO_LAWS:
            none, some = (ratio_claims(law, counts, num_real, data_sets) for num_real in (0, NUM_REAL))
            false = [*none.both.any(axis=2), none.max_t[1].any(axis=1), *some.both[:, :, NUM_REAL:].any(axis=2)]
            power = 100 * some.both[:, :, :NUM_REAL].mean(axis=(1, 2))
            cells = [interval(one) for one in false] + [f"{share:.0f}" for share in power]
            start = f"| {counts.num_x} and {counts.num_y}{games} | {law.name} | {100 * none.share_given:.0f} | "
            print(start + " | ".join(cells), "|", flush=True)


class Found(NamedTuple):
    """What one simulation found; rejections have shape (methods, data_sets, NUM_TESTS)."""

    claims: BoolArray
    is_covered: BoolArray
    """Whether the adjusted intervals hold all effects of a data set together."""
    smallest_p: float


def difference_p(x: list[FloatArray], y: list[FloatArray], rng: np.random.Generator) -> FloatArray:
    """Return p of the plain permutation of the difference of means, two-sided, shape (num_tests,)."""
    sizes = [(len(a), len(b)) for a, b in zip(x, y, strict=True)]
    is_exact = math.prod(math.comb(sum(size), size[0]) for size in sizes) <= MAX_ENUMERATED
    labels = relabel(sizes, rng).games if is_exact else [drawn_labels(*size, rng) for size in sizes]
    sums = 0.0
    for one, a, b in zip(labels, x, y, strict=True):
        pooled = np.concatenate([a, b])
        sums = sums + (one @ pooled / len(a) - (1.0 - one) @ pooled / len(b)) / len(x)
    observed, slack = sums[0], 1e-10 * sum(np.abs(side).sum(axis=0) for side in (*x, *y))
    if is_exact and all(first == second for first, second in sizes):  # half of the relabellings, the others mirror them
        return (np.abs(sums) >= np.abs(observed) - slack).mean(axis=0)
    upper, lower = (sums >= observed - slack).mean(axis=0), (sums <= observed + slack).mean(axis=0)
    return np.minimum(1.0, 2.0 * np.minimum(upper, lower))


def drawn_labels(num_x: int, num_y: int, rng: np.random.Generator) -> FloatArray:
    """Return the observed labels and 9,999 drawn ones, 1 for x, one a row."""
    labels = np.repeat([1.0, 0.0], [num_x, num_y])
    return np.concatenate([labels[None], rng.permuted(np.broadcast_to(labels, (9_999, len(labels))), axis=1)])


def simulate(law: Law, counts: SeedCounts, num_real: int, data_sets: int) -> Found:
    """Test both agents in each data set; the first `num_real` perturbations have a real effect."""
    rng = generator(0, "comparison rates", law.name, *counts, num_real)
    effects = np.where(np.arange(NUM_TESTS) < num_real, real_effect(law, counts), 0.0)
    games = range(counts.num_games)
    x = [scores(law, counts.num_x, law.spreads[0], data_sets, rng) + effects for _ in games]
    y = [scores(law, counts.num_y, law.spreads[1], data_sets, rng) for _ in games]
    p = np.empty((len(METHODS), data_sets, NUM_TESTS))
    is_covered = np.empty(data_sets, dtype=np.bool_)
    smallest = 0.0
    for place in range(data_sets):
        test = stats.family_test([one[place] for one in x], [one[place] for one in y], rng, ALPHA, DRAWN)
        p[1:, place] = test.max_t_p, test.adjusted_p
        is_covered[place] = np.all((test.low <= effects) & (effects <= test.high))
        smallest = test.smallest_p
    for start in range(0, data_sets, CHUNK):
        some = slice(start, start + CHUNK)
        sides = [[np.moveaxis(one[some], 0, 1).reshape(one.shape[1], -1) for one in side] for side in (x, y)]
        raw = difference_p(*sides, rng).reshape(-1, NUM_TESTS)
        p[0, some] = [stats.holm(row) for row in raw]
    return Found(p <= ALPHA, is_covered, smallest)


def interval(hits: BoolArray) -> str:
    """Return a share in per cent with its 95 % Wilson interval."""
    bounds = scipy_stats.binomtest(int(hits.sum()), hits.size).proportion_ci(method="wilson")
    return f"{100 * hits.mean():.1f} [{100 * bounds.low:.1f}, {100 * bounds.high:.1f}]"


def print_pair_tables(data_sets: int) -> None:
    """Print false claims, and power with coverage, of a pair of agents."""
    power: list[str] = []
    print("| train seeds | scores | " + " | ".join(f"nothing real: {name}" for name in METHODS), end=" | ")
    print(" | ".join(f"3 of 7 real: {name}" for name in METHODS) + " |")
    print("| --- | --- |" + " ---: |" * 2 * len(METHODS))
    for counts in COUNTS:
        games = f", {counts.num_games} games" if counts.num_games > 1 else ""
        name = f"{counts.num_x} and {counts.num_y}{games}"
        for law in LAWS:
            none, some = (simulate(law, counts, num_real, data_sets) for num_real in (0, NUM_REAL))
            false = [none.claims.any(axis=2), some.claims[:, :, NUM_REAL:].any(axis=2)]
            print(f"| {name} | {law.name} | " + " | ".join(interval(one) for part in false for one in part), "|")
            shares = 100 * some.claims[:, :, :NUM_REAL].mean(axis=(1, 2))
            whole = 100 * some.claims[:, :, :NUM_REAL].any(axis=2).mean(axis=1)
            cells = [f"{share:.0f}, {every:.0f}" for share, every in zip(shares, whole, strict=True)]
            held = interval(some.is_covered)
            power.append(f"| {name} | {law.name} | {some.smallest_p:.2g} | " + " | ".join(cells) + f" | {held} |")
            sys.stdout.flush()
    print("\n| train seeds | scores | smallest p | " + " | ".join(METHODS) + " | intervals hold all |")
    print("| --- | --- | ---: |" + " ---: |" * (len(METHODS) + 1))
    print("\n".join(power))


def paired_claims(law: Law, num_seeds: int, data_sets: int) -> BoolArray:
    """Return whether each data set of paired differences makes any false claim, shape (methods, data_sets)."""
    rng = generator(0, "comparison rates", "paired", law.name, num_seeds)
    differences = scores(law, num_seeds, 1.0, data_sets, rng)
    p = np.empty((len(METHODS), data_sets, NUM_TESTS))
    for place, block in enumerate(differences):
        test = stats.family_test([block], None, rng, ALPHA, DRAWN)
        p[:, place] = stats.holm(test.single_p), test.max_t_p, test.adjusted_p
    return (p <= ALPHA).any(axis=2)


def print_paired_table(data_sets: int) -> None:
    """Print false claims where train seeds are compared with themselves."""
    print("\n| train seeds | differences | " + " | ".join(METHODS) + " |")
    print("| ---: | --- |" + " ---: |" * len(METHODS))
    for num_seeds in (6, 10):
        for law in LAWS[:3]:
            false = paired_claims(law, num_seeds, data_sets)
            print(f"| {num_seeds} | {law.name} | " + " | ".join(interval(one) for one in false), "|", flush=True)


REMEDIES = ("as reported", "with Johnson's t", "with bootstrap-t", "with the largest bootstrap-t")


def remedied_p(sides: list[FloatArray], rng: np.random.Generator) -> FloatArray:
    """Return p of what a report says, and of the larger of it and a test for skewed seeds.

    Args:
        sides: The scores of each agent, or paired differences alone, shape (data_sets, num_seeds, NUM_TESTS).
        rng: Where relabellings and resamples are drawn from; all data sets share them.

    Returns:
        p by `REMEDIES`, shape (methods, data_sets, NUM_TESTS): of Johnson's (1978) t, corrected by Holm; of the
        bootstrap-t of each test, twice its smaller tail, corrected by Holm; of the largest bootstrap-t of the tests
        that are left, by step-down max-T.
    """
    flat = [np.moveaxis(side, 1, 0).reshape(side.shape[1], -1) for side in sides]
    samples = checked_samples(flat[:1], flat[1:] or None)
    estimate, drawn = contrast_of(samples), relabel(samples.sizes, rng, RATIO_DRAWN)

    def by_set(values: FloatArray) -> FloatArray:
        return values.reshape(*values.shape[:-1], -1, NUM_TESTS)

    welch = stats.holm(by_set(2.0 * np.minimum(*estimate.p())))
    reported = np.maximum(stats.step_down(by_set(studentised(samples, drawn))), welch)
    t = estimate.effect / estimate.standard_error
    skewness = np.zeros_like(t)  # the third moment of the difference, in standard errors
    shift, variance = np.zeros((RATIO_DRAWN, t.size)), np.zeros((RATIO_DRAWN, t.size))
    for sign, side in zip((1.0, -1.0), flat, strict=False):
        count, centred = len(side), side - side.mean(axis=0)
        third = (centred**3).sum(axis=0) / count / ((count - 1) * (count - 2))
        skewness += sign * third / estimate.standard_error**3
        weights = rng.multinomial(count, np.full(count, 1.0 / count), RATIO_DRAWN) / count
        mean = weights @ centred
        shift += sign * mean
        variance += (weights @ centred**2 - mean**2).clip(0.0) / (count - 1)
    johnson = 2.0 * special.stdtr(estimate.freedom, -np.abs(t + skewness / 6.0 + skewness * t**2 / 3.0))
    resampled = shift / np.sqrt(np.maximum(variance, 1e-300))
    tails = [(1.0 + (side * resampled >= side * t).sum(axis=0)) / (1.0 + RATIO_DRAWN) for side in (1.0, -1.0)]
    largest = stats.step_down(by_set(np.abs(np.concatenate([t[None], resampled]))))
    others = [stats.holm(by_set(one)) for one in (johnson, np.minimum(1.0, 2.0 * np.minimum(*tails)))]
    return np.array([reported, *(np.maximum(reported, one) for one in (*others, largest))])


def remedied_claims(draw: Callable[[int], list[FloatArray]], data_sets: int, rng: np.random.Generator) -> BoolArray:
    """Return what is claimed, shape (methods, data_sets, NUM_TESTS); `draw` returns so many data sets."""
    return np.concatenate([remedied_p(draw(CHUNK), rng) for _ in range(0, data_sets, CHUNK)], axis=1) <= ALPHA


def sides_of(law: Law, counts: SeedCounts, num_real: int, rng: np.random.Generator, data_sets: int) -> list[FloatArray]:
    """Draw both agents' scores, or paired differences where the second has no seeds."""
    numbers = [number for number in counts[:2] if number]
    effect = real_effect(law, counts if counts.num_y else SeedCounts(counts.num_x, counts.num_x))
    sides = [scores(law, number, spread, data_sets, rng) for number, spread in zip(numbers, law.spreads, strict=False)]
    return [sides[0] + np.where(np.arange(NUM_TESTS) < num_real, effect, 0.0), *sides[1:]]


def unchanged(num_seeds: int, rng: np.random.Generator, data_sets: int) -> list[FloatArray]:
    """Draw clean minus perturbed scores of an agent that no perturbation touches, under the heavy law."""
    found = ratio_scores(RATIO_LAWS[1], 0, num_seeds, np.ones(NUM_TESTS), data_sets, rng)
    return [found.clean.mean(axis=2)[..., None] - found.perturbed]


def print_remedies_table(data_sets: int) -> None:
    """Print what tests for skewed seeds would claim falsely, and what they would find."""
    print("\n| train seeds | scores | " + " | ".join(f"nothing real: {name}" for name in REMEDIES), end=" | ")
    print(" | ".join(f"found: {name}" for name in REMEDIES) + " |")
    print("| --- | --- |" + " ---: |" * 2 * len(REMEDIES))
    for counts in (SeedCounts(5, 5), SeedCounts(10, 10), SeedCounts(20, 5), SeedCounts(6, 0), SeedCounts(10, 0)):
        name = f"{counts.num_x} and {counts.num_y}" if counts.num_y else f"{counts.num_x}, paired"
        for law in (*LAWS[:3], *LAWS[3 if counts.num_y else 6 :: 2]):
            none, some = (
                remedied_claims(partial(sides_of, law, counts, num_real, rng), data_sets, rng)
                for num_real in (0, NUM_REAL)
                for rng in [generator(0, "comparison rates", "remedies", law.name, *counts, num_real)]
            )
            real = 100 * some[:, :, :NUM_REAL]
            found = [f"{one.mean():.0f}, {one.max(axis=1).mean():.0f}" for one in real]
            print(f"| {name} | {law.name} | " + " | ".join([*map(interval, none.any(axis=2)), *found]), "|", flush=True)
    for num_seeds in (6, 10):
        rng = generator(0, "comparison rates", "unchanged", num_seeds)
        false = remedied_claims(partial(unchanged, num_seeds, rng), data_sets, rng).any(axis=2)
        cells = [*map(interval, false), *("-" for _ in REMEDIES)]
        print(f"| {num_seeds}, paired | clean minus perturbed, heavy | " + " | ".join(cells), "|", flush=True)


def several_agents(num_seeds: int, num_agents: int, data_sets: int) -> BoolArray:
    """Return whether each data set makes any false claim over all pairs, shape (3 ways, data_sets).

    All agents differ, by far, in one perturbation and in no other.
    """
    rng = generator(0, "comparison rates", "pairs", num_seeds, num_agents)
    law = LAWS[0]
    draws = [scores(law, num_seeds, 1.0, data_sets, rng) for _ in range(num_agents)]
    for place, one in enumerate(draws):
        one[:, :, 0] += 50.0 * place
    pairs = [(one, two) for one in range(num_agents) for two in range(one)]
    false = np.empty((3, data_sets), dtype=np.bool_)
    for place in range(data_sets):
        p = np.array([stats.family_test([draws[a][place]], [draws[b][place]], rng).adjusted_p for a, b in pairs])
        # Wrong: a pair that Holm claims by its smallest p passes its share on to the pairs that are left.
        smallest = p.min(axis=1)
        factors = np.empty(len(pairs))
        factors[np.argsort(smallest, kind="stable")] = np.arange(len(pairs), 0, -1)
        naive = np.maximum(stats.holm(smallest)[:, None], factors[:, None] * p)
        for way, adjusted in enumerate((p, naive, np.array(stats.adjust_over_pairs(list(p))))):
            false[way, place] = np.any(adjusted[:, 1:] <= ALPHA)
    return false


def print_pairs_table(data_sets: int) -> None:
    """Print false claims over all pairs of several agents."""
    print("\n| agents | train seeds each | each pair by itself | Holm over the pairs' smallest p | as reported |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for num_agents, num_seeds in ((2, 5), (3, 5), (4, 6), (5, 6)):
        false = several_agents(num_seeds, num_agents, data_sets)
        print(f"| {num_agents} | {num_seeds} | " + " | ".join(interval(one) for one in false), "|", flush=True)


TABLES = {
    "pair": print_pair_tables,
    "paired": print_paired_table,
    "remedies": print_remedies_table,
    "pairs": print_pairs_table,
    "ratios": print_ratio_table,
}


def main() -> None:
    """Print the tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-sets", type=int, default=2_000)
    parser.add_argument("--tables", nargs="+", choices=tuple(TABLES), default=tuple(TABLES))
    options = parser.parse_args()
    start = time.process_time()
    for name in options.tables:
        TABLES[name](options.data_sets)
    print(
        f"\nPer cent of {options.data_sets:,} data sets, with 95 % Monte-Carlo intervals. Relabellings: all up to "
        f"{MAX_ENUMERATED:,}, else {DRAWN:,} drawn ({RATIO_DRAWN:,} for ratios). "
        f"{time.process_time() - start:.0f} s of one core."
    )


if __name__ == "__main__":
    main()
