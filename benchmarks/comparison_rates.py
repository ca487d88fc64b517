"""False claims and power of comparisons between agents, by simulation: the tables of docs/statistics.md.

Run: python benchmarks/comparison_rates.py (one core, some minutes), or with --data-sets 200 for a first look.

A data set is a pair of agents on 7 perturbations, with a score a train seed and perturbation. The normal draws behind
the scores of one seed are correlated 0.5 unless said. `few are wide`: the agent with fewer seeds (the second, where the
numbers are equal) has three times the spread; `many are wide`: the other one. A real effect is as large as a single
Welch test finds it in 90 % of data sets of that design with normal scores.

holm: today's permutation test of the difference of means, corrected by Holm. max-T: studentised step-down max-T. both:
the larger of max-T's p and that of Welch's tests after Holm, which is what `wsabench.stats.family_test` reports.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import NamedTuple

import numpy as np
from scipy import stats as scipy_stats

from wsabench import stats
from wsabench.seeding import generator
from wsabench.stats.claims.comparisons import MAX_ENUMERATED
from wsabench.types import BoolArray, FloatArray

NUM_TESTS = 7
NUM_REAL = 3
ALPHA = 0.05
DRAWN = 1_999
WIDE = 3.0
FOUND = 0.9
CHUNK = 50
"""Data sets that share the relabellings of today's test."""
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
COUNTS = (SeedCounts(3, 3), SeedCounts(5, 5), SeedCounts(10, 10), SeedCounts(20, 5), SeedCounts(5, 5, 4))


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


class Found(NamedTuple):
    """What one simulation found; rejections have shape (methods, data_sets, NUM_TESTS)."""

    claims: BoolArray
    is_covered: BoolArray
    """Whether the adjusted intervals hold all effects of a data set together."""
    smallest_p: float


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
        raw = stats.two_sample_test(*sides, rng).p.reshape(-1, NUM_TESTS)
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
        p[:, place] = stats.holm(stats.sign_flip_test([block], rng).p), test.max_t_p, test.adjusted_p
    return (p <= ALPHA).any(axis=2)


def print_paired_table(data_sets: int) -> None:
    """Print false claims where train seeds are compared with themselves."""
    print("\n| train seeds | differences | " + " | ".join(METHODS) + " |")
    print("| ---: | --- |" + " ---: |" * len(METHODS))
    for num_seeds in (6, 10):
        for law in LAWS[:3]:
            false = paired_claims(law, num_seeds, data_sets)
            print(f"| {num_seeds} | {law.name} | " + " | ".join(interval(one) for one in false), "|", flush=True)


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


def main() -> None:
    """Print the tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-sets", type=int, default=2_000)
    options = parser.parse_args()
    start = time.process_time()
    print_pair_tables(options.data_sets)
    print_paired_table(options.data_sets)
    print_pairs_table(options.data_sets)
    print(
        f"\nPer cent of {options.data_sets:,} data sets, with 95 % Monte-Carlo intervals. Relabellings: all up to "
        f"{MAX_ENUMERATED:,}, else {DRAWN:,} drawn. {time.process_time() - start:.0f} s of one core."
    )


if __name__ == "__main__":
    main()
