"""Tables that grow while training goes on: the learning curve, and the evaluations; readable at any time."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wsabench.errors import CheckpointError, SpecError
from wsabench.resources import write_text, writing

WALL_COLUMNS = ("wall_s", "steps_per_s")
"""Columns that depend on the machine's speed; all others repeat exactly."""

Row = dict[str, float | int]


class Curve:
    """A CSV file to which rows are added, one per update or one per evaluation."""

    def __init__(self, path: Path, columns: Sequence[str], num_later: int = 0) -> None:
        """Bind to `path`; nothing is written yet.

        Args:
            path: The file.
            columns: Names.
            num_later: How many of the last ones files of earlier versions lack; such a file goes on without them.
        """
        self.path = path
        self._columns = list(columns)
        self._num_later = num_later
        self._left_out: frozenset[str] = frozenset()

    def start(self) -> None:
        """Begin an empty curve.

        Raises:
            StorageError: The file cannot be written.
        """
        write_text(self.path, ",".join(self._columns) + "\n")

    def append(self, row: Row) -> None:
        """Add a row.

        Raises:
            StorageError: The file cannot be written.
        """
        buffer = io.StringIO()
        known = {name: value for name, value in row.items() if name not in self._left_out}
        csv.DictWriter(buffer, self._columns, lineterminator="\n").writerow(known)
        with writing(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(buffer.getvalue())

    def cut(self, num_rows: int) -> None:
        """Keep the first `num_rows` rows: those that the checkpoint knows.

        Raises:
            CheckpointError: The file is missing or has fewer rows.
        """
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        except OSError as error:
            raise CheckpointError(f"The table {self.path} cannot be read: {error.strerror}.") from error
        if lines and self._num_later and lines[0].rstrip("\n") == ",".join(self._columns[: -self._num_later]):
            self._left_out = frozenset(self._columns[-self._num_later :])
            self._columns = self._columns[: -self._num_later]
        if len(lines) < num_rows + 1 or lines[0].rstrip("\n") != ",".join(self._columns):
            raise CheckpointError(
                f"The table {self.path} does not belong to the checkpoint beside it: {num_rows} rows with "
                f"columns {', '.join(self._columns[:3])}, ... were expected. Start again without resume."
            )
        write_text(self.path, "".join(lines[: num_rows + 1]))


class TensorBoard:
    """Writes rows as scalars; what an interrupted run had written beyond its checkpoint is shown no more."""

    def __init__(self, directory: Path, start_step: int) -> None:
        """Open a new event file.

        Args:
            directory: Folder of the event files.
            start_step: Steps already trained; what older files say of later steps is void.

        Raises:
            SpecError: TensorBoard is not installed.
        """
        self._writer = _writer_class()(str(directory), purge_step=start_step + 1)

    def write(self, group: str, row: Row) -> None:
        """Write a row at its own `steps`; numbers that are not there yet (NaN) are left out."""
        steps = int(row["steps"])
        for name, value in row.items():
            if name != "steps" and math.isfinite(value):
                self._writer.add_scalar(f"{group}/{name}", value, steps)

    def close(self) -> None:
        """Write what is still in memory."""
        self._writer.close()


def require_tensorboard() -> None:
    """Check that TensorBoard is there.

    Raises:
        SpecError: It is not.
    """
    _writer_class()


def _writer_class() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise SpecError(
            "TensorBoard logs need the package tensorboard, which is not installed. Install it with "
            "`pip install 'wsabench[tensorboard]'`, or leave out --tensorboard."
        ) from error
    return SummaryWriter
