"""Several result sets as one: runs of the same suite whose agents were played on different machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from wsabench.errors import ResultSetError
from wsabench.results.comparing import Run, check_compatible
from wsabench.results.provenance import BIT_DECIDING
from wsabench.results.records import with_labels
from wsabench.results.result import RunResult, load_result

_JOB = ("agent", "train_seed", "game", "perturbation")
_CELL = ["agent", "train_seed", "game", "label"]
_OUTCOME = ["episode_seed", "return", "length", "end"]


def load_results(paths: Sequence[str | Path]) -> RunResult:
    """Read one or several result sets; several become one.

    Args:
        paths: Directories of runs, at least one.

    Returns:
        The result set, or the merged one (see `merge_results`).

    Raises:
        ResultSetError: A directory is no result set or is damaged, or the runs do not fit together.
    """
    if not paths:
        raise ResultSetError("No result directory was given. Give at least one that `wsabench run` wrote.")
    return merge_results([load_result(path) for path in paths])


def merge_results(results: Sequence[RunResult]) -> RunResult:
    """Put the runs of one suite together, so that agents, train seeds or games may come from different machines.

    Args:
        results: At least one result set, complete or not.

    Returns:
        One result set in memory; `path` is the first one's. A job that is in several runs, with the same fingerprint,
        counts once: the first finished one. The manifest is the first one's with agents, games, perturbations, jobs
        and what was left out of all; its entry `combined` holds what each run was, and `combined_notes` sentences
        about differences that do not forbid merging. One result set alone is returned as it is.

    Raises:
        ResultSetError: Two runs differ in what decides results: the message names it and both directories.
    """
    if len(results) == 1:
        return results[0]
    check_compatible([Run(result.path, result.manifest) for result in results])
    jobs = _unique(job for result in results for job in result.manifest["jobs"])
    episodes, notes = _episodes_once(results, jobs)
    return RunResult(
        path=results[0].path,
        episodes=episodes,
        attention=_attention_once(results, episodes),
        manifest=_merged_manifest(results, jobs, notes),
        num_finished=len(episodes.drop_duplicates(["agent", "train_seed", "game", "perturbation", "severity"])),
    )


def _unique(jobs: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the jobs without repetition, in order; the first of each name stays."""
    found: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for job in jobs:
        found.setdefault(tuple(job[key] for key in _JOB), job)
    return list(found.values())


def _episodes_once(results: Sequence[RunResult], jobs: Sequence[Mapping[str, Any]]) -> tuple[pd.DataFrame, list[str]]:
    """Return the episodes of all runs, each job once, in the order of `jobs`, and a note on jobs that differ."""
    taken: dict[tuple[Any, ...], pd.DataFrame] = {}
    differing: list[str] = []
    for result in results:
        for group, part in with_labels(result.episodes).groupby(_CELL, sort=False):
            key = _hashable(group)
            first = taken.setdefault(key, part)
            if first is not part and not _same_outcomes(first, part):
                differing.append(f"{key[0]} (train seed {key[1]}) on {key[2]}, {key[3]}")
    notes = []
    if differing:
        shown = "; ".join(differing[:3]) + ("; ..." if len(differing) > 3 else "")
        notes.append(
            f"{len(differing)} cell{'s were' if len(differing) > 1 else ' was'} played in several runs with equal "
            f"settings but other outcomes, as another kind of processor can cause; the first run's count: {shown}."
        )
    ordered = [taken[key] for job in jobs if (key := tuple(job[name] for name in _JOB)) in taken]
    frames = [part.drop(columns="label") for part in ordered]
    return (pd.concat(frames, ignore_index=True) if frames else results[0].episodes.iloc[:0]), notes


def _attention_once(results: Sequence[RunResult], episodes: pd.DataFrame) -> pd.DataFrame:
    """Return the attention of all runs, each job once, from the first run that has it."""
    parts: dict[tuple[Any, ...], pd.DataFrame] = {}
    for result in results:
        if not result.attention.empty:
            for key, part in with_labels(result.attention).groupby(_CELL, sort=False):
                parts.setdefault(_hashable(key), part)
    keys = with_labels(episodes).drop_duplicates(_CELL)[_CELL].itertuples(index=False, name=None)
    frames = [parts[key].drop(columns="label") for key in keys if key in parts]
    return pd.concat(frames, ignore_index=True) if frames else results[0].attention.iloc[:0]


def _hashable(key: Any) -> tuple[Any, ...]:
    """Return a group's key with plain numbers."""
    return tuple(part.item() if isinstance(part, np.generic) else part for part in key)


def _same_outcomes(first: pd.DataFrame, second: pd.DataFrame) -> bool:
    """Whether two shards of one job hold the same episodes."""
    return first[_OUTCOME].reset_index(drop=True).equals(second[_OUTCOME].reset_index(drop=True))


def _merged_manifest(
    results: Sequence[RunResult], jobs: Sequence[Mapping[str, Any]], notes: Sequence[str]
) -> dict[str, Any]:
    """Return the first manifest with the agents, games, cells and jobs of all."""
    manifests = [result.manifest for result in results]
    agents = {(one["name"], one["train_seed"], one["game"]): one for m in reversed(manifests) for one in m["agents"]}
    order = [(one["name"], one["train_seed"], one["game"]) for m in manifests for one in m["agents"]]
    profiles = list(dict.fromkeys(str(m["profile"]) for m in manifests if m.get("profile")))
    merged = {
        **manifests[0],
        # The caveats of `quick` hold where any part of it is quick.
        "profile": "quick" if "quick" in profiles else " and ".join(profiles) or None,
        "agents": [agents[key] for key in dict.fromkeys(order)],
        "games": list(dict.fromkeys(game for m in manifests for game in m["games"])),
        "perturbations": list(dict.fromkeys(name for m in manifests for name in m["perturbations"])),
        "jobs": list(jobs),
        "skipped": _distinct(entry for m in manifests for entry in m.get("skipped", [])),
        "combined": [_origin(result) for result in results],
        "combined_notes": [*notes, *_machine_notes(manifests)],
    }
    for key in ("effects", "misfits", "perturbation_hashes"):
        if any(key in m for m in manifests):
            merged[key] = _joined_by_game([m.get(key, {}) for m in manifests])
    for key in ("reference_scores", "roms"):
        merged[key] = {game: value for m in reversed(manifests) for game, value in m.get(key, {}).items()}
    refused: dict[str, list[str]] = {}
    for m in manifests:
        for game, names in m.get("refused", {}).items():
            refused[game] = list(dict.fromkeys([*refused.get(game, []), *names]))
    return {**merged, "refused": refused}


def _origin(result: RunResult) -> dict[str, Any]:
    """Return where one of several runs comes from."""
    kept = ("command_line", "git", "host", "versions", "start", "end", "profile")
    agents = list(dict.fromkeys(entry["name"] for entry in result.manifest["agents"]))
    facts = {key: result.manifest.get(key) for key in kept}
    return {"name": result.path.name, "agents": agents, "num_jobs": len(result.manifest["jobs"]), **facts}


def _machine_notes(manifests: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say what differs between the machines without deciding results."""
    found: list[str] = []
    processors = {str((m.get("host") or {}).get("processor")) for m in manifests} - {"None"}
    if len(processors) > 1:
        found.append(f"processors ({', '.join(sorted(processors))})")
    for package in ("wsabench", *BIT_DECIDING):
        versions = {str(m["versions"][package]) for m in manifests if m["versions"].get(package)}
        if len(versions) > 1:
            found.append(f"{package} ({', '.join(sorted(versions))})")
    if not found:
        return []
    return [
        f"The combined runs come from different machines: {', '.join(found)}. Episodes are the same to the bit on one "
        "kind of processor and one set of versions only; between agents this makes no systematic difference."
    ]


def _joined_by_game(values: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Return the union of mappings from game to name to value; the first one that has a value decides."""
    joined: dict[str, dict[str, Any]] = {}
    for mapping in values:
        for game, names in mapping.items():
            joined[game] = {**names, **joined.get(game, {})}
    return joined


def _distinct(entries: Iterable[Any]) -> list[Any]:
    """Return the entries without repetition, in order."""
    kept: list[Any] = []
    for entry in entries:
        if entry not in kept:
            kept.append(entry)
    return kept
