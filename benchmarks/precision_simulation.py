"""What numbers of episodes from a pilot are worth: bias, coverage and saving, simulated.

    python benchmarks/precision_simulation.py > tables.md

Every simulated run has CELLS cells whose standard deviations differ (lognormal, SPREAD on the log scale, the same in
all runs) and whose scores have one law. A pilot sets the numbers (`wsabench.stats.allocation`); the means are those of
new episodes. The half-width is such that with known standard deviations the mean number of episodes would be WANTED.

- bias: of a cell's mean, in its standard errors, and of the mean over all cells in the standard errors of that; beside
  it what the bias were if the pilot's episodes counted in the means.
- within H: how often a cell's mean lies within the half-width of the truth.
- play: mean number of episodes / that of a fixed run with the same precision, by the true standard deviations: the same
  largest (`cell`) or root mean square (`average`) standard error. Beside it the least that is possible.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from wsabench.seeding import generator
from wsabench.stats.allocation import DEFAULT_PILOT_EPISODES, TARGETS, Target, allocate
from wsabench.types import FloatArray

CELLS, SPREAD, WANTED, MOST = 24, 0.5, 60, 100_000
Law = Callable[[np.random.Generator, tuple[int, ...]], FloatArray]


class Means(NamedTuple):
    """What simulated runs came to; a row a run."""

    fresh: FloatArray
    """Means of new episodes, in the cell's standard deviations away from the truth, (runs, cells)."""
    counted: FloatArray
    """Means with the pilot's episodes counted, which then need fewer new ones, (runs, cells)."""
    numbers: FloatArray
    """(runs, cells)."""


def standardised(draw: Law, mean: float, sd: float) -> Law:
    return lambda rng, shape: (draw(rng, shape) - mean) / sd


def lognormal(sigma: float, zeros: float = 0.0) -> Law:
    """Return a standardised lognormal law, a share of it exactly zero."""
    first, second = np.exp(sigma**2 / 2), np.exp(2 * sigma**2)
    mean = (1 - zeros) * first
    sd = float(np.sqrt((1 - zeros) * second - mean**2))

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        return np.exp(sigma * rng.standard_normal(shape)) * (rng.random(shape) >= zeros)

    return standardised(draw, float(mean), sd)


LAWS: dict[str, Law] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "exponential": standardised(lambda rng, shape: rng.standard_exponential(shape), 1.0, 1.0),
    "lognormal 0.5": lognormal(0.5),
    "lognormal 1.0, 15 % zeros": lognormal(1.0, 0.15),
    "one in five at the ceiling": standardised(lambda rng, shape: (rng.random(shape) < 0.2) * 1.0, 0.2, 0.4),
}


def simulate(
    law: Law, target: Target, pilot: int, runs: int, rng: np.random.Generator
) -> tuple[Means, FloatArray, float]:
    """Return the runs, the true standard deviations and the half-width."""
    sds = np.exp(SPREAD * generator(0, "cells").standard_normal(CELLS))
    scale = np.square(sds).mean() if target == "cell" else sds.mean() ** 2
    half_width = float(1.96 * np.sqrt(scale / WANTED))
    fresh, counted, numbers = (np.empty((runs, CELLS)) for _ in range(3))
    for run in range(runs):
        first = law(rng, (CELLS, pilot))
        found = allocate(first.std(axis=1, ddof=1) * sds, half_width, pilot, MOST, target)
        numbers[run] = found.numbers
        drawn = law(rng, (int(found.numbers.sum()),))
        starts = np.concatenate([[0], np.cumsum(found.numbers)[:-1]])
        fresh[run] = np.add.reduceat(drawn, starts) / found.numbers
        more = found.numbers - pilot
        sums = np.concatenate([[0.0], np.cumsum(drawn)])
        counted[run] = (first.sum(axis=1) + sums[starts + more] - sums[starts]) / found.numbers
    return Means(fresh, counted, numbers), sds, half_width


def bias(means: FloatArray, sds: FloatArray) -> tuple[float, float, float]:
    """Return the bias of a cell and of the average over cells in standard errors, and the noise of the first."""
    of_cell = float((means.mean(axis=0) / means.std(axis=0, ddof=1)).mean())
    average = means @ sds
    noise = 1.0 / np.sqrt(means.size)
    return of_cell, float(average.mean() / average.std(ddof=1)), float(noise)


def row(name: str, target: Target, pilot: int, runs: int, seed: int) -> str:
    found, sds, half_width = simulate(
        LAWS[name], target, pilot, runs, generator(seed, "precision simulation", name, target, pilot)
    )
    biases = [*bias(found.fresh, sds), *bias(found.counted, sds)]
    within = float((np.abs(found.fresh * sds) <= half_width).mean())
    overall = np.max if target == "cell" else np.mean
    # True squared standard errors, as an average over runs: what a user of many runs gets.
    errors = np.square(sds) * (1.0 / found.numbers).mean(axis=0)
    fixed = overall(np.square(sds)) / overall(errors)
    best = (np.square(sds).mean() if target == "cell" else sds.mean() ** 2) / overall(np.square(sds))
    count = found.numbers.mean()
    values = [f"{biases[0]:+.2f}, {biases[1]:+.2f}", f"{biases[3]:+.2f}, {biases[4]:+.2f}", f"{100 * within:.1f}"]
    plays = [f"{count:.0f}", f"{count / fixed:.3f}", f"{(count + pilot) / fixed:.3f}", f"{best:.3f}"]
    return f"| {target} | {name} | {pilot} | {' | '.join([*values, *plays])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(
        "| target | law | pilot | bias: cell, average | with the pilot counted | within H, % | episodes | play |",
        end="",
    )
    print(" play with the pilot | bound |")
    print("| --- | --- | ---: | --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for target in TARGETS:
        for name in LAWS:
            print(row(name, target, DEFAULT_PILOT_EPISODES, options.runs, options.seed), flush=True)
    for target in TARGETS:
        for pilot in (10, 30, 50):
            print(row("exponential", target, pilot, options.runs, options.seed), flush=True)
    noise = 1.0 / np.sqrt(options.runs)
    print(
        f"\n{options.runs} runs of {CELLS} cells each; the bias of an average is known to {noise:.3f} standard errors."
    )


if __name__ == "__main__":
    main()
