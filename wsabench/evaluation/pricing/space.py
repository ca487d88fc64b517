"""How much disk a result set takes: its files are made up in memory and weighed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wsabench.evaluation.plan import Plan
from wsabench.evaluation.samples import SampleLane, encode_png
from wsabench.results import provenance
from wsabench.results.manifest import SCHEMA_VERSION, History, Manifest, manifest_text
from wsabench.results.records import EpisodeOutcome, EpisodeSteps, Job, attention_sums
from wsabench.results.tables import attention_table, episode_table, steps_table
from wsabench.seeding import generator

_BLOCK = 4096
"""Files take whole blocks of the disk."""
_PICTURES = 12
"""So many pictures are drawn, evenly over the cells, and stand for all. Noise takes twenty times as much as colours."""
_LEDGER_LINE = 180
_MOST_STEPS = 2_000
"""Of an episode whose steps are weighed."""


def disk_bytes_of(plan: Plan, mine: Plan, mean_length: float) -> int:
    """Return how many bytes the files of a run take on a disk.

    Args:
        plan: The whole plan, which the manifest holds and of which pictures are drawn.
        mine: What is played.
        mean_length: Steps of an episode where every step is kept; 0 where none is.
    """
    sizes: dict[tuple[tuple[str, ...], int], int] = {}
    total = files = 0
    for job in mine.jobs:
        encoders = mine.contestant_of(job).encoders
        key = encoders, job.num_episodes
        if key not in sizes:
            sizes[key] = sum(map(_on_disk, _job_bytes(job, encoders, mean_length)))
        total += sizes[key]
        files += 1 + bool(encoders) * (2 if mean_length else 1)
    history = History.of_start(provenance.this_start())
    manifest = Manifest(schema_version=SCHEMA_VERSION, plan=plan.recorded(), history=history)
    pictures = [cell for cell, compiled in plan.compiled.items() if compiled.family != "encoder"]
    drawn = [_picture_bytes(plan, cell) for cell in pictures[:: -(-len(pictures) // _PICTURES) or 1]]
    total += round(np.mean(list(map(_on_disk, drawn))) * len(pictures)) if drawn else 0
    return total + _on_disk(len(manifest_text(manifest))) + _on_disk((files + len(pictures)) * _LEDGER_LINE)


def _on_disk(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _picture_bytes(plan: Plan, cell: tuple[str, str]) -> int:
    compiled = plan.compiled[cell]
    with closing(SampleLane(compiled, plan.protocol)) as lane:
        return len(encode_png(lane.picture(compiled)))


def _job_bytes(job: Job, encoders: Sequence[str], mean_length: float) -> list[int]:
    """Return the sizes of a job's shards, of episodes with random contents."""
    draws = generator(0, "price", "disk")
    length = min(max(int(mean_length), 1), _MOST_STEPS)
    weights = draws.random((length, max(len(encoders), 1)), np.float32)
    outcomes = [
        EpisodeOutcome(
            job_index=0,
            episode=episode,
            episodic_return=float(draws.integers(0, 400)),
            length=int(draws.integers(1, 5_000)),
            end="game_over",
            attention=attention_sums(weights) if encoders else None,
            steps=_steps(draws, weights) if encoders and mean_length else None,
            noops=int(draws.integers(0, 31)),
            action_hash=draws.bytes(8).hex(),
        )
        for episode in range(job.num_episodes)
    ]
    tables = [episode_table(job, outcomes)]
    if encoders:
        tables.append(attention_table(job, outcomes, encoders))
    sizes = [_packed(table) for table in tables]
    if encoders and mean_length:
        sizes.append(round(_packed(steps_table(job, outcomes, encoders)) * mean_length / length))
    return sizes


def _steps(draws: np.random.Generator, weights: np.ndarray) -> EpisodeSteps:
    number = len(weights)
    return EpisodeSteps(
        actions=draws.integers(0, 4, number),
        rewards=draws.integers(0, 2, number).astype(np.float64),
        values=draws.random(number, np.float32),
        weights=weights,
    )


def _packed(table: pa.Table) -> int:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().size
