"""Which episodes are still to be played and by whom, and which jobs are complete."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from wsabench.evaluation.plan import Plan
from wsabench.evaluation.progress import RunReporter
from wsabench.evaluation.records import EpisodeOutcome, Job
from wsabench.evaluation.rollout import EpisodeTask, Handout
from wsabench.evaluation.store import ResultStore


class TaskBoard:
    """Hands out episodes and gathers outcomes; a job is written the moment its last episode arrives."""

    def __init__(self, plan: Plan, finished: Sequence[Job], store: ResultStore, reporter: RunReporter) -> None:
        """Put all episodes of unfinished jobs on the board.

        Args:
            plan: The plan.
            finished: Jobs that need not be run.
            store: Where finished jobs are written.
            reporter: Who hears of it.
        """
        self._holding = [0]
        self._plan = plan
        self._store = store
        self._reporter = reporter
        self._outcomes: dict[int, list[EpisodeOutcome]] = {}
        self._started: set[int] = set()
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
        """Whether every job is written."""
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
        number = min(count, len(queue), max(share - self._holding[worker], 0))
        tasks = [queue.popleft() for _ in range(number)]
        self._holding[worker] += number
        for task in tasks:
            if task.job_index not in self._started:
                self._started.add(task.job_index)
                self._reporter.job_started(self._plan.jobs[task.job_index])
        return Handout(tasks, is_last=not queue)

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
        self._store.write_job(job, gathered, self._plan.contestant_of(job).encoders)
        del self._outcomes[outcome.job_index]
        self.num_finished += 1
        by_episode = sorted(gathered, key=lambda one: one.episode)
        self._reporter.job_finished(job, np.array([one.episodic_return for one in by_episode], dtype=np.float64))

    def _tasks(self, index: int, job: Job) -> list[EpisodeTask]:
        """Return a job's episodes as tasks."""
        operations = self._plan.compiled[job.game, job.perturbation].encoder_operations
        return [
            EpisodeTask(index, episode, seed, job.perturbation, operations)
            for episode, seed in enumerate(job.episode_seeds)
        ]
