"""Jobs that several processes share in one directory: each is played by whoever claims it first."""

from __future__ import annotations

from collections.abc import Sequence

from wsabench.evaluation.plan import Plan
from wsabench.evaluation.progress import RunReporter
from wsabench.results.provenance import UNHASHED
from wsabench.results.records import Job
from wsabench.results.store import ResultStore
from wsabench.words import counted


class SharedJobs:
    """The jobs of a directory, claimed one by one; what others claimed is waited for, or taken over when they die."""

    def __init__(self, plan: Plan, store: ResultStore) -> None:
        """Claim nothing yet.

        Args:
            plan: What this process plays.
            store: The directory that it entered.
        """
        self._plan, self._store = plan, store
        self._has_told = False
        self._unhashed = {one.id for one in plan.contestants if one.checkpoint_hash == UNHASHED}

    def take(self, job: Job) -> bool:
        """Claim a job that is about to be played; no where another process plays it, or has finished it."""
        if not self._store.claims.take(job.key):
            return False
        if self.is_finished(job):  # by a process that was faster, since this one looked
            self.release(job)
            return False
        return True

    def has(self, job: Job) -> bool:
        """Whether a job that was claimed still is this process's to write."""
        return self._store.claims.holds(job.key)

    def release(self, job: Job) -> None:
        """Give up a job, finished or not."""
        self._store.claims.release(job.key)

    def is_finished(self, job: Job) -> bool:
        """Whether some process finished a job. Of a policy without a hash nobody can know: it plays alone."""
        if job.id in self._unhashed:
            return False
        return self._store.is_finished(job, self._plan.contestant_of(job).encoders)

    def wait_for(self, jobs: Sequence[Job], reporter: RunReporter) -> tuple[list[Job], list[Job]]:
        """Wait until one of the jobs that others play is finished, or free because its process died.

        Args:
            jobs: At least one.
            reporter: Hears of those that are finished, and of the others that this process waits for them.

        Returns:
            Those that are finished, and those that are free.
        """
        while True:
            free = [job for job in jobs if self._store.claims.is_free(job.key)]  # before its files are looked at
            finished = [job for job in jobs if self.is_finished(job)]
            for job in finished:
                reporter.job_found(job)
            left = [job for job in free if job not in finished]
            if finished or left:
                return finished, left
            if not self._has_told:
                reporter.note(f"Other processes play what is left, {counted(len(jobs), 'job')}. Waiting for them.")
                self._has_told = True
            self._store.claims.pause()
