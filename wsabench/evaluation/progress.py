"""What a run tells while it works; the command line draws it, the default is silent."""

from __future__ import annotations

import importlib
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from wsabench.results.records import Job
from wsabench.types import FloatArray
from wsabench.words import counted


class RunReporter(Protocol):
    """Receives a run's progress, always in the process that called `run`."""

    def planned(self, jobs: Sequence[Job], finished: Sequence[Job]) -> None:
        """Hear of all jobs, and of those among them that an earlier run finished.

        It is called before anything is played; in a run to a precision once for the pilot and once for what follows.
        """
        ...

    def episode_finished(self, job: Job, episodic_return: float, length: int) -> None:
        """Hear that an episode ended with this unclipped return after `length` steps."""
        ...

    def job_finished(self, job: Job, returns: FloatArray) -> None:
        """Hear that a job's shard is on disk; `returns` are its unclipped returns by episode, shape (num_episodes,)."""
        ...

    def job_found(self, job: Job) -> None:
        """Hear that another process in the same directory finished a job."""
        ...

    def steps(self, num_steps: int) -> None:
        """Hear that so many more agent steps were played, over all lanes."""
        ...

    def note(self, text: str) -> None:
        """Hear something that the user should know, in one sentence or more."""
        ...

    def finished(self, path: Path) -> None:
        """Hear that all jobs are done, and that the result set stands at `path`."""
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


class ShownReporter:
    """One line that is drawn anew: below the cell in a notebook, on standard error elsewhere."""

    def __init__(self, show: Callable[[str], None] | None = None) -> None:
        """Count nothing yet.

        Args:
            show: Draws the line in place of the last one; None: as fits where this runs.
        """
        self._show = show or _place()
        self._start = self._shown = time.monotonic()
        self._jobs = self._jobs_done = self._episodes = self._before = self._done = 0

    def planned(self, jobs: Sequence[Job], finished: Sequence[Job]) -> None:
        """Count the plan."""
        self._start = time.monotonic()
        self._jobs, self._jobs_done = len(jobs), len(finished)
        self._episodes = sum(job.num_episodes for job in jobs)
        self._before = self._done = sum(job.num_episodes for job in finished)
        self._draw()

    def episode_finished(self, job: Job, episodic_return: float, length: int) -> None:
        """Count an episode."""
        self._done += 1

    def job_finished(self, job: Job, returns: FloatArray) -> None:
        """Count a job."""
        self._jobs_done += 1

    def job_found(self, job: Job) -> None:
        """Count a job of another process."""
        self._jobs_done += 1
        self._done += job.num_episodes
        self._before += job.num_episodes

    def steps(self, num_steps: int) -> None:
        """Draw the line anew: twice a second at most, in a file every ten seconds."""
        every = _DRAWN_EVERY_S if sys.stderr.isatty() or self._show is not _write_line else _WRITTEN_EVERY_S
        if time.monotonic() - self._shown >= every:
            self._draw()

    def note(self, text: str) -> None:
        """Warn, as Python does."""
        warnings.warn(text, stacklevel=2)

    def finished(self, path: Path) -> None:
        """Draw the last state."""
        self._draw()
        if self._show is _write_line and sys.stderr.isatty():
            sys.stderr.write("\n")

    def _draw(self) -> None:
        """Draw the line."""
        self._shown = time.monotonic()
        gone = self._shown - self._start
        played = self._done - self._before
        left = f", about {gone / played * (self._episodes - self._done):.0f} s left" if played else ""
        share = self._done / max(self._episodes, 1)
        bar = "\u2588" * round(share * _BAR) + "\u2591" * (_BAR - round(share * _BAR))
        self._show(
            f"{bar} {share:.0%}, {self._jobs_done:,}/{counted(self._jobs, 'job')}, "
            f"{self._done:,}/{counted(self._episodes, 'episode')}, "
            f"{gone:.0f} s{left if self._done < self._episodes else ''}"
        )


_DRAWN_EVERY_S = 0.5
_WRITTEN_EVERY_S = 10.0
_BAR = 20
"""Characters."""


def in_notebook() -> bool:
    """Whether this runs in a Jupyter kernel; one that is not there is not loaded."""
    shell = sys.modules.get("IPython")
    found = shell.get_ipython() if shell is not None else None
    return found is not None and hasattr(found, "kernel")


def _place() -> Callable[[str], None]:
    """Return what draws a line in place of the last one."""
    if not in_notebook():
        return _write_line
    display = importlib.import_module("IPython.display")
    handle = display.display({"text/plain": ""}, raw=True, display_id=True)
    return lambda text: handle.update({"text/plain": text}, raw=True)


def _write_line(text: str) -> None:
    """Write a line to standard error; on a terminal it takes the place of the last one."""
    sys.stderr.write(f"\r{text}\x1b[K" if sys.stderr.isatty() else f"{text}\n")
    sys.stderr.flush()
