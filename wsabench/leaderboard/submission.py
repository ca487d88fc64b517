"""From a finished run to an entry of the leaderboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from wsabench import __version__
from wsabench.errors import ResultSetError, SpecError, WsabenchError, unknown_name
from wsabench.leaderboard.checking import checked, is_external, plain_name, suite_versions
from wsabench.leaderboard.schema import (
    SCHEMA_VERSION,
    Entry,
    EntryJob,
    Episodes,
    SeedTraining,
    SuiteVersion,
    Training,
)
from wsabench.perturb import load_suite
from wsabench.results.comparing import listed
from wsabench.results.manifest import AgentEntry, History, Host, JobEntry, RecordedPlan
from wsabench.results.provenance import UNHASHED, timestamp
from wsabench.results.result import ResultSet
from wsabench.results.tables import with_labels
from wsabench.words import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a submitter says of an agent; None for nothing."""

    name: str | None = None
    """What tables call it; None: what the run called it."""
    paper: str | None = None
    code: str | None = None
    checkpoint: str | None = None
    authors: str | None = None
    notes: str | None = None
    method: str | None = None
    """Algorithm and method, in words."""
    training_frames: int | None = None
    """Emulator frames of each network; files of wsabench's own agents say it themselves."""
    train_perturbations: tuple[str, ...] = ()
    """What its games were randomised by; files of wsabench's own agents say it themselves."""


def entry_of(run: ResultSet, agent: str, about: About | None = None) -> Entry:
    """Return the entry of one agent of a run, checked.

    Args:
        run: The run, or several put together by `wsabench.results.merging.load_results`; other agents of it may be
            unfinished.
        agent: The agent's name in the run.
        about: What is said of it.

    Raises:
        ResultSetError: Jobs or cells are missing, the suite is none of the published ones, a cell is another than the
            suite's, nobody can know which agent played, or the runs were played by different versions.
        SpecError: Something is said of the training that the agent's own files say too.
        UnknownNameError: The run has no such agent.
    """
    about = about or About()
    plan = run.manifest.plan
    names = list(dict.fromkeys(one.agent for one in plan.agents))
    if agent not in names:
        raise unknown_name("agent of this run", agent, names)
    agents = tuple(one for one in plan.agents if one.agent == agent)
    jobs = [job for job in plan.jobs if job.agent == agent]
    if nameless := [one.id.describe() for one in agents if one.checkpoint_hash == UNHASHED]:
        raise ResultSetError(
            f"Nobody can know which policy played as {listed(nameless)}: it has no hash. Give it an attribute "
            "`version` (a text), and run again."
        )
    suite = _suite(run)
    tables = _tables(run, jobs)
    games = tuple(dict.fromkeys(one.game for one in agents))
    first = run.manifest.history.first
    return checked(
        Entry(
            schema_version=SCHEMA_VERSION,
            suite=suite,
            name=agent if about.name is None else plain_name(about.name),
            agent=agent,
            paper=about.paper,
            code=about.code,
            checkpoint=about.checkpoint,
            authors=about.authors,
            notes=about.notes,
            submitted=timestamp(),
            wsabench=first.versions.get("wsabench", __version__),
            engine_version=plan.engine_version,
            versions=plan.versions,
            hosts=hosts_of(run.manifest.history, agent),
            protocol=plan.protocol.to_dict(),
            view={one.game: one.view for one in agents if one.view},
            seed=plan.seed,
            profile=plan.profile,
            precision=plan.precision,
            privileged=any(one.privileged for one in agents),
            external=is_external(agents),
            trusted=any(one.trusted for one in agents),
            training=_training(agents, about, plan),
            reference_scores=_only(plan.reference_scores, games),
            perturbation_hashes=_only(plan.perturbation_hashes, games),
            effects=_only(plan.effects, games),
            refused=_only(plan.refused, games),
            misfits=_only(plan.misfits, games),
            skipped=tuple(one for one in plan.skipped if one.agent == agent),
            roms=_only(plan.roms, games),
            agents=tuple(_public(one) for one in agents),
            jobs=tuple(_job(job, table) for job, table in zip(jobs, tables, strict=True)),
        )
    )


def _only(values: Mapping[str, Any], games: Sequence[str]) -> dict[str, Any]:
    """Return what a mapping says of some games."""
    return {game: values[game] for game in games if game in values}


def _suite(run: ResultSet) -> SuiteVersion:
    """Return the suite's version by its hash, or refuse a suite that was never published."""
    suite, known = run.manifest.plan.suite, suite_versions()
    version = next((v for v, text in known.get(suite.name, {}).items() if text == suite.content_hash), None)
    if version is None:
        raise ResultSetError(
            f"{run.path} played the suite {suite.name!r} with the hash {suite.content_hash}, which is no published "
            f"one. Allowed: {', '.join(known)}, as they come with wsabench, without changes. Play one of them, "
            "--suite NAME."
        )
    if suite.content_hash != load_suite(suite.name).content_hash:
        raise ResultSetError(
            f"{run.path} played version {version} of {suite.name}, and this wsabench has another one. Play the suite "
            "again, or submit with the wsabench that played it."
        )
    return SuiteVersion(
        name=suite.name,
        version=version,
        content_hash=suite.content_hash,
        summary=suite.summary,
        measure=suite.measure,
    )


def _tables(run: ResultSet, jobs: Sequence[JobEntry]) -> list[pd.DataFrame]:
    """Return the episodes of each job, or refuse a run that lacks some."""
    keys = ["agent", "train_seed", "game", "label"]
    parts: dict[Any, pd.DataFrame] = dict(iter(with_labels(run.episodes).groupby(keys, sort=False)))
    named = [(job.agent, job.train_seed, job.game, job.perturbation) for job in jobs]
    if missing := [job for job, key in zip(jobs, named, strict=True) if key not in parts]:
        shown = listed((f"{job.id.describe()}, {job.perturbation}" for job in missing), "; ")
        raise ResultSetError(
            f"{run.path} is not complete: it lacks {len(missing)} of {counted(len(jobs), 'job')} of this agent: "
            f"{shown}. Start the same run again; it goes on by itself."
        )
    return [parts[key] for key in named]


def hosts_of(history: History, agent: str | None = None) -> tuple[Host, ...]:
    """Return the kinds of machine that a run, or one agent of runs put together, was played on, each once."""
    starts = history.starts
    if history.merged_from:
        merged = [run for run in history.merged_from if agent is None or agent in run.agents]
        starts = tuple(start for run in merged for start in run.starts)
    return tuple(dict.fromkeys(start.host for start in starts))


def _training(agents: Sequence[AgentEntry], about: About, plan: RecordedPlan) -> Training:
    """Return how the agent was trained: what its own files say, else what the submitter says."""
    networks = tuple(found for one in agents if (found := _network(one)) is not None)
    if networks and (about.training_frames is not None or about.train_perturbations):
        raise SpecError(
            "The files of this agent say how long and on what it was trained. Leave --training-frames and "
            "--train-perturbations out."
        )
    if not networks:
        return Training(
            steps=None,
            frames=about.training_frames,
            perturbations=about.train_perturbations,
            method=about.method,
            networks=(),
        )
    steps = {one.steps for one in networks}
    step = next(iter(steps)) if len(steps) == 1 and len(networks) == len(agents) else None
    algorithms = sorted({one.algorithm for one in networks if one.algorithm})
    return Training(
        steps=step,
        frames=None if step is None else step * plan.protocol.frame_skip,
        perturbations=tuple(dict.fromkeys(name for one in networks for name in one.randomisation)),
        method=about.method or ", ".join(algorithms) or None,
        networks=networks,
    )


def _network(one: AgentEntry) -> SeedTraining | None:
    """Return what the file of one of wsabench's own agents says; None for others, and where it is another file now."""
    if one.kind != "agent":
        return None
    from wsabench.agents.checkpoint import read_checkpoint
    from wsabench.agents.loading import find_trained

    try:
        file = read_checkpoint(find_trained(one.source, one.game, one.train_seed))
    except WsabenchError:
        return None  # the run may have been played elsewhere: then nothing is said of the training
    if file.content_hash != one.checkpoint_hash:
        return None
    meta = file.meta
    drawn = meta.training.get("randomisation") or {}
    return SeedTraining(
        train_seed=one.train_seed,
        game=one.game,
        steps=meta.steps,
        algorithm=meta.training.get("algorithm") or ("dqn" if meta.spec.heads == "q" else "ppo"),
        randomisation=tuple(name for name, _ in drawn.get("perturbations", ())),
        versions=meta.versions,
    )


def _public(one: AgentEntry) -> AgentEntry:
    """Return who played without the folders of the machine that it was played on."""
    from msgspec.structs import replace

    head, separator, rest = one.source.rpartition(":") if one.kind == "address" else ("", "", one.source)
    is_place = one.kind in ("agent", "address") and (Path(rest).is_absolute() or rest.startswith("~"))
    return replace(one, source=f"{head}{separator}{Path(rest).name}") if is_place else one


def _job(job: JobEntry, table: pd.DataFrame) -> EntryJob:
    """Return a job with its episodes."""
    return EntryJob(
        train_seed=job.train_seed,
        game=job.game,
        perturbation=job.perturbation,
        family=str(table["family"].iloc[0]),
        fingerprint=job.fingerprint,
        episodes=Episodes(
            first=int(table["episode"].iloc[0]),
            returns=tuple(float(value) for value in table["return"]),
            lengths=tuple(int(value) for value in table["length"]),
            ends=tuple(table["end"]),
            seeds=tuple(int(value) for value in table["episode_seed"]),
            noops=tuple(None if pd.isna(value) else int(value) for value in table["noops"]),
            action_hashes=tuple(None if pd.isna(value) else str(value) for value in table["action_hash"]),
        ),
    )


def default_name(entry: Entry) -> str:
    """Return the name of an entry's file: its suite, the version and the agent."""
    return f"{entry.suite.name}-v{entry.suite.version}-{entry.agent}.json"
