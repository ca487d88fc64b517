"""What a run tells while it is under way: one small file, renewed every few seconds."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from wsabench.errors import StorageError
from wsabench.resources import write_text
from wsabench.training.queue.places import Places
from wsabench.training.queue.record import RunRecord, hours_between, now
from wsabench.training.queue.spec import RunKind

WRITE_SECONDS = 2.0
_COUNTED: dict[RunKind, str] = {"frames": "collect", "pretrain": "pre-train", "train": "train"}
"""How the tasks begin that count as steps of a run of each kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a sitting is."""

    started: str
    updated: str
    task: str = ""
    steps: int = 0
    """Steps of the run, those of earlier sittings included."""
    from_steps: int = 0
    """Steps that were there when it began."""
    fields: dict[str, float | str] = field(default_factory=dict)


def read_progress(path: Path) -> Progress | None:
    """Return what a run told last; None where it told nothing that can be read."""
    try:
        return Progress(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


class FileReporter:
    """A `Reporter` that keeps a file up to date; warnings go to standard error."""

    def __init__(self, path: Path, kind: RunKind, clock: Callable[[], float] = time.monotonic) -> None:
        """Write the file for the first time."""
        self._path, self._prefix, self._clock = path, _COUNTED[kind], clock
        self._started, self._task = now(), ""
        self._steps = self._from_steps = 0
        self._counts = self._is_first = False
        self._fields: dict[str, float | str] = {}
        self._write()

    @property
    def progress(self) -> Progress:
        """How far the run is."""
        return Progress(
            started=self._started,
            updated=now(),
            task=self._task,
            steps=self._steps,
            from_steps=self._from_steps,
            fields={name: value for name, value in self._fields.items() if value == value},  # JSON knows no NaN
        )

    def start(self, task: str, total: int, unit: str) -> None:
        """Begin a task."""
        self._task, self._counts, self._is_first = task, task.startswith(self._prefix), True
        self._write()

    def advance(self, n: int, **fields: Any) -> None:
        """Count; what is told first of a task was done by an earlier sitting."""
        if self._counts:
            self._steps += n
            self._from_steps += n if self._is_first else 0
        self._is_first = False
        self._fields.update(fields)
        if self._clock() - self._written >= WRITE_SECONDS:
            self._write()

    def warn(self, text: str) -> None:
        """Write a line to standard error, which goes to the run's log."""
        sys.stderr.write(f"warning: {text}\n")

    def finish(self) -> None:
        """Write the file."""
        self._write()

    def _write(self) -> None:
        self._written = self._clock()
        try:
            write_text(self._path, json.dumps(asdict(self.progress)))
        except StorageError as error:  # a full disk will stop the run where it writes what matters
            sys.stderr.write(f"warning: {error}\n")


def closed(record: RunRecord | None, places: Places) -> RunRecord | None:
    """Return a record whose last sitting was killed with what it told last; others as they are."""
    if record is None or record.outcome != "running" or not record.sessions:
        return record
    last, told = record.sessions[-1], read_progress(places.progress(record.id))
    if last.outcome != "running":
        return record
    hours, steps, from_steps = 0.0, record.steps, 0
    if told is not None and told.updated >= last.started:
        hours, steps, from_steps = hours_between(last.started, told.updated), told.steps, told.from_steps
    session = replace(last, outcome="interrupted", hours=hours, from_steps=from_steps)
    return record.with_session(session, outcome="interrupted", steps=steps)
