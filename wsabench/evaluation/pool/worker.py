"""The other side of a worker process: it asks for an agent, then for episodes, and sends outcomes back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection

from wsabench.errors import CheckpointError, ResultSetError, StorageError, WorkerError, WsabenchError
from wsabench.evaluation.contestants import Contestant
from wsabench.evaluation.own_play.supply import supplied
from wsabench.evaluation.rollout import EpisodeLanes, Handout, play
from wsabench.processes import Failure, serve, single_thread
from wsabench.protocol import Protocol
from wsabench.results.records import EpisodeOutcome
from wsabench.types import DeclaredPolicy

_REPORT_SECONDS = 0.25
_FIRST_TURNS = 16
"""Turns that are told one by one, because most agents that fail do so at the beginning."""


@dataclass(frozen=True, slots=True)
class WantAgent:
    """The worker is idle."""


@dataclass(frozen=True, slots=True)
class WantTasks:
    """The worker has this many free lanes."""

    contestant: int
    count: int


@dataclass(frozen=True, slots=True)
class StepsPlayed:
    """The worker played so many more steps."""

    count: int


@dataclass(frozen=True, slots=True)
class AgentFailed:
    """An agent's own code failed; the worker goes on with others."""

    contestant: int
    failure: Failure


Message = WantAgent | WantTasks | StepsPlayed | AgentFailed | Failure | EpisodeOutcome

NOT_OF_AGENTS = (StorageError, WorkerError, ResultSetError)
"""Errors that no agent causes; any other one ends the jobs of the agent that caused it."""


class LaneRoom:
    """The lanes of one process; kept while the game stays the same."""

    def __init__(self) -> None:
        """Prepare; lanes are made when the first game is known."""
        self._lanes: EpisodeLanes | None = None
        self._made_for: tuple[str, Protocol, tuple[str, ...]] | None = None

    def lanes(self, contestant: Contestant) -> EpisodeLanes:
        """Return lanes of a contestant's game, as it sees it, that supply what it reads."""
        wanted = contestant.game, contestant.protocol, contestant.abilities.inputs
        if self._lanes is None or self._made_for != wanted:
            self.close()
            self._lanes = EpisodeLanes(contestant.game, contestant.protocol, inputs=contestant.abilities.inputs)
            self._made_for = wanted
        return self._lanes

    def close(self) -> None:
        """Give the emulators back for other lanes."""
        if self._lanes is not None:
            self._lanes.close()
            self._lanes = None


class StepCounter:
    """Adds up steps and passes them on: the first at once, then a few times per second."""

    def __init__(self, report: Callable[[int], None]) -> None:
        """Remember whom to tell."""
        self._report = report
        self._count = 0
        self._turns = 0
        self._last = time.monotonic()

    def begin(self) -> None:
        """Note that another agent begins."""
        self._turns = 0

    def add(self, count: int) -> None:
        """Count steps of one turn."""
        self._count += count
        self._turns += 1
        if self._turns <= _FIRST_TURNS or time.monotonic() - self._last >= _REPORT_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Pass on what was counted."""
        if self._count:
            self._report(self._count)
        self._count = 0
        self._last = time.monotonic()


class _RemoteTasks:
    """Episodes handed out by the parent process."""

    def __init__(self, connection: Connection, contestant: int) -> None:
        self._connection = connection
        self._contestant = contestant

    def take(self, count: int) -> Handout:
        """Ask the parent for episodes."""
        self._connection.send(WantTasks(self._contestant, count))
        return self._connection.recv()


def work(connection: Connection, keep_steps: bool = False) -> None:
    """Serve until the parent has nothing left or is gone; the entry point of a worker process.

    Args:
        connection: To the parent.
        keep_steps: Whether every step is recorded.
    """
    serve(connection, partial(_play, connection, keep_steps))


def _play(connection: Connection, keep_steps: bool) -> None:
    """Play one contestant after the other."""
    room = LaneRoom()
    counter = StepCounter(lambda count: connection.send(StepsPlayed(count)))
    while True:
        connection.send(WantAgent())
        order: tuple[int, Contestant] | None = connection.recv()
        if order is None:
            return
        index, contestant = order
        counter.begin()
        try:
            policy = contestant.load(contestant.protocol.action_selection)
            _check_same(contestant, policy)
            lanes = room.lanes(contestant)
            with single_thread():
                tasks = supplied(_RemoteTasks(connection, index), contestant)
                play(policy, lanes, tasks, connection.send, counter.add, keep_steps=keep_steps, name=contestant.name)
        except NOT_OF_AGENTS:
            raise
        except WsabenchError as error:
            connection.send(AgentFailed(index, Failure.of(error)))
        counter.flush()


def _check_same(contestant: Contestant, policy: DeclaredPolicy) -> None:
    """Refuse an agent that is another than the one that was planned with.

    Raises:
        CheckpointError: Its file was replaced, or is another one on this machine.
    """
    planned, found = contestant.abilities.checkpoint_hash, policy.abilities.checkpoint_hash
    if planned is not None and found != planned:
        raise CheckpointError(
            f"{contestant.id.describe()} is another agent where it plays than where the run was planned: its content "
            f"hash is {(found or 'unknown')[:12]}, {planned[:12]} is expected. Restore it, or start a new run."
        )
