"""Who plays the jobs: this process, or worker processes that take episodes as their lanes get free."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import wait
from typing import NamedTuple

import numpy as np

from wsabench.errors import WorkerError, WsabenchError
from wsabench.evaluation.cluster.sharing import SharedJobs
from wsabench.evaluation.contestants import Contestant
from wsabench.evaluation.own_play_supply import supplied
from wsabench.evaluation.plan import Plan
from wsabench.evaluation.progress import RunReporter
from wsabench.evaluation.rollout import EpisodeTask, Handout, play
from wsabench.evaluation.worker import (
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
from wsabench.processes import Failure, Worker, single_thread, started
from wsabench.results.records import EpisodeOutcome, Job
from wsabench.results.store import ResultStore


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
        WsabenchError: An agent cannot be loaded, fails or returns no valid actions; the others' jobs are finished.
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
    if board.failures:
        raise board.failures[0]


def _execute_here(plan: Plan, board: TaskBoard, allowed: Sequence[int], reporter: RunReporter) -> None:
    """Play contestants in this process, one after the other."""
    counter = StepCounter(reporter.steps)
    board.share_among(1)
    deliver = partial(board.deliver, 0)
    room = LaneRoom()
    while (index := board.choose(0, allowed)) is not None:
        contestant = plan.contestants[index]
        try:
            policy = contestant.load(contestant.protocol.action_selection)
            lanes = room.lanes(contestant)
            with single_thread():
                tasks = supplied(_BoardTasks(board, index), contestant)
                play(policy, lanes, tasks, deliver, counter.add, keep_steps=board.keeps_steps, name=contestant.name)
        except NOT_OF_AGENTS:
            raise
        except WsabenchError as error:
            board.give_up(0, index, error)
        counter.flush()


def _execute_in_workers(
    plan: Plan, board: TaskBoard, num_workers: int, allowed: Sequence[int], reporter: RunReporter
) -> None:
    """Play contestants in worker processes until all their jobs are written."""
    board.share_among(num_workers)
    with started(num_workers, work, (board.keeps_steps,), "wsabench-run") as workers:
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
        case AgentFailed(contestant, failure):
            board.give_up(worker, contestant, failure.to_error(f"Worker process {worker}", _way_on(plan, board)))
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


class TaskBoard:
    """Hands out episodes and gathers outcomes; a job is written the moment its last episode arrives."""

    def __init__(
        self,
        plan: Plan,
        finished: Sequence[Job],
        store: ResultStore,
        reporter: RunReporter,
        shared: SharedJobs | None = None,
    ) -> None:
        """Put all episodes of unfinished jobs on the board.

        Args:
            plan: The plan.
            finished: Jobs that need not be run.
            store: Where finished jobs are written.
            reporter: Who hears of it.
            shared: Claims each job before its first episode is handed out; None where nobody else plays any.
        """
        self.elsewhere: list[Job] = []
        """Jobs that other processes play, or finished meanwhile."""
        self._shared = shared
        self._claimed: set[int] = set()
        self._holding = [0]
        self.failures: list[WsabenchError] = []
        """What agents' own code raised, in the order in which it happened."""
        self._plan = plan
        self._store = store
        self._reporter = reporter
        self._outcomes: dict[int, list[EpisodeOutcome]] = {}
        self._workers: list[set[int]] = [set() for _ in plan.contestants]
        self._pending: list[deque[EpisodeTask]] = [deque() for _ in plan.contestants]
        self.num_finished = len(finished)
        done = set(finished)
        for index, job in enumerate(plan.jobs):
            if job not in done:
                self._outcomes[index] = []
                self._pending[plan.contestants.index(plan.contestant_of(job))].extend(self._tasks(index, job))

    @property
    def keeps_steps(self) -> bool:
        """Whether every step is recorded."""
        return self._store.keeps_steps

    @property
    def num_pending(self) -> int:
        """Episodes that nobody has taken."""
        return sum(len(tasks) for tasks in self._pending)

    @property
    def is_complete(self) -> bool:
        """Whether every job is written, but for those that other processes play."""
        return not self._outcomes

    def share_among(self, num_workers: int) -> None:
        """Say how many workers, numbered from 0, will take episodes from now on; none is playing yet."""
        self._holding = [0] * num_workers

    def choose(self, worker: int, allowed: Sequence[int]) -> int | None:
        """Return the contestant that an idle worker should play next.

        One that nobody plays, so that an agent's episodes share forward passes; when there is none, the one with most
        episodes left, so that no worker stands idle at the end.

        Args:
            worker: The worker's number.
            allowed: Contestants that it can play.

        Returns:
            The contestant's index, or None when nothing is left.
        """
        for workers in self._workers:
            workers.discard(worker)
        open_ones = [index for index in allowed if self._pending[index]]
        if not open_ones:
            return None
        best = min(open_ones, key=lambda index: (len(self._workers[index]), -len(self._pending[index]), index))
        self._workers[best].add(worker)
        return best

    def take(self, worker: int, contestant: int, count: int) -> Handout:
        """Return up to `count` episodes of a contestant, in the order of its jobs.

        No worker plays more than its share of what is left at a time, so that none stands idle while another has all
        of it; one that plays nothing gets at least one.
        """
        queue = self._pending[contestant]
        share = -(-(self.num_pending + sum(self._holding)) // len(self._holding))
        number = min(count, max(share - self._holding[worker], 0))
        tasks: list[EpisodeTask] = []
        while queue and len(tasks) < number:
            if self._may_play(queue[0].job_index):
                tasks.append(queue.popleft())
            else:
                self._leave(contestant, queue[0].job_index)
        self._holding[worker] += len(tasks)
        return Handout(tasks, is_last=not queue)

    def give_up(self, worker: int, contestant: int, error: WsabenchError) -> None:
        """Play no more of a contestant whose own code failed; the others go on."""
        self._holding[worker] = 0
        self._pending[contestant].clear()
        self.failures.append(error)
        if self.num_pending:
            self._reporter.note(
                f"{self._plan.contestants[contestant].id.describe()} failed and is not played on. The others are."
            )

    def deliver(self, worker: int, outcome: EpisodeOutcome) -> None:
        """Keep an outcome of a worker; write the job when it was the last.

        Raises:
            StorageError: The job's shard cannot be written.
        """
        job = self._plan.jobs[outcome.job_index]
        gathered = self._outcomes[outcome.job_index]
        gathered.append(outcome)
        self._holding[worker] -= 1
        self._reporter.episode_finished(job, outcome.episodic_return, outcome.length)
        if len(gathered) < job.num_episodes:
            return
        if self._shared is not None and not self._shared.has(job):  # this process slept, and another one took it over
            del self._outcomes[outcome.job_index]
            self.elsewhere.append(job)
            return
        self._store.write_job(self._plan.with_earlier_seeds(job), gathered, self._plan.contestant_of(job).encoders)
        if self._shared is not None:
            self._shared.release(job)
        del self._outcomes[outcome.job_index]
        self.num_finished += 1
        by_episode = sorted(gathered, key=lambda one: one.episode)
        self._reporter.job_finished(job, np.array([one.episodic_return for one in by_episode], dtype=np.float64))

    def _may_play(self, index: int) -> bool:
        """Whether a job is this process's, which claims it when it comes to it."""
        if self._shared is None or index in self._claimed:
            return True
        if not self._shared.take(self._plan.jobs[index]):
            return False
        self._claimed.add(index)
        return True

    def _leave(self, contestant: int, index: int) -> None:
        """Leave a job of which nothing was handed out to the process that plays it."""
        queue = self._pending[contestant]
        while queue and queue[0].job_index == index:
            queue.popleft()
        del self._outcomes[index]
        self.elsewhere.append(self._plan.jobs[index])

    def _tasks(self, index: int, job: Job) -> list[EpisodeTask]:
        """Return a job's episodes as tasks."""
        operations = self._plan.compiled[job.game, job.perturbation].encoder_operations
        return [
            EpisodeTask(index, episode, seed, job.perturbation, operations)
            for episode, seed in enumerate(job.episode_seeds, self._plan.first_episode)
        ]
