"""Expert and mixed data: who plays which shard, with which observations, and that processes change nothing."""

import contextlib
import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sprites import SpriteSource, make_sprites

from wsabench.errors import CheckpointError, SpecError, WorkerError
from wsabench.training.frames import collection
from wsabench.training.frames.collection import Collection, collect_frames
from wsabench.training.frames.experts import Expert, find_expert
from wsabench.training.frames.sources import LaneSource

NUM_FRAMES = 800


class RightPolicy:
    """Moves the first square right, and checks what it is told."""

    name, version = "right", "1"

    def act(self, observations, lanes):
        assert observations.shape[1:] == (4, 84, 84)
        assert len(observations) == len(lanes.ids) == len(lanes.generators) == len(lanes.episode_starts)
        return np.zeros(len(observations), np.int64)


class DrawingPolicy(RightPolicy):
    """Draws from each lane's generator, and looks at the observations."""

    name = "drawing"

    def act(self, observations, lanes):
        drawn = np.array([generator.integers(4) for generator in lanes.generators])
        return (drawn + observations[:, -1].sum((1, 2), dtype=np.int64)) % 4


class WrongPolicy(RightPolicy):
    def act(self, observations, lanes):
        return np.full(len(observations), 4)


@pytest.fixture(autouse=True)
def few_lanes(monkeypatch):
    monkeypatch.setattr(collection, "EXPERT_LANES", 3)


def collect(path, data, policy=None, **options):
    expert = None if data == "random" else find_expert("breakout", policy or RightPolicy())
    return collect_frames(make_collection(NUM_FRAMES, data, expert), path, make_source=make_sprites, **options)


def make_collection(num_frames, data, expert, shard_frames=100):
    return Collection("breakout", num_frames, data, expert, longest_shard=shard_frames)


def test_the_expert_plays_all_shards_or_every_second(tmp_path):
    moves = {}
    for data in ("random", "expert", "mixed"):
        store = collect(tmp_path / data, data)
        assert (len(store), store.settings["data"]) == (NUM_FRAMES, data)
        moves[data] = np.array([(shard == 0).all() for shard in store.actions.reshape(8, 100)])
    assert moves["random"].sum() == 0
    assert moves["expert"].sum() == 8
    assert moves["mixed"].tolist() == [False, True] * 4


def test_mixed_data_holds_actions_in_half_of_the_random_shards(tmp_path):
    store = collect(tmp_path / "store", "mixed")
    changes = [(np.diff(store.actions[first : first + 100].astype(int)) != 0).mean() for first in range(0, 800, 200)]
    assert min(changes[0], changes[2]) > 2 * max(changes[1], changes[3])


def test_half_of_an_odd_number_of_frames_is_rounded_up():
    expert = find_expert("breakout", RightPolicy())
    few, many = (make_collection(number, "mixed", expert) for number in (151, 420))
    assert (few.shard_frames, few.num_shards) == (76, 2)
    assert (many.shard_frames, many.num_shards) == (100, 6)


def test_a_killed_mixed_collection_goes_on_to_the_same_bytes(tmp_path):
    class Interrupted(Exception):
        pass

    steps = 0

    class FailingSource(SpriteSource):
        def step(self, action):
            nonlocal steps
            steps += 1
            if steps > 700:  # in the second group of shards
                raise Interrupted
            return super().step(action)

    expert = find_expert("breakout", DrawingPolicy())
    wanted = make_collection(NUM_FRAMES, "mixed", expert)
    with pytest.raises(Interrupted):
        collect_frames(wanted, tmp_path / "killed", make_source=lambda _game: FailingSource())
    killed, whole = (collect(tmp_path / name, "mixed", DrawingPolicy()) for name in ("killed", "whole"))
    assert killed.content_hash == whole.content_hash
    assert (killed.path / "frames.bin").read_bytes() == (whole.path / "frames.bin").read_bytes()


def test_the_lanes_beside_a_shard_do_not_matter(tmp_path, monkeypatch):
    together = collect(tmp_path / "together", "mixed", DrawingPolicy())
    monkeypatch.setattr(collection, "EXPERT_LANES", 1)
    alone = collect(tmp_path / "alone", "mixed", DrawingPolicy())
    assert together.content_hash == alone.content_hash


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_processes_change_nothing(tmp_path):
    expert = find_expert("breakout", "e2e")
    wanted = make_collection(900, "mixed", expert)  # two groups of shards
    one = collect_frames(wanted, tmp_path / "one")
    two = collect_frames(wanted, tmp_path / "two", workers=2)
    assert one.content_hash == two.content_hash


@pytest.mark.slow  # what makes it so is tested in test_processes.py
def test_a_script_without_main_guard_may_use_workers(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from wsabench.training.frames.collection import Collection, collect_frames\n"
        "print('begins', flush=True)\n"
        "wanted = Collection('breakout', 200, longest_shard=100)\n"
        f"print(len(collect_frames(wanted, Path({str(tmp_path / 'store')!r}), workers=2)))\n"
    )
    run = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        shown, _ = run.communicate(timeout=120)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
    assert (run.returncode, shown) == (0, "begins\n200\n")


class KilledSource(LaneSource):
    """A game whose process is killed when it is made."""

    def __init__(self, game):
        os.kill(os.getpid(), signal.SIGKILL)


class SingularSource(LaneSource):
    """A game that cannot be made for a reason that is not meant for the user."""

    def __init__(self, game):
        raise np.linalg.LinAlgError("the matrix is singular")


class RefusedSource(LaneSource):
    """A game that cannot be made for a reason that is."""

    def __init__(self, game):
        raise CheckpointError("a layer is missing")


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (
            KilledSource,
            WorkerError,
            r"was killed by signal 9.* Kept: 0 of 2 shards\. Start the same .* again to go on",
        ),
        pytest.param(
            SingularSource,
            WorkerError,
            r"A worker process failed: LinAlgError: the matrix is singular\. Kept: 0 of 2 shards",
            marks=pytest.mark.slow,
        ),
        # That an error comes over as it was raised is tested in test_processes.py and of runs.
        pytest.param(RefusedSource, CheckpointError, r"^a layer is missing$", marks=pytest.mark.slow),
    ],
)
def test_a_failing_worker_is_a_clear_error(tmp_path, source, error, message):
    wanted = make_collection(200, "random", None)
    with pytest.raises(error, match=message) as caught:
        collect_frames(wanted, tmp_path / "store", make_source=source, workers=2)
    assert type(caught.value) is error
    if source is not KilledSource:
        assert "in __init__" in "".join(traceback.format_exception(caught.value))
    assert multiprocessing.active_children() == []


def test_a_source_of_the_main_module_needs_one_process(tmp_path, monkeypatch):
    monkeypatch.setattr(KilledSource, "__module__", "__main__")
    with pytest.raises(SpecError, match=r"KilledSource is defined in the program's main module.*workers=1"):
        collect_frames(make_collection(200, "random", None), tmp_path / "store", make_source=KilledSource, workers=2)


def test_the_shipped_expert_plays_better_than_random(tmp_path):
    expert = find_expert("breakout", "e2e")
    assert expert.name == "e2e-seed0"
    assert len(expert.hash) == 64
    store = collect_frames(make_collection(600, "mixed", expert, shard_frames=300), tmp_path / "store")
    assert (store.settings["expert"], store.settings["expert_hash"]) == ("e2e-seed0", expert.hash)
    games = [len(set(part.tolist())) for part in np.split(store.episodes, 2)]
    assert games[0] > games[1] == 1  # random play loses its five lives within 300 steps


def test_a_store_that_is_being_filled_is_waited_for(tmp_path):
    path = tmp_path / "store"
    path.mkdir()
    handle = os.open(path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(collect, path, "random")
        time.sleep(0.3)
        assert not waiting.done()
        assert not any(path.iterdir())
        os.close(handle)
        assert len(waiting.result(60)) == NUM_FRAMES


def test_another_expert_is_another_store(tmp_path):
    collect(tmp_path / "store", "expert")
    with pytest.raises(Exception, match="expert 'right-seed0' instead of 'drawing-seed0'"):
        collect(tmp_path / "store", "expert", DrawingPolicy())
    names = {
        Collection("breakout", 200, data, None if data == "random" else find_expert("breakout", policy)).folder_name()
        for data in ("random", "expert", "mixed")
        for policy in (RightPolicy(), DrawingPolicy())
    }
    assert len(names) == 5


def test_bad_experts_are_named(tmp_path):
    with pytest.raises(SpecError, match=r"The policy chose action 4. Allowed: 0 to 3"):
        collect(tmp_path / "store", "expert", WrongPolicy())
    with pytest.raises(SpecError, match=r"2 experts were given. Allowed: one agent"):
        find_expert("breakout", ["e2e", "wsa"])
    with pytest.raises(CheckpointError, match="No trained agents for 'tetris' are here"):
        find_expert("tetris")
    with pytest.raises(SpecError, match=r"number of workers is 0. Allowed: integers from 1"):
        collect(tmp_path / "other", "random", workers=0)
    with pytest.raises(SpecError, match="data 'random' has no expert"):
        Collection("breakout", 200, "random", Expert("x", "y", find_expert("breakout", "e2e").contestant))
