"""What a run tells while it works; the command line draws it, the default is silent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from wsabench.results.records import Job
from wsabench.types import FloatArray


class RunReporter(Protocol):
    """Receives a run's progress, always in the process that called `run`."""

    def planned(self, jobs: Sequence[Job], finished: Sequence[Job]) -> None:
        """All jobs of the run, and those among them that an earlier run finished."""
        ...

    def episode_finished(self, job: Job, episodic_return: float, length: int) -> None:
        """An episode ended with this unclipped return after `length` steps."""
        ...

    def job_finished(self, job: Job, returns: FloatArray) -> None:
        """A job's shard is on disk; `returns` are its unclipped returns in the order of episodes."""
        ...

    def job_found(self, job: Job) -> None:
        """Another process in the same directory finished a job."""
        ...

    def steps(self, num_steps: int) -> None:
        """So many more agent steps were played, over all lanes."""
        ...

    def note(self, text: str) -> None:
        """Something the user should know, one sentence."""
        ...

    def finished(self, path: Path) -> None:
        """All jobs are done; the result set stands at `path`."""
        ...


class SilentReporter:
    """Says nothing."""

    def planned(self, jobs: Sequence[Job], finished: Sequence[Job]) -> None:
        """Say nothing."""

    def episode_finished(self, job: Job, episodic_return: float, length: int) -> None:
        """Say nothing."""

    def job_finished(self, job: Job, returns: FloatArray) -> None:
        """Say nothing."""

    def job_found(self, job: Job) -> None:
        """Say nothing."""

    def steps(self, num_steps: int) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def finished(self, path: Path) -> None:
        """Say nothing."""
