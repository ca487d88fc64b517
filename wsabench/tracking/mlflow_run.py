"""MLflow: a run in the store that the user's settings name, `./mlruns` without any."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wsabench.tracking.tracker import Place, missing, told

_EXPERIMENT = "wsabench"
_UNUSABLE = re.compile(r"[^/\w.\- ]")
"""What no name of MLflow may hold."""
_MOST_AT_ONCE = 100
"""MLflow takes so many parameters in one request, and more metrics."""
_LONGEST_VALUE = 6000
_SETTINGS = "MLFLOW_TRACKING_URI"


class MLflowRun:
    """A run of MLflow. Its store may refuse what it is told or be out of reach, which raises a SpecError.

    Names are those of the other trackers, with a dot for each character that MLflow does not take, such as `@`.
    """

    def __init__(self, place: Place) -> None:
        """Make a run, or open the one that this folder's run had before.

        Raises:
            SpecError: MLflow is not installed, or its store cannot be reached.
        """
        self._mlflow = self.require()
        uri = os.environ.get(_SETTINGS) or Path("mlruns").absolute().as_uri()
        self._failures: Any = (self._mlflow.exceptions.MlflowException, OSError)
        with told("MLflow", self._failures, _SETTINGS):
            self._client = self._mlflow.MlflowClient(tracking_uri=uri)
            self._goes_on = self._open(place)

    def _open(self, place: Place) -> bool:
        """Find or make the run; return whether it was there."""
        known = place.known_id("mlflow")
        if known is not None and self._is_there(known):
            self._run_id = known
            self._client.update_run(known, status="RUNNING")
            return True
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or _EXPERIMENT
        experiment = self._client.get_experiment_by_name(name)
        experiment_id = self._client.create_experiment(name) if experiment is None else experiment.experiment_id
        tags = {"wsabench": place.kind}
        self._run_id = self._client.create_run(experiment_id, run_name=place.directory.name, tags=tags).info.run_id
        place.remember_id("mlflow", self._run_id)
        return False

    def _is_there(self, run_id: str) -> bool:
        """Whether the store, which may be another one than before, has a run."""
        try:
            return self._client.get_run(run_id).info.lifecycle_stage == "active"
        except self._mlflow.exceptions.MlflowException:
            return False

    @staticmethod
    def require() -> Any:
        """Return the package, which then tells its makers nothing unless the user said so.

        Raises:
            SpecError: It is not installed.
        """
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow 3 wants to be told so; without a server we do
        try:
            import mlflow
        except ImportError as error:
            raise missing("mlflow", "mlflow", "--track mlflow", error) from error
        return mlflow

    def params(self, values: Mapping[str, str]) -> None:
        """Keep what the run was made with; MLflow lets nobody change it later."""
        if self._goes_on:
            return
        make = self._mlflow.entities.Param
        params = [make(_named(name), value[:_LONGEST_VALUE]) for name, value in values.items()]
        self._log(params=params)

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Keep numbers at a step."""
        now = self._mlflow.utils.time.get_current_time_millis()
        make = self._mlflow.entities.Metric
        self._log(metrics=[make(_named(name), value, now, step) for name, value in values.items()])

    def _log(self, **batches: list[Any]) -> None:
        with told("MLflow", self._failures, _SETTINGS):
            for what, batch in batches.items():
                for start in range(0, len(batch), _MOST_AT_ONCE):
                    self._client.log_batch(self._run_id, **{what: batch[start : start + _MOST_AT_ONCE]})

    def files(self, paths: Sequence[Path]) -> None:
        """Keep copies of files."""
        with told("MLflow", self._failures, _SETTINGS):
            for path in paths:
                self._client.log_artifact(self._run_id, str(path))

    def close(self, *, is_finished: bool) -> None:
        """Say how the run ended."""
        with told("MLflow", self._failures, _SETTINGS):
            self._client.set_terminated(self._run_id, "FINISHED" if is_finished else "KILLED")


def _named(name: str) -> str:
    """Return a name that MLflow takes."""
    return _UNUSABLE.sub(".", name)
