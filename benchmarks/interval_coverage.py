"""How often intervals over train seeds hold the truth, by simulation: the table of docs/statistics.md.

Run: python benchmarks/interval_coverage.py (one core, some minutes), or with --data-sets 200 for a first look.

A data set has 3, 5 or 10 train seeds in each of 1, 3 or 12 games with 5 cells. Cells differ in their means; a score is
the cell's mean + seed_sd times a normal draw of the train seed (the same in all its cells) + a normal draw of the cell.
Games are trained apart. The truth is the mean or IQM over countless train seeds. Every method gets the same resamples.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from wsabench import stats
from wsabench.seeding import generator
from wsabench.stats.bounds import METHODS, Replicates
from wsabench.stats.intervals import seed_interval
from wsabench.types import FloatArray

NUM_CELLS = 5
NUM_FOR_TRUTH = 200_000
NOMINAL = 0.95
METRICS = (stats.mean, stats.iqm)
COLUMNS = ("corrected", "percentile", "bca")
EVERY = "every method"
LATEST: list[tuple[FloatArray, FloatArray]] = []
"""Bounds of the last data set by each method, all from the same replicates."""


def every_method(replicates: Replicates, value: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Keep the bounds by each method; return the first's."""
    LATEST[:] = [METHODS[name](replicates, value, confidence) for name in COLUMNS]
    return LATEST[0]


METHODS[EVERY] = every_method


def both(matrix: FloatArray) -> FloatArray:
    """Return the mean and the IQM, shape (..., 2)."""
    return np.stack([metric(matrix) for metric in METRICS], axis=-1)


def played(means: FloatArray, seed_sd: float, num_seeds: int, rng: np.random.Generator) -> list[FloatArray]:
    """Draw one block a game, shape (num_seeds, num_cells)."""
    size = (num_seeds, NUM_CELLS)
    return [game + seed_sd * rng.normal(size=(num_seeds, 1)) + rng.normal(size=size) for game in means]


def coverage(num_seeds: int, num_games: int, seed_sd: float, data_sets: int, repetitions: int) -> FloatArray:
    """Return the share of intervals that hold the truth, shape (methods, 2)."""
    rng = generator(0, "coverage", num_seeds, num_games, int(seed_sd))
    means = rng.normal(0.5, 0.5, (num_games, NUM_CELLS))
    truth = both(np.concatenate(played(means, seed_sd, NUM_FOR_TRUTH // num_games, rng), axis=1)[None])[0]
    truth[0] = means.mean()
    statistic = stats.over_matrix(both)
    hits = np.zeros((len(COLUMNS), 2))
    for _ in range(data_sets):
        blocks = played(means, seed_sd, num_seeds, rng)
        seed_interval(statistic, [blocks], rng, method=EVERY, repetitions=repetitions)
        for place, (low, high) in enumerate(LATEST):
            hits[place] += (low <= truth) & (truth <= high)
    return hits / data_sets


def main() -> None:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-sets", type=int, default=2_000)
    parser.add_argument("--repetitions", type=int, default=499)
    options = parser.parse_args()
    start = time.process_time()
    print("| seeds | games | seed effect | " + " | ".join(f"{name}: mean, IQM" for name in COLUMNS) + " |")
    print("| ---: | ---: | --- |" + " ---: |" * len(COLUMNS))
    for num_seeds in (3, 5, 10):
        for num_games in (1, 3, 12):
            for seed_sd, name in ((0.0, "none"), (1.0, "as cell noise")):
                found = coverage(num_seeds, num_games, seed_sd, options.data_sets, options.repetitions)
                shares = " | ".join(f"{100 * mean:.1f}, {100 * iqm:.1f}" for mean, iqm in found)
                print(f"| {num_seeds} | {num_games} | {name} | {shares} |", flush=True)
    error = 100 * np.sqrt(NOMINAL * (1 - NOMINAL) / options.data_sets)
    print(
        f"\nPer cent of {options.data_sets:,} data sets with {options.repetitions} repetitions each; nominal 95. "
        f"Monte-Carlo standard error {error:.1f} at 95. {time.process_time() - start:.0f} s of one core."
    )


if __name__ == "__main__":
    main()
