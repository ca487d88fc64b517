"""Several result sets as one: runs of the same suite whose agents were played on different machines."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from msgspec.structs import replace

from wsabench.errors import ResultSetError
from wsabench.results.comparing import Difference, Kind, differences, listed
from wsabench.results.manifest import UNKNOWN, AgentId, History, JobEntry, Manifest, MergedRun
from wsabench.results.provenance import BIT_DECIDING, UNHASHED
from wsabench.results.result import ResultSet, load_result
from wsabench.results.tables import with_labels

_DECISIVE: frozenset[Kind] = frozenset(
    {
        *(
            "suite",
            "protocol",
            "seed",
            "episodes",
            "definition",
            "reference",
            "checkpoint",
            "unhashed",
            "engine",
            "rom",
        ),
        "fingerprint",
    }
)
"""What may not differ, where both runs have it. Both may have games, agents and cells that the other lacks."""
_DECISIVE_VERSIONS = ("plan.versions.ale-py", "plan.versions.torch")
"""Versions that may not differ but in their build; those of other packages move no more than the last bits."""

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")
_JOB = ["agent", "train_seed", "game", "label"]
_OUTCOME = ["episode_seed", "return", "length", "end"]


def load_results(paths: Sequence[str | Path]) -> ResultSet:
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


def merge_results(results: Sequence[ResultSet]) -> ResultSet:
    """Put the runs of one suite together, so that agents, train seeds or games may come from different machines.

    Args:
        results: At least one result set, complete or not.

    Returns:
        One result set in memory; `path` is the first one's. A job that is in several runs, with the same fingerprint,
        counts once: the first finished one. The manifest is the first one's with agents, games, perturbations, jobs
        and what was left out of all; its history says what each run was (`merged_from`), with sentences about
        differences that do not forbid merging (`merge_notes`). One result set alone is returned as it is.

    Raises:
        ResultSetError: Two runs differ in what decides results: the message names it and both directories.
    """
    if len(results) == 1:
        return results[0]
    for first, second in combinations(results, 2):
        check_compatible(first, second)
    jobs = tuple(
        _first_of_each(((job.id, job.perturbation), job) for result in results for job in result.manifest.plan.jobs)
    )
    episodes, notes = _episodes_once(results, jobs)
    return ResultSet(
        path=results[0].path,
        episodes=episodes,
        attention=_attention_once(results, episodes),
        manifest=_merged_manifest(results, jobs, notes),
        has_ledger=all(result.has_ledger for result in results),
        num_finished=len(episodes.drop_duplicates(["agent", "train_seed", "game", "perturbation", "severity"])),
    )


def check_compatible(first: ResultSet, second: ResultSet) -> None:
    """Check that two runs can be put together.

    Args:
        first: A result set.
        second: Another one.

    Raises:
        ResultSetError: They differ in suite, protocol, episode seeds, or in perturbations, reference scores, ROMs,
            versions that change behaviour, or an agent of the same name and train seed; the message names it.
    """
    if first.manifest.plan == second.manifest.plan and not _has_unhashed(first):
        return  # as with the parts that a job array played, of which there may be many
    found = [one for one in differences(first.manifest, second.manifest) if _forbids(one)]
    if found:
        shown = listed((one.between("in the first", "in the second") for one in found), "; ")
        raise ResultSetError(
            f"{first.path} and {second.path} cannot be combined: {shown}. Allowed: runs of one suite with equal "
            "protocol, seeds, episodes, reference scores and versions, and one checkpoint for each agent and train "
            "seed. Report them one by one, or repeat one run with the settings of the other."
        )


def _has_unhashed(result: ResultSet) -> bool:
    return any(entry.checkpoint_hash == UNHASHED for entry in result.manifest.plan.agents)


def _forbids(one: Difference) -> bool:
    if one.kind in ("version", "unrecorded"):
        return one.path in _DECISIVE_VERSIONS
    return one.kind in _DECISIVE and one.is_of_both


def _first_of_each(entries: Iterable[tuple[_K, _V]]) -> list[_V]:
    """Return the first value of each key, in order."""
    found: dict[_K, _V] = {}
    for key, value in entries:
        found.setdefault(key, value)
    return list(found.values())


def _episodes_once(results: Sequence[ResultSet], jobs: Sequence[JobEntry]) -> tuple[pd.DataFrame, list[str]]:
    """Return the episodes of all runs, each job once, in the order of `jobs`, and a note on jobs that differ."""
    taken: dict[tuple[AgentId, str], pd.DataFrame] = {}
    differing: list[str] = []
    for result in results:
        for group, part in with_labels(result.episodes).groupby(_JOB, sort=False):
            agent, train_seed, game, label = _hashable(group)
            key = AgentId(agent, train_seed, game), label
            first = taken.setdefault(key, part)
            if first is not part and not _same_outcomes(first, part):
                differing.append(f"{key[0].describe()}, {label}")
    notes = []
    if differing:
        notes.append(
            f"{len(differing)} cell{'s were' if len(differing) > 1 else ' was'} played in several runs with equal "
            "settings but other outcomes, as another kind of processor can cause; the first run's count: "
            f"{listed(differing, '; ')}."
        )
    ordered = [taken[key] for job in jobs if (key := (job.id, job.perturbation)) in taken]
    frames = [part.drop(columns="label") for part in ordered]
    return (pd.concat(frames, ignore_index=True) if frames else results[0].episodes.iloc[:0]), notes


def _attention_once(results: Sequence[ResultSet], episodes: pd.DataFrame) -> pd.DataFrame:
    """Return the attention of all runs, each job once, from the first run that has it."""
    parts: dict[tuple[Any, ...], pd.DataFrame] = {}
    for result in results:
        if not result.attention.empty:
            for key, part in with_labels(result.attention).groupby(_JOB, sort=False):
                parts.setdefault(_hashable(key), part)
    keys = with_labels(episodes).drop_duplicates(_JOB)[_JOB].itertuples(index=False, name=None)
    frames = [parts[key].drop(columns="label") for key in keys if key in parts]
    return pd.concat(frames, ignore_index=True) if frames else results[0].attention.iloc[:0]


def _hashable(key: Any) -> tuple[Any, ...]:
    """Return a group's key with plain numbers."""
    return tuple(part.item() if isinstance(part, np.generic) else part for part in key)


def _same_outcomes(first: pd.DataFrame, second: pd.DataFrame) -> bool:
    """Whether two shards of one job hold the same episodes."""
    return first[_OUTCOME].reset_index(drop=True).equals(second[_OUTCOME].reset_index(drop=True))


def _merged_manifest(results: Sequence[ResultSet], jobs: tuple[JobEntry, ...], notes: Sequence[str]) -> Manifest:
    """Return the first manifest with the agents, games, cells and jobs of all."""
    manifests = [result.manifest for result in results]
    plans = [manifest.plan for manifest in manifests]
    profiles = list(dict.fromkeys(plan.profile for plan in plans if plan.profile))
    games = tuple(dict.fromkeys(game for plan in plans for game in plan.games))
    refused = {game: tuple(dict.fromkeys(n for plan in plans for n in plan.refused.get(game, ()))) for game in games}
    plan = replace(
        plans[0],
        # The caveats of `quick` hold where any part of it is quick.
        profile="quick" if "quick" in profiles else " and ".join(profiles) or None,
        agents=tuple(_first_of_each((entry.id, entry) for plan in plans for entry in plan.agents)),
        games=games,
        perturbations=tuple(dict.fromkeys(name for plan in plans for name in plan.perturbations)),
        jobs=jobs,
        skipped=tuple(_distinct(entry for plan in plans for entry in plan.skipped)),
        effects=_joined_by_game([plan.effects for plan in plans]),
        misfits=_joined_by_game([plan.misfits for plan in plans]),
        perturbation_hashes=_joined_by_game([plan.perturbation_hashes for plan in plans]),
        reference_scores=_joined([plan.reference_scores for plan in plans]),
        roms=_joined([plan.roms for plan in plans]),
        refused={game: names for game, names in refused.items() if names},
    )
    history = History(
        starts=manifests[0].history.starts,
        merged_from=tuple(origin(result) for result in results),
        merge_notes=(*notes, *_machine_notes(manifests)),
        migrated_from=(),
    )
    return replace(manifests[0], plan=plan, history=history)


def origin(result: ResultSet) -> MergedRun:
    """Return where one of several runs comes from."""
    plan = result.manifest.plan
    return MergedRun(
        name=result.path.name,
        agents=tuple(dict.fromkeys(entry.agent for entry in plan.agents)),
        profile=plan.profile,
        num_jobs=len(plan.jobs),
        starts=result.manifest.history.starts,
    )


def _machine_notes(manifests: Sequence[Manifest]) -> list[str]:
    """Say what differs between the machines without deciding results."""
    starts = [manifest.history.first for manifest in manifests]
    values = {"processors": {start.host.processor for start in starts}}
    for name in ("wsabench", *BIT_DECIDING):
        values[name] = {start.versions.get(name, UNKNOWN) for start in starts}
    known = {what: sorted(found - {UNKNOWN}) for what, found in values.items()}
    found = [f"{what} ({', '.join(names)})" for what, names in known.items() if len(names) > 1]
    if not found:
        return []
    return [
        f"The combined runs come from different machines: {', '.join(found)}. Episodes are the same to the bit on one "
        "kind of processor and one set of versions only; between agents this makes no systematic difference."
    ]


def _joined(values: Sequence[Mapping[str, _V]]) -> dict[str, _V]:
    """Return the union of mappings; the first one that has a value decides."""
    return {key: value for mapping in reversed(values) for key, value in mapping.items()}


def _joined_by_game(values: Sequence[Mapping[str, Mapping[str, _V]]]) -> dict[str, dict[str, _V]]:
    """Return the union of mappings from game to name to value; the first one that has a value decides."""
    games = dict.fromkeys(game for mapping in values for game in mapping)
    return {game: _joined([mapping.get(game, {}) for mapping in values]) for game in games}


def _distinct(entries: Iterable[_V]) -> list[_V]:
    """Return the entries without repetition, in order."""
    kept: list[_V] = []
    for entry in entries:
        if entry not in kept:
            kept.append(entry)
    return kept
