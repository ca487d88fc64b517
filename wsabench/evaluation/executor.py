"""Who plays the jobs: this process, or worker processes that take episodes as their lanes get free."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import NamedTuple

import numpy as np

from wsabench.errors import WorkerError, WsabenchError
from wsabench.evaluation.attempts import Attempts
from wsabench.evaluation.cluster.sharing import SharedJobs
from wsabench.evaluation.contestants import Contestant
from wsabench.evaluation.own_play.supply import supplied
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
from wsabench.processes import Crew, Failure, Worker, single_thread
from wsabench.results.records import EpisodeOutcome, Job
from wsabench.results.store import ResultStore

WORKER_TIMEOUT = 120.0
"""Seconds without a step after which an agent is taken to hang."""
LOADING = 5
"""How many times as long it may take until its first step: it is loaded, and code is compiled."""
_TICK_SECONDS = 1.0
_AWAY_SECONDS = 5.0
"""When this process comes so late to look, it was stopped itself."""
_LEAVING_SECONDS = 5.0
"""How long a worker without work may take to end."""
_CELLS_NAMED = 3
"""Perturbations that a message names at most."""


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

    Raises:
        StorageError: A finished job cannot be written.
        WorkerError: An agent lost its worker process again and again; the others' jobs are finished.
        WsabenchError: An agent cannot be loaded, fails or returns no valid actions; the others' jobs are finished.
    """
    num_workers = min(num_workers, board.num_pending)
    everyone = range(len(plan.contestants))
    apart = [index for index in everyone if _plays_apart(plan.contestants[index], num_workers)]
    here = [index for index in everyone if index not in apart]
    if board.has_work(apart):
        board.share_among(num_workers)
        with Crew(work, (board.keeps_steps,), "wsabench-run") as crew:
            _Floor(plan, board, crew, apart, reporter, worker_timeout).play(num_workers)
    if num_workers > 1 and board.has_work(here):
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


def _plays_apart(contestant: Contestant, num_workers: int) -> bool:
    """Whether a contestant plays in a worker process."""
    return contestant.can_travel and (num_workers > 1 or (num_workers == 1 and contestant.runs_own_code))


def _execute_here(
    plan: Plan, board: TaskBoard, allowed: Sequence[int], reporter: RunReporter, worker_timeout: float
) -> None:
    """Play contestants in this process, one after the other."""
    board.share_among(1)
    deliver = partial(board.deliver, 0)
    room = LaneRoom()
    while (index := board.choose(0, allowed)) is not None:
        contestant = plan.contestants[index]
        with _Watchdog(contestant, reporter, worker_timeout) as watchdog:
            counter = StepCounter(watchdog.steps)
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


class _Watchdog:
    """Says when an agent makes no step in this process, which nothing but the user can end."""

    def __init__(self, contestant: Contestant, reporter: RunReporter, seconds: float) -> None:
        self._who = contestant.id.describe()
        self._reporter = reporter
        self._seconds = seconds
        self._heard = time.monotonic()
        self._limit = seconds * LOADING
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="wsabench-watchdog", daemon=True)

    def __enter__(self) -> _Watchdog:
        if self._seconds > 0:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()

    def steps(self, count: int) -> None:
        """Count steps."""
        self._heard, self._limit = time.monotonic(), self._seconds
        self._reporter.steps(count)

    def _watch(self) -> None:
        while not self._is_over.wait(min(_TICK_SECONDS, self._seconds)):
            if time.monotonic() - self._heard > self._limit:
                self._reporter.note(
                    f"{self._who} has made no step for {self._limit:g} s. It plays in this process, which cannot end "
                    "it: wait, or stop the run (Ctrl-C) and give the agent as package.module:attribute."
                )
                return


@dataclass(slots=True)
class _Seat:
    """A worker process as this process sees it."""

    worker: Worker
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
        crew: Crew,
        allowed: Sequence[int],
        reporter: RunReporter,
        worker_timeout: float,
    ) -> None:
        self._plan, self._board, self._crew, self._allowed = plan, board, crew, allowed
        self._reporter, self._timeout = reporter, worker_timeout
        self._seats: dict[int, _Seat] = {}
        self._inbox: SimpleQueue[tuple[_Seat, Message | None]] = SimpleQueue()
        self._looked = time.monotonic()

    def play(self, num_workers: int) -> None:
        """Play until nothing is left for any worker, and all have ended."""
        for number in range(num_workers):
            self._start(number)
        while self._seats:
            with suppress(Empty):
                self._hear(*self._inbox.get(timeout=_TICK_SECONDS))
            if self._inbox.empty() and time.monotonic() - self._looked >= _TICK_SECONDS:
                self._look_after()

    def _start(self, number: int) -> None:
        """Start a worker, and a thread that listens to it: a message that comes in parts keeps nobody waiting."""
        seat = self._seats[number] = _Seat(self._crew.start(number), time.monotonic())
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
        now = time.monotonic()
        away, self._looked = now - self._looked, now
        for seat in self._seats.values():
            if away > _AWAY_SECONDS:  # this process was stopped, and they may have been
                seat.heard += away
            silence = now - seat.heard
            if (seat.worker.has_ended and silence >= _TICK_SECONDS) or (seat.is_done and silence > _LEAVING_SECONDS):
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
        self._board.lose(seat.worker.number, how, seat.steps)
        if self._board.has_work(self._allowed):
            self._start(seat.worker.number)


def _own_end(worker: Worker) -> str:
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


def _counted(number: int, unit: str) -> str:
    """Return a number with its unit, as in `1 step`."""
    return f"{number} {unit}{'' if number == 1 else 's'}"


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
        self._num_players = 1
        self._attempts = Attempts()
        self._given_up: set[int] = set()
        self.failures: list[WsabenchError] = []
        """What agents' own code raised, in the order in which it happened."""
        self._plan = plan
        self._store = store
        self._reporter = reporter
        self._outcomes: dict[int, list[EpisodeOutcome]] = {}
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

    def has_work(self, allowed: Sequence[int]) -> bool:
        """Whether there are episodes of some contestants that nobody has taken."""
        return any(self._pending[index] for index in allowed)

    def share_among(self, num_workers: int) -> None:
        """Say how many workers, numbered from 0, will take episodes from now on; none is playing yet."""
        self._num_players = num_workers

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
        self._attempts.plays(worker, None)
        open_ones = [index for index in allowed if self._pending[index]]
        if not open_ones:
            return None
        players = self._attempts.players_of
        best = min(open_ones, key=lambda index: (players(index), -len(self._pending[index]), index))
        self._attempts.plays(worker, best)
        return best

    def take(self, worker: int, contestant: int, count: int) -> Handout:
        """Return up to `count` episodes of a contestant, in the order of its jobs.

        No worker plays more than its share of what is left at a time, so that none stands idle while another has all
        of it; one that plays nothing gets at least one.
        """
        queue = self._pending[contestant]
        share = -(-(self.num_pending + self._attempts.all_held) // self._num_players)
        number = min(count, max(share - self._attempts.held(worker), 0))
        tasks: list[EpisodeTask] = []
        while queue and len(tasks) < number:
            if self._may_play(queue[0].job_index):
                tasks.append(queue.popleft())
            else:
                self._leave(contestant, queue[0].job_index)
        self._attempts.takes(worker, tasks)
        return Handout(tasks, is_last=not queue)

    def give_up(self, worker: int, contestant: int, error: WsabenchError) -> None:
        """Play no more of a contestant whose own code failed; the others go on."""
        self._attempts.drops(worker)
        self._leave_out(contestant, error)

    def lose(self, worker: int, how: str, num_steps: int) -> None:
        """Put the unfinished episodes of a worker that is gone back on the board, or give up the contestant it played.

        Args:
            worker: The worker's number.
            how: How it ended, as the end of a sentence.
            num_steps: About how many steps of the contestant it had played.

        Raises:
            WorkerError: Workers end before they have played anything.
        """
        loss = self._attempts.loses(worker)
        if loss.contestant is None:
            if loss.is_last:
                raise WorkerError(f"Worker process {worker} {how} before it played, again. {self.way_on()}")
            self._reporter.note(f"Worker process {worker} {how} before it played. Another one is started.")
            return
        if loss.contestant in self._given_up:
            return
        who = self._plan.contestants[loss.contestant].id.describe()
        cells = list(dict.fromkeys(self._plan.jobs[task.job_index].perturbation for task in loss.tasks))
        more = f" and {len(cells) - _CELLS_NAMED} more" if len(cells) > _CELLS_NAMED else ""
        playing = f" of {', '.join(cells[:_CELLS_NAMED])}{more}" if cells else ""
        what = f"{who}: its worker process {how} after about {_counted(num_steps, 'step')}{playing}."
        if loss.is_last:
            way = "The same run again plays what is missing, with fewer --workers where memory is short."
            self._leave_out(loss.contestant, WorkerError(f"{what} That was so before: it is given up. {way}"))
            return
        self._pending[loss.contestant].extendleft(reversed(loss.tasks))
        self._reporter.note(
            f"{what} What it had not finished ({_counted(len(loss.tasks), 'episode')}) is played again."
        )

    def way_on(self) -> str:
        """Say what is kept and what to do when a worker process cannot go on."""
        return (
            f"{self.num_finished} of {len(self._plan.jobs)} jobs are finished and kept: start the same run again to go "
            "on, with fewer --workers where memory is short."
        )

    def deliver(self, worker: int, outcome: EpisodeOutcome) -> None:
        """Keep an outcome of a worker; write the job when it was the last.

        Raises:
            StorageError: The job's shard cannot be written.
        """
        job = self._plan.jobs[outcome.job_index]
        gathered = self._outcomes[outcome.job_index]
        gathered.append(outcome)
        self._attempts.finishes(worker, outcome.job_index, outcome.episode)
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

    def _leave_out(self, contestant: int, error: WsabenchError) -> None:
        """Play no more of a contestant; keep the reason of the first time."""
        if contestant in self._given_up:
            return
        self._given_up.add(contestant)
        self._pending[contestant].clear()
        self.failures.append(error)
        if self.num_pending:
            self._reporter.note(
                f"{self._plan.contestants[contestant].id.describe()} failed and is not played on. The others are."
            )

    def _tasks(self, index: int, job: Job) -> list[EpisodeTask]:
        """Return a job's episodes as tasks."""
        operations = self._plan.compiled[job.game, job.perturbation].encoder_operations
        return [
            EpisodeTask(index, episode, seed, job.perturbation, operations)
            for episode, seed in enumerate(job.episode_seeds, self._plan.first_episode)
        ]
