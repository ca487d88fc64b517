"""The commands that train and measure: what they hand on, and what they print."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from wsabench.cli import main
from wsabench.training import TrainingOptions
from wsabench.types import BenchRow


@dataclass
class Called:
    """What a stand-in was called with."""

    args: tuple[Any, ...] = ()
    options: dict[str, Any] | None = None


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, result: Any) -> Called:
    """Replace a function by one that reports a little progress and returns `result`."""
    called = Called()

    def function(*args: Any, **options: Any) -> Any:
        called.args, called.options = args, options
        reporter = options.get("reporter")
        if reporter is not None:
            reporter.start("work", 2, "step")
            reporter.advance(2, mean_return=1.5)
            reporter.finish()
        return result

    monkeypatch.setattr(name, function)
    return called


def test_train(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    called = stand_in(monkeypatch, "wsabench.training.train", Path("state/run"))
    words = [
        "train",
        "--agent",
        "wsa",
        "--game",
        "pong",
        "--train-seed",
        "3",
        "--preset",
        "paper",
        "--steps",
        "99",
        "--encoders-dir",
        "mine",
        "--no-resume",
    ]
    assert main(words) == 0
    assert called.args == ("wsa", "pong")
    assert called.options is not None
    called.options.pop("reporter")
    assert called.options.pop("options") == TrainingOptions()
    assert called.options == {
        "train_seed": 3,
        "preset": "paper",
        "steps": 99,
        "out": None,
        "encoders": Path("mine"),
        "resume": False,
    }
    captured = capsys.readouterr()
    assert "Checkpoint and learning curve: state/run\n" in captured.out
    assert captured.err.startswith("work: 0/2 steps\n")


def test_train_several_games_each_in_its_own_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = []
    monkeypatch.setattr("wsabench.training.train", lambda *args, **options: calls.append((args, options)) or Path("r"))
    words = ["train", "-a", "e2e", "-g", "pong,breakout", "-g", "pong", "--out", "here", "--algorithm", "dqn"]
    words += ["--suite", "full", "--clean-share", "0.5", "--evaluate-every", "1000", "--patience", "3"]
    words += ["--encoders-dir", "mine"]
    assert main(words) == 0
    assert [(args, options["out"], options["encoders"]) for args, options in calls] == [
        (("e2e", "pong"), Path("here/pong"), Path("mine/pong")),
        (("e2e", "breakout"), Path("here/breakout"), Path("mine/breakout")),
    ]
    chosen = calls[0][1]["options"]
    assert (chosen.algorithm, chosen.suite, chosen.clean_share) == ("dqn", "full", 0.5)
    assert (chosen.evaluate_every, chosen.patience) == (1000, 3)
    captured = capsys.readouterr()
    assert "Left out on pong, which cannot be trained under them: " in captured.out
    assert captured.out.count("Checkpoint and learning curve: r") == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--algorithm", "a2c"], "Unknown training algorithm 'a2c'. Allowed: dqn, ppo."),
        (["--preset", "papr"], "Unknown training preset 'papr'. Did you mean 'paper'?"),
        (["--suite", "colour-shift"], "Unknown suite 'colour-shift'. Did you mean 'color-shift'"),
        (["--perturbations", "value@9"], "severity is 9. Allowed: integers 1 to 5"),
        (["--perturbations", "value@2", "--clean-share", "1.5"], "clean_share is 1.5. Allowed: from 0 to below 1"),
        (["--device", "tpu"], "The device is 'tpu'. Allowed: cpu, cuda, cuda:N, auto."),
        (["--patience", "3"], "patience needs evaluations during training"),
        (["--game", "pogn"], "Unknown game 'pogn'. Did you mean 'pong'"),
        (["--game", ","], "--games is empty. Name what you mean"),
        (["--workers", "-1"], "Invalid value for '--workers'"),
    ],
)
def test_train_explains_bad_options_before_the_first_game(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    called = stand_in(monkeypatch, "wsabench.training.train", Path("r"))
    game = [] if "," in words else ["--game", "breakout"]
    assert main(["train", "--agent", "e2e", *game, *words]) == 2
    captured = capsys.readouterr()
    assert message in captured.err.replace("\n", " ")
    assert "Traceback" not in captured.err
    assert called.options is None


def test_train_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    text = capsys.readouterr().out
    assert text.count("wsabench train -") >= 4
    assert max(len(line) for line in text.splitlines()) <= 80


def test_pretrain(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import wsabench.training.pretraining.pretrain  # noqa: F401 - the stand-in replaces its function
    from wsabench.training.pretraining.pretrain import PretrainResult

    result = PretrainResult({"ae": Path("e/ae.safetensors")}, {"ae": Path("e/ae.csv")})
    called = stand_in(monkeypatch, "wsabench.training.pretraining.pretrain.pretrain", result)
    assert main(["pretrain", "--game", "pong", "--frames", "500"]) == 0
    assert called.args == ("pong",)
    assert called.options is not None
    assert called.options["frames"] == 500
    assert capsys.readouterr().out == "encoder ae: e/ae.safetensors\nloss curve ae: e/ae.csv\n"
    assert main(["pretrain", "--game", "pong", "--json"]) == 0
    assert not {"frames", "steps", "expert"} & set(called.options)
    assert json.loads(capsys.readouterr().out)["curves"] == {"ae": "e/ae.csv"}


def test_pretrain_hands_on_what_was_asked_for(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    import wsabench.training.pretraining.pretrain  # noqa: F401 - the stand-in replaces its function
    from wsabench.training.pretraining.pretrain import PretrainResult

    called = stand_in(monkeypatch, "wsabench.training.pretraining.pretrain.pretrain", PretrainResult({}, {}))
    words = ["--data", "mixed", "--expert", "wsa", "--size", "paper", "--device", "cuda", "--workers", "3"]
    assert main(["pretrain", "--game", "pong", *words, "--stage-steps", "ae=30,vos=7"]) == 0
    assert called.options is not None
    called.options.pop("reporter")
    chosen = {"data": "mixed", "expert": "wsa", "size": "paper", "device": "cuda", "workers": 3}
    assert called.options == {**chosen, "steps": {"ae": 30, "vos": 7}, "out": None, "seed": 0, "resume": True}
    assert main(["pretrain", "--game", "pong", "--stage-steps", "50"]) == 0
    assert called.options["steps"] == {"ae": 50, "sr": 50, "transporter": 50, "vos": 50}
    assert main(["pretrain", "--game", "pong", "--stages", "vit", "--stage-steps", "50"]) == 0
    assert called.options["steps"] == {"vit": 50}
    assert main(["pretrain", "--game", "pong", "--stages", "ae,vit"]) == 0
    assert called.options["steps"] == {"ae": 6000, "vit": 6000}
    assert main(["pretrain", "--game", "pong", "--stages", "vit", "--stage-steps", "ae=5"]) == 2
    assert "--stage-steps ae=5 names stages, and so does --stages." in capsys.readouterr().err
    assert main(["pretrain", "--game", "pong", "--stages", "oke"]) == 2
    assert "Unknown pre-training stage 'oke'" in capsys.readouterr().err
    for wrong in ("ae=x", "ae", "ae=3,4"):
        assert main(["pretrain", "--game", "pong", "--stage-steps", wrong]) == 2
        assert f"--stage-steps is '{wrong}'. Allowed: a number, or STAGE=N" in capsys.readouterr().err.replace(
            "\n", " "
        )


def test_probe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import wsabench.training.probing.probe  # noqa: F401 - the stand-in replaces its function

    columns = ["contestant", "twin", "variable", "kind", "score"]
    rows = [
        [contestant, twin, variable, kind, score]
        for contestant, twin, score in [("pixels", None, 0.5), ("ae", None, 0.75), ("ae", 0, 0.25), ("ae", 1, 0.5)]
        for variable, kind in [("ball_x", "number"), ("mean", "mean")]
    ]
    table = pd.DataFrame(rows, columns=columns).astype({"twin": "Int64"})
    table.attrs["constant"] = ["lives"]
    stand_in(monkeypatch, "wsabench.training.probing.probe.probe", table)
    assert main(["probe", "--game", "pong", "--encoders", "ae"]) == 0
    text = capsys.readouterr().out
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "Left out, hardly changing in these frames: lives" in text
    assert main(["probe", "--game", "pong", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    expected = {
        "encoder": "ae",
        "pretrained": 0.75,
        "twins": 0.375,
        "best_twin": 0.5,
        "pixels": 0.5,
        "beats_twins": True,
    }
    assert found["means"] == [expected]
    assert found["rows"][0] == {
        "contestant": "pixels",
        "twin": None,
        "variable": "ball_x",
        "kind": "number",
        "score": 0.5,
    }
    assert found["constant"] == ["lives"]


@pytest.mark.parametrize(("part", "module"), [("env", "lanes"), ("encode", "encoders"), ("train", "training")])
def test_bench_prints_one_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], part: str, module: str
) -> None:
    rows = [
        BenchRow(name="peer", peer="", value=100.0, unit="steps/s", ratio=None),
        BenchRow(name="ours", peer="peer", value=150.0, unit="steps/s", ratio=1.5),
    ]
    monkeypatch.setattr(f"wsabench.bench.{module}.benchmark_{part}", lambda *args, **options: rows)
    assert main(["bench", part, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"machine", "rows"}
    assert found["rows"][1] == {"name": "ours", "peer": "peer", "value": 150.0, "unit": "steps/s", "ratio": 1.5}
    assert "flags" in found["machine"]["cpu"]
    assert main(["bench", part]) == 0
    assert "ours" in capsys.readouterr().out
