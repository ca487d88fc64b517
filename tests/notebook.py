"""A reporter that keeps the notes of a run, for tests of what is said."""

from __future__ import annotations

from wsabench.evaluation.progress import SilentReporter


class Notebook(SilentReporter):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Keep one."""
        self.notes.append(text)
