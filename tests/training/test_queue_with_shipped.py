"""A pre-training that lays the encoders which the game ships beside its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsabench.encoders import EncoderBank
from wsabench.progress import SilentReporter
from wsabench.resources import data_dir
from wsabench.training.queue import read_queue
from wsabench.training.queue.child import pretrain_encoders
from wsabench.training.queue.places import Places


def test_an_agent_finds_shipped_and_new_encoders_in_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSABENCH_HOME", str(tmp_path / "home"))
    path = tmp_path / "mine.toml"
    run = 'id = "x"\nkind = "pretrain"\ngame = "breakout"\nframes = 100\nsteps = { vit = 1, ae = 1 }\n'
    path.write_text(f"[[run]]\n{run}with_shipped = true\n")
    queue, places = read_queue(path), Places(tmp_path / "out")
    files = pretrain_encoders(queue, queue["x"], places, "cpu", SilentReporter())
    folder, shipped = places.encoders("x"), data_dir("baselines") / "breakout" / "encoders"
    assert sorted(files) == sorted(folder.iterdir())
    assert {one.stem for one in files if one.suffix == ".safetensors"} == {"sr", "oke", "okk", "vos", "ae", "vit"}
    same = [name for name in ("sr", "oke", "okk", "vos", "ae") if _bytes(folder, name) == _bytes(shipped, name)]
    assert same == ["sr", "oke", "okk", "vos"]  # what it made itself stays
    bank = EncoderBank.load("breakout", ["sr", "oke", "okk", "vos", "vit"], directory=folder, size="compact")
    assert bank.shapes["vit"] == (64, 7, 7)


def _bytes(folder: Path, name: str) -> bytes:
    return (folder / f"{name}.safetensors").read_bytes()
