"""Entries as a result set in memory, so that `wsabench.summary` computes every number from their episodes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from msgspec.structs import replace

from wsabench.errors import SpecError
from wsabench.leaderboard.checking import plays_each_start_once
from wsabench.leaderboard.schema import Entry, EntryJob
from wsabench.protocol import Protocol
from wsabench.results.manifest import (
    SCHEMA_VERSION,
    History,
    JobEntry,
    Manifest,
    RecordedPlan,
    Start,
    SuiteEntry,
)
from wsabench.results.records import Job
from wsabench.results.tables import ATTENTION_SCHEMA, EPISODE_SCHEMA

_SEVERITY = re.compile(r"[^+@]+@([1-5])")


@dataclass(frozen=True, slots=True)
class EntryResult:
    """What `wsabench.summary.summarise` reads, made of entries."""

    episodes: pd.DataFrame
    """One row for each episode, with the columns of `EPISODE_SCHEMA`."""
    attention: pd.DataFrame
    """A table without rows: entries hold no attention."""
    manifest: Manifest
    """A manifest with what entries say of the plan; its one start is the first entry's submission."""
    has_ledger: bool = True
    """True, though entries have no ledger, so that no table warns: episodes of entries are checked when they are read,
    and `wsabench verify` plays them again."""


def as_result(entries: Entry | Mapping[str, Entry]) -> EntryResult:
    """Return entries as a result set in memory.

    Args:
        entries: One entry, whose agent keeps its name; or several by what their agents are called in all tables.

    Returns:
        The episodes of all, and a manifest with the agents, games, cells and jobs of all. Summarising it recomputes
        every number; no entry holds one.

    Raises:
        SpecError: There is no entry, or they differ in suite version, protocol or reference scores: such agents do not
            belong into one table.
    """
    named = {entries.agent: entries} if isinstance(entries, Entry) else dict(entries)
    if not named:
        raise SpecError("There is no entry. Give at least one.")
    _check_common(named)
    rows = [row for name, entry in named.items() for job in entry.jobs for row in _rows(name, job)]
    episodes = pd.DataFrame(rows, columns=EPISODE_SCHEMA.names).astype({"severity": "Int64", "noops": "Int64"})
    return EntryResult(
        episodes=episodes,
        attention=ATTENTION_SCHEMA.empty_table().to_pandas(),
        manifest=_manifest(named),
    )


def severity_of(perturbation: str) -> int | None:
    """Return the severity in a canonical name; None where there is no scale, and of a composition."""
    found = _SEVERITY.fullmatch(perturbation)
    return None if found is None else int(found[1])


def _rows(name: str, job: EntryJob) -> Iterable[tuple[Any, ...]]:
    """Yield a job's episodes as rows of `EPISODE_SCHEMA`."""
    columns, severity = job.episodes, severity_of(job.perturbation)
    named = Job(name, job.train_seed, job.game, job.family, job.perturbation, severity, (), job.fingerprint)
    head = name, job.train_seed, job.game, job.family, named.bare_name, severity
    together = zip(
        columns.seeds,
        range(columns.first, columns.first + len(columns.seeds)),
        columns.returns,
        columns.lengths,
        columns.ends,
        [job.fingerprint] * len(columns.seeds),
        columns.noops,
        columns.action_hashes,
        strict=True,
    )
    return ((*head, *values) for values in together)


def _check_common(named: Mapping[str, Entry]) -> None:
    """Refuse entries that one table must not mix."""
    first_name, first = next(iter(named.items()))
    for name, entry in named.items():
        scores = entry.reference_scores
        equal = {
            "suite version": (entry.suite.name, entry.suite.version, entry.suite.content_hash)
            == (first.suite.name, first.suite.version, first.suite.content_hash),
            "protocol": Protocol.from_dict(entry.protocol) == Protocol.from_dict(first.protocol),
            "reference scores": all(scores[g] == first.reference_scores.get(g, scores[g]) for g in scores),
        }
        if different := [what for what, is_equal in equal.items() if not is_equal]:
            raise SpecError(
                f"The entries {first_name!r} and {name!r} differ in {' and '.join(different)}. Allowed: entries of one "
                "suite version that were played alike. Put them in tables of their own."
            )


def _manifest(named: Mapping[str, Entry]) -> Manifest:
    """Return what entries say of their plans as one manifest."""
    entries = list(named.values())
    first = entries[0]
    games = tuple(dict.fromkeys(game for entry in entries for game in entry.games))
    plan = RecordedPlan(
        suite=SuiteEntry(
            name=first.suite.name,
            summary=first.suite.summary,
            content_hash=first.suite.content_hash,
            measure=first.suite.measure,
            version=first.suite.version,
        ),
        profile=first.profile if len({entry.profile for entry in entries}) == 1 else None,
        protocol=Protocol.from_dict(first.protocol),
        seed=first.seed,
        episodes=max(len(job.episodes.seeds) for entry in entries for job in entry.jobs),
        games=games,
        perturbations=tuple(dict.fromkeys(name for entry in entries for name in entry.perturbations)),
        perturbation_hashes=_joined(games, (entry.perturbation_hashes for entry in entries)),
        effects=_joined(games, (entry.effects for entry in entries)),
        refused={game: names for game in games if (names := _names(entry.refused.get(game, ()) for entry in entries))},
        misfits=_joined(games, (entry.misfits for entry in entries)),
        skipped=tuple(replace(one, agent=name) for name, entry in named.items() for one in entry.skipped),
        reference_scores={game: scores for entry in entries for game, scores in entry.reference_scores.items()},
        agents=tuple(replace(one, agent=name) for name, entry in named.items() for one in entry.agents),
        engine_version=first.engine_version,
        versions=first.versions,
        roms={game: rom for entry in entries for game, rom in entry.roms.items()},
        jobs=tuple(_job(name, entry, job) for name, entry in named.items() for job in entry.jobs),
        precision=first.precision if len({entry.precision for entry in entries}) == 1 else None,
    )
    start = Start(
        start=first.submitted,
        end=first.submitted,
        command_line="",
        git=None,
        host=first.hosts[0],
        versions={"wsabench": first.wsabench, **first.versions},
    )
    return Manifest(schema_version=SCHEMA_VERSION, plan=plan, history=History.of_start(start))


def _job(name: str, entry: Entry, job: EntryJob) -> JobEntry:
    """Return what a manifest says of a job."""
    count = len(job.episodes.seeds)
    return JobEntry(
        agent=name,
        train_seed=job.train_seed,
        game=job.game,
        perturbation=job.perturbation,
        file="",
        fingerprint=job.fingerprint,
        episodes=count,
        each_start_once=plays_each_start_once(entry, job),
    )


def _joined(games: Iterable[str], values: Iterable[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Return the union of mappings from game to name to value; the last one that has a value decides."""
    found: dict[str, dict[str, Any]] = {game: {} for game in games}
    for mapping in values:
        for game, named in mapping.items():
            found.setdefault(game, {}).update(named)
    return found


def _names(values: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """Return all names, each once."""
    return tuple(dict.fromkeys(name for names in values for name in names))
