"""Weights & Biases: a run, kept offline unless the user's settings say that it goes to a server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wsabench.tracking.tracker import Place, missing, told

_PROJECT = "wsabench"
_STEP = "step"
"""The axis of all metrics; the tracker's own counter must never go back, as a resumed run does."""
_SETTINGS = "WANDB_MODE"


class WandbRun:
    """A run of Weights & Biases. Without `WANDB_MODE` it is offline: `wandb sync` sends it when the user wants."""

    def __init__(self, place: Place) -> None:
        """Begin a run, or go on with the one that this folder's run had before.

        Raises:
            SpecError: The package is not installed, or the server cannot be reached.
        """
        wandb = self.require()
        known = place.known_id("wandb")
        with told("Weights & Biases", wandb.Error, _SETTINGS):
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT") or _PROJECT,
                name=place.directory.name,
                job_type=place.kind,
                dir=os.environ.get("WANDB_DIR") or str(Path.cwd()),
                id=known,
                resume="allow",
                mode=os.environ.get(_SETTINGS) or "offline",
                settings=wandb.Settings(silent=True, console="off", x_disable_stats=True, disable_git=True),
            )
            self._run.define_metric(_STEP, hidden=True)
            self._run.define_metric("*", step_metric=_STEP)
        self._goes_on = known is not None
        if known is None:
            place.remember_id("wandb", self._run.id)

    @staticmethod
    def require() -> Any:
        """Return the package, which then tells its makers of no errors unless the user said so.

        Raises:
            SpecError: It is not installed.
        """
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        try:
            import wandb
        except ImportError as error:
            raise missing("wandb", "wandb", "--track wandb", error) from error
        return wandb

    def params(self, values: Mapping[str, str]) -> None:
        """Keep what the run was made with."""
        if not self._goes_on:
            self._run.config.update(dict(values))

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Keep numbers at a step."""
        self._run.log({**values, _STEP: step})

    def files(self, paths: Sequence[Path]) -> None:
        """Keep copies of files; what stands in the run's folder is sent with it."""
        for path in paths:
            shutil.copy(path, self._run.dir)

    def close(self, *, is_finished: bool) -> None:
        """Write what is still in memory."""
        self._run.finish(exit_code=0 if is_finished else 1)
