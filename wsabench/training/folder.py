"""The folder of a training run: one process at a time, and nothing lost when a run starts again."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from wsabench.agents import AGENT_FILE
from wsabench.errors import StorageError
from wsabench.resources import writing
from wsabench.training.off_policy import REPLAY_NAME
from wsabench.training.trainer import BEST_NAME, CHECKPOINT_NAME, CURVE_NAME, EVALUATIONS_NAME, TENSORBOARD_NAME

_KEPT = (CHECKPOINT_NAME, CURVE_NAME, AGENT_FILE, EVALUATIONS_NAME, BEST_NAME, TENSORBOARD_NAME, "encoders")


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the folder, so that two processes never write one run."""
    with writing(directory / "lock"):
        file = (directory / "lock").open("w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StorageError(
                f"Another process is training in {directory}. Wait for it, or choose another folder."
            ) from error
        yield


def set_aside(directory: Path) -> None:
    """Rename what an earlier run left, so that starting again loses nothing; files that are not ours stay.

    The replay's frames are removed: they are large, and no agent needs them.
    """
    number = 1
    while any(directory.glob(f"abandoned-{number}-*")):
        number += 1
    with writing(directory):
        for name in _KEPT:
            if (directory / name).exists():
                (directory / name).rename(directory / f"abandoned-{number}-{name}")
        (directory / REPLAY_NAME).unlink(missing_ok=True)
