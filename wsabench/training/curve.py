"""Tables that grow while training goes on: the learning curve, and the evaluations; readable at any time."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from wsabench.errors import CheckpointError
from wsabench.resources import write_text, writing
from wsabench.words import counted

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
                f"The table {self.path} does not belong to the checkpoint beside it. Expected: "
                f"{counted(num_rows, 'row')} with columns {', '.join(self._columns[:3])}, ... Start again without "
                "resume."
            )
        write_text(self.path, "".join(lines[: num_rows + 1]))
