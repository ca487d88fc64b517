"""What trackers are told of runs and trainings, read back from what they wrote."""

from __future__ import annotations

import builtins
import json
import math
import struct
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from catch import CatchVector
from result_fixture import CELLS, write_result_set

from wsabench.cli import main
from wsabench.cli.run import tell_trackers
from wsabench.errors import SpecError, UnknownNameError
from wsabench.results.result import load_result
from wsabench.summary.summarise import summarise
from wsabench.summary.tracked import tracked_metrics, tracked_params
from wsabench.tracking import Place, checked_trackers, open_trackers
from wsabench.training import PPOPreset, TrainingOptions, train
from wsabench.training.presets import PRESETS
from wsabench.training.trainer import Trainer

TINY = PPOPreset(name="compact", total_steps=320, num_envs=4, rollout_steps=16, minibatch_size=32, epochs=1)


@pytest.fixture(autouse=True)
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of a user who said nothing, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(PRESETS, "compact", TINY)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_MODE", "WANDB_PROJECT", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)


def made(path: Path, train_seeds: tuple[int, ...] = (0, 1)) -> Path:
    """A small result set; its numbers have intervals from three train seeds on."""
    return write_result_set(path, train_seeds=train_seeds, cells=CELLS[:3], episodes=4)


def catch(game: str, num_envs: int) -> CatchVector:
    return CatchVector(num_envs, rounds=3)


def trained(directory: Path, *trackers: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    options = TrainingOptions(evaluate_every=100, evaluation_episodes=5, track=trackers)
    train("e2e", "catch", out=directory, options=options, make_envs=catch)
    return pd.read_csv(directory / "curve.csv"), pd.read_csv(directory / "evaluations.csv")


def interrupted(directory: Path, monkeypatch: pytest.MonkeyPatch, *trackers: str) -> None:
    """Train until the third update, then as if the user had pressed Ctrl-C."""
    with monkeypatch.context() as patch:
        update = Trainer.run_update

        def stop(self: Trainer) -> Any:
            if self.update == 2:
                raise KeyboardInterrupt
            return update(self)

        patch.setattr(Trainer, "run_update", stop)
        with pytest.raises(KeyboardInterrupt):
            trained(directory, *trackers)


def wandb_records(folder: Path) -> list[Any]:
    """Return what a run of Weights & Biases kept, once the process that writes it is done."""
    (path,) = folder.glob("run-*.wandb")
    for _ in range(100):
        records = read_records(path)
        if records and records[-1].HasField("exit"):
            return records
        time.sleep(0.1)
    raise AssertionError(f"{path} has no end")


def read_records(path: Path) -> list[Any]:
    """Read records in the log format of LevelDB, after a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, part, found = path.read_bytes(), 7, b"", []
    while place + 7 <= len(content):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        part += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            found.append(Record.FromString(part))
            part = b""
    return found


def wandb_history(records: list[Any]) -> list[dict[str, float]]:
    """Return the numbers of each step."""
    rows = [record.history for record in records if record.HasField("history")]
    return [{item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in row.item} for row in rows]


def test_metrics_are_the_numbers_of_the_report(tmp_path: Path) -> None:
    result = load_result(made(tmp_path / "run", (0, 1, 2)))
    summary = summarise(result)
    metrics, params = tracked_metrics(summary), tracked_params(result.manifest)
    (row,) = [one for one in summary.cells if (one.agent, one.game, one.label) == ("wsa", "breakout", "hue-rotate@3")]
    assert metrics["wsa/breakout/hue-rotate@3/retention"] == row.retention.value
    assert metrics["wsa/breakout/hue-rotate@3/mean_return"] == row.mean_return
    assert math.isfinite(row.normalised_score.low)
    assert metrics["wsa/breakout/hue-rotate@3/normalised_score_low"] == row.normalised_score.low
    (row,) = [
        one
        for one in summary.aggregates
        if (one.agent, one.scope, one.measure, one.metric) == ("e2e", "all perturbations", "normalised_score", "iqm")
    ]
    assert metrics["e2e/all_perturbations/normalised_score_iqm"] == row.value.value
    assert all(math.isfinite(value) for value in metrics.values())
    plan = result.manifest.plan
    assert (params["suite"], params["seed"]) == (plan.suite.name, str(plan.seed))
    assert params["protocol.frame_skip"] == str(plan.protocol.frame_skip)
    assert params["versions.torch"] == "2.13.0"
    assert params["agents"] == "wsa, e2e"


def test_tensorboard_has_a_runs_numbers_and_settings(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = load_result(made(tmp_path / "run"))
    tell_trackers(result, ["tensorboard"])
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    expected = tracked_metrics(summarise(result))
    assert set(events.Tags()["scalars"]) == expected.keys()
    for name, value in expected.items():
        assert events.Scalars(name)[0].value == pytest.approx(value, rel=1e-6)
    (settings,) = events.Tensors("params/text_summary")
    assert f"| suite | {result.manifest.plan.suite.name} |" in settings.tensor_proto.string_val[0].decode()


@pytest.mark.extra
def test_mlflow_has_a_runs_numbers_settings_and_files_and_goes_on_in_its_run(tmp_path: Path) -> None:
    result = load_result(made(tmp_path / "run"))
    tell_trackers(result, ["mlflow"])
    tell_trackers(result, ["mlflow"])
    (run,) = mlflow_runs(tmp_path / "mlruns")
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")
    assert run.data.tags["wsabench"] == "run"
    expected = {name.replace("@", "."): value for name, value in tracked_metrics(summarise(result)).items()}
    assert run.data.metrics == pytest.approx(expected)
    assert run.data.params == tracked_params(result.manifest)
    artefacts = Path(run.info.artifact_uri.removeprefix("file://"))
    assert (artefacts / "manifest.json").read_bytes() == (tmp_path / "run" / "manifest.json").read_bytes()
    cells = pd.read_csv(artefacts / "cells.csv")
    assert len(cells) == len(summarise(result).cells)


def mlflow_runs(folder: Path) -> list[Any]:
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=folder.as_uri())
    return client.search_runs([client.get_experiment_by_name("wsabench").experiment_id])


@pytest.mark.extra
def test_mlflow_keeps_to_the_users_own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = load_result(made(tmp_path / "run"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "theirs").as_uri())
    tell_trackers(result, ["mlflow"])
    assert len(mlflow_runs(tmp_path / "theirs")) == 1
    assert not (tmp_path / "mlruns").exists()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://store")
    with pytest.raises(SpecError, match=r"MLflow refused: .* Correct MLFLOW_TRACKING_URI, or leave out --track"):
        tell_trackers(result, ["mlflow"])


@pytest.mark.extra
def test_mlflow_has_the_curve_of_a_training_that_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    interrupted(tmp_path / "training", monkeypatch, "mlflow")
    (run,) = mlflow_runs(tmp_path / "mlruns")
    assert run.info.status == "KILLED"
    curve, evaluations = trained(tmp_path / "training", "mlflow")
    (run,) = mlflow_runs(tmp_path / "mlruns")
    assert run.info.status == "FINISHED"
    assert run.data.params["preset.num_envs"] == "4"
    assert run.data.params["game"] == "catch"
    client = mlflow.MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())
    told = {metric.step: metric.value for metric in client.get_metric_history(run.info.run_id, "train/policy_loss")}
    assert told == pytest.approx(dict(zip(curve["steps"], curve["policy_loss"], strict=True)))
    told = {m.step: m.value for m in client.get_metric_history(run.info.run_id, "evaluation/return_mean")}
    assert told == pytest.approx(dict(zip(evaluations["steps"], evaluations["return_mean"], strict=True)))
    assert sorted(file.path for file in client.list_artifacts(run.info.run_id)) == ["curve.csv", "evaluations.csv"]


@pytest.mark.extra
def test_wandb_stays_offline_and_has_a_runs_numbers_settings_and_files(tmp_path: Path) -> None:
    result = load_result(made(tmp_path / "run"))
    tell_trackers(result, ["wandb"])
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    records = wandb_records(folder)
    (history,) = wandb_history(records)
    expected = tracked_metrics(summarise(result))
    assert {name: history[name] for name in expected} == pytest.approx(expected)
    settings = {
        item.key or item.nested_key[0]: item.value_json
        for record in records
        if record.HasField("config")
        for item in record.config.update
    }
    assert json.loads(settings["suite"]) == result.manifest.plan.suite.name
    assert (folder / "files" / "manifest.json").read_bytes() == (tmp_path / "run" / "manifest.json").read_bytes()


@pytest.mark.extra
def test_wandb_goes_on_with_the_run_of_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(tmp_path / "training", monkeypatch, "wandb")
    curve, _ = trained(tmp_path / "training", "wandb")
    folders = sorted((tmp_path / "wandb").glob("offline-run-*"), key=lambda path: path.stat().st_mtime)
    assert len({next(folder.glob("run-*.wandb")).name for folder in folders}) == 1
    rows = [row for folder in folders for row in wandb_history(wandb_records(folder)) if "train/policy_loss" in row]
    told = {row["step"]: row["train/policy_loss"] for row in rows}
    assert told == pytest.approx(dict(zip(curve["steps"], curve["policy_loss"], strict=True)))


@pytest.mark.parametrize("name", ["mlflow", "wandb", "torch.utils.tensorboard"])
def test_a_missing_package_is_explained_before_anything_is_played(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original, tracker = builtins.__import__, name.rpartition(".")[2]

    def refuse(wanted: str, *args: Any, **options: Any) -> Any:
        if wanted == name:
            raise ImportError(f"No module named {wanted!r}")
        return original(wanted, *args, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    for words in (["run", "--suite", "smoke"], ["train", "-a", "e2e", "-g", "breakout"]):
        assert main([*words, "--out", str(tmp_path / "out"), "--track", tracker]) == 2
        message = capsys.readouterr().err
        assert f"pip install 'wsabench[{tracker}]'`, or leave out --" in message
        assert "Traceback" not in message
    assert not (tmp_path / "out").exists()


def test_an_unknown_tracker_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="mlflow"):
        checked_trackers(["mlfow"])


def test_no_trackers_do_nothing(tmp_path: Path) -> None:
    trackers = open_trackers((), Place(tmp_path, "run"))
    trackers.row("train", {"steps": 1, "loss": 0.5})
    trackers.close()
    assert list(tmp_path.iterdir()) == []
