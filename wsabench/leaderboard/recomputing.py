"""Recomputing: what a run's manifest and its report say must follow from its shards."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from wsabench.leaderboard.checking import job_fingerprints
from wsabench.report.export import as_written, tidy_episodes
from wsabench.report.writer import CSV_DIR
from wsabench.results.manifest import UNKNOWN, AgentEntry, JobEntry, RecordedPlan
from wsabench.results.result import ResultSet
from wsabench.results.tables import with_labels
from wsabench.seeding import start_order
from wsabench.summary.rows import frame_of
from wsabench.summary.summarise import Results, Summary, summarise

Problems = list[str]
REPORT_DIR = "report"
TABLES = ("samples", "cells", "perturbations", "seeds")
"""Tables of a report that follow from the episodes alone, whatever its options were."""
_TOLERANCE = 1e-9
"""Numbers in the text of a table may differ by this share, as between versions of NumPy."""


def number_rows(result: Results) -> tuple[dict[str, Any], ...]:
    """Return every aggregate of a result set, computed now: one row for each agent, scope, measure and metric."""
    rows = summarise(result).aggregates
    return tuple(
        {
            "agent": row.agent,
            "scope": row.scope,
            "measure": row.measure,
            "metric": row.metric,
            "value": row.value.value,
            "low": row.value.low,
            "high": row.value.high,
        }
        for row in rows
    )


def shard_problems(run: ResultSet) -> Problems:
    """Return the jobs whose fingerprint does not follow from what the manifest says was played.

    All else that shards could say other than the manifest is refused when they are loaded. Nothing is known of merged
    runs, whose jobs have the versions of each run, and of runs with a version that nobody knows.
    """
    plan = run.manifest.plan
    if run.manifest.history.merged_from or UNKNOWN in plan.versions.values():
        return []
    keys = ["agent", "train_seed", "game", "label"]
    parts = with_labels(run.episodes).groupby(keys, sort=False)["episode_seed"]
    seeds: dict[Any, list[int]] = {key: [int(seed) for seed in part] for key, part in parts}
    return [
        f"{job.id.describe()}, {job.perturbation}: the fingerprint is not that of what the manifest says was played."
        for job in plan.jobs
        if (key := (job.agent, job.train_seed, job.game, job.perturbation)) in seeds
        and job.fingerprint not in _fingerprints(plan, job, seeds[key])
    ]


def _fingerprints(plan: RecordedPlan, job: JobEntry, seeds: list[int]) -> set[str]:
    """Return the fingerprints that follow from the manifest, without the agent's own play and with it."""
    return {
        text
        for one in plan.agents
        if one.id == job.id
        for text in job_fingerprints(
            one,
            plan.protocol,
            perturbation_hash=plan.perturbation_hashes.get(job.game, {}).get(job.perturbation, ""),
            rom_hash=plan.roms.get(job.game, ""),
            episode_seeds=tuple(seeds),
            versions=plan.versions,
            engine_version=plan.engine_version,
            noops=_noops(plan, one, len(seeds)) if job.each_start_once else None,
        )
    }


def _noops(plan: RecordedPlan, one: AgentEntry, count: int) -> tuple[int, ...]:
    """Return the no-ops of a job's episodes where each start is played once."""
    return start_order(one.game, plan.protocol_with(one.view).start_noops, plan.seed)[:count]


class _Made(NamedTuple):
    """A table of a report, and what it must be."""

    path: Path
    expected: pd.DataFrame


def report_problems(run: ResultSet) -> Problems:
    """Return the tables of the run's report, where there is one, whose numbers do not follow from the shards."""
    folder = run.path / REPORT_DIR / CSV_DIR
    if not folder.is_dir():
        return []
    return [text for made in _tables(run, summarise(run), folder) if (text := _table_problem(made))]


def _tables(run: ResultSet, summary: Summary, folder: Path) -> list[_Made]:
    """Return the tables that are there."""
    expected = {"episodes": tidy_episodes(run, summary)}
    expected |= {name: frame_of(getattr(summary, name)) for name in TABLES}
    made = (_Made(folder / f"{name}.csv", table) for name, table in expected.items())
    return [one for one in made if one.path.is_file()]


def _table_problem(made: _Made) -> str:
    """Return what is wrong with a table, nothing where it follows from the shards."""
    try:
        written = pd.read_csv(made.path)
    except (OSError, ValueError) as error:
        return f"{made.path} cannot be read ({error})."
    expected = pd.read_csv(io.StringIO(as_written(made.expected).to_csv(index=False)))
    written = written.reindex(columns=[name for name in written.columns if name != "privileged"])
    if list(written.columns) != list(expected.columns) or len(written) != len(expected):
        return f"{made.path} is not the table of these shards: other columns or rows. Make the report again."
    for name in expected.columns:
        for place, (one, other) in enumerate(zip(written[name], expected[name], strict=True)):
            if not _same(one, other):
                return f"{made.path}, row {place + 1}: {name} is {one}; the shards give {other}. Make the report again."
    return ""


def _same(one: Any, other: Any) -> bool:
    """Whether two values of a table are equal, numbers but for the last digits."""
    if pd.isna(one) or pd.isna(other):
        return bool(pd.isna(one) and pd.isna(other))
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return one == other
