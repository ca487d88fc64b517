"""Who plays the jobs: this process, or worker processes that take episodes as their lanes get free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import wait
from typing import NamedTuple

from wsabench.errors import WorkerError
from wsabench.evaluation.contestants import Contestant
from wsabench.evaluation.own_play_supply import supplied
from wsabench.evaluation.plan import Plan
from wsabench.evaluation.progress import RunReporter
from wsabench.evaluation.records import EpisodeOutcome
from wsabench.evaluation.rollout import Handout, play
from wsabench.evaluation.tasks import TaskBoard
from wsabench.evaluation.worker import (
    LaneRoom,
    Message,
    StepCounter,
    StepsPlayed,
    WantAgent,
    WantTasks,
    work,
)
from wsabench.processes import Failure, Worker, single_thread, started


class _BoardTasks:
    """Episodes of one contestant, taken from the board in this process."""

    def __init__(self, board: TaskBoard, contestant: int) -> None:
        self._board = board
        self._contestant = contestant

    def take(self, count: int) -> Handout:
        """Return the next episodes."""
        return self._board.take(0, self._contestant, count)


def execute(plan: Plan, board: TaskBoard, num_workers: int, reporter: RunReporter) -> None:
    """Play every episode on the board.

    Args:
        plan: The plan.
        board: Hands out episodes and writes finished jobs.
        num_workers: Processes to play in; 1 means this one. The results are the same for any number.
        reporter: Hears of progress.

    Raises:
        StorageError: A finished job cannot be written.
        WorkerError: A worker process died; finished jobs are kept.
        WsabenchError: An agent cannot be loaded or returns no valid actions.
    """
    num_workers = min(num_workers, board.num_pending)
    travellers = [index for index, one in enumerate(plan.contestants) if one.can_travel]
    others = [index for index in range(len(plan.contestants)) if index not in travellers]
    if num_workers > 1 and travellers:
        _execute_in_workers(plan, board, num_workers, travellers, reporter)
    else:
        others = list(range(len(plan.contestants)))
    if num_workers > 1 and others and board.num_pending:
        names = ", ".join(sorted({plan.contestants[index].name for index in others}))
        reporter.note(
            f"{names}: Python objects play in this process only. "
            "Name the policy as 'package.module:attribute' to use several processes."
        )
    if board.num_pending:
        _execute_here(plan, board, others, reporter)


def _execute_here(plan: Plan, board: TaskBoard, allowed: Sequence[int], reporter: RunReporter) -> None:
    """Play contestants in this process, one after the other."""
    counter = StepCounter(reporter.steps)
    board.share_among(1)
    deliver = partial(board.deliver, 0)
    room = LaneRoom(plan.protocol)
    while (index := board.choose(0, allowed)) is not None:
        contestant = plan.contestants[index]
        policy = contestant.load(plan.protocol.action_selection)
        lanes = room.lanes(contestant.game, policy)
        with single_thread():
            tasks = supplied(_BoardTasks(board, index), contestant)
            play(policy, lanes, tasks, deliver, counter.add, keep_steps=board.keeps_steps)
        counter.flush()


def _execute_in_workers(
    plan: Plan, board: TaskBoard, num_workers: int, allowed: Sequence[int], reporter: RunReporter
) -> None:
    """Play contestants in worker processes until all their jobs are written."""
    board.share_among(num_workers)
    with started(num_workers, work, (plan.protocol, board.keeps_steps), "wsabench-run") as workers:
        by_connection = {worker.connection: worker for worker in workers}
        while by_connection:
            for ready in wait(list(by_connection)):
                worker = by_connection[ready]  # pyright: ignore[reportArgumentType]
                with _noticing_death(worker, plan, board):
                    message: Message = worker.connection.recv()
                reply = _reply(message, worker.number, plan, board, allowed)
                if isinstance(message, StepsPlayed):
                    reporter.steps(message.count)
                if reply is not None:
                    with _noticing_death(worker, plan, board):
                        worker.connection.send(reply.content)
                    if reply.is_farewell:
                        del by_connection[worker.connection]


class _Reply(NamedTuple):
    """What a worker is told."""

    content: Handout | tuple[int, Contestant] | None
    is_farewell: bool = False


def _reply(message: Message, worker: int, plan: Plan, board: TaskBoard, allowed: Sequence[int]) -> _Reply | None:
    """Do what a message asks for; return the reply, None where none is awaited."""
    match message:
        case EpisodeOutcome():
            board.deliver(worker, message)
        case WantTasks(contestant, count):
            return _Reply(board.take(worker, contestant, count))
        case WantAgent():
            index = board.choose(worker, allowed)
            return _Reply(None, is_farewell=True) if index is None else _Reply((index, plan.contestants[index]))
        case Failure():
            raise message.to_error(f"Worker process {worker}", _way_on(plan, board))
        case StepsPlayed():
            pass
    return None


@contextmanager
def _noticing_death(worker: Worker, plan: Plan, board: TaskBoard) -> Iterator[None]:
    """Turn a broken connection into the error for a worker that is gone."""
    try:
        yield
    except (EOFError, ConnectionResetError, BrokenPipeError) as error:
        raise _death(worker, plan, board) from error


def _death(worker: Worker, plan: Plan, board: TaskBoard) -> WorkerError:
    """Return the error for a worker that is gone."""
    return WorkerError(f"Worker process {worker.number} {worker.how_it_ended()}. {_way_on(plan, board)}")


def _way_on(plan: Plan, board: TaskBoard) -> str:
    """Say what is kept and what to do when a worker process cannot go on."""
    return (
        f"{board.num_finished} of {len(plan.jobs)} jobs are finished and kept: start the same run again to go on, with "
        "--workers 1 if it ends again."
    )
