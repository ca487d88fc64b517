"""Files travel by content hash: what is unpacked loads as it did, and nothing else is taken for it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from wsabench.errors import CheckpointError, SpecError, StorageError
from wsabench.evaluation import run
from wsabench.evaluation.cluster.crews import check_executor
from wsabench.evaluation.cluster.luggage import Depot, Packer
from wsabench.evaluation.contestants import find_contestants
from wsabench.evaluation.progress import SilentReporter
from wsabench.hashing import bytes_hash
from wsabench.protocol import Protocol
from wsabench.resources import data_dir


def test_an_agent_with_encoders_beside_it_loads_where_its_paths_are_gone(tmp_path: Path) -> None:
    shipped, home = data_dir("baselines") / "breakout", tmp_path / "home"
    shutil.copytree(shipped / "encoders", home / "encoders" / "mine")
    shutil.copyfile(shipped / "wsa-seed0.safetensors", home / "mine.safetensors")
    (one,) = find_contestants([f"{home}/mine.safetensors"], ["breakout"], [0], Protocol())
    contents: dict[str, bytes] = {}
    parcel = Packer(contents.__setitem__).pack(one)
    shutil.rmtree(home)
    depot = Depot(tmp_path / "depot")
    depot.unpack(parcel.places, contents.__getitem__)
    opened = parcel.opened(depot.folder)
    assert opened.reference.startswith(str(depot.folder))
    assert opened.load("sampled").abilities.checkpoint_hash == one.checkpoint_hash
    beside = Path(opened.reference).parent / "encoders" / "mine"
    assert {path.name for path in beside.iterdir()} == {path.name for path in (shipped / "encoders").iterdir()}


def test_shipped_agents_and_the_catalogue_travel_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own" / "families").mkdir(parents=True)
    (tmp_path / "own" / "families" / "mine.toml").write_text("")
    monkeypatch.setenv("WSABENCH_PERTURBATIONS", str(tmp_path / "own"))
    (one,) = find_contestants(["e2e"], ["breakout"], [0], Protocol())
    contents: dict[str, bytes] = {}
    packer = Packer(contents.__setitem__)
    parcel, places = packer.pack(one), packer.data()
    assert parcel.reference is None
    depot = Depot(tmp_path / "depot")
    depot.unpack({**places, **parcel.places}, contents.__getitem__)
    for name, value in depot.environment().items():
        monkeypatch.setenv(name, value)
    assert data_dir("baselines").is_relative_to(depot.folder)
    assert parcel.opened(depot.folder).load("sampled").abilities.checkpoint_hash == one.checkpoint_hash
    assert (Path(depot.environment()["WSABENCH_PERTURBATIONS"]) / "families" / "mine.toml").is_file()


def test_a_damaged_content_is_fetched_again_and_a_wrong_one_refused(tmp_path: Path) -> None:
    wanted = bytes_hash(b"weights")
    asked: list[str] = []

    def fetch(content_hash: str) -> bytes:
        asked.append(content_hash)
        return b"weights"

    for name in ("first", "second", "third"):
        depot = Depot(tmp_path / "depot")
        depot.unpack({f"{name}/file": wanted}, fetch)
        assert (depot.folder / name / "file").read_bytes() == b"weights"
        if name == "second":
            (tmp_path / "depot" / "contents" / wanted).write_bytes(b"weightz")
    assert len(asked) == 2, "once at first, and once after the damage"
    (tmp_path / "depot" / "contents" / wanted).unlink()
    with pytest.raises(StorageError, match="another hash on this node"):
        Depot(tmp_path / "depot").unpack({"other": wanted}, lambda _: b"weightz")


def test_folders_of_workers_that_are_gone_are_removed(tmp_path: Path) -> None:
    kept = Depot(tmp_path).folder
    gone = tmp_path / "trees" / "4194305-abc"  # above the largest process id of Linux
    gone.mkdir()
    Depot(tmp_path)
    assert kept.is_dir()
    assert not gone.exists()


def test_an_agent_that_is_another_one_where_it_plays_is_refused(tmp_path: Path) -> None:
    shipped, path = data_dir("baselines") / "breakout", tmp_path / "mine.safetensors"
    shutil.copyfile(shipped / "e2e-seed0.safetensors", path)
    replaced = False

    class Replacer(SilentReporter):
        def planned(self, *_: object) -> None:
            nonlocal replaced
            shutil.copyfile(shipped / "e2e-seed1.safetensors", path)
            replaced = True

    with pytest.raises(CheckpointError, match="another agent where it plays"):
        run("smoke", str(path), games=["breakout"], workers=2, episodes=2, out=tmp_path / "out", reporter=Replacer())
    assert replaced


def test_executors_that_cannot_be_had_are_refused_before_anything_is_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SpecError, match=r"pip install 'wsabench\[ray\]'"):
        run(agents="random", games=["breakout"], episodes=1, out=tmp_path / "out", executor="ray")
    assert not (tmp_path / "out").exists()
    with pytest.raises(SpecError, match="Add --executor ray"):
        check_executor("local", "10.0.0.1:6379", None)
    with pytest.raises(SpecError, match="HOST:PORT"):
        check_executor("ray", "ray://10.0.0.1:10001", None)
    with pytest.raises(SpecError, match="--workers 0"):
        check_executor("ray", None, 0)
