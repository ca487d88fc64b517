"""Where the numbers come from, as rows of a table."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from wsabench.machine import ABSENT
from wsabench.report.tables.text import DASH, Table, number
from wsabench.results.manifest import UNKNOWN, Manifest, MergedRun, RecordedPlan
from wsabench.results.provenance import BIT_DECIDING
from wsabench.results.records import CLEAN
from wsabench.results.result import DRAWS, DRAWS_LEGEND, drawing_agents
from wsabench.summary.notes import chosen_of
from wsabench.summary.rows import IntervalKind, RandomRow
from wsabench.summary.significance import ClaimOptions
from wsabench.summary.summarise import Summary
from wsabench.words import counted

_HASH_LENGTH = 12
_PINNED = sorted({"gymnasium", *BIT_DECIDING})
"""Packages that are installed in the same version to make a run again."""
_MOST_NAMES, _LONGEST_NAMES = 4, 60
"""Names and their characters that stand in a title; more are counted."""


class Step(NamedTuple):
    """One step of how to make a report again."""

    words: str
    """What is done, in sentences."""
    commands: tuple[str, ...]
    """The commands as they are typed into a shell, maybe none."""


def provenance_tables(summary: Summary, manifest: Manifest) -> list[Table]:
    """Return what made the run: command, suite, versions; agents; reference scores.

    Args:
        summary: The numbers, for the bootstrap seed and the references.
        manifest: The result set's manifest; facts that it lacks are left out.
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
    tables.append(_reference_table(summary))
    return tables


def _reference_table(summary: Summary) -> Table:
    """Return the scores that stand for 0 and 1, and beside them what random play scored in this run."""
    here = {row.game: row for row in summary.random_play if row.label == CLEAN}
    columns = ("game", "random", "human", *(("random in this run",) if here else ()))
    rows = tuple(
        (row.game, number(row.random, 1), number(row.human, 1), *((_of_random(here.get(row.game)),) if here else ()))
        for row in summary.references
    )
    caption = "Scores of random and human play: Wang et al. 2016, table of raw scores, 30 no-ops."
    if here:
        caption += (
            " Random in this run: mean return of the built-in random agent, clean. It changes no number of this page, "
            "but for perturbations that change the game itself: there retention is above its play of the same game."
        )
    return Table("Reference scores", caption, columns, rows, 1)


def _of_random(row: RandomRow | None) -> str:
    return DASH if row is None else f"{number(row.mean_return, 1)} ({counted(row.num_episodes, 'episode')})"


def title_of(plan: RecordedPlan, left_out: Collection[str] = ()) -> str:
    """Return the report's title: which agents played what, in which games.

    Args:
        plan: What was recorded of the run. A suite is named only where its own perturbations were played.
        left_out: Agents that the report does not show.
    """
    agents = list(dict.fromkeys(entry.agent for entry in plan.agents if entry.agent not in left_out))
    who = _few(agents, "agents")
    where = _few(plan.games, "games")
    start = " on ".join(part for part in (who, where) if part)
    return f"{start}{_played(plan)}" if start else _played(plan).lstrip(": ")


def _few(names: Sequence[str], word: str) -> str:
    """Return some names, or how many they are."""
    return _listed(names) if _are_few(names) else f"{len(names)} {word}"


def _are_few(names: Sequence[str]) -> bool:
    return len(names) <= _MOST_NAMES and len(_listed(names)) <= _LONGEST_NAMES


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else " and ".join((", ".join(names[:-1]), names[-1])) if names else ""


def _played(plan: RecordedPlan) -> str:
    """Return what was played as the end of a title: the suite, part of it, or perturbations that the user named."""
    profile = f", profile {plan.profile}" if plan.profile else ""
    chosen = chosen_of(plan)
    if chosen.kind == "suite":
        return f": suite {plan.suite.name}{profile}"
    if chosen.kind == "clean":
        return ": clean play"
    if chosen.kind == "own" or _are_few(chosen.names):
        return f" under {_few(chosen.names, 'named perturbations')}"
    of_all = "" if chosen.num_listed is None else f" of the {chosen.num_listed}"
    return f": {len(chosen.names)}{of_all} perturbations of suite {plan.suite.name}{profile}"


def scope_of(summary: Summary) -> str:
    """Return how much was played, in one line, which also says why the random agent is in no table.

    Args:
        summary: The numbers.
    """
    played = sum(row.num_episodes for row in summary.samples)
    cells = len({(row.game, row.label) for row in summary.cells})
    counts = sorted({row.num_seeds for row in summary.samples})
    seeds = counted(counts[0], "train seed") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} train seeds"
    whose = "each agent" if len(summary.agents) != 1 else summary.agents[0]
    return (
        f"How well agents keep playing when the world changes: {counted(cells, 'cell')} on "
        f"{counted(summary.num_games, 'game')}, {seeds} of {whose}, {counted(played, 'episode')}."
        f"{_about_random(summary)}"
    )


def _about_random(summary: Summary) -> str:
    """Say why the agent that plays at random, which the command names, stands in no table."""
    if not summary.random_play:
        return ""
    name, episodes = summary.random_play[0].agent, sum(row.num_episodes for row in summary.random_play)
    text = (
        f" Beside {'them' if len(summary.agents) > 1 else 'it'} played {name}, {counted(episodes, 'episode')}: it is "
        "the yardstick, the 0 of the normalised score, and has no row of its own"
    )
    clean = [row for row in summary.random_play if row.label == CLEAN]
    known = {row.game: row.random for row in summary.references}
    if len(clean) == 1 and math.isfinite(known.get(clean[0].game, math.nan)):
        text += (
            f" (mean return {number(clean[0].mean_return, 1)} here, clean; what counts as 0 is the published "
            f"{number(known[clean[0].game], 1)})"
        )
    return f"{text}."


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
        run_dirs: The directories of the result sets, as they were given.
        options: What the report's claims are about; None: nothing was declared.
        interval: How aggregates and profiles are resampled.
        formats: The formats of the report; empty for all.
    """
    first = manifest.history.first
    versions = {name: version for name, version in first.versions.items() if version not in (UNKNOWN, ABSENT)}
    pinned = [f"{name}=={versions[name]}" for name in _PINNED if name in versions]
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
        f"Provenance ({counted(len(runs), 'result set')})."
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
        ("suite", _suite(plan)),
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


def _suite(plan: RecordedPlan) -> str:
    suite = plan.suite
    version = "" if suite.version is None else f" version {suite.version}"
    own = " (its measure and protocol; the perturbations were named instead)" * (chosen_of(plan).kind == "own")
    return f"{suite.name}{version} hash {_short(suite.content_hash)}{own}"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items())


def _short(text: str) -> str:
    return text[:_HASH_LENGTH]
