"""Where the numbers come from, as rows of a table."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from wsabench.fields import read_toml
from wsabench.report.tables.text import Table, number
from wsabench.resources import catalogue_files
from wsabench.results.manifest import UNKNOWN, Manifest, MergedRun, RecordedPlan, SuiteEntry
from wsabench.results.records import CLEAN
from wsabench.results.result import DRAWS, DRAWS_LEGEND, drawing_agents
from wsabench.summary.rows import IntervalKind
from wsabench.summary.significance import ClaimOptions
from wsabench.summary.summarise import Summary

_HASH_LENGTH = 12
_LEVELS = 5
"""Severities that `NAME@*` stands for."""
_MOST_NAMES, _LONGEST_NAMES = 4, 60
"""Names and their characters that stand in a title; more are counted."""


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
        (one.agent + f" {DRAWS}" * one.draws, str(one.train_seed), one.game, _short(one.checkpoint_hash), one.source)
        for one in manifest.plan.agents
    )
    if agents:
        columns = ("agent", "train seed", "game", "checkpoint", "source")
        caption = "Checkpoint: the beginning of the hash of its content."
        caption += f" {DRAWS_LEGEND}" * any(one.draws for one in manifest.plan.agents)
        tables.append(Table("Agents", caption, columns, agents, 5))
    references = tuple((row.game, number(row.random, 1), number(row.human, 1)) for row in summary.references)
    caption = "Scores of random and human play: Wang et al. 2016, table of raw scores, 30 no-ops."
    tables.append(Table("Reference scores", caption, ("game", "random", "human"), references, 1))
    return tables


def title_of(plan: RecordedPlan) -> str:
    """Return the report's title: who played what, where.

    Args:
        plan: What was recorded of the run. A suite is named only where its own perturbations were played.
    """
    agents = list(dict.fromkeys(entry.agent for entry in plan.agents))
    who = _few(agents, "agents")
    where = _few(plan.games, "games")
    start = " on ".join(part for part in (who, where) if part)
    return f"{start}: {_played(plan)}" if start else _played(plan)


def _few(names: Sequence[str], word: str) -> str:
    """Return some names, or how many they are."""
    listed = names[0] if len(names) == 1 else " and ".join((", ".join(names[:-1]), names[-1])) if names else ""
    return listed if len(names) <= _MOST_NAMES and len(listed) <= _LONGEST_NAMES else f"{len(names)} {word}"


def _played(plan: RecordedPlan) -> str:
    """Return what was played: the suite, part of it, or perturbations of the run's own."""
    suite = plan.suite.name
    profile = f", profile {plan.profile}" if plan.profile else ""
    wanted = [name for name in plan.perturbations if name != CLEAN]
    asked = _suite_perturbations(plan)
    if asked is None:
        return f"suite {suite}{profile}"
    if not wanted:
        return "clean play"
    listed, has_more = asked
    impossible = {name for names in (*plan.refused.values(), *plan.misfits.values()) for name in names}
    extra = set(wanted) - listed
    if extra and (not has_more or extra == set(wanted)):
        return f"own perturbations, {_few(wanted, 'of them')}"
    if listed - impossible <= set(wanted):
        return f"suite {suite}{profile}"
    of_all = "" if has_more else f" of the {len(listed)}"  # how many a game brings is not known here
    return f"{len(wanted)}{of_all} perturbations of suite {suite}{profile}"


def _suite_perturbations(plan: RecordedPlan) -> tuple[set[str], bool] | None:
    """Return what the suite and profile of a run list, without clean, and whether games bring more of their own.

    None where the catalogue has no such suite or profile. Read as plain data: a report needs no perturbation.
    """
    path = catalogue_files("suites").get(plan.suite.name)
    if path is None:
        return None
    suite = read_toml(path)
    chosen = suite if plan.profile is None else suite | suite.get("profiles", {}).get(plan.profile, {})
    names = [str(name) for name in chosen.get("perturbations", ())]
    listed = {f"{name[:-1]}{level}" for name in names if name.endswith("@*") for level in range(1, _LEVELS + 1)}
    listed |= {name for name in names if not name.endswith("@*") and name != CLEAN}
    return listed, any(chosen.get(key) for key in ("patches", "recolorings", "modes", "difficulties"))


def scope_of(summary: Summary) -> str:
    """Return how much was played, a line.

    Args:
        summary: The numbers.
    """
    played = sum(row.num_episodes for row in summary.samples)
    cells = len({(row.game, row.label) for row in summary.cells})
    counts = sorted({row.num_seeds for row in summary.samples})
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    games = summary.num_games
    return (
        f"How well agents keep playing when the world changes: {cells} cell{'s' * (cells != 1)} on {games} "
        f"game{'s' * (games != 1)}, {seeds} train seed{'s' * (seeds != '1')} of each agent, {played:,} episodes."
    )


def steps_to_reproduce(
    manifest: Manifest,
    run_dirs: Sequence[Path] = (),
    options: ClaimOptions | None = None,
    interval: IntervalKind = "joint",
    formats: Sequence[str] = (),
) -> list[Step]:
    """Return how to make the episodes and the report again; every command runs as it stands.

    Args:
        manifest: The result set's manifest.
        run_dirs: Where the result sets are, as they were given.
        options: What the report's claims are about; None: nothing was declared.
        interval: How aggregates and profiles are resampled.
        formats: The formats of the report; none given: all.
    """
    first = manifest.history.first
    versions = {name: version for name, version in first.versions.items() if version != UNKNOWN}
    pinned = [f"{name}=={versions[name]}" for name in ("ale-py", "gymnasium", "numpy", "torch") if name in versions]
    packages = ["wsabench" + (f"=={versions['wsabench']}" if "wsabench" in versions else ""), *pinned]
    made = f" The run was made from commit {_short(first.git.commit)}." if first.git else ""
    runs = [one.starts[0] for one in manifest.history.merged_from] or [first]
    commands = tuple(dict.fromkeys(one.command_line for one in runs if one.command_line))
    steps = [Step(f"Install the same versions.{made}", (shlex.join(["pip", "install", *packages]),))]
    if commands:
        drawing = drawing_agents(manifest)
        but = f", but for {', '.join(drawing)}, which cannot be repeated" if drawing else ""
        words = (
            f"Play the episodes: the same seeds give the same table, whatever the number of workers{but}. Where the "
            "folder has them already, nothing is played again."
        )
        steps.append(Step(words, commands))
    words = (
        f"Make this report, from the folder where it was made; its intervals come from the bootstrap seed under "
        f"Provenance ({len(runs)} result set{'s' if len(runs) > 1 else ''})."
    )
    command = ["wsabench", "report", *_paths(run_dirs), *_declared(options or ClaimOptions(), interval)]
    command += ["--format", ",".join(formats)] if formats else []
    steps.append(Step(words, (shlex.join(command),)))
    return steps


def _paths(run_dirs: Sequence[Path]) -> list[str]:
    """Return paths as a shell may take them: none looks like an option."""
    paths = [str(path) for path in run_dirs] or ["RUN_DIR"]
    return [f"./{path}" if path.startswith("-") else path for path in paths]


def _declared(options: ClaimOptions, interval: IntervalKind) -> list[str]:
    """Return the options that a report was made with."""
    declared: list[str] = []
    if options.family:
        declared += ["--claims-on", ",".join(options.family)]
    if options.compare_to:
        declared += ["--compare-to", options.compare_to]
    if options.equivalence_margin is not None:
        declared += ["--equivalence-margin", f"{options.equivalence_margin:g}"]
    return declared + (["--interval", interval] if interval != "joint" else [])


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
