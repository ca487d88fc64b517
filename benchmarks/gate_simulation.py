"""How often the gate alarms: false alarms and power, simulated from a pool of real episode returns.

    python benchmarks/gate_simulation.py --pool runs/gate-pool > tables.md

plays the pool first if it is not there (500 episodes a cell, about 18 minutes of one core; it goes on where it
stopped). Both sides of every simulated check are drawn from the pool, whole episode seeds jointly over all cells, with
replacement: the pool is the population, so true drops are exact. A drop is imposed in two ways:

- scaled: every return moves towards the lowest one in the pool by the same share;
- mixed: a share of the episodes is replaced by episodes that went badly (those under gaussian-noise@3, and for that
  cell the lowest return). This widens the spread and skews it.

One checkpoint was played. More train seeds are modelled: a train seed's scores are the pool's times 1 + a normal effect
of its own, the same in all cells (SEED_SD), plus one a cell (SEED_CELL_SD).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

from wsabench.evaluation import run
from wsabench.results import load_result
from wsabench.results.manifest import MANIFEST_NAME
from wsabench.seeding import generator
from wsabench.stats import normalised_score
from wsabench.stats.gate import (
    DEFAULT_ALPHA,
    DEFAULT_MARGIN,
    MARGIN_FLOOR_SCORE,
    MIN_EPISODE_PAIRS,
    Sample,
    adjust,
    compare,
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, required=True, help="Result set of the pool; played if missing.")
    parser.add_argument("--simulations", type=int, default=6000)
    parser.add_argument("--permutations", type=int, default=999)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    pool = load_pool(options.pool)
    done: dict[Case, str] = {}

    def rate(case: Case) -> str:
        if case not in done:
            rng = generator(options.seed, "gate simulation", *map(str, case))
            found = alarms(pool, case, options.simulations, options.permutations, rng)
            done[case] = with_bounds(found["any"], options.simulations)
        return done[case]

    began = time.process_time()
    print_tables(pool, rate)
    print(f"\n{len(done)} cases of {options.simulations} checks, {time.process_time() - began:.0f} s of one core.")


if __name__ == "__main__":
    main()
