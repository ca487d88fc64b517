"""The display of a run: bar with rate and time left, and a live table of the means so far.

A run tells its progress as jobs, episodes and steps (`wsabench.evaluation.RunReporter`); time left comes from episodes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsabench.cli.terminal.console import WIDTH
from wsabench.cli.terminal.progress import LINE_EVERY_S, duration, rate_text
from wsabench.words import counted

TABLE_ROWS = 12
MOST_JOB_LINES = 24
"""Runs of more jobs do not get a line for each."""
LINE_SHARE = 0.05
"""Share of the episodes that is worth a line."""
SILENT_S = 300.0
"""Seconds without a line, at most, while steps are played."""


@dataclass(slots=True)
class Standing:
    """How far one agent is in one game under one perturbation, over its train seeds."""

    key: tuple[str, str, str]
    """Agent, game, perturbation."""
    total: int = 0
    """Episodes planned."""
    count: int = 0
    """Episodes finished in this run or before it."""
    returns: float = 0.0
    """Sum of the unclipped returns of the episodes finished in this run."""
    played: int = 0
    """Episodes finished in this run."""
    changed: int = 0
    """A number that is larger for what changed later."""

    @property
    def mean_text(self) -> str:
        """Mean return of the episodes of this run, as text."""
        return f"{self.returns / self.played:.1f}" if self.played else "-"


class RunTally:
    """Counts jobs, episodes and steps; the displays read it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start the clock, which gives seconds."""
        self._clock = clock
        self._start = clock()
        self._clock_of_changes = 0
        self.standings: dict[tuple[str, str, str], Standing] = {}
        self.jobs = self.jobs_done = self.episodes = self.episodes_before = self.episodes_done = self.num_steps = 0

    def planned(self, jobs: Sequence[Any], finished: Sequence[Any]) -> None:
        """Count the plan."""
        self._start = self._clock()
        self.jobs, self.jobs_done = len(jobs), len(finished)
        self.episodes = sum(job.num_episodes for job in jobs)
        self.episodes_before = self.episodes_done = sum(job.num_episodes for job in finished)
        for job in jobs:
            self._standing(job).total += job.num_episodes
        for job in finished:
            self._standing(job).count += job.num_episodes

    def episode_finished(self, job: Any, episodic_return: float) -> None:
        """Count an episode."""
        self._clock_of_changes += 1
        self.episodes_done += 1
        standing = self._standing(job)
        standing.count += 1
        standing.played += 1
        standing.returns += episodic_return
        standing.changed = self._clock_of_changes

    def job_found(self, job: Any) -> None:
        """Count a job that another process finished."""
        self.jobs_done += 1
        self.episodes_done += job.num_episodes
        self.episodes_before += job.num_episodes  # they say nothing about the time that is left
        self._standing(job).count += job.num_episodes

    def line(self) -> str:
        """Return all counts in one line, with the rate and the time left."""
        elapsed = self._clock() - self._start
        parts = [
            f"{self.jobs_done:,}/{counted(self.jobs, 'job')}",
            f"{self.episodes_done:,}/{counted(self.episodes, 'episode')}",
        ]
        if self.num_steps and elapsed > 0:
            parts.append(rate_text(self.num_steps / elapsed, "steps"))
        parts.append(f"{duration(elapsed)} gone")
        played = self.episodes_done - self.episodes_before
        if played and self.episodes_done < self.episodes:
            parts.append(f"about {duration(elapsed / played * (self.episodes - self.episodes_done))} left")
        return ", ".join(parts)

    def newest(self, limit: int = TABLE_ROWS) -> list[Standing]:
        """Return the standings that changed last, in the order of the plan."""
        kept = sorted(self.standings.values(), key=lambda standing: standing.changed, reverse=True)[:limit]
        order = list(self.standings)
        return sorted(kept, key=lambda standing: order.index(standing.key))

    def _standing(self, job: Any) -> Standing:
        key = (job.agent, job.game, job.perturbation)
        return self.standings.setdefault(key, Standing(key))


class CountingReporter:
    """Counts what a run tells and writes its notes."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        """Write lines with `write`; `clock` gives seconds."""
        self._write = write
        self.tally = RunTally(clock)

    def planned(self, jobs: Sequence[Any], finished: Sequence[Any]) -> None:
        """Count the plan."""
        self.tally.planned(jobs, finished)

    def episode_finished(self, job: Any, episodic_return: float, length: int) -> None:
        """Count it."""
        self.tally.episode_finished(job, episodic_return)

    def job_finished(self, job: Any, returns: Any) -> None:
        """Count it."""
        self.tally.jobs_done += 1

    def job_found(self, job: Any) -> None:
        """Count what another process finished."""
        self.tally.job_found(job)

    def steps(self, num_steps: int) -> None:
        """Count them."""
        self.tally.num_steps += num_steps

    def note(self, text: str) -> None:
        """Write it."""
        self._write(f"note: {text}")

    def finished(self, path: Path) -> None:
        """Do nothing more."""


class LineReporter(CountingReporter):
    """Plain lines: at the start and the end, for each job of a small run, for each twentieth of a large one.

    Those of the progress come every ten seconds at most and every five minutes at least.
    """

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        """Write lines with `write`."""
        super().__init__(write, clock)
        self._clock = clock
        self._shown = clock()
        self._told = 0

    def planned(self, jobs: Sequence[Any], finished: Sequence[Any]) -> None:
        """Say how much there is to do, and what an earlier run did."""
        super().planned(jobs, finished)
        before = f", {len(finished)} of them finished before" if finished else ""
        self._write(f"run: {counted(len(jobs), 'job')}, {counted(self.tally.episodes, 'episode')}{before}")

    def job_finished(self, job: Any, returns: Any) -> None:
        """Say what came out of a job."""
        super().job_finished(job, returns)
        if self.tally.jobs > MOST_JOB_LINES:
            return
        mean = sum(float(value) for value in returns) / max(len(returns), 1)
        self._write(f"done: {job.describe()}: mean return {mean:.1f} of {counted(len(returns), 'episode')}")

    def job_found(self, job: Any) -> None:
        """Say that another process finished a job."""
        super().job_found(job)
        if self.tally.jobs <= MOST_JOB_LINES:
            self._write(f"done by another process: {job.describe()}")

    def steps(self, num_steps: int) -> None:
        """Count them, and now and then say how far the run is."""
        super().steps(num_steps)
        silent = self._clock() - self._shown
        share = (self.tally.episodes_done - self._told) / max(self.tally.episodes, 1)
        if silent >= LINE_EVERY_S and (share >= LINE_SHARE or silent >= SILENT_S or not self._told):
            self._shown, self._told = self._clock(), max(self.tally.episodes_done, 1)
            self._write(f"run: {self.tally.line()}")

    def finished(self, path: Path) -> None:
        """Say that all is done."""
        self._write(f"run: {self.tally.line()}, all done")


class LiveReporter(CountingReporter):
    """A live table and bar on a terminal, drawn a few times per second from the tally."""

    def drawing(self) -> Any:
        """Return what the display shows now: the standings that changed last, the bar, the line."""
        from rich import box
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for column in ("agent", "game", "perturbation"):
            table.add_column(column, overflow="ellipsis", no_wrap=True)
        for column in ("episodes", "mean return"):
            table.add_column(column, justify="right", no_wrap=True)
        for standing in self.tally.newest():
            table.add_row(
                *[Text(word) for word in standing.key], f"{standing.count}/{standing.total}", standing.mean_text
            )
        bar = ProgressBar(total=max(self.tally.episodes, 1), completed=self.tally.episodes_done, width=WIDTH - 2)
        return Group(table, Text(self.tally.line()), bar)  # a bar ends without a line break


@contextmanager
def run_reporter() -> Iterator[LineReporter | LiveReporter]:
    """Give the reporter of a run: live on a terminal, lines in a file or pipe; both on standard error."""
    if not sys.stderr.isatty():
        yield LineReporter(lambda line: print(line, file=sys.stderr, flush=True))
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, highlight=False)
    reporter = LiveReporter(lambda text: console.print(text, markup=False))
    with Live(console=console, refresh_per_second=4, get_renderable=reporter.drawing):
        yield reporter
