"""Progress of long work, told to whoever shows it."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Gets the progress of one task after another."""

    def start(self, task: str, total: int, unit: str) -> None:
        """Begin a task of `total` units."""
        ...

    def advance(self, n: int, **fields: float | str) -> None:
        """Tell that `n` more units are finished; `fields` are numbers or texts worth showing."""
        ...

    def warn(self, text: str) -> None:
        """Tell something that the user should know at once."""
        ...

    def finish(self) -> None:
        """End the task."""
        ...


class SilentReporter:
    """Shows nothing."""

    def start(self, task: str, total: int, unit: str) -> None:
        """Ignore it."""

    def advance(self, n: int, **fields: float | str) -> None:
        """Ignore it."""

    def warn(self, text: str) -> None:
        """Ignore it."""

    def finish(self) -> None:
        """Ignore it."""
