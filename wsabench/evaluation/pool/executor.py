"""Who plays the jobs: this process, or worker processes that take episodes as their lanes get free."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import NamedTuple

from wsabench.errors import WorkerError, WsabenchError
from wsabench.evaluation.cluster.crews import AnyCrew, Hire, Hired
from wsabench.evaluation.contestants import Contestant
from wsabench.evaluation.own_play.supply import supplied
from wsabench.evaluation.plan import Plan
from wsabench.evaluation.pool.board import TaskBoard
from wsabench.evaluation.pool.watchdog import LOADING, WORKER_TIMEOUT, steps_watched
from wsabench.evaluation.pool.worker import (
    NOT_OF_AGENTS,
    AgentFailed,
    LaneRoom,
    Message,
    StepCounter,
    StepsPlayed,
    WantAgent,
    WantTasks,
    work,
)
from wsabench.evaluation.progress import RunReporter
from wsabench.evaluation.rollout import Handout, play
from wsabench.processes import Crew, Failure, single_thread
from wsabench.results.records import EpisodeOutcome

_TICK_SECONDS = 1.0
_AWAY_SECONDS = 5.0
"""When this process comes so late to look, it was stopped itself."""
_LEAVING_SECONDS = 5.0
"""How long a worker without work may take to end."""


class _BoardTasks:
    """Episodes of one contestant, taken from the board in this process."""

    def __init__(self, board: TaskBoard, contestant: int) -> None:
        self._board = board
        self._contestant = contestant

    def take(self, count: int) -> Handout:
        """Return the next episodes."""
        return self._board.take(0, self._contestant, count)


def execute(
    plan: Plan,
    board: TaskBoard,
    num_workers: int,
    reporter: RunReporter,
    worker_timeout: float = WORKER_TIMEOUT,
    hire: Hire | None = None,
) -> None:
    """Play every episode on the board.

    Args:
        plan: The plan.
        board: Hands out episodes and writes finished jobs.
        num_workers: Processes to play in. 1: this one, and one of its own for agents whose own code runs; 0: this one
            alone. The results are the same for any number.
        reporter: Hears of progress.
        worker_timeout: Seconds without a step after which an agent is taken to hang, 0 for none; `LOADING` times as
            many until its first step. Its worker process is ended; what plays in this process is only told of.
        hire: Makes the workers of another executor, which play whatever can travel; None: processes of this machine.

    Raises:
        StorageError: A finished job cannot be written.
        WorkerError: An agent lost its worker process again and again; the others' jobs are finished.
        WsabenchError: An agent cannot be loaded, fails or returns no valid actions; the others' jobs are finished.
    """
    num_workers = min(num_workers, board.num_pending)
    everyone = range(len(plan.contestants))
    apart = [index for index in everyone if _plays_apart(plan.contestants[index], num_workers, hire is not None)]
    here = [index for index in everyone if index not in apart]
    if board.has_work(apart):
        board.share_among(num_workers)
        with hire(board.keeps_steps) if hire else Crew(work, (board.keeps_steps,), "wsabench-run") as crew:
            _Floor(plan, board, crew, apart, reporter, worker_timeout).play(num_workers)
    if (num_workers > 1 or hire) and board.has_work(here):
        names = ", ".join(sorted({plan.contestants[index].name for index in here}))
        reporter.note(
            f"{names}: Python objects play in this process only. "
            "Name the policy as 'package.module:attribute' to use several processes."
        )
    if board.has_work(here):
        _execute_here(plan, board, here, reporter, worker_timeout)
    for error in board.failures[1:]:
        reporter.note(str(error))
    if board.failures:
        raise board.failures[0]


def _plays_apart(contestant: Contestant, num_workers: int, is_hired: bool) -> bool:
    """Whether a contestant plays in a worker process."""
    is_apart = is_hired or num_workers > 1 or (num_workers == 1 and contestant.runs_own_code)
    return contestant.can_travel and is_apart


def _execute_here(
    plan: Plan, board: TaskBoard, allowed: Sequence[int], reporter: RunReporter, worker_timeout: float
) -> None:
    """Play contestants in this process, one after the other."""
    board.share_among(1)
    deliver = partial(board.deliver, 0)
    with closing(LaneRoom()) as room:
        while (index := board.choose(0, allowed)) is not None:
            contestant = plan.contestants[index]
            with steps_watched(contestant, reporter.note, worker_timeout, reporter.steps) as count:
                counter = StepCounter(count)
                try:
                    policy = contestant.load(contestant.protocol.action_selection)
                    lanes, name = room.lanes(contestant), contestant.name
                    with single_thread():
                        tasks = supplied(_BoardTasks(board, index), contestant)
                        play(policy, lanes, tasks, deliver, counter.add, keep_steps=board.keeps_steps, name=name)
                except NOT_OF_AGENTS:
                    raise
                except WsabenchError as error:
                    board.give_up(0, index, error)
                counter.flush()


@dataclass(slots=True)
class _Seat:
    """A worker process as this process sees it."""

    worker: Hired
    heard: float
    """When it was last heard of, by the monotonic clock."""
    contestant: int | None = None
    steps: int = 0
    """Steps of this contestant that it told of."""
    is_done: bool = False
    """Nothing is left for it; it is about to end."""
    why_ended: str = ""
    """Why this process ended it."""


class _Floor:
    """Worker processes that play contestants until all their jobs are written; one that is lost is replaced."""

    def __init__(
        self,
        plan: Plan,
        board: TaskBoard,
        crew: AnyCrew,
        allowed: Sequence[int],
        reporter: RunReporter,
        worker_timeout: float,
    ) -> None:
        self._plan, self._board, self._crew, self._allowed = plan, board, crew, allowed
        self._reporter, self._timeout = reporter, worker_timeout
        self._seats: dict[int, _Seat] = {}
        self._absent: set[int] = set()
        """Workers for whom there is no place."""
        self._inbox: SimpleQueue[tuple[_Seat, Message | None]] = SimpleQueue()
        self._looked = self._manned = time.monotonic()

    def play(self, num_workers: int) -> None:
        """Play until nothing is left for any worker, and all have ended.

        Raises:
            WorkerError: For long there is no place for any worker.
        """
        for number in range(num_workers):
            self._start(number)
        while self._seats or (self._absent and self._board.has_work(self._allowed)):
            with suppress(Empty):
                self._hear(*self._inbox.get(timeout=_TICK_SECONDS))
            if self._inbox.empty() and time.monotonic() - self._looked >= _TICK_SECONDS:
                self._look_after()

    def _start(self, number: int) -> None:
        """Start a worker, and a thread that listens to it: a message that comes in parts keeps nobody waiting."""
        self._absent.add(number)
        worker = self._crew.start(number)
        if worker is None:
            return
        self._absent.remove(number)
        seat = self._seats[number] = _Seat(worker, time.monotonic())
        threading.Thread(target=_listen, args=(seat, self._inbox), name=f"wsabench-ear-{number}", daemon=True).start()

    def _hear(self, seat: _Seat, message: Message | None) -> None:
        """Do what a message asks for; None: the worker is gone."""
        seat.heard = time.monotonic()
        if message is None:
            self._clear(seat)
            return
        reply = self._reply(seat, message)
        if reply is not None:
            with suppress(OSError):  # it is gone, which its listener tells
                seat.worker.connection.send(reply.content)

    def _reply(self, seat: _Seat, message: Message) -> _Reply | None:
        """Return the reply to a message, None where none is awaited."""
        number = seat.worker.number
        match message:
            case EpisodeOutcome():
                self._board.deliver(number, message)
            case WantTasks(contestant, count):
                return _Reply(self._board.take(number, contestant, count))
            case WantAgent():
                index = seat.contestant = self._board.choose(number, self._allowed)
                seat.steps, seat.is_done = 0, index is None
                return _Reply(None if index is None else (index, self._plan.contestants[index]))
            case AgentFailed(contestant, failure):
                error = failure.to_error(f"Worker process {number}", self._board.way_on())
                self._board.give_up(number, contestant, error)
            case Failure():
                raise message.to_error(f"Worker process {number}", self._board.way_on())
            case StepsPlayed():
                seat.steps += message.count
                self._reporter.steps(message.count)
        return None

    def _look_after(self) -> None:
        """End workers that hang, and those whose end was not told because a child of theirs holds the connection."""
        has_work = self._board.has_work(self._allowed)
        for number in sorted(self._absent) if has_work else ():
            self._start(number)
        now = time.monotonic()
        away, self._looked = now - self._looked, now
        self._manned = now if self._seats or not has_work else self._manned
        if now - self._manned > self._crew.patience:
            raise WorkerError(
                f"For {self._crew.patience:g} s there was no place for any worker. {self._board.way_on()}"
            )
        for seat in self._seats.values():
            if away > _AWAY_SECONDS:  # this process was stopped, and they may have been
                seat.heard += away
            if not seat.worker.is_up:
                seat.heard = now
                seat.is_done = seat.is_done or not has_work
            silence = now - seat.heard
            is_of_no_use = seat.is_done and (silence > _LEAVING_SECONDS or not seat.worker.is_up)
            if (seat.worker.has_ended and silence >= _TICK_SECONDS) or is_of_no_use:
                self._crew.kill(seat.worker)
            elif 0 < self._limit(seat) < silence and not seat.is_done:
                seat.why_ended = f"made no step for {silence:.0f} s and was ended (--worker-timeout {self._timeout:g})"
                self._crew.kill(seat.worker)
                seat.heard = now

    def _limit(self, seat: _Seat) -> float:
        """Return for how many seconds a worker may be silent; 0: for ever."""
        return self._timeout if seat.steps else self._timeout * LOADING

    def _clear(self, seat: _Seat) -> None:
        """Forget a worker that is gone; where it was not done, start another one for what it had."""
        how = "" if seat.is_done else seat.why_ended or _own_end(seat.worker)
        self._crew.end(seat.worker)
        del self._seats[seat.worker.number]
        if seat.is_done:
            return
        self._board.lose(seat.worker.number, how, seat.steps, bool(seat.why_ended) or seat.worker.is_to_blame)
        if self._board.has_work(self._allowed):
            self._start(seat.worker.number)


def _own_end(worker: Hired) -> str:
    """Say how a worker process ended that had something left to do."""
    how = worker.how_it_ended()
    return f"{how} (by os._exit, or the like in its code)" if "exit code" in how else how


class _Reply(NamedTuple):
    """What a worker is told."""

    content: Handout | tuple[int, Contestant] | None


def _listen(seat: _Seat, inbox: SimpleQueue[tuple[_Seat, Message | None]]) -> None:
    """Pass on what a worker sends, and its end."""
    try:
        while True:
            inbox.put((seat, seat.worker.connection.recv()))
    except (EOFError, OSError, TypeError):  # the last where this process closed the connection meanwhile
        pass
    finally:
        inbox.put((seat, None))
