"""Speed of the statistics, beside rliable's own functions on the same scores."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from wsabench import stats
from wsabench.machine import most_memory
from wsabench.protocol import Protocol
from wsabench.results.manifest import SCHEMA_VERSION, History, Manifest, RecordedPlan, ReferenceScores, SuiteEntry
from wsabench.results.provenance import ENGINE_VERSION, this_start
from wsabench.seeding import generator
from wsabench.summary.summarise import summarise
from wsabench.types import BenchRow, FloatArray

PEER = "rliable"
AGENTS, NUM_SEEDS, NUM_CELLS, NUM_EPISODES = ("wsa", "e2e"), 5, 60, 30
REPETITIONS = 10_000
"""What a report of two agents takes."""
SEVERITIES = 5


class ReportSize(NamedTuple):
    """How much a report is about."""

    agents: int = 100
    games: int = 10
    seeds: int = 3
    cells: int = 60
    episodes: int = 10


_PEER_REPETITIONS = {"mean, median, IQM, optimality gap": 100, "probability of improvement": 20, "profile": 20}


class _Run(NamedTuple):
    """A result set in memory."""

    episodes: pd.DataFrame
    attention: pd.DataFrame
    manifest: Manifest
    has_ledger: bool = True


def benchmark_stats(num_rounds: int = 3, *, with_report: bool = True) -> list[BenchRow]:
    """Measure the processor time of interval estimates, and of all numbers of a report.

    Both resample every task by itself, as rliable does, on 2 agents x 5 seeds x 60 cells. rliable's repetitions cost
    the same one by one, so it gets fewer of them, and times are given per repetition; the median of the rounds counts.

    Args:
        num_rounds: Turns of each contestant.
        with_report: Whether to measure the whole report, which has no peer.

    Returns:
        Rows in us/repetition, and the report's seconds.
    """
    rng = generator(0, "benchmark")
    x, y = (rng.normal(mean, 0.3, (NUM_SEEDS, NUM_CELLS)) for mean in (0.6, 0.5))
    ours, theirs = _ours(x, y), _theirs(x, y) if importlib.util.find_spec(PEER) else {}
    rows: list[BenchRow] = []
    for name, run in ours.items():
        speeds: dict[str, list[float]] = {"": [], PEER: []}
        for _ in range(num_rounds):
            speeds[""].append(_seconds(run) / REPETITIONS)
            if name in theirs:
                speeds[PEER].append(_seconds(theirs[name]) / _PEER_REPETITIONS[name])
        value = 1e6 * statistics.median(speeds[""])
        ratio = 1e6 * statistics.median(speeds[PEER]) / value if speeds[PEER] else None
        rows.append(_row(name, value, "us/repetition", ratio))
    if with_report:
        run_of_size = _run_of_size(rng)
        name = f"report: {len(AGENTS)} agents x {NUM_SEEDS} seeds x {NUM_CELLS} cells x {NUM_EPISODES} episodes"
        rows.append(_row(name, _seconds(lambda: summarise(run_of_size)), "s", None))
    return rows


def benchmark_large_report(size: ReportSize | None = None) -> list[BenchRow]:
    """Measure all numbers of a large report, each agent compared with the first; of made-up scores.

    Args:
        size: How much it is about; None for 100 agents.

    Returns:
        Processor time of all processes and time on the clock, in seconds, and the most memory that this process has
        had, the made-up table included, in MiB; each process that shares the work has some 400 MiB beside it.
    """
    size = size or ReportSize()
    made = _large_run(size, generator(0, "benchmark"))
    name = (
        f"report: {size.agents} agents x {size.games} games x {size.seeds} seeds x {size.cells} cells x "
        f"{size.episodes} episodes"
    )
    begin, before = time.perf_counter(), sum(os.times()[:4])
    summarise(made, compare_to=made.episodes["agent"].iloc[0])
    seconds, clock = sum(os.times()[:4]) - before, time.perf_counter() - begin
    memory = most_memory() / 2**20
    return [
        _row(name, seconds, "s", None),
        _row(f"{name}, clock", clock, "s", None),
        _row(f"{name}, memory of this process", memory, "MiB", None),
    ]


def _ours(x: FloatArray, y: FloatArray) -> dict[str, Callable[[], object]]:
    metrics = (stats.mean, stats.median, stats.iqm, stats.optimality_gap)
    all_metrics = stats.over_matrix(lambda matrix: np.stack([metric(matrix) for metric in metrics], axis=-1))
    improvement = stats.over_matrix(stats.probability_of_improvement)
    profile = stats.over_matrix(lambda matrix: stats.performance_profile(matrix, _THRESHOLDS))
    blocks_x, blocks_y = stats.per_task(x), stats.per_task(y)

    def interval(statistic: stats.Statistic, *samples: list[FloatArray]) -> object:
        return stats.seed_interval(statistic, samples, generator(0, "benchmark draws"), method="percentile")

    return {
        "mean, median, IQM, optimality gap": lambda: interval(all_metrics, blocks_x),
        "probability of improvement": lambda: interval(improvement, blocks_x, blocks_y),
        "profile": lambda: interval(profile, blocks_x),
    }


def _theirs(x: FloatArray, y: FloatArray) -> dict[str, Callable[[], object]]:
    """Return the same estimates by rliable, with its own functions."""
    from rliable import library, metrics  # pyright: ignore[reportMissingImports]

    def aggregates(scores: FloatArray) -> FloatArray:
        names = ("mean", "median", "iqm", "optimality_gap")
        return np.array([getattr(metrics, f"aggregate_{name}")(scores) for name in names])

    def quietly(run: Callable[[], object]) -> object:
        with contextlib.redirect_stdout(io.StringIO()):
            return run()

    estimates: Any = library.get_interval_estimates  # its annotations do not know the pairs that it takes
    names = list(_PEER_REPETITIONS)
    one, two, three = _PEER_REPETITIONS.values()
    return {
        names[0]: lambda: quietly(lambda: estimates({"x": x}, aggregates, reps=one)),
        names[1]: lambda: quietly(lambda: estimates({"x,y": (x, y)}, metrics.probability_of_improvement, reps=two)),
        names[2]: lambda: quietly(lambda: library.create_performance_profile({"x": x}, _THRESHOLDS, reps=three)),
    }


_THRESHOLDS = np.linspace(0.0, 1.5, 101)


def _run_of_size(rng: np.random.Generator) -> _Run:
    """Return a made-up result set of one game with as many cells as the report has, clean among them."""
    names = _cell_names(NUM_CELLS)
    keys = [(agent, seed, *name) for agent in AGENTS for seed in range(NUM_SEEDS) for name in names]
    rows = [key for key in keys for _ in range(NUM_EPISODES)]
    columns = zip(*rows, strict=True)
    table = pd.DataFrame(dict(zip(("agent", "train_seed", "perturbation", "severity"), columns, strict=True)))
    table["severity"] = table["severity"].astype("Int64")
    table["family"] = np.where(table["perturbation"] == "clean", "clean", "color")
    table["episode"] = table["episode_seed"] = np.tile(np.arange(NUM_EPISODES), len(keys))
    table = table.assign(game="g", length=100, end="game_over", fingerprint="")
    table["return"] = np.round(rng.normal(6.0, 1.5, len(table)))
    return _Run(table, pd.DataFrame(), _manifest("g"))


def _cell_names(number: int) -> list[tuple[str, int | None]]:
    """Return made-up perturbations at all severities, clean first."""
    return [("clean", None), *((f"p{k // SEVERITIES}", k % SEVERITIES + 1) for k in range(number - 1))]


def _large_run(size: ReportSize, rng: np.random.Generator) -> _Run:
    """Return a made-up result set of several games, built column by column."""
    games = tuple(f"g{number}" for number in range(size.games))
    agents = [f"a{number:03d}" for number in range(size.agents)]
    shape = (size.agents, size.games, size.seeds, size.cells, size.episodes)
    agent, game, seed, cell, episode = (axis.ravel() for axis in np.indices(shape, dtype=np.int64))
    names, severities = zip(*_cell_names(size.cells), strict=True)
    label = np.array(names, dtype=object)[cell]
    table = pd.DataFrame(
        {
            "agent": np.array(agents, dtype=object)[agent],
            "game": np.array(games, dtype=object)[game],
            "train_seed": seed,
            "perturbation": label,
            "severity": pd.array(severities, "Int64")[cell],
            "family": np.where(label == "clean", "clean", "color").astype(object),
            "episode": episode,
            "episode_seed": episode,
            "length": 100,
            "end": "game_over",
            "fingerprint": "",
            "return": np.round(rng.normal(6.0, 1.5, len(label))),
        }
    )
    return _Run(table, pd.DataFrame(), _manifest(*games))


def _manifest(*games: str) -> Manifest:
    """Return a manifest that says nothing but the games and their reference scores."""
    plan = RecordedPlan(
        suite=SuiteEntry(name="benchmark", summary="", content_hash=""),
        profile=None,
        protocol=Protocol(),
        seed=0,
        episodes=NUM_EPISODES,
        games=games,
        perturbations=(),
        perturbation_hashes={},
        effects={},
        refused={},
        misfits={},
        skipped=(),
        reference_scores={game: ReferenceScores(random=0.0, human=10.0) for game in games},
        agents=(),
        engine_version=ENGINE_VERSION,
        versions={},
        roms={},
        jobs=(),
    )
    return Manifest(schema_version=SCHEMA_VERSION, plan=plan, history=History.of_start(this_start()))


def _seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def _row(name: str, value: float, unit: str, ratio: float | None) -> BenchRow:
    return {"name": name, "peer": PEER if ratio else "", "value": value, "unit": unit, "ratio": ratio}
