"""More episodes of a run that was played before: its plan is made again from its manifest, and must be the same."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from wsabench.errors import ResultSetError, SpecError
from wsabench.evaluation.fitting import JobName
from wsabench.evaluation.plan import Plan, RunOptions, make_plan
from wsabench.evaluation.pool.watchdog import WORKER_TIMEOUT
from wsabench.evaluation.progress import RunReporter, SilentReporter
from wsabench.evaluation.runs import checked_workers, play_plan
from wsabench.results import provenance
from wsabench.results.comparing import Kind, differences, listed
from wsabench.results.manifest import SCHEMA_VERSION, History, Manifest, RecordedPlan
from wsabench.results.result import ResultSet, load_result
from wsabench.results.store import ResultStore
from wsabench.types import Permissions

_SAME_EPISODES: frozenset[Kind] = frozenset({"words", "effect", "package"})
"""What may differ where more episodes of a run are played: it decides no episode."""


def plan_again(
    run: ResultSet,
    permissions: Permissions | None = None,
    reporter: RunReporter | None = None,
    *,
    asks_apart: bool = False,
) -> Plan:
    """Make the plan of a run again, from what its manifest says.

    Args:
        run: The run; its agents were given by name, path, address or `module:attribute`, and its suite by name.
        permissions: What the agents are allowed now; nothing by default.
        reporter: Gets a sentence where an agent must first play for some cells, or is not ready for long.
        asks_apart: Whether agents with code of their own are loaded in another process.

    Returns:
        The plan that the run was played by: the same agents, cells, protocol and episode seeds.

    Raises:
        CheckpointError: An agent's checkpoint is missing or damaged.
        ResultSetError: An agent, a definition, a version or anything else that decides episodes is another one now, or
            nobody can know.
        SpecError: An agent was a Python object, or the run is one to a precision.
        UnknownNameError: The suite, or something else that the manifest names, does not exist here.
    """
    recorded = run.manifest.plan
    if recorded.precision is not None or recorded.profile is None:
        raise SpecError(
            f"{run.path} is a run to a precision, or was put together. Allowed: a run with a fixed number of episodes."
        )
    options = RunOptions(
        suite=recorded.suite.name,
        agents=recorded.agents,
        profile=recorded.profile,
        games=recorded.games,
        train_seeds=sorted({entry.train_seed for entry in recorded.agents}),
        episodes=recorded.episodes,
        perturbations=_named_perturbations(recorded),
        protocol=recorded.protocol,
        seed=recorded.seed,
        permissions=permissions or Permissions(),
        worker_timeout=WORKER_TIMEOUT,
        asks_apart=asks_apart,
    )
    plan = make_plan(options, (reporter or SilentReporter()).note)
    now = Manifest(
        schema_version=SCHEMA_VERSION, plan=plan.recorded(), history=History.of_start(provenance.this_start())
    )
    found = [one for one in differences(run.manifest, now) if one.kind not in _SAME_EPISODES]
    if found:
        raise ResultSetError(
            f"{run.path} cannot go on, because its episodes and new ones would not be of the same agents and cells: "
            f"{listed((one.between('there', 'here') for one in found), '; ')}. Restore what it was played with (a "
            "Python policy needs an attribute `version`), or play a new run."
        )
    return plan


def play_later(
    plan: Plan,
    path: Path,
    episodes: range,
    wanted: Container[JobName],
    *,
    workers: int | None = None,
    reporter: RunReporter | None = None,
) -> ResultSet:
    """Play more episodes of some jobs into a result set of their own; go on where that stopped.

    Args:
        plan: What `plan_again` returned.
        path: The directory of the new result set.
        episodes: Numbers of the new episodes.
        wanted: Agent, train seed, game and perturbation of the jobs.
        workers: Number of processes; by default one for each core. It changes no result.
        reporter: Hears of progress; silent by default.

    Returns:
        The complete result set; its episodes are those that a run of more episodes plays under these numbers.

    Raises:
        ResultSetError: The directory holds something else.
        StorageError: Results cannot be written; finished jobs are kept.
        WorkerError: A worker process died; finished jobs are kept.
    """
    later = plan.later(episodes.start, len(episodes), wanted)
    play_plan(later, ResultStore(path), checked_workers(workers), reporter or SilentReporter())
    return load_result(path)


def _named_perturbations(plan: RecordedPlan) -> tuple[str, ...] | None:
    """Return the perturbations where the user may have named them; None where they can only be the profile's.

    Those that a user names are all played by every agent in every game, or nothing is.
    """
    is_grid = len(plan.jobs) == len(plan.agents) * len(plan.perturbations)
    return plan.perturbations if is_grid and not (plan.refused or plan.misfits or plan.skipped) else None
