"""Playing episodes of a finished run again: the same agents, lanes and seeds, by the rollout that a run uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace

from wsabench.errors import CheckpointError, WsabenchError
from wsabench.evaluation.contestants import Contestant, Terms, find_contestants
from wsabench.evaluation.own_play.collection import own_play_of
from wsabench.evaluation.own_play.supply import needs_own_play, supplied
from wsabench.evaluation.pool.watchdog import WORKER_TIMEOUT, steps_watched
from wsabench.evaluation.pool.worker import LaneRoom
from wsabench.evaluation.rollout import EpisodeTask, Lanes, TaskList, check_encoder_operations, play
from wsabench.processes import single_thread
from wsabench.protocol import Protocol
from wsabench.results.manifest import AgentEntry
from wsabench.results.provenance import UNHASHED
from wsabench.results.records import EpisodeOutcome
from wsabench.types import Permissions
from wsabench.words import counted

_SHOWN_DIGITS = 12


def contestant_again(
    entry: AgentEntry, protocol: Protocol, permissions: Permissions, checkpoint: str | None = None
) -> Contestant:
    """Return who played, as a manifest names it, and make sure that it is the same.

    Args:
        entry: What the manifest says of it.
        protocol: The run's protocol; the agent's own view goes over it.
        permissions: What it is allowed.
        checkpoint: Where it is now, as for `run`'s agents; None: where it was.

    Raises:
        CheckpointError: It cannot be found or loaded, nobody can know whether it is the same, or it is another one.
    """
    who = entry.id.describe()
    lanes = protocol.with_changes(**entry.view)
    terms = Terms(protocol=lanes, has_views=False, permissions=permissions)
    reference = entry if checkpoint is None else f"{entry.agent}={checkpoint}"
    try:
        found = find_contestants([reference], [entry.game], [entry.train_seed], terms)
    except WsabenchError as error:
        hint = "" if checkpoint is not None else " Say where it is now: --checkpoint PATH."
        raise CheckpointError(f"{who} cannot be played again: {error}{hint}") from error
    if len(found) != 1:
        raise CheckpointError(
            f"{checkpoint} stands for {counted(len(found), 'agent')} instead of {who}. Allowed: one, {{game}} and "
            "{train_seed} in its path stand for those of each agent."
        )
    one = replace(found[0], train_seed=entry.train_seed)
    if UNHASHED in (entry.checkpoint_hash, one.checkpoint_hash):
        raise CheckpointError(
            f"{who} has no hash, so nobody can know whether it is the same. A Python policy needs an attribute "
            "`version` (a text) when it is run."
        )
    if one.checkpoint_hash != entry.checkpoint_hash:
        stated, here = (value[:_SHOWN_DIGITS] for value in (entry.checkpoint_hash, one.checkpoint_hash))
        raise CheckpointError(
            f"{who} is another agent now: the hash of its checkpoint is {here}..., {stated}... played. Give the one "
            "that played by --checkpoint; {game} and {train_seed} in a path stand for those of each agent."
        )
    return one


def play_again(  # noqa: PLR0913  (what a rollout needs, and who is told)
    contestant: Contestant,
    tasks: Sequence[EpisodeTask],
    advance: Callable[[int], None] = lambda _: None,
    note: Callable[[str], None] = lambda _: None,
    lanes: Lanes | None = None,
    *,
    keep_steps: bool = False,
    worker_timeout: float = WORKER_TIMEOUT,
) -> list[EpisodeOutcome]:
    """Play some episodes as a run plays them.

    Args:
        contestant: Who plays.
        tasks: Its episodes, in any order; which of them share the lanes changes none.
        advance: Gets the number of steps played since the last call.
        note: Gets a sentence where the agent must first play for a perturbation that feeds embeddings of its own play,
            and where it makes no step for long: this process cannot end it.
        lanes: To play in; new ones by default.
        keep_steps: Whether outcomes hold every step.
        worker_timeout: Seconds without a step after which `note` is told, five times as many until the first; 0 for
            never.

    Returns:
        One outcome for each task, in the order in which they ended; `job_index` and `episode` are the task's.

    Raises:
        SpecError: A perturbation does not fit the agent.
        StorageError: The agent's own play cannot be kept.
    """
    outcomes: list[EpisodeOutcome] = []
    for task in tasks:
        check_encoder_operations(contestant.abilities, task)
    if any(needs_own_play(task.encoder_operations) for task in tasks):
        contestant = replace(contestant, own_play=own_play_of(contestant, contestant.protocol, note))
    with (
        closing(LaneRoom()) as room,
        steps_watched(contestant, note, worker_timeout, advance) as count,
        single_thread(),
    ):
        lanes = lanes or room.lanes(contestant)
        policy = contestant.load(contestant.protocol.action_selection)
        source = supplied(TaskList(tasks), contestant)
        play(policy, lanes, source, outcomes.append, count, keep_steps=keep_steps, name=contestant.name)
    return outcomes
