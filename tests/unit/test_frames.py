"""Frame stores: what is in them, resuming, and damage."""

import json

import numpy as np
import pytest
from sprites import NUM_STEPS, SpriteSource

from wsabench.errors import SpecError, StorageError
from wsabench.training import frames
from wsabench.training.frames import collect_frames, open_frames


def collect(path, num_frames=300, seed=0, source=None):
    return collect_frames(source or SpriteSource(), path, game="sprites", num_frames=num_frames, seed=seed)


class Interrupted(Exception):
    pass


class FailingSource(SpriteSource):
    """Breaks off after a number of steps, like a killed process."""

    def __init__(self, num_steps):
        super().__init__()
        self.left = num_steps

    def step(self, action):
        self.left -= 1
        if self.left < 0:
            raise Interrupted
        return super().step(action)


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(frames, "SHARD_FRAMES", 100)


def content(store):
    return [np.array(getattr(store, name)) for name in ("frames", "ram", "actions", "episodes")]


def test_rows_belong_to_the_same_step(tmp_path):
    store = collect(tmp_path / "store")
    x, y = store.ram[:, 0].astype(int), store.ram[:, 1].astype(int)
    assert len(store) == 300
    assert all(store.frames[i, y[i] + 1, x[i] + 1] in (250, 170) for i in range(300))
    assert np.unique(store.episodes, return_counts=True)[1][:3].tolist() == [NUM_STEPS + 1] * 3


def test_same_seed_same_bytes_other_seed_other_bytes(tmp_path):
    first, again, other = (content(collect(tmp_path / str(i), seed=s)) for i, s in enumerate((0, 0, 1)))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_positions_stay_inside_an_episode(tmp_path):
    store = collect(tmp_path / "store")
    index = store.positions(offset=5)
    assert len(index) > 0
    for t in index:
        assert len(set(store.episodes[t - 3 : t + 6])) == 1
    missing = set(range(3, 295)) - set(index.tolist())
    assert all(len(set(store.episodes[t - 3 : t + 6])) > 1 for t in missing)


def test_stacks_have_the_newest_frame_last(tmp_path):
    store = collect(tmp_path / "store")
    index = store.positions()[[0, 17]]
    stacks = store.stacks(index)
    assert stacks.shape == (2, 4, 84, 84)
    assert np.array_equal(stacks[1], store.frames[index[1] - 3 : index[1] + 1])


@pytest.mark.usefixtures("small_shards")
def test_a_killed_collection_goes_on_to_the_same_bytes(tmp_path):
    whole = content(collect(tmp_path / "whole", 400))
    with pytest.raises(Interrupted):
        collect(tmp_path / "killed", 400, source=FailingSource(230))
    with pytest.raises(StorageError, match=r"2 of 4 shards.*finish"):
        open_frames(tmp_path / "killed")
    assert all(np.array_equal(a, b) for a, b in zip(whole, content(collect(tmp_path / "killed", 400)), strict=True))


@pytest.mark.usefixtures("small_shards")
def test_every_second_shard_holds_its_actions_longer(tmp_path):
    store = collect(tmp_path / "store", 2_000)
    changes = np.diff(store.actions.astype(int)) != 0
    shard = np.arange(1, 2_000) // 100
    assert changes[shard % 2 == 0].mean() > 2 * changes[shard % 2 == 1].mean()


def test_other_settings_are_refused(tmp_path):
    collect(tmp_path / "store")
    with pytest.raises(StorageError, match="seed 0 instead of 1"):
        collect(tmp_path / "store", seed=1)


@pytest.mark.parametrize(("num_frames", "fine"), [(99, False), (100, True)])
def test_smallest_number_of_frames(tmp_path, num_frames, fine):
    if fine:
        assert len(collect(tmp_path / "store", num_frames)) == num_frames
        return
    with pytest.raises(SpecError, match=r"number of frames is 99. Allowed: integers from 100"):
        collect(tmp_path / "store", num_frames)


def test_damaged_stores_are_named(tmp_path):
    path = collect(tmp_path / "store").path
    (path / "ram.npy").write_bytes(b"nonsense")
    with pytest.raises(StorageError, match=r"ram\.npy cannot be read"):
        open_frames(path)
    (path / "store.json").write_text("{")
    with pytest.raises(StorageError, match="not a frame store"):
        open_frames(path)
    (path / "store.json").write_text(json.dumps({"format": "else"}))
    with pytest.raises(StorageError, match="not a frame store of this version"):
        open_frames(path)


def test_arrays_of_different_length_are_damage(tmp_path):
    path = collect(tmp_path / "store").path
    np.save(path / "actions.npy", np.zeros(7, np.uint8))
    with pytest.raises(StorageError, match="differ in length"):
        open_frames(path)
