"""Agents whose own code might end or stop its process play again in one of their own, which is ended when it hangs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from wsabench.errors import WorkerError
from wsabench.evaluation.contestants import Contestant
from wsabench.evaluation.pool.asking import Silence, heard
from wsabench.evaluation.pool.watchdog import LOADING
from wsabench.evaluation.pool.worker import LaneRoom, StepCounter, StepsPlayed
from wsabench.evaluation.replaying import contestant_again, play_again
from wsabench.evaluation.rollout import EpisodeTask
from wsabench.processes import Crew, Failure, Worker, serve
from wsabench.protocol import Protocol
from wsabench.results.manifest import AgentEntry
from wsabench.results.records import EpisodeOutcome
from wsabench.types import Permissions
from wsabench.words import counted

_CURE = "Nothing can be said of it: correct the agent, or leave it more time (--worker-timeout)."


@dataclass(frozen=True, slots=True)
class _Load:
    """Whom to load: the arguments of `contestant_again`."""

    entry: AgentEntry
    protocol: Protocol
    permissions: Permissions
    checkpoint: str | None


@dataclass(frozen=True, slots=True)
class _Play:
    """What to play: arguments of `play_again`."""

    contestant: Contestant
    tasks: tuple[EpisodeTask, ...]


@contextmanager
def replay_room(seconds: float) -> Iterator[ReplayRoom]:
    """Give a process in which agents are loaded and play again; it starts with the first and ends with the block.

    Args:
        seconds: After so many without a step an agent is taken to hang, 0 for never; `LOADING` times as many until its
            first step, and for its loading and first answers.
    """
    with Crew(_work, (), "wsabench-replay") as crew:
        yield ReplayRoom(crew, seconds)


class ReplayRoom:
    """What `replay_room` gives."""

    def __init__(self, crew: Crew, seconds: float) -> None:
        """Prepare; nothing is started."""
        self._crew, self._seconds = crew, seconds
        self._worker: Worker | None = None

    def load(
        self, entry: AgentEntry, protocol: Protocol, permissions: Permissions, checkpoint: str | None = None
    ) -> Contestant:
        """Return who played, as `contestant_again` does, asked twice for the same.

        Args:
            entry: What the manifest says of it.
            protocol: The run's protocol.
            permissions: What it is allowed.
            checkpoint: Where it is now; None: where it was.

        Raises:
            CheckpointError: It cannot be loaded, or is another one.
            WorkerError: It ends its process or hangs.
        """
        who = entry.id.describe()
        worker = self._with_order(_Load(entry, protocol, permissions, checkpoint))
        when = "when it was loaded and shown two steps twice"
        return _answer(worker, who, when, self._seconds * LOADING, "was not loaded, or gave no answer,")

    def play(
        self,
        contestant: Contestant,
        tasks: Sequence[EpisodeTask],
        advance: Callable[[int], None],
        note: Callable[[str], None],
    ) -> list[EpisodeOutcome]:
        """Play some episodes, as `play_again` does.

        Args:
            contestant: Who plays.
            tasks: Its episodes.
            advance: Gets the number of steps played since the last call.
            note: Gets a sentence where the agent must first play for some cells, for which it may take its time.

        Raises:
            SpecError: The agent fails, or a perturbation does not fit it.
            WorkerError: It ends its process or hangs.
        """
        outcomes: list[EpisodeOutcome] = []
        steps, limit = 0, self._seconds * LOADING
        worker = self._with_order(_Play(contestant, tuple(tasks)))
        while True:
            when = f"after about {counted(steps, 'step')}"
            match told := _answer(worker, contestant.id.describe(), when, limit, "made no step"):
                case StepsPlayed(count):
                    steps, limit = steps + count, self._seconds
                    advance(count)
                case EpisodeOutcome():
                    outcomes.append(told)
                case str():
                    limit = 0.0
                    note(told)
                case _:
                    return outcomes

    def _with_order(self, order: _Load | _Play) -> Worker:
        """Return the process with an order; it is started where there is none."""
        self._worker = self._worker or self._crew.start(0)
        with suppress(OSError):  # it is gone, which its answer tells
            self._worker.connection.send(order)
        return self._worker


def _answer(worker: Worker, who: str, when: str, limit: float, otherwise: str) -> Any:
    """Return the next message of a process; what it failed with is raised."""
    try:
        told = heard(worker, limit, otherwise)
    except Silence as silence:
        raise WorkerError(f"{who} {silence} and was ended. {_CURE}") from silence
    except (EOFError, OSError) as error:
        raise WorkerError(f"{who}: its process {worker.how_it_ended()} {when}. {_CURE}") from error
    if isinstance(told, Failure):
        raise told.to_error(f"The process of {who}", _CURE)
    return told


def _work(connection: Connection) -> None:
    """Load and play what the parent sends; the entry point of the process."""
    serve(connection, partial(_serve, connection))


def _serve(connection: Connection) -> NoReturn:
    room = LaneRoom()
    counter = StepCounter(lambda count: connection.send(StepsPlayed(count)))
    while True:
        order: _Load | _Play = connection.recv()
        if isinstance(order, _Load):
            connection.send(contestant_again(order.entry, order.protocol, order.permissions, order.checkpoint))
            continue
        counter.begin()
        who, lanes = order.contestant, room.lanes(order.contestant)
        for outcome in play_again(who, order.tasks, counter.add, connection.send, lanes, worker_timeout=0):
            connection.send(outcome)
        counter.flush()
        connection.send(None)
