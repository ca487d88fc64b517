"""The frame store on real games: every bit comes back, and a million frames fit into a gigabyte."""

import numpy as np
import pytest

from wsabench.training.frames.collection import Collection, collect_frames
from wsabench.training.frames.sources import LaneSource
from wsabench.training.frames.store import open_frames

pytestmark = pytest.mark.oracle

NUM_FRAMES = 600


class RecordingSource(LaneSource):
    """Keeps what it showed."""

    def __init__(self, game):
        super().__init__(game)
        self.shown = []

    def newest(self):
        frame = super().newest()
        self.shown.append(frame.copy())
        return frame


@pytest.mark.parametrize("game", ["breakout", "pong", "ms_pacman"])
def test_real_frames_come_back_from_a_compact_store(tmp_path, game):
    source = RecordingSource(game)
    collect_frames(Collection(game, NUM_FRAMES), tmp_path / "store", make_source=lambda _game: source)
    store = open_frames(tmp_path / "store")
    played = np.stack(source.shown)
    assert np.array_equal(np.array(store.frames), played)
    index = np.random.default_rng(0).permutation(store.positions())[:50]
    for stack, at in zip(store.stacks(index), index, strict=True):
        assert np.array_equal(stack, played[at - 3 : at + 1])
    # A step also keeps 128 bytes of memory, an action and an episode (5 bytes), its share of a block (8 / 16 bytes) and
    # of its shard's reference frame (7056 / 4000 bytes, here of fewer frames).
    bytes_a_step = store.frames.num_bytes / NUM_FRAMES + 128 + 5 + 8 / 16 + 7056 / 4000
    assert 1_000_000 * bytes_a_step < 0.5e9
    on_disk = sum(path.stat().st_size for path in store.path.iterdir())
    assert on_disk < NUM_FRAMES * bytes_a_step + 7056 + 2_000
