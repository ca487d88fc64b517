"""Runs over cells that change an agent's own encoders, with the shipped agents; their weights do not matter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from notebook import Notebook

from wsabench.errors import SpecError, StorageError
from wsabench.evaluation import run
from wsabench.evaluation.own_play import collection as own_play
from wsabench.evaluation.recording import record_episode
from wsabench.protocol import Protocol
from wsabench.results import ResultSet

pytestmark = pytest.mark.e2e

CELLS = (
    "clean",
    "drop-sr",
    "drop-two",
    "zero-one",
    "noise-encoders@3",
    "stale-encoders@2+flicker-encoders@3",
    "hue-rotate@2+permute-encoders",
    "join-ae",
)


def play(out: Path, **changes: Any) -> ResultSet:
    options: dict[str, Any] = {
        "suite": "smoke",
        "agents": ("wsa", "e2e"),
        "games": ("breakout",),
        "train_seeds": (0,),
        "episodes": 1,
        "perturbations": CELLS,
        "protocol": Protocol(max_frames=24),
        "workers": 0,
        "out": out,
    }
    return run(**{**options, **changes})


def test_encoder_cells_are_played_and_agents_without_encoders_are_skipped(tmp_path: Path) -> None:
    notebook = Notebook()
    result = play(tmp_path / "out", reporter=notebook)
    assert result.is_complete
    by_agent = result.episodes.groupby("agent")["perturbation"].nunique()
    assert by_agent.to_dict() == {"wsa": len(CELLS), "e2e": 1}
    skipped = [note for note in notebook.notes if note.startswith("Skipped for e2e on breakout")]
    assert len(skipped) == 1
    assert "drop-sr" in skipped[0]
    assert "has no encoders" in skipped[0]
    assert result.attention["context_static_share"].between(0, 1).all()
    weights = result.attention.set_index(["perturbation", "encoder"])["mean"]
    assert weights["drop-sr", "sr"] == 0
    sums = weights.groupby("perturbation").sum()
    assert sums.drop("join-ae").to_numpy() == pytest.approx(1, abs=1e-5)
    assert sums["join-ae"] < 1  # the rest is the newcomer's


def test_a_cell_that_the_user_names_and_the_agent_cannot_take_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"drop-three\+drop-sr.* 1 encoder would be left out where only 1 of the 4"):
        play(tmp_path / "out", agents="wsa", perturbations=("drop-three+drop-sr",))


OWN = ("clean", "own-mean-oke", "swap-one", "own-mean-context+hue-rotate@2", "swap-all", "own-mean-attention")


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A state folder of the test's own, in which own play is short (rounds of 12 steps); returns its folder."""
    monkeypatch.setenv("WSABENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(own_play, "MIN_STEPS", 10)
    monkeypatch.setattr(own_play, "ROUND_EPISODES", 2)
    return tmp_path / "home" / "own-play"


def own(out: Path, **changes: Any) -> tuple[ResultSet, list[str]]:
    """Play the cells that feed embeddings of own play; return what the run noted too."""
    notebook = Notebook()
    result = play(out, **{"perturbations": OWN, "episodes": 2, "reporter": notebook, **changes})
    return result, notebook.notes


def shards(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}


def test_own_play_is_played_once_shared_and_found_again(home: Path, tmp_path: Path) -> None:
    result, notes = own(tmp_path / "one")
    assert result.is_complete
    assert [note for note in notes if note.startswith("Playing at least 10 clean steps of wsa (train seed 0)")]
    assert any(note.startswith("Skipped for e2e on breakout: own-mean-oke") for note in notes)
    weights = result.attention.set_index(["perturbation", "encoder"])["mean"]
    assert (weights["own-mean-oke"] - weights["clean"]).abs().max() > 1e-3
    constant = result.attention.set_index("perturbation").loc["own-mean-attention"]
    assert constant["sd"].to_numpy() == pytest.approx(0, abs=1e-6)
    assert (constant["context_static_share"] == 1).all()
    (entry,) = (one for one in result.manifest.plan.agents if one.agent == "wsa")
    assert entry.own_play is not None
    assert entry.own_play.steps == 12
    assert all(one.own_play is None for one in result.manifest.plan.agents if one.agent == "e2e")
    (kept,) = home.iterdir()
    assert entry.own_play.content_hash in kept.read_bytes()[:10_000].decode(errors="replace")

    shared, notes = own(tmp_path / "two", workers=2)
    assert not [note for note in notes if note.startswith("Playing")]
    assert shared.episodes.equals(result.episodes)
    assert shared.attention.equals(result.attention)

    # Going on plays nothing again, even where the play was lost: it is played anew and is the same.
    before = shards(tmp_path / "one")
    kept.write_bytes(kept.read_bytes()[:-1])
    again, notes = own(tmp_path / "one")
    assert [note for note in notes if note.startswith("The kept own play of wsa (train seed 0) on breakout is played")]
    assert shards(tmp_path / "one") == before
    assert again.manifest.plan == result.manifest.plan


def test_another_own_play_is_another_job_for_the_cells_that_need_it(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, _ = own(tmp_path / "one", agents="wsa", perturbations=OWN[:2], episodes=1)
    monkeypatch.setattr(own_play, "MIN_STEPS", 15)
    before = shards(tmp_path / "one")
    other, _ = own(tmp_path / "one", agents="wsa", perturbations=OWN[:2], episodes=1)
    assert len(list(home.iterdir())) == 2
    prints = [{job.perturbation: job.fingerprint for job in one.manifest.plan.jobs} for one in (result, other)]
    assert {name for name in prints[0] if prints[0][name] != prints[1][name]} == {"own-mean-oke"}
    changed = {name for name, when in shards(tmp_path / "one").items() if before[name] != when}
    assert changed == {"wsa-seed0--breakout--own-mean-oke.parquet"}
    assert [one.manifest.plan.agents[0].own_play.steps for one in (result, other)] == [12, 24]


@pytest.mark.usefixtures("home")
def test_a_recorded_episode_is_the_one_of_a_run(tmp_path: Path) -> None:
    result, _ = own(tmp_path / "one", agents="wsa", perturbations=("swap-all",), episodes=1)
    recording = record_episode("wsa", "breakout", perturbation="swap-all", protocol=Protocol(max_frames=24))
    weights = result.attention.set_index("encoder")["mean"].to_dict()
    assert recording.mean_weights() == pytest.approx(weights, abs=1e-6)
    with pytest.raises(SpecError, match=r"own-mean-all: .*'e2e' has no encoders"):
        record_episode("e2e", "breakout", perturbation="own-mean-all")


def test_own_play_that_cannot_be_kept_is_an_error(home: Path, tmp_path: Path) -> None:
    home.parent.mkdir()
    home.write_text("a file")
    with pytest.raises(StorageError, match=r"Cannot create the folder .*own-play"):
        own(tmp_path / "one", agents="wsa")


@pytest.mark.slow
def test_worker_processes_play_the_same(tmp_path: Path) -> None:
    alone = play(tmp_path / "alone", agents="wsa", episodes=3)
    shared = play(tmp_path / "shared", agents="wsa", episodes=3, workers=2)
    assert shared.episodes.equals(alone.episodes)
    assert shared.attention.equals(alone.attention)
