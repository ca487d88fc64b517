"""What a sequential gate saves, and what it costs: simulated from pools of real episodes, or from laws.

    wsabench run --suite smoke --agents wsa,e2e --episodes 240 --perturbations clean,hue-rotate@3,gaussian-noise@3,\
sticky-actions@2 --seed 1000 --out runs/sequential-pool
    python benchmarks/sequential_simulation.py --pool runs/sequential-pool > tables.md
    python benchmarks/sequential_simulation.py > laws.md

The run's episodes are drawn from one half of the pool (by episode seed), the reference's from the other, whole episode
seeds jointly over all cells of an agent, with replacement; the halves change places in every second simulation. A true
drop is imposed in two ways: `scaled` moves every return towards the lowest one, `mixed` replaces a share of episodes by
the lowest. The halves' means differ by chance, and every cell of the run's half is scaled to the mean of
the reference's half first, so that true drops are exact.

A fixed check plays FIXED episodes a cell, the sequential one up to its last look.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wsabench.results import load_result
from wsabench.results.tables import with_labels
from wsabench.seeding import generator
from wsabench.stats import normalised_score
from wsabench.stats.gate import DEFAULT_MARGIN, DEFAULT_PERMUTATIONS, Sample, Unit, adjust, compare
from wsabench.stats.sequential import SPENDINGS, Design, Spending, judge
from wsabench.types import FloatArray

FIXED = 20
CHUNK = 50
"""Simulated checks that share their permutations."""


class Pool(NamedTuple):
    """Normalised scores of one agent, in two halves of shape (num_episodes, num_cells), and the lowest possible."""

    agent: str
    halves: tuple[FloatArray, FloatArray]
    lowest: float


class Truth(NamedTuple):
    """What is true in a simulated check."""

    drop: float = 0.0
    kind: str = "scaled"
    only_cell: int | None = None
    """The cell, of every agent, that drops; None: all."""


class Rates(NamedTuple):
    """Shares of simulated checks."""

    fixed_alarms: float
    alarms: float
    play: float
    """Episodes played / those of a fixed check."""
    by_look: tuple[float, ...]
    """Share that stops at each look."""


def load_pools(path: Path) -> list[Pool]:
    """Return the agents of which every cell is finished; halves by the order of episodes."""
    result = load_result(path)
    cells = len(result.manifest.plan.perturbations)
    pools = []
    for agent, part in with_labels(result.episodes).groupby("agent"):
        table = part.pivot(index="episode", columns="label", values="return")
        if table.shape[1] < cells:
            continue
        known = result.manifest.plan.reference_scores[str(part["game"].iloc[0])]
        if known.random is None or known.human is None:
            continue
        scores = normalised_score(table.to_numpy(np.float64), known.random, known.human)
        pools.append(Pool(str(agent), (scores[::2], scores[1::2]), float(scores.min())))
    return pools


def law_pools(draw: Callable[[np.random.Generator], FloatArray], agents: int = 2) -> list[Pool]:
    """Return pools that are practically the law itself."""
    pools = []
    for agent in range(agents):
        scores = draw(generator(0, "sequential laws", agent))
        pools.append(Pool(f"agent{agent}", (scores[::2], scores[1::2]), min(0.0, float(scores.min()))))
    return pools


MEANS = np.array([0.8, 0.5, 0.3, 0.6])
LAWS: dict[str, Callable[[np.random.Generator], FloatArray]] = {
    "normal, sd 0.4 of the mean": lambda rng: MEANS * (1 + 0.4 * rng.standard_normal((20_000, 4))),
    "exponential": lambda rng: MEANS * rng.standard_exponential((20_000, 4)),
}


def draw(pool: Pool, truth: Truth, turned: int, shape: tuple[int, int, int], rng: np.random.Generator):
    """Return scores of the run and the reference, shapes (episodes, simulations, cells)."""
    num_run, num_reference, count = shape
    ours, theirs = pool.halves[turned], pool.halves[1 - turned]
    means = theirs.mean(axis=0)
    ours = pool.lowest + (ours - pool.lowest) * (means - pool.lowest) / (ours.mean(axis=0) - pool.lowest)
    run = ours[rng.integers(0, len(ours), (num_run, count))]
    reference = theirs[rng.integers(0, len(theirs), (num_reference, count))]
    drops = np.full(means.shape, truth.drop)
    if truth.only_cell is not None:
        drops[np.arange(len(means)) != truth.only_cell] = 0.0
    share = drops * np.maximum(means, 0.1) / (means - pool.lowest)
    if truth.kind == "scaled":
        return run - share * (run - pool.lowest), reference
    return np.where(rng.random(run.shape) < share, pool.lowest, run), reference


def simulate(
    pools: Sequence[Pool], truth: Truth, design: Design, simulations: int, permutations: int, rng: np.random.Generator
) -> Rates:
    """Return how a fixed and a sequential check fare on the same episodes."""
    stops: list[np.ndarray] = []
    alarms: list[np.ndarray] = []
    fixed: list[np.ndarray] = []
    sizes = [*design.looks, *([] if FIXED in design.looks else [FIXED])]
    for start in range(0, simulations, CHUNK):
        shape = (max(sizes), FIXED, CHUNK)
        sides = [draw(pool, truth, (start // CHUNK) % 2, shape, rng) for pool in pools]
        p = {size: [tests(run[:size], reference, permutations, rng) for run, reference in sides] for size in sizes}
        cells = {size: np.concatenate([one[0] for one in found], axis=-1) for size, found in p.items()}
        overall = {size: np.concatenate([one[1] for one in found], axis=-1) for size, found in p.items()}
        adjusted = adjust(cells[FIXED], overall[FIXED])
        fixed.append((np.concatenate(adjusted, axis=-1) <= design.alpha).any(axis=-1))
        stop, alarm = np.full(CHUNK, -1), np.zeros(CHUNK, bool)
        for look in range(1, len(design.looks) + 1):
            seen = design.looks[:look]
            found = judge(np.stack([cells[n] for n in seen]), np.stack([overall[n] for n in seen]), design)
            stopping = (stop < 0) & (found.is_shown | found.is_futile | (look == len(design.looks)))
            alarm |= stopping & found.is_shown
            stop[stopping] = look - 1
        stops.append(stop)
        alarms.append(alarm)
    stopped = np.concatenate(stops)
    return Rates(
        fixed_alarms=float(np.concatenate(fixed).mean()),
        alarms=float(np.concatenate(alarms).mean()),
        play=float(np.array(design.looks)[stopped].mean()) / FIXED,
        by_look=tuple(float((stopped == look).mean()) for look in range(len(design.looks))),
    )


def tests(run: FloatArray, reference: FloatArray, permutations: int, rng: np.random.Generator):
    """Return p of each cell and of their average, shapes (simulations, cells) and (simulations, 1)."""
    flat = [side.reshape(len(side), -1, 1) for side in (run, reference)]
    unit: Unit = "episodes" if permutations else "train seeds"
    p_cells = compare([Sample(flat[0], flat[1], False)], unit, rng, DEFAULT_MARGIN, permutations).p_worse
    p_overall = compare([Sample(run, reference, False)], unit, rng, DEFAULT_MARGIN, permutations).p_worse
    return p_cells.reshape(run.shape[1:]), p_overall[:, None]


TRUTHS: dict[str, Truth] = {
    "no change": Truth(),
    "20 % (the margin), scaled": Truth(0.2),
    "20 % (the margin), mixed": Truth(0.2, "mixed"),
    "20 % (the margin) in one cell": Truth(0.2, only_cell=0),
    "40 %, scaled": Truth(0.4),
    "40 %, mixed": Truth(0.4, "mixed"),
    "60 %, scaled": Truth(0.6),
    "60 %, mixed": Truth(0.6, "mixed"),
    "60 % in one cell": Truth(0.6, only_cell=0),
}


def table(name: str, pools: Sequence[Pool], design: Design, options: argparse.Namespace) -> None:
    print(f"\n{name}; looks {', '.join(map(str, design.looks))}, {design.spending}, futility {design.futility:g}:\n")
    print("| true drop | alarms, fixed | alarms, sequential | play, % of fixed | stops at each look, % |")
    print("| --- | ---: | ---: | ---: | --- |")
    for truth_name, truth in TRUTHS.items():
        if options.only not in truth_name:
            continue
        rng = generator(options.seed, "sequential simulation", name, truth_name)
        found = simulate(pools, truth, design, options.simulations, options.permutations, rng)
        looks = ", ".join(f"{100 * share:.0f}" for share in found.by_look)
        values = f"{100 * found.fixed_alarms:.1f} | {100 * found.alarms:.1f} | {100 * found.play:.0f} | {looks}"
        print(f"| {truth_name} | {values} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, help="Result set of the pool; without it laws are drawn from.")
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--permutations", type=int, default=DEFAULT_PERMUTATIONS, help="0: t tests alone.")
    parser.add_argument("--spending", choices=SPENDINGS, default=Design().spending)
    parser.add_argument("--looks", default=",".join(map(str, Design().looks)))
    parser.add_argument("--futility", type=float, default=Design().futility)
    parser.add_argument("--only", default="", help="Only true drops whose name holds this text.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    spending: Spending = options.spending
    design = Design(tuple(int(look) for look in options.looks.split(",")), 0.05, spending, options.futility)
    if options.pool:
        pools = load_pools(options.pool)
        for pool in pools:
            print(f"Pool of {pool.agent}: {sum(len(half) for half in pool.halves)} episodes a cell, means", end=" ")
            print(", ".join(f"{value:.3f}" for value in np.concatenate(pool.halves).mean(axis=0)), end=", sd ")
            print(", ".join(f"{value:.3f}" for value in np.concatenate(pool.halves).std(axis=0, ddof=1)), end=".\n")
            table(f"Pool of {pool.agent}", [pool], design, options)
        if len(pools) > 1:
            table("Pools of all agents in one check", pools, design, options)
    else:
        for name, law in LAWS.items():
            table(name, law_pools(law), design, options)
    noise = 100 * np.sqrt(0.05 * 0.95 / options.simulations)
    print(f"\n{options.simulations} checks each; at 5 % the Monte-Carlo standard error is {noise:.1f}.")


if __name__ == "__main__":
    main()
