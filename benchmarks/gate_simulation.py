"""How often the gate alarms: false alarms and power, simulated from a pool of real episode returns, or from laws.

    python benchmarks/gate_simulation.py --laws > laws.md
    python benchmarks/gate_simulation.py --averages > averages.md
    python benchmarks/gate_simulation.py --tests > tests.md
    python benchmarks/gate_simulation.py --pool runs/gate-pool > tables.md

The first draws scores from laws that real returns look like, and from worse ones (`LAWS`), for checks of one
checkpoint; nothing is played. *Mixed* replaces a share of the episodes by such without score.

The second sets the test of an average beside one that looks at a capped mean too (`with_capped`), which the gate does
not use: it finds more where episodes fail, and alarms where nothing but the spread changed. It also says how far a
mixed collapse lies beyond the margin.

The third sets the test of one cell beside a t test alone.

The fourth plays the pool first if it is not there (500 episodes a cell, about 18 minutes of one core; it goes on where
it stopped). Both sides of every simulated check are drawn from the pool, whole episode seeds jointly over all cells,
with replacement: the pool is the population, so true drops are exact. A drop is imposed in two ways:

- scaled: every return moves towards the lowest one in the pool by the same share;
- mixed: a share of the episodes is replaced by episodes that went badly (those under gaussian-noise@3, and for that
  cell the lowest return). This widens the spread and skews it.

One checkpoint was played. More train seeds are modelled: a train seed's scores are the pool's times 1 + a normal effect
of its own, the same in all cells (SEED_SD), plus one a cell (SEED_CELL_SD).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

from wsabench.evaluation import run
from wsabench.results import load_result
from wsabench.results.manifest import MANIFEST_NAME
from wsabench.seeding import generator
from wsabench.stats import normalised_score, one_sided
from wsabench.stats.gate import (
    COLLAPSE,
    DEFAULT_ALPHA,
    DEFAULT_MARGIN,
    MARGIN_FLOOR_SCORE,
    MIN_EPISODE_PAIRS,
    MIN_POWER,
    Sample,
    adjust,
    compare,
    power_to_find,
    smallest_p,
)
from wsabench.types import FloatArray

CELLS = ("clean", "hue-rotate@3", "gaussian-noise@3", "sticky-actions@2")
WEAK = "gaussian-noise@3"
POOL_EPISODES = 500
CHUNK = 5
"""Simulated checks that share their permutations: few, so that they are almost independent."""
SEED_SD = 0.15
SEED_CELL_SD = 0.10


class Case(NamedTuple):
    """What is simulated: checks of one kind."""

    num_seeds: int
    num_run: int
    num_reference: int
    drop: float = 0.0
    """True drop, a share of the reference's score (below 0.1: of 0.1), as the margin is."""
    kind: str = "scaled"
    only_cell: int | None = None
    """The cell that drops; None: all."""
    is_paired: bool = False
    is_retrained: bool = True
    """Whether the run's train seeds have effects of their own, or the reference's."""


LAW_MEAN = 0.5
"""Normalised score of the reference in every cell of the laws' checks."""
Draw = Callable[[np.random.Generator, tuple[int, ...]], FloatArray]
"""Draws scores of mean 1."""


def _lognormal(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    return np.exp(rng.normal(-0.5, 1.0, shape))


def _zeros(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    return np.where(rng.random(shape) < 0.6, 0.0, rng.exponential(2.5, shape))


def _bimodal(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    return np.where(rng.random(shape) < 0.1, 4.6, 0.6)


def _ceiling(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    return np.where(rng.random(shape) < 0.05, 0.0, 1.0 / 0.95)


LAWS: dict[str, tuple[str, Draw]] = {
    "tight": ("normal, standard deviation 0.2", lambda rng, shape: rng.normal(1.0, 0.2, shape)),
    "exponential": ("exponential", lambda rng, shape: rng.exponential(1.0, shape)),
    "heavy tails": ("lognormal, standard deviation 1 of the logarithm", _lognormal),
    "many zeros": ("0 in 60 % of episodes, else exponential", _zeros),
    "two modes": ("0 or 2, each in half of the episodes", lambda rng, shape: 2.0 * (rng.random(shape) < 0.5)),
    "rare successes": ("4.6 in 10 % of episodes, else 0.6", _bimodal),
    "ceiling": ("the most that can be had in 95 % of episodes, else 0", _ceiling),
}
"""What is drawn, by name; all have mean 1."""


class LawCase(NamedTuple):
    """Checks of one checkpoint whose scores follow laws."""

    run: str
    reference: str
    drop: float
    kind: str = "scaled"
    num_cells: int = 6
    num_run: int = 20
    num_reference: int = 20
    only_cell: bool = False
    """Whether the first cell drops alone."""


class Alarms(NamedTuple):
    """Shares of checks."""

    any: float
    overall: float
    first_cell: float
    too_few: float
    """Said to be too few episodes for an average that finds a collapse."""


def law_scores(case: LawCase, count: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Draw the scores of both sides, run and reference, each of shape (episodes, count, num_cells)."""
    shape = (count, case.num_cells)
    reference = LAW_MEAN * LAWS[case.reference][1](rng, (case.num_reference, *shape))
    judged = LAW_MEAN * LAWS[case.run][1](rng, (case.num_run, *shape))
    falls = np.arange(case.num_cells) == 0 if case.only_cell else np.ones(case.num_cells, bool)
    if case.kind == "scaled":
        return judged * np.where(falls, 1.0 - case.drop, 1.0), reference
    return np.where(falls & (rng.random(judged.shape) < case.drop), 0.0, judged), reference


def law_alarms(case: LawCase, simulations: int, permutations: int, rng: np.random.Generator) -> Alarms:
    """Return how often the gate alarms where scores follow laws."""
    hits = np.zeros(4)
    for start in range(0, simulations, CHUNK):
        count = min(CHUNK, simulations - start)
        judged, reference = law_scores(case, count, rng)
        whole = Sample(judged, reference, False)
        flat = Sample(*(side.reshape(len(side), -1, 1) for side in (judged, reference)), False)
        p_overall = compare([whole], "episodes", rng, DEFAULT_MARGIN, permutations).p_worse[:, None]
        p_cells = compare([flat], "episodes", rng, DEFAULT_MARGIN, permutations).p_worse.reshape(count, -1)
        adjusted = adjust(p_cells, p_overall)
        overall, cells = (adjusted.overall <= DEFAULT_ALPHA)[:, 0], adjusted.cells <= DEFAULT_ALPHA
        level = smallest_p(1, DEFAULT_ALPHA)
        weak = [
            power_to_find([Sample(judged[:, [i]], reference[:, [i]], False)], "episodes", level) < MIN_POWER
            for i in range(count)
        ]
        hits += [(overall | cells.any(axis=1)).sum(), overall.sum(), cells[:, 0].sum(), np.sum(weak)]
    return Alarms(*(hits / simulations))


AVERAGES_CHUNK = 50
"""Checks that share their permutations where only averages are simulated."""
MEAN_SHARE = 0.7
"""Share of alpha that the mean keeps beside a capped mean."""
MEAN_SUPPORT = 10.0
"""A capped mean counts where the mean's own p is at most so many times the level."""


class Averages(NamedTuple):
    """Shares of checks in which the average alarms."""

    mean: float
    """As the gate decides."""
    whole_alpha: float
    """The same test with all of alpha, where the gate gives half of it to the cells."""
    with_capped: float


def average_alarms(case: LawCase, simulations: int, permutations: int, rng: np.random.Generator) -> Averages:
    """Return how often an average alarms by the gate's test, and by one that looks at capped scores too.

    In the latter an episode counts the reference's mean in its cell at most. Where each episode keeps a random share of
    what it would have scored, the drop of this mean is no larger than that of the scores. p = max(min(p_mean /
    MEAN_SHARE, p_capped / (1 - MEAN_SHARE)), p_mean / MEAN_SUPPORT).
    """
    hits = np.zeros(3)
    for start in range(0, simulations, AVERAGES_CHUNK):
        judged, reference = law_scores(case, min(AVERAGES_CHUNK, simulations - start), rng)
        most = np.maximum(reference.mean(axis=0), MARGIN_FLOOR_SCORE)
        p, capped = (
            compare([Sample(*sides, False)], "episodes", rng, DEFAULT_MARGIN, permutations).p_worse
            for sides in ((judged, reference), (np.minimum(judged, most), np.minimum(reference, most)))
        )
        both = np.maximum(np.minimum(p / MEAN_SHARE, capped / (1.0 - MEAN_SHARE)), p / MEAN_SUPPORT)
        level = smallest_p(1, DEFAULT_ALPHA)
        hits += [(p <= level).sum(), (p <= DEFAULT_ALPHA).sum(), (both <= level).sum()]
    return Averages(*(hits / simulations))


class Pool(NamedTuple):
    """Normalised scores, shape (num_episodes, num_cells), rows of one episode seed."""

    scores: FloatArray
    lowest: float
    cells: tuple[str, ...]


def load_pool(path: Path) -> Pool:
    if not (path / MANIFEST_NAME).exists() or not load_result(path).is_complete:
        run("smoke", "e2e", episodes=POOL_EPISODES, perturbations=CELLS, workers=1, out=path, seed=1000)
    result = load_result(path)
    table = result.episodes.pivot(index="episode", columns="perturbation", values="return")
    known = result.manifest.plan.reference_scores["breakout"]
    returns = table[[cell.split("@")[0] for cell in CELLS]].to_numpy(np.float64)
    scores = normalised_score(returns, known.random, known.human)
    return Pool(scores, float(scores.min()), CELLS)


def dropped(pool: Pool, case: Case, drawn: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Impose a case's drop on drawn scores, shape (..., num_cells)."""
    means = pool.scores.mean(axis=0)
    wanted = case.drop * np.maximum(means, MARGIN_FLOOR_SCORE)
    if case.only_cell is not None:
        wanted = np.where(np.arange(len(means)) == case.only_cell, wanted, 0.0)
    if case.kind == "scaled":
        return drawn - wanted / (means - pool.lowest) * (drawn - pool.lowest)
    weak = pool.scores[:, CELLS.index(WEAK)]
    is_weak_cell = np.array([cell == WEAK for cell in CELLS])
    share = wanted / (means - np.where(is_weak_cell, pool.lowest, weak.mean()))
    bad = np.where(is_weak_cell, pool.lowest, weak[rng.integers(0, len(weak), drawn.shape)])
    return np.where(rng.random(drawn.shape) < share, bad, drawn)


def draw(pool: Pool, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Return scores of drawn episodes, shape (*shape, num_cells)."""
    return pool.scores[rng.integers(0, len(pool.scores), shape)]


def alarms(pool: Pool, case: Case, simulations: int, permutations: int, rng: np.random.Generator) -> dict[str, float]:
    """Return how often the gate alarms: at all, by the overall test, by a cell."""
    counts = {"any": 0, "overall": 0, "cells": 0}
    for start in range(0, simulations, CHUNK):
        count = min(CHUNK, simulations - start)
        reference = draw(pool, (case.num_reference, case.num_seeds, count), rng)
        judged = dropped(pool, case, draw(pool, (case.num_run, case.num_seeds, count), rng), rng)
        if case.num_seeds > 1:
            effects = [seed_effects(case, count, len(CELLS), rng) for _ in range(2)]
            reference = reference.mean(axis=0) * effects[0]
            judged = judged.mean(axis=0) * effects[1 if case.is_retrained else 0]
        else:
            reference, judged = reference[:, 0], judged[:, 0]
        p_overall = p_values(judged, reference, case, permutations, rng)[:, None]
        flat = [side.reshape(len(side), -1, 1) for side in (judged, reference)]
        p_cells = p_values(flat[0], flat[1], case, permutations, rng).reshape(count, len(CELLS))
        adjusted = adjust(p_cells, p_overall)
        by_cell = (adjusted.cells <= DEFAULT_ALPHA).any(axis=1)
        by_overall = (adjusted.overall <= DEFAULT_ALPHA).any(axis=1)
        counts["any"] += int((by_cell | by_overall).sum())
        counts["overall"] += int(by_overall.sum())
        counts["cells"] += int(by_cell.sum())
    return {name: value / simulations for name, value in counts.items()}


def p_values(
    judged: FloatArray, reference: FloatArray, case: Case, permutations: int, rng: np.random.Generator
) -> FloatArray:
    """Return the gate's raw p values; scores of shape (rows, tests, cells)."""
    if case.num_seeds > 1:
        return compare([Sample(judged, reference, True)], "train seeds", rng, DEFAULT_MARGIN).p_worse
    return compare([Sample(judged, reference, case.is_paired)], "episodes", rng, DEFAULT_MARGIN, permutations).p_worse


def seed_effects(case: Case, count: int, num_cells: int, rng: np.random.Generator) -> FloatArray:
    """Return what train seeds' scores are multiplied by, shape (num_seeds, count, num_cells)."""
    common = rng.normal(0.0, SEED_SD, (case.num_seeds, count, 1))
    return 1.0 + common + rng.normal(0.0, SEED_CELL_SD, (case.num_seeds, count, num_cells))


def with_bounds(rate: float, simulations: int) -> str:
    """Return a rate in percent with its exact 95% interval (Clopper and Pearson 1934)."""
    test = stats.binomtest(round(rate * simulations), simulations).proportion_ci(0.95)
    return f"{100 * rate:.1f} [{100 * test.low:.1f}, {100 * test.high:.1f}]"


def print_tables(pool: Pool, rate: Callable[[Case], str]) -> None:
    """Print the tables of docs/gate.md."""
    print("| cell | episodes in the pool | mean | standard deviation | lowest | highest |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for place, cell in enumerate(pool.cells):
        one = pool.scores[:, place]
        print(f"| {cell} | {len(one)} | {one.mean():.3f} | {one.std(ddof=1):.3f} | {one.min():.3f} | {one.max():.3f} |")
    margin = DEFAULT_MARGIN
    print("\nFalse alarms, one checkpoint, % of checks:\n")
    print("| truth | 5 episodes | 20 episodes | 50 episodes | 20 against 50 |")
    print("| --- | --- | --- | --- | --- |")
    sizes = ((5, 5), (20, 20), (50, 50), (20, 50))
    truths: dict[str, dict[str, object]] = {
        "no change": {},
        "drop = margin in all cells, scaled": {"drop": margin},
        "drop = margin in all cells, mixed": {"drop": margin, "kind": "mixed"},
        "drop = margin in `clean` only": {"drop": margin, "only_cell": 0},
    }
    for name, options in truths.items():
        print(f"| {name} | {' | '.join(rate(Case(1, *size, **options)) for size in sizes)} |")  # type: ignore[arg-type]
    for name, options in truths.items():
        paired = [
            rate(Case(1, *size, **options, is_paired=True)) if size[0] == size[1] >= MIN_EPISODE_PAIRS else "-"  # type: ignore[arg-type]
            for size in sizes
        ]
        print(f"| {name}, paired | {' | '.join(paired)} |")
    print("\nFalse alarms, several train seeds, paired, % of checks:\n")
    print("| truth | 3 seeds x 5 | 3 x 20 | 3 x 50 | 5 x 5 | 5 x 20 | 5 x 50 |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, options in truths.items():
        for retrained in (False, True):
            cases = [Case(s, n, n, **options, is_retrained=retrained) for s in (3, 5) for n in (5, 20, 50)]  # type: ignore[arg-type]
            how = "trained anew" if retrained else "same networks"
            print(f"| {name}; {how} | {' | '.join(rate(case) for case in cases)} |")
    print("\nAlarms against true drops, % of checks:\n")
    print("| train seeds | episodes | 10% | 20% | 40% | 40%, mixed | 40% in `clean` only |")
    print("| --- | ---: | --- | --- | --- | --- | --- |")
    for seeds, retrained in ((1, True), (3, False), (5, False), (3, True), (5, True)):
        for n in (5, 20, 50):
            base = Case(seeds, n, n, is_retrained=retrained)
            cases = [base._replace(drop=drop) for drop in (0.1, 0.2, 0.4)]
            cases += [base._replace(drop=0.4, kind="mixed"), base._replace(drop=0.4, only_cell=0)]
            how = "" if seeds == 1 else ", trained anew" if retrained else ", same networks"
            print(f"| {seeds}{how} | {n} | {' | '.join(rate(case) for case in cases)} |")


Found = Callable[[LawCase], Alarms]


def shown(rate: float) -> str:
    """Return a rate in percent."""
    return f"{100 * rate:.1f}"


def print_laws(laws: Sequence[str]) -> None:
    """Print what is drawn."""
    print("| law | scores, in units of their mean |\n| --- | --- |")
    for name in laws:
        print(f"| {name} | {LAWS[name][0]} |")


def print_collapses(found: Found, laws: Sequence[str]) -> None:
    """Print how often a collapse is found, or said to need more episodes."""
    print(
        "\nA collapse: a drop of 80 % in all of 6 cells; found by the average, % of checks; and said to be too few:\n"
    )
    sizes = (5, 10, 20, 30)
    heads = [f"{kind}, {n} episodes" for n in sizes for kind in ("scaled", "mixed")]
    print(f"| law | {' | '.join(heads)} | too few: {' | '.join(f'{n} episodes' for n in sizes)} |")
    print(f"| --- |{' --- |' * (3 * len(sizes))}")
    for law in laws:
        cases = [LawCase(law, law, 0.8, kind, 6, n, n) for n in sizes for kind in ("scaled", "mixed")]
        rows = [found(case) for case in cases]
        print(f"| {law} | {' | '.join([shown(r.overall) for r in rows] + [shown(r.too_few) for r in rows[1::2]])} |")


def print_power(found: Found, laws: Sequence[str]) -> None:
    """Print how often smaller drops, and drops in one cell, are found."""
    print("\nPower of the whole check (drop in all cells) and of a cell alone, 20 episodes, 6 cells, % of checks:\n")
    print("| law | 40%, all | 40%, mixed, all | 40%, one | 40%, mixed, one | 80%, one | 80%, mixed, one |")
    print(f"| --- |{' --- |' * 6}")
    for law in laws:
        everywhere = [found(LawCase(law, law, 0.4, kind)).any for kind in ("scaled", "mixed")]
        alone = [
            found(LawCase(law, law, drop, kind, only_cell=True)).first_cell
            for drop in (0.4, 0.8)
            for kind in ("scaled", "mixed")
        ]
        print(f"| {law} | {' | '.join(shown(value) for value in everywhere + alone)} |")


def print_margins(found: Found, laws: Sequence[str]) -> None:
    """Print false alarms where run and reference follow different laws."""
    print("\nFalse alarms at the margin (drop of 20 % in all cells), 20 episodes, 6 cells, % of checks:\n")
    print(f"| run \\ reference | {' | '.join(LAWS)} |\n| --- |{' --- |' * len(LAWS)}")
    for run_law in laws:
        rows = [shown(found(LawCase(run_law, law, DEFAULT_MARGIN)).any) for law in LAWS]
        print(f"| {run_law} | {' | '.join(rows)} |")


def print_uneven(found: Found, laws: Sequence[str]) -> None:
    """Print false alarms where some episodes lose all and the others nothing, and without a drop."""
    print("\nThe same where the run's law is the reference's but its loss is not spread evenly, % of checks:\n")
    print(f"| drop of 20 % | {' | '.join(laws)} |\n| --- |{' --- |' * len(laws)}")
    print(f"| mixed | {' | '.join(shown(found(LawCase(law, law, DEFAULT_MARGIN, 'mixed')).any) for law in laws)} |")
    print(f"| none | {' | '.join(shown(found(LawCase(law, law, 0.0)).any) for law in laws)} |")


LAW_TABLES = {"collapse": print_collapses, "power": print_power, "margin": print_margins, "uneven": print_uneven}
"""The tables of docs/gate.md on laws."""


def print_averages(found: Callable[[LawCase], Averages]) -> None:
    """Print the table of docs/gate.md on other tests of the average."""
    heads = ["80%", "80%, mixed", "40%", "40%, mixed"]
    heads += ["margin", "margin, mixed", "margin, tight reference", "margin, exponential reference"]
    print(f"| law | {' | '.join(heads)} |\n| --- |{' --- |' * len(heads)}")
    for law in LAWS:
        cases = [LawCase(law, law, drop, kind) for drop in (0.8, 0.4, DEFAULT_MARGIN) for kind in ("scaled", "mixed")]
        cases += [LawCase(law, reference, DEFAULT_MARGIN) for reference in ("tight", "exponential")]
        rows = [", ".join(f"{100 * rate:.1f}" for rate in found(case)) for case in cases]
        print(f"| {law} | {' | '.join(rows)} |", flush=True)


TEST_SIZES = ((5, 50), (20, 20), (20, 100))
"""Episodes of run and reference for which tests of one cell are set side by side."""


def print_tests(simulations: int, permutations: int, seed: int) -> None:
    """Print how often a t test alone and the gate's test alarm at the margin, for exponential scores of one cell."""
    print("| episodes | t test alone | as the gate decides |\n| --- | ---: | ---: |")
    for num_run, num_reference in TEST_SIZES:
        case = LawCase("exponential", "exponential", DEFAULT_MARGIN, num_cells=1)
        case = case._replace(num_run=num_run, num_reference=num_reference)
        rng = generator(seed, "gate tests", *map(str, case))
        hits = np.zeros(2)
        for start in range(0, simulations, AVERAGES_CHUNK):
            sample = Sample(*law_scores(case, min(AVERAGES_CHUNK, simulations - start), rng), False)
            alone = compare([sample], "train seeds", rng, DEFAULT_MARGIN).p_worse
            both = compare([sample], "episodes", rng, DEFAULT_MARGIN, permutations).p_worse
            hits += [(alone <= DEFAULT_ALPHA).sum(), (both <= DEFAULT_ALPHA).sum()]
        shown = " | ".join(f"{100 * rate:.1f}" for rate in hits / simulations)
        print(f"| {num_run} against {num_reference} | {shown} |")


POPULATION = 20_000
"""Episodes from which the spread of a law is taken."""


def print_distances(seed: int) -> None:
    """Print how far a mixed collapse lies beyond the margin in standard errors, and how often a t test shows that."""
    print("\nA mixed collapse, 20 episodes, 6 cells; standard errors beyond the margin; found by a t test, %:\n")
    print("| law | standard errors | found |\n| --- | ---: | ---: |")
    for law in LAWS:
        case = LawCase(law, law, COLLAPSE, "mixed", num_run=POPULATION, num_reference=POPULATION)
        judged, reference = law_scores(case, 1, generator(seed, "gate distances", law))
        keep = 1.0 - DEFAULT_MARGIN
        spreads = judged.mean(axis=2).var(), keep**2 * reference.mean(axis=2).var()
        parts = [one_sided.Part(np.array([spread / 20]), 19) for spread in spreads]
        distance = (COLLAPSE - DEFAULT_MARGIN) * LAW_MEAN / np.sqrt(sum(spreads) / 20)
        found = one_sided.power(distance, float(one_sided.freedom(parts)[0]), smallest_p(1, DEFAULT_ALPHA))
        print(f"| {law} | {distance:.1f} | {100 * found:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--pool", type=Path, help="Result set of the pool; played if missing.")
    source.add_argument("--laws", action="store_true", help="Draw from laws instead.")
    source.add_argument("--averages", action="store_true", help="Draw from laws, for other tests of the average.")
    source.add_argument("--tests", action="store_true", help="Draw exponential scores of one cell, for its test.")
    parser.add_argument("--only", nargs="+", choices=LAWS, default=list(LAWS), metavar="LAW", help="With --laws.")
    parser.add_argument("--tables", nargs="+", choices=LAW_TABLES, default=list(LAW_TABLES), help="With --laws.")
    parser.add_argument("--simulations", type=int, help="Checks a number. Default: 6000 of a pool, else 2000.")
    parser.add_argument("--permutations", type=int, default=999)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    simulations = options.simulations or (6000 if options.pool else 2000)
    began = time.process_time()
    if options.tests:
        print_tests(simulations, options.permutations, options.seed)
        count = len(TEST_SIZES)
    elif options.averages:
        count = simulate_averages(options, simulations)
    else:
        count = simulate_laws(options, simulations) if options.laws else simulate_pool(options, simulations)
    print(f"\n{count} cases of {simulations} checks, {time.process_time() - began:.0f} s of one core.")


def simulate_laws(options: argparse.Namespace, simulations: int) -> int:
    """Print what laws give; return the number of cases."""
    done: dict[LawCase, Alarms] = {}

    def found(case: LawCase) -> Alarms:
        if case not in done:
            rng = generator(options.seed, "gate laws", *map(str, case))
            done[case] = law_alarms(case, simulations, options.permutations, rng)
        return done[case]

    print_laws(options.only)
    for name in options.tables:
        LAW_TABLES[name](found, options.only)
    return len(done)


def simulate_averages(options: argparse.Namespace, simulations: int) -> int:
    """Print what other tests of the average give; return the number of cases."""
    done: dict[LawCase, Averages] = {}

    def found(case: LawCase) -> Averages:
        if case not in done:
            rng = generator(options.seed, "gate averages", *map(str, case))
            done[case] = average_alarms(case, simulations, options.permutations, rng)
        return done[case]

    print_averages(found)
    print_distances(options.seed)
    return len(done)


def simulate_pool(options: argparse.Namespace, simulations: int) -> int:
    """Print what the pool gives; return the number of cases."""
    pool = load_pool(options.pool)
    done: dict[Case, str] = {}

    def rate(case: Case) -> str:
        if case not in done:
            rng = generator(options.seed, "gate simulation", *map(str, case))
            found = alarms(pool, case, simulations, options.permutations, rng)
            done[case] = with_bounds(found["any"], simulations)
        return done[case]

    print_tables(pool, rate)
    return len(done)


if __name__ == "__main__":
    main()
