"""Where the numbers come from, as rows of a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from wsabench.report.tables.text import Table, number
from wsabench.results.manifest import UNKNOWN, Manifest, MergedRun, RecordedPlan, SuiteEntry
from wsabench.summary.rows import IntervalKind
from wsabench.summary.significance import ClaimOptions
from wsabench.summary.summarise import Summary

_HASH_LENGTH = 12


class Step(NamedTuple):
    """One step of how to make a report again."""

    words: str
    commands: tuple[str, ...]
    """As typed into a shell, maybe none."""


def provenance_tables(summary: Summary, manifest: Manifest) -> list[Table]:
    """Return what made the run: command, suite, versions; agents; reference scores.

    Args:
        summary: The numbers, for the bootstrap seed and the references.
        manifest: The result set's manifest; what it does not hold is left out.
    """
    caption = "Repeat the command with these versions on the same kind of processor to get the same episodes."
    tables = [Table("How this run was made", caption, ("what", "value"), tuple(_facts(summary, manifest)), 2)]
    if manifest.history.merged_from:
        tables = [_combined_table(manifest.history.merged_from), *tables]
    agents = tuple(
        (one.agent, str(one.train_seed), one.game, _short(one.checkpoint_hash), one.source)
        for one in manifest.plan.agents
    )
    if agents:
        columns = ("agent", "train seed", "game", "checkpoint", "source")
        tables.append(Table("Agents", "Checkpoint: the beginning of the hash of its content.", columns, agents, 5))
    references = tuple((row.game, number(row.random, 1), number(row.human, 1)) for row in summary.references)
    caption = "Scores of random and human play: Wang et al. 2016, table of raw scores, 30 no-ops."
    tables.append(Table("Reference scores", caption, ("game", "random", "human"), references, 1))
    return tables


def title_of(plan: RecordedPlan) -> str:
    """Return the report's title: suite and profile."""
    return f"{plan.suite.name}, profile {plan.profile}" if plan.profile else plan.suite.name


def steps_to_reproduce(
    manifest: Manifest,
    run_dirs: Sequence[Path] = (),
    options: ClaimOptions | None = None,
    interval: IntervalKind = "joint",
) -> list[Step]:
    """Return how to make the episodes and the report again.

    Args:
        manifest: The result set's manifest.
        run_dirs: Where the result sets are; only the names of the folders are shown.
        options: What the report's claims are about; None: nothing was declared.
        interval: How aggregates and profiles are resampled.
    """
    first = manifest.history.first
    versions = {name: version for name, version in first.versions.items() if version != UNKNOWN}
    pinned = [f"{name}=={versions[name]}" for name in ("ale-py", "gymnasium", "numpy", "torch") if name in versions]
    packages = " ".join(["wsabench" + (f"=={versions['wsabench']}" if "wsabench" in versions else ""), *pinned])
    made = f" The run was made from commit {_short(first.git.commit)}." if first.git else ""
    runs = [one.starts[0] for one in manifest.history.merged_from] or [first]
    commands = tuple(dict.fromkeys(one.command_line for one in runs if one.command_line))
    names = " ".join(path.resolve().name for path in run_dirs) or "RUN_DIR"
    options = options or ClaimOptions()
    declared = f" --claims-on {','.join(options.family)}" if options.family else ""
    declared += f" --compare-to {options.compare_to}" if options.compare_to else ""
    margin = options.equivalence_margin
    declared += "" if margin is None else f" --equivalence-margin {margin:g}"
    declared += f" --interval {interval}" if interval != "joint" else ""
    steps = [Step(f"Install the same versions.{made}", (f"pip install {packages}",))]
    if commands:
        words = "Play the episodes: the same seeds give the same table, whatever the number of workers."
        steps.append(Step(words, commands))
    words = f"Make this report; its intervals come from the bootstrap seed under Provenance ({len(runs)} result set"
    steps.append(Step(f"{words}{'s' if len(runs) > 1 else ''}).", (f"wsabench report {names}{declared}",)))
    return steps


def _combined_table(runs: Sequence[MergedRun]) -> Table:
    """Return where each of several combined runs comes from."""
    rows = tuple(
        (
            one.name,
            ", ".join(one.agents),
            one.starts[0].command_line,
            _short(one.starts[0].git.commit) if one.starts[0].git else "",
            one.starts[0].host.processor,
            one.starts[0].start,
            str(one.num_jobs),
        )
        for one in runs
    )
    columns = ("run", "agents", "command", "commit", "processor", "start", "jobs")
    return Table("Combined runs", "What follows is from the first of them.", columns, rows, 6)


def _facts(summary: Summary, manifest: Manifest) -> list[tuple[str, str]]:
    plan, first = manifest.plan, manifest.history.first
    git = first.git
    facts = [
        ("command", first.command_line),
        ("suite", _suite(plan.suite)),
        ("protocol", _pairs(plan.protocol.to_dict())),
        ("seed of the episode seeds", str(plan.seed)),
        ("bootstrap seed", str(summary.bootstrap_seed)),
        ("versions", _pairs(first.versions)),
        ("engine behaviour version", str(plan.engine_version)),
        ("commit", "" if git is None else git.commit + " with local changes" * git.dirty),
        ("ROMs", _pairs({game: _short(value) for game, value in plan.roms.items()})),
        ("machine", _pairs(msgspec.to_builtins(first.host))),
        ("time", " to ".join(time for time in (first.start, manifest.history.end) if time)),
    ]
    return [(what, value) for what, value in facts if value]


def _suite(suite: SuiteEntry) -> str:
    version = "" if suite.version is None else f" version {suite.version}"
    return f"{suite.name}{version} hash {_short(suite.content_hash)}"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items())


def _short(text: str) -> str:
    return text[:_HASH_LENGTH]
