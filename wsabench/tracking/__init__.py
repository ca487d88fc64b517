"""Experiment trackers: what a run played or trained, told to TensorBoard, MLflow or Weights & Biases.

Nothing here imports a tracker's package before one is asked for, and none is told to use a network: where it writes is
the user's own setting (`MLFLOW_TRACKING_URI`, `WANDB_MODE`), and a folder without one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from wsabench.errors import unknown_name
from wsabench.tracking.event_files import EventFiles
from wsabench.tracking.mlflow_run import MLflowRun
from wsabench.tracking.tracker import Place, Tracker, Trackers
from wsabench.tracking.wandb_run import WandbRun

__all__ = ["TRACKERS", "Place", "Tracker", "Trackers", "checked_trackers", "open_trackers"]

_MADE_BY: dict[str, Callable[[Place], Tracker]] = {"tensorboard": EventFiles, "mlflow": MLflowRun, "wandb": WandbRun}
_NEEDS: dict[str, Callable[[], object]] = {
    "tensorboard": EventFiles.require,
    "mlflow": MLflowRun.require,
    "wandb": WandbRun.require,
}
TRACKERS = tuple(_MADE_BY)
"""The names of the trackers."""


def checked_trackers(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of trackers, each once, when all of them can be used.

    Raises:
        SpecError: The package of one is not installed; the message says how to install it.
        UnknownNameError: There is no such tracker.
    """
    found = tuple(dict.fromkeys(names))
    for name in found:
        if name not in TRACKERS:
            raise unknown_name("tracker", name, TRACKERS)
        _NEEDS[name]()
    return found


def open_trackers(names: Sequence[str], place: Place) -> Trackers:
    """Open trackers.

    Args:
        names: Any of `TRACKERS`; none gives trackers that do nothing.
        place: What is tracked.

    Raises:
        SpecError: The package of one is not installed, or it cannot be reached.
        StorageError: The folder cannot be written.
        UnknownNameError: There is no such tracker.
    """
    return Trackers([_MADE_BY[name](place) for name in checked_trackers(names)])
