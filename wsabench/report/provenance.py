"""Where the numbers come from, as rows of a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from wsabench.evaluation.summary import Summary
from wsabench.evaluation.summary_tables import rows_of
from wsabench.report.tables import Table, number

_HASH_LENGTH = 12


def provenance_tables(summary: Summary, manifest: Mapping[str, Any]) -> list[Table]:
    """Return what made the run: command, suite, versions; agents; reference scores.

    Args:
        summary: The numbers, for the bootstrap seed and the references.
        manifest: The result set's manifest; entries that are missing are left out.
    """
    caption = "Repeat the command with these versions on the same kind of processor to get the same episodes."
    tables = [Table("How this run was made", caption, ("what", "value"), tuple(_facts(summary, manifest)), 2)]
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
