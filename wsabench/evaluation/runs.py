"""One run: plan, play what is not finished, keep the result set."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from wsabench.errors import SpecError
from wsabench.evaluation.cluster import Shard, SharedJobs
from wsabench.evaluation.cluster.crews import Hire, Workforce, check_executor
from wsabench.evaluation.contestants import AgentReference
from wsabench.evaluation.plan import Plan, RunOptions, make_plan
from wsabench.evaluation.pool.board import TaskBoard
from wsabench.evaluation.pool.executor import WORKER_TIMEOUT, execute
from wsabench.evaluation.precision import PILOT_DIR, allocation_of, saving_of, sentences_of
from wsabench.evaluation.progress import RunReporter, ShownReporter, SilentReporter, in_notebook
from wsabench.evaluation.samples import write_samples
from wsabench.machine import available_cores
from wsabench.protocol import Protocol
from wsabench.resources import expanded
from wsabench.results import provenance
from wsabench.results.manifest import SCHEMA_VERSION, History, Manifest, SavingEntry
from wsabench.results.provenance import UNHASHED
from wsabench.results.records import Job
from wsabench.results.result import ResultSet, load_result
from wsabench.results.store import ResultStore
from wsabench.summary.stated import stated_notes
from wsabench.types import Permissions, listed_values, unboxed
from wsabench.words import counted

PICTURES = "pictures"
"""Name of the claim of the process that draws the sample pictures."""
DEFAULT_ROOT = Path("runs")
"""Where results go without `out`: below the current directory."""


def run(  # noqa: PLR0913 - the public entry point: one keyword an option of the command line
    suite: Any = "color-shift",
    agents: Sequence[AgentReference] | Mapping[str, AgentReference] | AgentReference | None = None,
    profile: str = "quick",
    *,
    games: str | Sequence[str] | None = None,
    train_seeds: int | Sequence[int] | None = None,
    episodes: int | None = None,
    perturbations: str | Sequence[str] | None = None,
    protocol: Protocol | str | Mapping[str, Any] | None = None,
    workers: int | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    record_attention: bool = False,
    trust: bool = False,
    allow_download: bool = False,
    reporter: RunReporter | None = None,
    precision: float | None = None,
    max_episodes: int | None = None,
    precision_of: str = "cell",
    shard: str | None = None,
    worker_timeout: float = WORKER_TIMEOUT,
    executor: str = "local",
    address: str | None = None,
    progress: bool | None = None,
) -> ResultSet:
    """Evaluate agents on a suite. An equal run that stopped in the same directory is continued.

    Args:
        suite: A suite's name, the path of a suite file, or a loaded suite.
        agents: Names of shipped baselines, paths of checkpoints, addresses (`sb3:PATH.zip`, see
            docs/evaluating-your-agent.md), `package.module:attribute`, policies, callables (observations uint8
            (N, 4, 84, 84) to N action indices), or factories `make_agent(game, train_seed)`. `{game}` and
            `{train_seed}` in a path stand for what files are there. `NAME=REFERENCE` or a mapping gives a name; a list
            in a mapping is one train seed after the other. A policy with a text attribute `version` (or
            `checkpoint_hash`) is not run again when a run goes on. None: those that the suite names, else `wsa` and
            `e2e`.
        profile: A profile of the suite. It says which train seeds, episodes, perturbations and protocol are played.
        games: A game, or several, instead of the suite's.
        train_seeds: Train seeds of the shipped baselines instead of the profile's.
        episodes: Episodes of each job instead of the profile's. Where greedy play leaves nothing but the start to
            chance, there are no more than starts, `protocol.num_starts`; each is played once.
        perturbations: Perturbations instead of the profile's.
        protocol: A protocol or the name of one, under which all agents play; or single fields of it, set over the
            profile's protocol and over what each agent says of how it saw its games in training.
        workers: The number of processes; by default the cores that this process may use. It changes no result. With 1,
            agents whose own code runs (`package.module:attribute`, addresses) have a process of their own, which they
            may end without harm. With 0 all play in this process. Python objects always do.
        out: The result directory; by default `runs/SUITE-PROFILE-HASH`, the same for the same settings.
        seed: The root of the episode seeds, which are the same for every agent and perturbation.
        record_attention: Keep the weights of every step of agents that attend, in `attention_steps/`; jobs that were
            finished without are played again.
        trust: Let agents' files run code that they hold (pickles, TorchScript).
        allow_download: Fetch agents that are missing in the cache of the Hugging Face hub.
        reporter: The object that is told of progress. None: as `progress` says.
        progress: Show a line of progress that is drawn anew; None: in a notebook only.
        precision: Half-width of the 95% interval over episodes of each job's mean normalised score, its train seed held
            fixed. A pilot of `episodes` of each job (15 by default), kept in `pilot/`, decides how many each gets.
        max_episodes: With `precision`, the most that a job may have, the pilot's among them.
        precision_of: `cell`: every job has the precision; `average`: the root mean square of the half-widths has.
        shard: A part of the plan, `2/5`: only the jobs whose place in it, from 0, is 1 modulo 5. The parts go together
            by `wsabench merge`.
        worker_timeout: Seconds without a step after which a worker process is taken to hang, 0 for none; five times as
            many until an agent's first step. It is ended, and a new one plays what it had not finished.
        executor: `local`, processes of this machine; or `ray`, workers on the nodes of a Ray cluster, by default one
            for each of its cores. It changes no result.
        address: The address of the Ray cluster, such as `10.0.0.1:6379`; by default a cluster of this machine alone is
            started.

    Several processes, on one machine or on several with a shared disk, may be given the same directory: each job is
    played by one of them, and all of them return when all jobs are finished.

    Returns:
        The complete result set; with `shard` that part of it.

    Raises:
        CheckpointError: An agent's checkpoint is missing or damaged.
        ResultSetError: `out` holds something else, or another run's results.
        SpecError: A value is malformed, or a perturbation cannot be seen.
        StorageError: Results cannot be written; finished jobs are kept.
        UnknownNameError: A name does not exist.
        WorkerError: An agent ends its process or hangs while it is loaded, before anything is played. Or it lost its
            worker process twice without finishing an episode between; the other agents' jobs are finished and kept.
    """
    reporter = reporter or (ShownReporter() if _is_shown(progress) else SilentReporter())
    check_executor(executor, address, workers)
    num_workers, timeout = checked_workers(unboxed(workers)), checked_timeout(unboxed(worker_timeout))
    if executor == "local" and num_workers > 0 and multiprocessing.current_process().daemon:
        reporter.note("This process is a worker of a pool and may start no others: all agents play in it (workers=0).")
        num_workers = 0
    options = RunOptions(
        suite=suite,
        agents=agents,
        profile=profile,
        games=listed_values(games),
        train_seeds=listed_values(train_seeds),
        episodes=episodes,
        perturbations=listed_values(perturbations),
        protocol=protocol,
        seed=seed,
        precision=precision,
        max_episodes=max_episodes,
        precision_of=precision_of,
        permissions=Permissions(trust, allow_download),
        worker_timeout=timeout,
        asks_apart=num_workers > 0,
    )
    part = None if shard is None else Shard.parse(shard)
    plan = make_plan(options, reporter.note)
    path = _path_of(plan, out, part)
    store = ResultStore(path, keeps_steps=record_attention)
    if executor == "ray":
        from wsabench.evaluation.cluster.ray_executor import RayCrew, ray_cluster

        with ray_cluster(address, workers, plan.games, reporter.note) as (cluster, num_workers):
            play_plan(plan, store, num_workers, reporter, timeout, part, partial(RayCrew, cluster))
    else:
        play_plan(plan, store, num_workers, reporter, timeout, part)
    result = load_result(path)
    for text in stated_notes(result.episodes, result.manifest):
        reporter.note(text)
    reporter.finished(path)
    return result


def _is_shown(progress: bool | None) -> bool:
    """Whether a run shows its progress by itself."""
    return in_notebook() if progress is None else progress


def default_path(plan: Plan, shard: Shard | None = None) -> Path:
    """Return the directory of a run whose user named none: the same for the same settings."""
    part = "" if shard is None else f"-{shard.index}-of-{shard.number}"
    return DEFAULT_ROOT / f"{plan.suite.name}-{plan.profile}-{plan.identity()}{part}"


def _path_of(plan: Plan, out: str | Path | None, shard: Shard | None) -> Path:
    """Return where a run writes."""
    return expanded(out) if out is not None else default_path(plan, shard)


def check_place_of(plan: Plan, out: str | Path | None, shard: Shard | None, *, is_whole: bool) -> None:
    """Refuse a directory that a run would refuse; nothing is written.

    Args:
        plan: The plan, without the agents' own play.
        out: Where the run would write; None: its default directory.
        shard: Which part of the jobs; None for all.
        is_whole: Whether the plan is the run's; no where nobody looked which cells can be seen, and then another run's
            results are not told.

    Raises:
        ResultSetError: It holds something else, or another run's results.
        StorageError: It cannot be written.
    """
    store = ResultStore(_path_of(plan, out, shard))
    store.check(_given(plan, shard) if is_whole else None)


def _given(plan: Plan, shard: Shard | None) -> Manifest:
    """Return the manifest that a run of a plan would write at its start."""
    history = History.of_start(provenance.this_start(None if shard is None else str(shard)))
    return Manifest(schema_version=SCHEMA_VERSION, plan=plan.recorded(), history=history)


def play_plan(  # noqa: PLR0913 - what `run` has beside the plan
    plan: Plan,
    opened: ResultStore,
    num_workers: int,
    reporter: RunReporter,
    worker_timeout: float = WORKER_TIMEOUT,
    shard: Shard | None = None,
    hire: Hire | None = None,
) -> None:
    """Play the jobs of a plan that are not finished yet; to a precision in two stages.

    Args:
        plan: The plan.
        opened: The directory, not yet entered.
        num_workers: Processes.
        reporter: Hears of progress.
        worker_timeout: Seconds without a step after which a worker process is taken to hang; 0 for none.
        shard: Which part of the jobs; None for all.
        hire: Makes the workers of another executor; None: processes of this machine.

    Raises:
        ResultSetError: The directory holds something else, or another run's results.
        SpecError: A part of a run to a precision is asked for.
        StorageError: Results cannot be written; finished jobs are kept.
        WorkerError: A worker process died; finished jobs are kept.
    """
    mine = plan if shard is None else shard.part_of(plan)
    workforce = Workforce(num_workers, worker_timeout, hire)
    with opened as store:
        manifest = store.begin(_given(plan, shard), alone=plan.precision is not None)
        for text in plan.notes():
            reporter.note(text)
        if plan.precision is not None:
            mine, saving = _after_pilot(plan, store.path / PILOT_DIR, workforce, reporter)
            history = replace(manifest.history, saving=saving)
            manifest = replace(manifest, plan=mine.recorded(), history=history)
        if _play(mine, store, manifest, workforce, reporter, draws=True):
            store.write_manifest(replace(manifest, history=manifest.history.ended(provenance.timestamp())))


def _after_pilot(plan: Plan, path: Path, workforce: Workforce, reporter: RunReporter) -> tuple[Plan, SavingEntry]:
    """Play what is not finished of the pilot; return the plan of the second stage, and what its numbers save."""
    pilot = plan.pilot()
    with ResultStore(path) as store:
        manifest = store.begin(_given(pilot, None))
        if _play(pilot, store, manifest, workforce, reporter):
            store.write_manifest(replace(manifest, history=manifest.history.ended(provenance.timestamp())))
    found = allocation_of(plan, load_result(path))
    saving = saving_of(plan, found)
    for text in sentences_of(plan, found, saving):
        reporter.note(text)
    return plan.after_pilot(found.numbers.tolist()), saving


def _play(
    plan: Plan,
    store: ResultStore,
    manifest: Manifest,
    workforce: Workforce,
    reporter: RunReporter,
    *,
    draws: bool = False,
) -> bool:
    """Play the jobs that are not finished yet, and draw samples; return False where an earlier run did it all."""
    finished = _finished_jobs(plan, store, reporter)
    reporter.planned(plan.jobs, finished)
    earlier = manifest.history.starts[:-1]
    is_done = len(finished) == len(plan.jobs) and store.is_vouched
    if is_done and earlier and earlier[-1].end is not None:
        return False
    store.write_manifest(manifest)
    draws_now = draws and store.claims.take(PICTURES)
    if draws_now:
        write_samples(plan, store)
        store.claims.release(PICTURES)
    _play_shared(plan, finished, store, workforce, reporter)
    if draws and not draws_now:
        with store.claims.alone(PICTURES):
            write_samples(plan, store)
    return True


def _play_shared(
    plan: Plan,
    finished: Sequence[Job],
    store: ResultStore,
    workforce: Workforce,
    reporter: RunReporter,
) -> None:
    """Play what no other process plays; wait for what others do, and play what they leave."""
    shared = SharedJobs(plan, store)
    wanted = [job for job in plan.jobs if job not in set(finished)]
    others: list[Job] = []
    while wanted or others:
        if wanted:
            board = TaskBoard(plan, [job for job in plan.jobs if job not in set(wanted)], store, reporter, shared)
            execute(plan, board, workforce.number, reporter, workforce.timeout, workforce.hire)
            others += board.elsewhere
        if others:
            ready, wanted = shared.wait_for(others, reporter)
            others = [job for job in others if job not in ready and job not in wanted]
        else:
            wanted = []


def _finished_jobs(plan: Plan, store: ResultStore, reporter: RunReporter) -> list[Job]:
    """Return the jobs that an earlier run finished with the same fingerprint."""
    unhashed = {one.id for one in plan.contestants if one.checkpoint_hash == UNHASHED}
    finished: list[Job] = []
    repeated: set[str] = set()
    for job in plan.jobs:
        if not store.is_finished(job, plan.contestant_of(job).encoders):
            continue
        if job.id in unhashed:
            repeated.add(job.agent)
        else:
            finished.append(job)
    for text in store.notes:
        reporter.note(text)
    if repeated:
        reporter.note(
            f"{', '.join(sorted(repeated))}: finished jobs are run again, because a Python policy may have changed. "
            "Give it an attribute `version` (a text) to keep them."
        )
    for text in _kept_notes(plan, finished):
        reporter.note(text)
    return finished


def _kept_notes(plan: Plan, finished: Sequence[Job]) -> list[str]:
    """Return a line for each agent of the user's own code whose finished jobs are kept, with why."""
    counts: dict[tuple[str, str], int] = {}
    for job in finished:
        one = plan.contestant_of(job)
        if one.kind in ("import", "factory", "object") or one.abilities.version:
            why = f"version {one.abilities.version!r}" if one.abilities.version else f"hash {one.checkpoint_hash[:8]}"
            line = one.name, why
            counts[line] = counts.get(line, 0) + 1
    advice = " If its code was changed since, give it another version, and the run another folder."
    return [
        f"{name}, {why}: {counted(count, 'finished job')} kept.{advice if why.startswith('version') else ''}"
        for (name, why), count in counts.items()
    ]


def checked_workers(workers: int | None) -> int:
    """Return the number of processes to play in.

    Args:
        workers: What the user asked for; None for one for each core.

    Raises:
        SpecError: It is no integer from 0.
    """
    if workers is None:
        return available_cores()
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 0:
        raise SpecError(
            f"The number of workers is {workers!r}. Allowed: integers from 0 (play in this process alone), or none for "
            "one per core."
        )
    return workers


def checked_timeout(seconds: float) -> float:
    """Return the seconds without a step after which a worker process is taken to hang.

    Raises:
        SpecError: They are no number from 0.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        raise SpecError(f"The worker timeout is {seconds!r}. Allowed: seconds from 0 (0: wait for ever).")
    return float(seconds)
