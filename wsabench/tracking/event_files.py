"""TensorBoard: event files beside the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wsabench.tracking.tracker import Place, missing


class EventFiles:
    """Writes scalars; what an interrupted run had written beyond its checkpoint is shown no more."""

    FOLDER = "tensorboard"
    """Name of the folder of event files in the run's own."""

    def __init__(self, place: Place) -> None:
        """Open a new event file.

        Raises:
            SpecError: TensorBoard is not installed.
        """
        folder = place.directory / self.FOLDER
        self._writer = self.require()(str(folder), purge_step=place.first_step + 1 if place.first_step else None)
        self._goes_on = place.first_step > 0

    @staticmethod
    def require() -> Any:
        """Return the class that writes event files.

        Raises:
            SpecError: TensorBoard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise missing("tensorboard", "tensorboard", "--tensorboard", error) from error
        return SummaryWriter

    def params(self, values: Mapping[str, str]) -> None:
        """Keep what the run was made with, as a table of text."""
        if not self._goes_on:
            rows = "\n".join(f"| {name} | {value.replace('|', chr(92) + '|')} |" for name, value in values.items())
            self._writer.add_text("params", f"| name | value |\n| --- | --- |\n{rows}", 0)

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Keep numbers at a step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def files(self, paths: Sequence[Path]) -> None:
        """Keep none: event files hold no others, and they stand beside the run's."""

    def close(self, *, is_finished: bool) -> None:
        """Write what is still in memory."""
        del is_finished
        self._writer.close()
