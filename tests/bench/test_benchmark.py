"""Benches of training and encoders: turns, rows, the profile, costs over many encoders."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wsabench.bench import figure as figure_module
from wsabench.bench import turns as benchmark
from wsabench.bench.encoders import benchmark_encode, benchmark_fusions
from wsabench.bench.peers import CNN_PEER, WSA_PEER
from wsabench.bench.training import benchmark_train, one_minibatch
from wsabench.bench.turns import OBSERVATIONS, Contestant, bench_rows, repeated, take_turns
from wsabench.cli import main
from wsabench.errors import SpecError, UnknownNameError
from wsabench.training.presets import PPOPreset, load_preset

PARTS = ("lanes", "encoders", "policy", "learning", "other")


class Clock:
    """Processor time that only work moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def process_time(self) -> float:
        return self.now

    def work(self, name: str, *seconds: float) -> Contestant:
        """Ten steps; the seconds a piece takes, the last one again and again."""
        left = list(seconds)

        def run() -> int:
            self.order.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]
            return 10

        return Contestant(repeated(run))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(benchmark.time, "process_time", clock.process_time)
    return clock


def test_contestants_take_turns_that_last_at_least_so_long(clock: Clock) -> None:
    speeds = take_turns({"a": clock.work("a", 1.0), "b": clock.work("b", 5.0)}, 2, seconds=3.0)
    assert clock.order == ["a", "a", "a", "b"] * 2
    assert speeds == {"a": [10.0, 10.0], "b": [2.0, 2.0]}


def test_warm_up_rounds_do_not_count(clock: Clock) -> None:
    assert take_turns({"a": clock.work("a", 10.0, 1.0)}, 2, warm_up_rounds=1) == {"a": [10.0, 10.0]}


def test_a_row_has_the_median_and_the_median_of_the_rounds_ratios() -> None:
    contestants = {
        "peer": Contestant(float),
        "own": Contestant(float, "peer"),
        "pass": Contestant(float, "peer", OBSERVATIONS),
    }
    # The ratios of own are 2, 10, 3: their median is 3, that of the medians would be 20 / 5 = 4.
    speeds = {"peer": [5.0, 2.0, 10.0], "own": [10.0, 20.0, 30.0], "pass": [10.0, 4.0, 20.0]}
    rows = {row["name"]: row for row in bench_rows(contestants, speeds)}
    assert rows["peer"] == {"name": "peer", "peer": "", "value": 5.0, "unit": "steps/s", "ratio": None}
    assert rows["own"] == {"name": "own", "peer": "peer", "value": 20.0, "unit": "steps/s", "ratio": 3.0}
    # 10 observations a second are 100 ms each; a ratio above 1 is better here too.
    assert (rows["pass"]["value"], rows["pass"]["ratio"]) == (100.0, 2.0)
    alone = bench_rows({"own": contestants["own"]}, {"own": [10.0]})
    assert (alone[0]["peer"], alone[0]["ratio"]) == ("", None)


@pytest.mark.parametrize("name", ["compact", "paper"])
def test_a_shortened_rollout_keeps_lanes_epochs_and_minibatch(name: str) -> None:
    full, short = load_preset(name), one_minibatch(load_preset(name))
    assert short.batch_size == short.minibatch_size == full.minibatch_size
    assert (short.num_envs, short.epochs) == (full.num_envs, full.epochs)


def test_the_bench_of_training_compares_agents_and_says_where_their_time_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from wsabench.bench import training as module

    def small(preset: PPOPreset) -> PPOPreset:
        """A quarter of the lanes and of the minibatch."""
        return one_minibatch(replace(preset, num_envs=preset.num_envs // 4, minibatch_size=preset.minibatch_size // 4))

    forking = SimpleNamespace(get_context=lambda _: multiprocessing.get_context("forkserver"))
    monkeypatch.setattr(module, "multiprocessing", forking)  # each in a process of its own that has loaded torch
    monkeypatch.setattr(module, "one_minibatch", small)
    monkeypatch.setattr(module, "why_missing", lambda peer: f"{peer}: gone")
    warnings: list[str] = []
    rows = benchmark_train(agents=("e2e", "wsa"), num_rounds=1, seconds=0.0, profile=True, warn=warnings.append)
    assert [(row["name"], row["peer"]) for row in rows[:2]] == [("e2e", ""), ("wsa", "e2e")]
    assert warnings == [f"{CNN_PEER}: gone"]
    assert [row["name"] for row in rows[2:]] == [f"{name}: {part}" for name in ("e2e", "wsa") for part in PARTS]
    for row in rows[:2]:
        parts = [one["value"] for one in rows if one["name"].startswith(f"{row['name']}: ")]
        assert min(parts) >= 0
        # Parts are all of it: steps/s and us/step are the same time, but for the call itself.
        assert sum(parts) == pytest.approx(1e6 / row["value"], rel=0.02)


@pytest.mark.slow
def test_the_bench_of_training_measures_both_peers() -> None:
    pytest.importorskip("stable_baselines3")
    rows = benchmark_train(num_rounds=1, seconds=0.0)
    found = [(row["name"], row["peer"]) for row in rows]
    assert found == [
        (CNN_PEER, ""),
        ("e2e", CNN_PEER),
        ("wsa", "e2e"),
        (WSA_PEER, ""),
        ("wsa:paper", WSA_PEER),
        (f"{WSA_PEER}: forward x8", ""),
        ("wsa:paper: forward x8", f"{WSA_PEER}: forward x8"),
        (f"{WSA_PEER}: forward x256", ""),
        ("wsa:paper: forward x256", f"{WSA_PEER}: forward x256"),
    ]
    ratios = {row["name"]: row["ratio"] for row in rows}
    assert (ratios["e2e"] or 0) > 1.5
    assert (ratios["wsa:paper"] or 0) > 8


def test_encoders_are_compared_with_their_twins_in_single_precision() -> None:
    rows = benchmark_encode(("sr", "ae"), batch_size=2, num_rounds=1, sizes=("compact",))
    assert [(row["name"], row["peer"], row["unit"]) for row in rows] == [
        (name, "float32", "ms/observation") for name in ("sr compact", "ae compact", "all compact")
    ]


def test_parameters_over_many_encoders_are_those_of_the_formula() -> None:
    rows = benchmark_fusions((1, 4, 8), ("wsa", "lin"), batch_size=2, num_rounds=1)
    count = {row["name"]: row["value"] for row in rows if row["unit"] == "parameters"}
    assert list(count) == [f"{kind}, {n}" for n in ("1 encoder", "4 encoders", "8 encoders") for kind in ("wsa", "lin")]
    # Four more encoders of the compact shapes (32x10x10, 8x21x21, 4x21x21, 8x42x42), each through a convolution to
    # 12x10x10 (kernels 1x1, 3x3, 3x3, 6x6) and, for wsa, a linear layer 1200 -> 256; lin's two heads have 256 units
    # on 1200 more numbers for each.
    convolutions = sum(12 * channels * kernel**2 + 12 for channels, kernel in ((32, 1), (8, 3), (4, 3), (8, 6)))
    assert count["wsa, 8 encoders"] - count["wsa, 4 encoders"] == convolutions + 4 * (1200 * 256 + 256)
    assert count["lin, 8 encoders"] - count["lin, 4 encoders"] == convolutions + 2 * 4 * 1200 * 256


def test_a_cost_over_no_encoders_or_of_no_fusion_is_refused() -> None:
    with pytest.raises(SpecError, match=r"The number of encoders is 0\. Allowed: integers from 1\."):
        benchmark_fusions((0,))
    with pytest.raises(UnknownNameError, match="fusion 'wsb'"):
        benchmark_fusions((1,), ("wsb",))


def test_the_command_draws_the_costs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cost.png"
    words = [
        "bench",
        "encode",
        "--num-encoders",
        "2,1",
        "--figure",
        str(path),
        "--rounds",
        "1",
        "--batch",
        "2",
        "--json",
    ]
    assert main(words) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert path.read_bytes().startswith(b"\x89PNG")
    names = [row["name"] for row in rows if row["name"].startswith("wsa")]
    assert names == 2 * ["wsa, 1 encoder"] + 2 * ["wsa, 2 encoders"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--figure", "cost.png"], "Add --num-encoders 1,4,10,50,100"),
        (["--num-encoders", "1,x"], "--num-encoders holds 'x'. Allowed: whole numbers from 1"),
        (["--num-encoders", "0"], "--num-encoders holds '0'"),
        (["--num-encoders", "1", "--figure", "cost.gif"], "figure format 'gif'"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_measured(
    capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["bench", "encode", *options]) == 2
    assert message in capsys.readouterr().err


def test_the_figure_of_costs_has_numbers_at_its_axes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(figure_module, "save_figure", lambda figure, path, formats: drawn.append(figure) or [path])
    rows = [
        {"name": f"wsa, {number} encoders", "peer": "", "value": value * number, "unit": unit, "ratio": None}
        for unit, value in (("ms/observation", 0.05), ("parameters", 400_000))
        for number in (1, 10, 100)
    ]
    figure_module.save_encoder_costs(rows, tmp_path / "cost.png")
    texts = []
    for ax in drawn[0].axes:
        ax.figure.draw_without_rendering()
        texts += [label.get_text() for label in ax.get_yticklabels()]
    assert {"0.1", "1", "1,000,000", "10,000,000"} <= set(texts)
    assert not any("$" in text for text in texts)
