"""The other side of a worker process: it asks for an agent, then for episodes, and sends outcomes back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection

from wsabench.evaluation.contestants import Contestant
from wsabench.evaluation.own_play_supply import supplied
from wsabench.evaluation.rollout import EpisodeLanes, Handout, play
from wsabench.processes import Failure, serve, single_thread
from wsabench.protocol import Protocol
from wsabench.results.records import EpisodeOutcome

_REPORT_SECONDS = 0.25


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


Message = WantAgent | WantTasks | StepsPlayed | Failure | EpisodeOutcome


class LaneRoom:
    """The lanes of one process; kept while the game stays the same."""

    def __init__(self, protocol: Protocol) -> None:
        """Prepare; lanes are made when the first game is known."""
        self._protocol = protocol
        self._lanes: EpisodeLanes | None = None

    def lanes(self, contestant: Contestant) -> EpisodeLanes:
        """Return lanes of a contestant's game that supply what it reads."""
        game, inputs = contestant.game, contestant.abilities.inputs
        if self._lanes is None or self._lanes.game != game or tuple(self._lanes.inputs) != inputs:
            self._lanes = EpisodeLanes(game, self._protocol, inputs=inputs)
        return self._lanes


class StepCounter:
    """Adds up steps and passes them on a few times per second."""

    def __init__(self, report: Callable[[int], None]) -> None:
        """Remember whom to tell."""
        self._report = report
        self._count = 0
        self._last = time.monotonic()

    def add(self, count: int) -> None:
        """Count steps."""
        self._count += count
        if time.monotonic() - self._last >= _REPORT_SECONDS:
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


def work(connection: Connection, protocol: Protocol, keep_steps: bool = False) -> None:
    """Serve until the parent has nothing left or is gone; the entry point of a worker process.

    Args:
        connection: To the parent.
        protocol: How lanes are made.
        keep_steps: Record every step.
    """
    serve(connection, partial(_play, connection, protocol, keep_steps))


def _play(connection: Connection, protocol: Protocol, keep_steps: bool) -> None:
    """Play one contestant after the other."""
    room = LaneRoom(protocol)
    counter = StepCounter(lambda count: connection.send(StepsPlayed(count)))
    while True:
        connection.send(WantAgent())
        order: tuple[int, Contestant] | None = connection.recv()
        if order is None:
            return
        index, contestant = order
        policy = contestant.load(protocol.action_selection)
        lanes = room.lanes(contestant)
        with single_thread():
            tasks = supplied(_RemoteTasks(connection, index), contestant)
            play(policy, lanes, tasks, connection.send, counter.add, keep_steps=keep_steps)
        counter.flush()
