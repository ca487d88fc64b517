"""Progress of long work: a live bar on a terminal, a plain line every few seconds elsewhere.

Both are a `wsabench.progress.Reporter`. What is told in the first second of a task was done by an earlier run, as
reporters are told it, and does not count for the rate.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from wsabench.cli.terminal.console import value_text
from wsabench.words import plural

LINE_EVERY_S = 10.0
AT_ONCE_S = 1.0


class PlainProgress:
    """One line at the start, every ten seconds and at the end; no control characters."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        """Write lines with `write`; `clock` gives seconds."""
        self._write = write
        self._clock = clock
        self._task = ""
        self._total: int | None = 0
        self._unit = ""
        self._count = 0
        self._done_before = 0
        self._start = 0.0
        self._shown = 0.0
        self._fields: dict[str, Any] = {}

    def start(self, task: str, total: int | None, unit: str) -> None:
        """Begin a task of `total` units; None where nobody knows how many."""
        self._task, self._total, self._unit = task, total, plural(unit)
        self._count = self._done_before = 0
        self._start = self._shown = self._clock()
        self._fields = {}
        self._write(self._line())

    def advance(self, n: int, **fields: Any) -> None:
        """Count `n` more units; `fields` are shown beside them."""
        now = self._clock()
        self._count += n
        if now - self._start < AT_ONCE_S:
            self._done_before += n
        self._fields.update(fields)
        if now - self._shown >= LINE_EVERY_S:
            self._shown = now
            self._write(self._line())

    def warn(self, text: str) -> None:
        """Write a line of its own."""
        self._write(f"warning: {text}")

    def finish(self) -> None:
        """End the task with a last line."""
        self._write(f"{self._line()}, done in {duration(self._clock() - self._start)}")

    def _line(self) -> str:
        of = "" if self._total is None else f"/{self._total}"
        parts = [f"{self._task}: {self._count}{of} {self._unit}"]
        elapsed = self._clock() - self._start
        new = self._count - self._done_before
        if new and elapsed > 0:
            rate = new / elapsed
            parts.append(rate_text(rate, self._unit))
            if self._total is not None and self._count < self._total:
                parts.append(f"{duration((self._total - self._count) / rate)} left")
        return ", ".join([*parts, *field_texts(self._fields)])


class BarProgress:
    """A rich bar with count, rate, time left and the newest fields."""

    def __init__(self, progress: Any) -> None:
        """Draw on `progress`, a running `rich.progress.Progress`."""
        self._progress = progress
        self._task: Any = None
        self._count = 0
        self._unit = ""
        self._start = 0.0
        self._fields: dict[str, Any] = {}

    def start(self, task: str, total: int | None, unit: str) -> None:
        """Begin a task of `total` units; None where nobody knows how many."""
        self._fields = {}
        self._count = 0
        self._unit = plural(unit)
        self._start = time.monotonic()
        self._task = self._progress.add_task(task, total=total, unit=self._unit, info="")

    def advance(self, n: int, **fields: Any) -> None:
        """Count `n` more units; `fields` are shown beside them."""
        self._count += n
        self._fields.update(fields)
        info = "  ".join(field_texts(self._fields))
        if time.monotonic() - self._start < AT_ONCE_S:
            self._progress.reset(self._task, completed=self._count, unit=self._unit, info=info)
        else:
            self._progress.update(self._task, advance=n, info=info)

    def warn(self, text: str) -> None:
        """Write a line above the bar."""
        self._progress.console.print(f"warning: {text}", markup=False, highlight=False)

    def finish(self) -> None:
        """Stop the bar where it is."""
        self._progress.stop_task(self._task)


@contextmanager
def progress_reporter(quiet: bool = False) -> Iterator[PlainProgress | BarProgress]:
    """Give a reporter for the terminal, or for a file or pipe when standard error is one; `quiet`: nothing is shown.

    It writes to standard error, so that `--json` on standard output stays clean.
    """
    if quiet:
        yield PlainProgress(lambda line: None)
    elif sys.stderr.isatty():
        with bar() as progress:
            yield BarProgress(progress)
    else:
        yield PlainProgress(lambda line: print(line, file=sys.stderr, flush=True))


def bar(console: Any = None) -> Any:
    """Return a rich progress display with task, bar, count, rate, time gone, time left and fields.

    Args:
        console: Where it is drawn; standard error by default.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.text import Text

    class Count(ProgressColumn):
        """Units done, of how many, and how many per second."""

        def render(self, task: Any) -> Text:
            speed = "" if not task.speed else f"  {rate_text(task.speed, task.fields['unit'])}"
            of = "" if task.total is None else f"/{int(task.total)}"
            return Text(f"{int(task.completed)}{of} {task.fields['unit']}{speed}")

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        Count(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[info]}"),
        console=console or Console(stderr=True),
        speed_estimate_period=60.0,
    )


def field_texts(fields: dict[str, Any]) -> list[str]:
    """Return the fields as words; a rate among them is left out, because the display has its own."""
    return [f"{name.replace('_', ' ')} {value_text(value)}" for name, value in fields.items() if name != "steps/s"]


def rate_text(rate: float, unit: str) -> str:
    """Return `rate`, in units per second, as text; per minute where it is below 0.1."""
    return (
        f"{rate:.0f} {unit}/s"
        if rate >= 10
        else f"{rate:.1f} {unit}/s"
        if rate >= 0.1
        else f"{rate * 60:.1f} {unit}/min"
    )


def duration(seconds: float) -> str:
    """Return a time span as text: `42 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
