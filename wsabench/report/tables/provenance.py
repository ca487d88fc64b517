"""Where the numbers come from, as rows of a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from wsabench.report.tables.text import Table, number
from wsabench.summary.summarise import Summary
from wsabench.summary.tables import rows_of

_HASH_LENGTH = 12


class Step(NamedTuple):
    """One step of how to make a report again."""

    words: str
    commands: tuple[str, ...]
    """As typed into a shell, maybe none."""


def provenance_tables(summary: Summary, manifest: Mapping[str, Any]) -> list[Table]:
    """Return what made the run: command, suite, versions; agents; reference scores.

    Args:
        summary: The numbers, for the bootstrap seed and the references.
        manifest: The result set's manifest; entries that are missing are left out.
    """
    caption = "Repeat the command with these versions on the same kind of processor to get the same episodes."
    tables = [Table("How this run was made", caption, ("what", "value"), tuple(_facts(summary, manifest)), 2)]
    if manifest.get("combined"):
        tables = [_combined_table(manifest["combined"]), *tables]
    agents = tuple(
        (
            str(entry.get("name", "")),
            str(entry.get("train_seed", "")),
            str(entry.get("game", "")),
            _short(str(entry.get("checkpoint_hash", ""))),
            str(entry.get("source", "")),
        )
        for entry in manifest.get("agents", [])
    )
    if agents:
        columns = ("agent", "train seed", "game", "checkpoint", "source")
        tables.append(Table("Agents", "Checkpoint: the beginning of the hash of its content.", columns, agents, 5))
    references = tuple(
        (row["game"], number(row["random"], 1), number(row["human"], 1)) for row in rows_of(summary.references)
    )
    caption = "Scores of random and human play: Wang et al. 2016, table of raw scores, 30 no-ops."
    tables.append(Table("Reference scores", caption, ("game", "random", "human"), references, 1))
    return tables


def title_of(manifest: Mapping[str, Any]) -> str:
    """Return the report's title: suite and profile."""
    suite = manifest.get("suite", {})
    name = suite.get("name", "own suite") if isinstance(suite, Mapping) else str(suite)
    return f"{name}, profile {manifest['profile']}" if manifest.get("profile") else name


def steps_to_reproduce(
    manifest: Mapping[str, Any], run_dirs: Sequence[Path] = (), family: Sequence[str] | None = None
) -> list[Step]:
    """Return how to make the episodes and the report again.

    Args:
        manifest: The result set's manifest.
        run_dirs: Where the result sets are; only the names of the folders are shown.
        family: The declared family of tests, if any.
    """
    versions = manifest.get("versions", {})
    pinned = [f"{name}=={versions[name]}" for name in ("ale-py", "gymnasium", "numpy", "torch") if name in versions]
    packages = " ".join(["wsabench" + (f"=={versions['wsabench']}" if "wsabench" in versions else ""), *pinned])
    commit = (manifest.get("git") or {}).get("commit")
    made = f" The run was made from commit {commit[:_HASH_LENGTH]}." if commit else ""
    runs = manifest.get("combined") or [manifest]
    commands = tuple(dict.fromkeys(str(one["command_line"]) for one in runs if one.get("command_line")))
    names = " ".join(path.resolve().name for path in run_dirs) or "RUN_DIR"
    declared = f" --family {','.join(family)}" if family else ""
    steps = [Step(f"Install the same versions.{made}", (f"pip install {packages}",))]
    if commands:
        words = "Play the episodes: the same seeds give the same table, whatever the number of workers."
        steps.append(Step(words, commands))
    words = f"Make this report; its intervals come from the bootstrap seed under Provenance ({len(runs)} result set"
    steps.append(Step(f"{words}{'s' if len(runs) > 1 else ''}).", (f"wsabench report {names}{declared}",)))
    return steps


def _combined_table(runs: Sequence[Mapping[str, Any]]) -> Table:
    """Return where each of several combined runs comes from."""
    rows = tuple(
        (
            str(one.get("name", "")),
            ", ".join(one.get("agents", ())),
            str(one.get("command_line") or ""),
            _short((one.get("git") or {}).get("commit")),
            str((one.get("host") or {}).get("processor") or ""),
            str(one.get("start") or ""),
            str(one.get("num_jobs", "")),
        )
        for one in runs
    )
    columns = ("run", "agents", "command", "commit", "processor", "start", "jobs")
    return Table("Combined runs", "What follows is from the first of them.", columns, rows, 6)


def _facts(summary: Summary, manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    suite, git, host = (manifest.get(key) or {} for key in ("suite", "git", "host"))
    facts = [
        ("command", manifest.get("command_line")),
        ("suite", _joined((suite.get("name"), "hash", _short(suite.get("content_hash"))), " ")),
        ("protocol", _pairs(manifest.get("protocol"))),
        ("seed of the episode seeds", manifest.get("seed")),
        ("bootstrap seed", summary.bootstrap_seed),
        ("versions", _pairs(manifest.get("versions"))),
        ("engine behaviour version", manifest.get("engine_version")),
        ("commit", _joined((git.get("commit"), "with local changes" if git.get("dirty") else None), " ")),
        ("ROMs", _pairs({game: _short(value) for game, value in (manifest.get("roms") or {}).items()})),
        ("machine", _pairs(host)),
        ("time", _joined((manifest.get("start"), manifest.get("end")), " to ")),
    ]
    return [(what, str(value)) for what, value in facts if value not in (None, "")]


def _joined(parts: tuple[Any, ...], between: str) -> str:
    return between.join(str(part) for part in parts if part)


def _pairs(values: Mapping[str, Any] | None) -> str:
    entries = (values or {}).items()
    return ", ".join(f"{key} {value if isinstance(value, str) else json.dumps(value)}" for key, value in entries)


def _short(text: str | None) -> str:
    return (text or "")[:_HASH_LENGTH]
