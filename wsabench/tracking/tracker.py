"""What a tracker is, several of them as one, and which of its runs a folder belongs to."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from wsabench.errors import SpecError
from wsabench.resources import write_text

IDS_NAME = "tracking.json"
"""The file in a run's folder that holds the ids of its runs in trackers, so that it goes on in them."""


class Tracker(Protocol):
    """One run, told to one tracker."""

    def params(self, values: Mapping[str, str]) -> None:
        """Keep what the run was made with; the first call counts."""
        ...

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Keep numbers at a step; all are finite."""
        ...

    def files(self, paths: Sequence[Path]) -> None:
        """Keep copies of files, where the tracker keeps any."""
        ...

    def close(self, *, is_finished: bool) -> None:
        """Write what is still in memory, and say whether the run came to its end."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """What is tracked, and where it stands."""

    directory: Path
    """The run's folder; its name is that of the run in trackers."""
    kind: str
    """`run` or `train`."""
    first_step: int = 0
    """The step at which the run goes on: what was told of later steps is void."""

    def known_id(self, tracker: str) -> str | None:
        """Return the id of this folder's run in a tracker; None where it has none yet."""
        return self._ids().get(tracker)

    def remember_id(self, tracker: str, run_id: str) -> None:
        """Keep the id of this folder's run in a tracker.

        Raises:
            StorageError: The file cannot be written.
        """
        write_text(self.directory / IDS_NAME, json.dumps({**self._ids(), tracker: run_id}, indent=1) + "\n")

    def _ids(self) -> dict[str, str]:
        try:
            read = json.loads((self.directory / IDS_NAME).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {str(name): str(value) for name, value in read.items()} if isinstance(read, dict) else {}


class Trackers:
    """Several trackers, maybe none, as one."""

    def __init__(self, trackers: Sequence[Tracker] = ()) -> None:
        """Take over open trackers."""
        self._trackers = list(trackers)

    def params(self, values: Mapping[str, str]) -> None:
        """Keep what the run was made with."""
        for one in self._trackers:
            one.params(values)

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Keep numbers at a step; those that are not there yet (NaN) are left out."""
        finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}
        for one in self._trackers:
            one.metrics(finite, step)

    def row(self, group: str, row: Mapping[str, float]) -> None:
        """Keep the numbers of a table's row as `GROUP/COLUMN`, at the step that stands in its column `steps`."""
        self.metrics({f"{group}/{name}": value for name, value in row.items() if name != "steps"}, int(row["steps"]))

    def files(self, paths: Sequence[Path]) -> None:
        """Keep copies of files."""
        for one in self._trackers:
            one.files(paths)

    def close(self, *, is_finished: bool = True) -> None:
        """Close all."""
        for one in self._trackers:
            one.close(is_finished=is_finished)
        self._trackers = []


def missing(package: str, extra: str, option: str, error: ImportError) -> SpecError:
    """Return what to tell where the package of a tracker is missing."""
    return SpecError(
        f"{option} needs the package {package}, which is not installed ({error}). Install it with "
        f"`pip install 'wsabench[{extra}]'`, or leave out {option}."
    )


@contextmanager
def told(tracker: str, failures: type[Exception] | tuple[type[Exception], ...], settings: str) -> Iterator[None]:
    """Turn what a tracker raises inside the block into one message.

    Args:
        tracker: Its name as users know it.
        failures: What it raises.
        settings: The setting that decides where it writes.

    Raises:
        SpecError: It raised something.
    """
    try:
        yield
    except failures as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise SpecError(f"{tracker} refused: {lines[0]} Correct {settings}, or leave out --track.") from error
