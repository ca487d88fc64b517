"""Frames of random play: collected once, kept on disk, read by pre-training and probing.

A store is a folder with one memory-mapped array for each quantity and `store.json`. It is filled shard by shard; a
shard is one lane with its own seed, so a collection that was killed goes on with the first shard that is not finished
and ends with the same bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Protocol as TypingProtocol

import numpy as np
import numpy.typing as npt

from wsabench import seeding
from wsabench.errors import SpecError, StorageError
from wsabench.resources import make_dir, write_text
from wsabench.training.progress import Reporter, SilentReporter

FORMAT = "wsabench-frames-1"
SCREEN = 84
RAM_BYTES = 128
STACK = 4
SHARD_FRAMES = 4_000
SMALLEST_STORE = 100
_ARRAYS: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
    "frames": (np.uint8, (SCREEN, SCREEN)),
    "ram": (np.uint8, (RAM_BYTES,)),
    "actions": (np.uint8, ()),
    "episodes": (np.int32, ()),
}


class StepSource(TypingProtocol):
    """One game that is stepped: a lane, or a scripted stand-in in tests."""

    num_actions: int

    def reset(self, seed: int) -> None:
        """Start a new game whose randomness is fixed by `seed`."""
        ...

    def step(self, action: int) -> bool:
        """Play one step and return whether the game ended."""
        ...

    def newest(self) -> npt.NDArray[np.uint8]:
        """Return the newest luminance frame, uint8, shape (84, 84)."""
        ...

    def ram(self) -> npt.NDArray[np.uint8]:
        """Return the emulator's memory, uint8, shape (128,)."""
        ...


@dataclass(frozen=True)
class FrameStore:
    """Steps of many games, oldest first; row i of every array belongs to the same step.

    Attributes:
        path: The folder.
        game: The game's id.
        seed: The seed of the collection.
        frames: Newest frame after each step, uint8, shape (num_steps, 84, 84), memory-mapped.
        ram: Emulator memory after each step, uint8, shape (num_steps, 128).
        actions: Index of the action that led here, uint8, shape (num_steps,); 0 at a reset.
        episodes: Number of the episode, unique in the store, int32, shape (num_steps,).
    """

    path: Path
    game: str
    seed: int
    frames: npt.NDArray[np.uint8]
    ram: npt.NDArray[np.uint8]
    actions: npt.NDArray[np.uint8]
    episodes: npt.NDArray[np.int32]

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(self.episodes)

    def positions(self, offset: int = 0) -> npt.NDArray[np.int64]:
        """Return the steps t for which frames t-3..t+offset belong to one episode, int64, ascending."""
        index = np.arange(STACK - 1, len(self) - offset)
        return index[self.episodes[index - (STACK - 1)] == self.episodes[index + offset]]

    def stacks(self, index: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Return the observations at steps `index` (from `positions`), uint8, shape (N, 4, 84, 84), newest last."""
        return self.frames[index[:, None] + np.arange(1 - STACK, 1)]


def collect_frames(
    source: StepSource,
    path: Path,
    *,
    game: str,
    num_frames: int,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> FrameStore:
    """Play randomly and store what was seen; an unfinished store at `path` is continued.

    Half of the shards draw a uniform action each step; the others hold each drawn action for 1 to 8 steps, which moves
    a paddle or a ship further than a random walk does.

    Args:
        source: The game.
        path: The store's folder.
        game: The game's id, written into the store.
        num_frames: Number of steps to store; rounded up to whole shards.
        seed: Fixes every game and every action.
        reporter: Gets the progress; None: silent.

    Returns:
        The finished store, opened for reading.

    Raises:
        SpecError: `num_frames` is too small.
        StorageError: The folder cannot be written, or holds a store made with other settings.
    """
    if num_frames < SMALLEST_STORE:
        raise SpecError(f"The number of frames is {num_frames}. Allowed: integers from {SMALLEST_STORE}.")
    shard_frames = min(SHARD_FRAMES, num_frames)
    num_shards = -(-num_frames // shard_frames)
    wanted = {"format": FORMAT, "game": game, "seed": seed, "num_shards": num_shards, "shard_frames": shard_frames}
    finished = _open_or_create(path, wanted)
    arrays = _load_arrays(path, "r+")
    reporter = reporter or SilentReporter()
    reporter.start("collect frames", num_shards * shard_frames, "steps")
    reporter.advance(finished * shard_frames)
    for shard in range(finished, num_shards):
        rows = slice(shard * shard_frames, (shard + 1) * shard_frames)
        _play_shard(source, {name: array[rows] for name, array in arrays.items()}, shard, seed, game)
        for array in arrays.values():
            array.flush()
        write_text(path / "store.json", json.dumps(wanted | {"finished_shards": shard + 1}))
        reporter.advance(shard_frames)
    reporter.finish()
    return open_frames(path)


def open_frames(path: Path) -> FrameStore:
    """Open a finished store for reading.

    Raises:
        StorageError: It is missing, unfinished or damaged.
    """
    meta = _read_meta(path)
    if meta["finished_shards"] != meta["num_shards"]:
        raise StorageError(
            f"{path} holds {meta['finished_shards']} of {meta['num_shards']} shards. Collect again to finish the store."
        )
    arrays = _load_arrays(path, "r")
    if len({len(array) for array in arrays.values()} | {meta["num_shards"] * meta["shard_frames"]}) != 1:
        raise StorageError(f"{path} is damaged: its arrays differ in length. Delete the folder and collect again.")
    return FrameStore(path=path, game=meta["game"], seed=meta["seed"], **arrays)


def _play_shard(source: StepSource, rows: dict[str, npt.NDArray[Any]], shard: int, seed: int, game: str) -> None:
    rng = seeding.generator(seed, "frames", game, shard)
    episode = (shard << 12) - 1
    ended, hold, action = True, 0, 0
    for row in range(len(rows["episodes"])):
        if ended:
            episode, hold, ended = episode + 1, 0, False
            source.reset(seeding.training_seed(seed, "frames", game, episode))
            action_taken = 0
        else:
            if hold == 0:
                action = int(rng.integers(source.num_actions))
                hold = int(rng.integers(1, 9)) if shard % 2 else 1
            hold -= 1
            ended, action_taken = source.step(action), action
        rows["frames"][row] = source.newest()
        rows["ram"][row] = source.ram()
        rows["actions"][row] = action_taken
        rows["episodes"][row] = episode


def _open_or_create(path: Path, wanted: dict[str, Any]) -> int:
    if (path / "store.json").exists():
        found = _read_meta(path)
        different = [key for key in wanted if found.get(key) != wanted[key]]
        if different:
            facts = ", ".join(f"{key} {found.get(key)!r} instead of {wanted[key]!r}" for key in different)
            raise StorageError(f"{path} holds other frames: {facts}. Delete the folder or choose another place.")
        return int(found["finished_shards"])
    make_dir(path)
    num_rows = wanted["num_shards"] * wanted["shard_frames"]
    try:
        for name, (dtype, shape) in _ARRAYS.items():
            np.lib.format.open_memmap(path / f"{name}.npy", mode="w+", dtype=dtype, shape=(num_rows, *shape)).flush()
    except OSError as error:
        raise StorageError(f"Cannot write {path}: {error.strerror or error}. Free space.") from error
    write_text(path / "store.json", json.dumps(wanted | {"finished_shards": 0}))
    return 0


def _read_meta(path: Path) -> dict[str, Any]:
    try:
        meta = json.loads((path / "store.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} is not a frame store: store.json is missing or damaged. Collect again.") from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise StorageError(f"{path} is not a frame store of this version ({FORMAT}). Delete it and collect again.")
    return meta


def _load_arrays(path: Path, mode: str) -> dict[str, np.memmap[Any, Any]]:
    arrays = {}
    for name in _ARRAYS:
        try:
            arrays[name] = np.lib.format.open_memmap(path / f"{name}.npy", mode=mode)
        except (OSError, ValueError) as error:
            message = f"{path / name}.npy cannot be read: {error}. Delete the folder and collect again."
            raise StorageError(message) from error
    return arrays
