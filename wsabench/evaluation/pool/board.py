"""Which episodes wait, who plays them, and what has come of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from wsabench.errors import WorkerError, WsabenchError
from wsabench.evaluation.cluster.sharing import SharedJobs
from wsabench.evaluation.plan import Plan
from wsabench.evaluation.pool.attempts import Attempts
from wsabench.evaluation.progress import RunReporter
from wsabench.evaluation.rollout import EpisodeTask, Handout
from wsabench.results.records import EpisodeOutcome, Job
from wsabench.results.store import ResultStore
from wsabench.words import counted

_CELLS_NAMED = 3
"""Perturbations that a message names at most."""


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
        for index, contestant in enumerate(plan.contestants):
            if contestant.hung:
                self._attempts.blames(index)
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

    def lose(self, worker: int, how: str, num_steps: int, is_to_blame: bool = True) -> None:
        """Put the unfinished episodes of a worker that is gone back on the board, or give up the contestant it played.

        Args:
            worker: The worker's number.
            how: How it ended, as the end of a sentence.
            num_steps: About how many steps of the contestant it had played.
            is_to_blame: Whether what it played may be the reason; no where its machine went.

        Raises:
            WorkerError: Workers end before they have played anything.
        """
        loss = self._attempts.loses(worker, is_to_blame)
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
        what = f"{who}: its worker process {how} after about {counted(num_steps, 'step')}{playing}."
        if loss.is_last:
            way = "Correct the agent, or take fewer --workers where memory is short; the same run again plays the rest."
            self._leave_out(loss.contestant, WorkerError(f"{what} That was so before: it is given up. {way}"))
            return
        self._pending[loss.contestant].extendleft(reversed(loss.tasks))
        self._reporter.note(f"{what} What it had not finished ({counted(len(loss.tasks), 'episode')}) is played again.")

    def way_on(self) -> str:
        """Say what is kept and what to do when a worker process cannot go on."""
        return (
            f"Kept: what is finished, {self.num_finished} of {counted(len(self._plan.jobs), 'job')}. Start the same "
            "run again to go on, with fewer --workers where memory is short."
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
            EpisodeTask(
                index, self._plan.first_episode + place, seed, job.perturbation, operations, job.noops_at(place)
            )
            for place, seed in enumerate(job.episode_seeds)
        ]
