"""Runs over cells that change an agent's own encoders, with the shipped agents; their weights do not matter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wsabench.errors import SpecError
from wsabench.evaluation import RunResult, SilentReporter, run
from wsabench.protocol import Protocol

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


class Notebook(SilentReporter):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def play(out: Path, **changes: Any) -> RunResult:
    options: dict[str, Any] = {
        "suite": "smoke",
        "agents": ("wsa", "e2e"),
        "games": ("breakout",),
        "train_seeds": (0,),
        "episodes": 1,
        "perturbations": CELLS,
        "protocol": Protocol(max_frames=60),
        "workers": 1,
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
    with pytest.raises(SpecError, match=r"drop-three\+drop-sr.* 1 encoders would be left out where only 1 of the 4"):
        play(tmp_path / "out", agents="wsa", perturbations=("drop-three+drop-sr",))


@pytest.mark.slow
def test_worker_processes_play_the_same(tmp_path: Path) -> None:
    alone = play(tmp_path / "alone", agents="wsa", episodes=3)
    shared = play(tmp_path / "shared", agents="wsa", episodes=3, workers=2)
    assert shared.episodes.equals(alone.episodes)
    assert shared.attention.equals(alone.attention)
