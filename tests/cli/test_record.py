"""A recorded episode is the one that a run plays; steps recorded by a run are the same for any number of workers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import nn

from wsabench.cli import main
from wsabench.evaluation import run
from wsabench.evaluation.recording import record_episode
from wsabench.protocol import Protocol
from wsabench.results import ResultSet
from wsabench.results.recorded import Recording

pytestmark = pytest.mark.e2e

PROTOCOL = Protocol(max_frames=60)
CELLS = ("clean", "gaussian-noise@3", "random-palette", "sticky-actions@2")
ATTENDER = "scripted_policies:attender"
SAMPLER = "scripted_policies:sampler"


def played(out: Path, **changes: Any) -> ResultSet:
    options: dict[str, Any] = {
        "agents": (SAMPLER, ATTENDER),
        "games": ("breakout",),
        "perturbations": CELLS,
        "episodes": 2,
        "protocol": PROTOCOL,
        "workers": 0,
        "record_attention": True,
    }
    return run(out=out, **{**options, **changes})


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> ResultSet:
    return played(tmp_path_factory.mktemp("recorded") / "run")


def assert_same_episode(recording: Recording, result: ResultSet) -> None:
    """Compare a recording with the run's tables."""
    episodes = result.episodes
    (row,) = [
        row
        for row in episodes.to_dict("records")
        if (row["agent"], row["episode_seed"]) == (recording.agent, recording.episode_seed)
        and recording.perturbation in (row["perturbation"], f"{row['perturbation']}@{row['severity']}")
    ]
    assert (row["return"], row["length"], row["end"]) == (recording.episodic_return, recording.length, recording.end)
    if recording.encoders:
        file = f"{recording.agent}-seed0--breakout--{recording.perturbation}.parquet"
        steps = pq.read_table(result.path / "attention_steps" / file).to_pandas()
        steps = steps[steps["episode_seed"] == recording.episode_seed].reset_index(drop=True)
        mine = recording.table().to_pandas()
        columns = ["step", "action", "reward", "return", "value", *(f"weight_{name}" for name in recording.encoders)]
        assert steps[columns].equals(mine[columns])


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("agent", [ATTENDER, SAMPLER])
def test_a_recording_is_the_episode_of_a_run(result: ResultSet, agent: str, name: str) -> None:
    for seed in result.episodes["episode_seed"].unique():
        recording = record_episode(agent, "breakout", perturbation=name, episode_seed=int(seed), protocol=PROTOCOL)
        assert_same_episode(recording, result)
        assert len(recording.pictures) == recording.length + 1


def test_without_a_seed_it_is_the_first_episode(result: ResultSet) -> None:
    recording = record_episode(ATTENDER, "breakout", protocol=PROTOCOL)
    assert recording.episode_seed == result.episodes[result.episodes["episode"] == 0]["episode_seed"].iloc[0]


def test_mean_attention_is_that_of_the_run(tmp_path: Path) -> None:
    options: dict[str, Any] = {"agents": (ATTENDER,), "episodes": 1, "perturbations": ("hue-rotate@3",)}
    one = played(tmp_path / "run", record_attention=False, **options)
    assert not (one.path / "attention_steps").exists()
    recording = record_episode(ATTENDER, "breakout", perturbation="hue-rotate@3", protocol=PROTOCOL)
    table = one.attention.set_index("encoder")["mean"]
    assert recording.mean_weights() == table.to_dict()
    # The same run with steps plays the job again, to the same tables.
    again = played(tmp_path / "run", **options)
    assert again.episodes.equals(one.episodes)
    assert_same_episode(recording, again)


@pytest.mark.slow
def test_a_shipped_agent_plays_the_same_too(tmp_path: Path) -> None:
    # Two episodes share the forward passes of the run; the recording plays one of them alone.
    name, protocol = "hue-rotate@3+noise-encoders@3", Protocol(max_frames=80)
    options: dict[str, Any] = {"agents": ("wsa",), "train_seeds": (0,), "perturbations": (name,)}
    result = played(tmp_path / "run", protocol=protocol, **options)
    recording = record_episode("wsa", "breakout", perturbation=name, protocol=protocol)
    assert_same_episode(recording, result)
    assert np.isfinite(recording.steps.values).all()
    shares = result.attention[["context_static_share", "context_variance_share"]].drop_duplicates()
    assert shares.to_dict("records") == [recording.context_shares()]


@pytest.mark.slow
def test_steps_are_the_same_for_any_number_of_workers(result: ResultSet, tmp_path: Path) -> None:
    again = played(tmp_path / "run", workers=2, agents=(ATTENDER,), perturbations=CELLS[:1])
    files = sorted(path.name for path in (result.path / "attention_steps").iterdir())
    assert files == [f"attender-seed0--breakout--{name}.parquet" for name in sorted(CELLS)]
    for folder in ("attention_steps", "attention", "episodes"):
        (path,) = (again.path / folder).iterdir()
        assert pq.read_table(path).equals(pq.read_table(result.path / folder / path.name)), folder


def test_pictures_are_what_the_lane_showed() -> None:
    from wsabench.emulator import Lane
    from wsabench.perturb import compile_perturbation

    recording = record_episode("e2e", "breakout", perturbation="hue-rotate@3", protocol=PROTOCOL, max_steps=12)
    assert (recording.length, recording.end) == (12, None)
    lane = Lane(compile_perturbation("hue-rotate@3", "breakout"), PROTOCOL)
    lane.reset(recording.episode_seed)
    for step in range(13):
        moment = recording.moment(step)
        np.testing.assert_array_equal(moment.screen, lane.render())
        np.testing.assert_array_equal(moment.observation, lane.observation[-1])
        if step < 12:
            lane.step(int(recording.steps.actions[step]))


def test_the_command_writes_every_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("av")
    monkeypatch.chdir(tmp_path)
    words = ["record", "--agent", ATTENDER, "-p", "invert", "--max-steps", "20", "--out", "films", "--out", "t.csv"]
    assert main([*words, "--json"]) == 0
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert answer["length"] == 20
    assert set(answer["attention"]) == {"bright", "dark"}
    assert "Play: 20/20 steps" in captured.err
    assert "Draw: 42/42 pictures" in captured.err
    assert [Path(path).suffix for path in answer["paths"]] == [".mp4", ".gif", ".png", ".parquet", ".csv"]
    assert all(Path(path).stat().st_size > 500 for path in answer["paths"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["films", "t.csv"]
    assert len(list((tmp_path / "films").iterdir())) == 4

    assert main(["record", "--agent", f"plain={SAMPLER}", "--max-steps", "5", "--out", "plain.gif"]) == 0
    said = capsys.readouterr().out
    assert "plain has no attention: films without bars." in said
    assert "File: plain.gif" in said
    with Image.open("plain.gif") as film:
        assert film.n_frames == 6  # pyright: ignore[reportAttributeAccessIssue]


class Leftmost(nn.Module):
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.zeros(pixels.shape[0], dtype=torch.int64)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_file_that_runs_code_is_filmed_only_with_trust(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch.jit.script(Leftmost()).save(tmp_path / "agent.pt")
    words = ["record", "-a", f"torchscript:{tmp_path}/agent.pt", "--max-steps", "4", "--out", str(tmp_path / "a.csv")]
    assert main(words) == 2
    assert "--trust" in capfd.readouterr().err
    assert not (tmp_path / "a.csv").exists()
    assert main([*words, "--trust"]) == 0
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 1 + 4
