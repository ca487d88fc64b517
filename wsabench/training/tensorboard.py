"""The learning curve for TensorBoard, where that is installed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from wsabench.errors import SpecError
from wsabench.training.curve import Row


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
