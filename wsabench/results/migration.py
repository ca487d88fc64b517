"""Bringing result sets of earlier layouts over to the present one, step by step, without touching what was played.

One of the present layout that was written before there were ledgers gets one.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from wsabench.errors import ResultSetError
from wsabench.resources import expanded, make_dir, write_text, writing
from wsabench.results.ledger import LedgerWriter, read_ledger
from wsabench.results.manifest import (
    MANIFEST_NAME,
    SCHEMA_VERSION,
    UNKNOWN,
    Manifest,
    manifest_of,
    manifest_text,
    read_content,
)
from wsabench.results.provenance import BIT_DECIDING, timestamp
from wsabench.results.result import ATTENTION_DIR, EPISODES_DIR, FRAMES_DIR, STEPS_DIR, read_tables
from wsabench.version import __version__

_FOLDERS = (EPISODES_DIR, ATTENTION_DIR, STEPS_DIR, FRAMES_DIR)

Step = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns the plain values of a manifest into those of the next schema version; KeyError or TypeError where one is
missing or of another type."""


class Migrated(NamedTuple):
    """What a migration did."""

    path: Path
    """The new result set."""
    from_version: int
    manifest: Manifest
    num_files: int
    """Shards and pictures that were copied."""

    @property
    def unrecorded(self) -> tuple[str, ...]:
        """Packages that decide bits whose version the old result set did not record, so that no run goes on in it."""
        return tuple(name for name, version in self.manifest.plan.versions.items() if version == UNKNOWN)


def migrate(run: str | Path, out: str | Path) -> Migrated:
    """Write a result set of an earlier schema version, or without a ledger, anew in the present layout.

    Args:
        run: Directory of the old result set; nothing in it changes.
        out: Directory of the new one; it must not exist, or be empty. Shards and pictures are copied to the byte; what
            else lies in the old directory, as reports, is left there.

    Returns:
        Where it is, and what it lacks.

    Raises:
        ResultSetError: There is no result set, it is damaged, it is of the present layout, or `out` is not empty.
        StorageError: The new one cannot be written; nothing is left behind.
    """
    source, target = expanded(run), expanded(out)
    content = read_content(source)
    path, version = source / MANIFEST_NAME, content["schema_version"]
    if version == SCHEMA_VERSION and read_ledger(source).is_kept:
        raise ResultSetError(f"{path} has schema version {version} and a ledger already. There is nothing to do.")
    manifest = manifest_of(brought_over(content, path), path)
    read_tables(source, manifest)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ResultSetError(f"{target} exists and is not empty. Give --out a directory that does not exist.")
    make_dir(target.parent)
    with writing(target), tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as temporary:
        whole = make_dir(Path(temporary) / "run")
        num_files = sum(_copy_folder(source / name, whole / name) for name in _FOLDERS)
        text = path.read_text(encoding="utf-8") if version == SCHEMA_VERSION else manifest_text(manifest)
        write_text(whole / MANIFEST_NAME, text)
        with closing(LedgerWriter(whole)) as writer:
            writer.adopt(_FOLDERS, json.loads(text))
        whole.replace(target)
    return Migrated(target, version, manifest, num_files)


def brought_over(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return a manifest's plain values in the present schema version.

    Args:
        content: The values, with the schema version that they have.
        path: Where they were read, for messages.

    Raises:
        ResultSetError: There is no such schema version, or a value is missing.
    """
    values = dict(content)
    while (version := values["schema_version"]) != SCHEMA_VERSION:
        step = STEPS.get(version) if type(version) is int else None  # JSON's true is no 1
        if step is None:
            allowed = ", ".join(str(known) for known in (*STEPS, SCHEMA_VERSION))
            raise ResultSetError(f"{path} has schema version {version!r}. Allowed: {allowed}. Use a newer wsabench.")
        try:
            values = step(values)
        except (KeyError, TypeError, AttributeError) as error:
            raise ResultSetError(
                f"{path} is damaged: as a manifest of schema version {version} it lacks a value, or one is of another "
                f"type ({error}). Restore it from a copy."
            ) from error
    return values


def _copy_folder(source: Path, target: Path) -> int:
    """Copy the files of a folder, but for what a killed run left, and return how many."""
    if not source.is_dir():
        return 0
    make_dir(target)
    files = [path for path in sorted(source.iterdir()) if path.is_file() and not path.name.startswith(".")]
    for file in files:
        shutil.copyfile(file, target / file.name)
    return len(files)


def _from_1(old: dict[str, Any]) -> dict[str, Any]:
    """Part the plan from the history. Version 1 recorded fewer versions at first; jobs keep their fingerprints."""
    copied = ("suite", "protocol", "seed", "episodes", "games", "perturbations", "engine_version", "roms")
    by_game = ("perturbation_hashes", "effects", "refused", "misfits", "reference_scores")
    plan = {
        **{key: old[key] for key in copied},
        "profile": old.get("profile"),
        **{key: old.get(key, {}) for key in by_game},
        "skipped": old.get("skipped", []),
        "agents": [_agent_from_1(entry) for entry in old["agents"]],
        "versions": {name: old["versions"].get(name, UNKNOWN) for name in BIT_DECIDING},
        "jobs": old["jobs"],
    }
    where = ("start", "command_line", "git", "host")
    starts = [{**{key: old[key] for key in where}, "end": None, "versions": old["versions"]}]
    nothing = dict.fromkeys(old["versions"], UNKNOWN)
    starts += [{**{key: one[key] for key in where}, "end": None, "versions": nothing} for one in old.get("resumed", [])]
    starts[-1]["end"] = old["end"]
    migration = {
        "schema_version": 1,
        "wsabench": __version__,
        "time": timestamp(),
        "fingerprints": {job["file"]: job["fingerprint"] for job in old["jobs"]},
    }
    history = {"starts": starts, "merged_from": [], "merge_notes": [], "migrated_from": [migration]}
    return {"schema_version": 2, "plan": plan, "history": history}


def _agent_from_1(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an agent's entry; manifests did not hold all of it from the first."""
    missing = {"encoders": [], "inputs": [], "privileged": False, "own_play": None}
    return {"agent": entry["name"], **missing, **{key: value for key, value in entry.items() if key != "name"}}


STEPS: Mapping[int, Step] = {1: _from_1}
"""What brings a manifest of each earlier schema version to the next one."""
