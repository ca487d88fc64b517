"""Frame stores: what is in them, resuming, and damage."""

import json

import numpy as np
import pytest
from sprites import NUM_STEPS, SpriteSource, make_sprites

from wsabench.errors import SpecError, StorageError, UnknownNameError
from wsabench.training.frames.collection import Collection, collect_frames
from wsabench.training.frames.store import open_frames


def collect(path, num_frames=300, seed=0, source=None, shard_frames=4_000):
    make_source = make_sprites if source is None else lambda game: source
    collection = Collection("sprites", num_frames, seed=seed, longest_shard=shard_frames)
    return collect_frames(collection, path, make_source=make_source)


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


def content(store):
    return [np.array(getattr(store, name)) for name in ("frames", "ram", "actions", "episodes")]


def test_rows_belong_to_the_same_step(tmp_path):
    store = collect(tmp_path / "store")
    x, y = store.ram[:, 0].astype(int), store.ram[:, 1].astype(int)
    assert len(store) == 300
    frames = np.array(store.frames)
    assert all(frames[i, y[i] + 1, x[i] + 1] in (250, 170) for i in range(300))
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


def test_a_killed_collection_goes_on_to_the_same_bytes(tmp_path):
    whole = content(collect(tmp_path / "whole", 400, shard_frames=100))
    with pytest.raises(Interrupted):
        collect(tmp_path / "killed", 400, source=FailingSource(230), shard_frames=100)
    with pytest.raises(StorageError, match=r"2 of 4 shards.*finish"):
        open_frames(tmp_path / "killed")
    assert all(
        np.array_equal(a, b)
        for a, b in zip(whole, content(collect(tmp_path / "killed", 400, shard_frames=100)), strict=True)
    )


def test_every_second_shard_holds_its_actions_longer(tmp_path):
    store = collect(tmp_path / "store", 2_000, shard_frames=100)
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


def test_a_bad_kind_of_data_is_named():
    with pytest.raises(UnknownNameError, match=r"Unknown kind of pre-training data 'mixd'. Did you mean 'mixed'"):
        Collection("sprites", 300, "mixd")
    with pytest.raises(SpecError, match=r"data 'expert' needs an expert"):
        Collection("sprites", 300, "expert")


def test_what_a_killed_writer_left_behind_is_overwritten(tmp_path):
    whole = collect(tmp_path / "whole", 400, shard_frames=100)
    with pytest.raises(Interrupted):
        collect(tmp_path / "killed", 400, source=FailingSource(230), shard_frames=100)
    with (tmp_path / "killed" / "frames.bin").open("ab") as file:
        file.write(b"half a shard" * 100_000)
    killed = collect(tmp_path / "killed", 400, shard_frames=100)
    assert killed.content_hash == whole.content_hash
    for name in ("frames.bin", "blocks.npy", "references.npy", "ram.npy", "actions.npy", "episodes.npy", "store.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_frames_are_indexed_like_an_array(tmp_path):
    coded = collect(tmp_path / "store").frames
    whole = np.array(coded)
    assert whole.shape == coded.shape == (300, 84, 84)
    assert np.array_equal(coded[7], whole[7])
    assert np.array_equal(coded[-1], whole[299])
    assert np.array_equal(coded[90:110], whole[90:110])
    assert coded[20:20].shape == (0, 84, 84)
    rows = np.array([[299, 0, 16], [15, 17, 16]])
    assert np.array_equal(coded[rows], whole[rows])
    for bad in (300, -301):
        with pytest.raises(IndexError, match="of a store of 300"):
            coded[bad]
    with pytest.raises(IndexError, match="step 1"):
        coded[::2]


def damage(path, name, change):
    content = bytearray((path / name).read_bytes())
    change(content)
    (path / name).write_bytes(content)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("frames.bin", lambda content: content.pop(), r"frames\.bin is damaged: \d+ bytes instead of \d+"),
        ("frames.bin", lambda content: content.__setitem__(500, content[500] ^ 1), "shard 0 is not what was written"),
        ("ram.npy", lambda content: content.__setitem__(-1, content[-1] ^ 1), "shard 0 is not what was written"),
        ("blocks.npy", lambda content: content.__setitem__(150, content[150] ^ 1), "is not what was written"),
        ("ram.npy", lambda content: content.clear(), r"ram\.npy cannot be read"),
        ("store.json", lambda content: content.pop(), "not a frame store: store.json is missing or damaged"),
    ],
)
def test_damaged_stores_are_named(tmp_path, name, change, message):
    path = collect(tmp_path / "store").path
    damage(path, name, change)
    with pytest.raises(StorageError, match=message):
        open_frames(path)


def test_damage_after_opening_is_named(tmp_path):
    store = collect(tmp_path / "store")
    with (store.path / "frames.bin").open("r+b") as file:
        file.write(b"\xff" * store.frames.num_bytes)
    with pytest.raises(StorageError, match=r"is damaged at frame 0. Delete the folder"):
        store.stacks(store.positions()[:1])


def test_stores_of_other_versions_are_named(tmp_path):
    path = collect(tmp_path / "store").path
    (path / "store.json").write_text(json.dumps({"format": "else"}))
    with pytest.raises(StorageError, match="not a frame store of this version"):
        open_frames(path)


def test_arrays_of_another_length_are_damage(tmp_path):
    path = collect(tmp_path / "store").path
    np.save(path / "actions.npy", np.zeros(7, np.uint8))
    with pytest.raises(StorageError, match=r"actions\.npy is damaged: it has shape \(7,\), not \(300,\)"):
        open_frames(path)
