"""Writing frame stores: shards are coded step by step, and appended one after another."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wsabench.errors import StorageError
from wsabench.resources import make_dir, write_text, writing
from wsabench.training.frames import codec as frame_codec
from wsabench.training.frames.store import (
    BLOCK_FRAMES,
    FORMAT,
    RAM_BYTES,
    SCREEN,
    Shard,
    column_layout,
    load_columns,
    read_settings,
)


class ShardEncoder:
    """Takes the steps of one shard, one after another."""

    def __init__(self, num_frames: int) -> None:
        """Prepare for `num_frames` steps."""
        self._buffer = np.empty(frame_codec.LONGEST_CODE, np.uint8)
        self._before = np.zeros(SCREEN * SCREEN, np.uint8)
        self._row = 0
        self._keys: list[npt.NDArray[np.uint8]] = []
        self._rest: list[bytearray] = []
        self._ram = np.zeros((num_frames, RAM_BYTES), np.uint8)
        self._actions = np.zeros(num_frames, np.uint8)
        self._episodes = np.zeros(num_frames, np.int32)

    def append(self, frame: npt.NDArray[np.uint8], ram: npt.NDArray[np.uint8], action: int, episode: int) -> None:
        """Take one step: its newest frame, memory after it, the action that led there and the episode's number."""
        row, flat = self._row, frame.reshape(-1).copy()
        if row % BLOCK_FRAMES == 0:
            self._keys.append(flat)
            self._rest.append(bytearray())
        else:
            self._rest[-1] += self._code(flat, self._before)
        self._ram[row], self._actions[row], self._episodes[row] = ram, action, episode
        self._before, self._row = flat, row + 1

    def finish(self) -> Shard:
        """Return the shard, once all steps were taken.

        Its reference is the median of the blocks' first frames: the first frame of all may be of a start screen.
        """
        keys = np.stack(self._keys)
        reference = np.sort(keys, axis=0)[len(keys) // 2]
        blocks = [self._code(key, reference) + rest for key, rest in zip(keys, self._rest, strict=True)]
        sizes = np.array([len(block) for block in blocks], np.int64)
        image = reference.reshape(SCREEN, SCREEN)
        return Shard(b"".join(blocks), sizes, image, self._ram, self._actions, self._episodes)

    def _code(self, frame: npt.NDArray[np.uint8], before: npt.NDArray[np.uint8]) -> bytes:
        return self._buffer[: frame_codec.encode_frame(frame, before, self._buffer)].tobytes()


class StoreWriter:
    """A store that is being filled; an unfinished one at the same place is continued.

    Attributes:
        finished: Number of shards that are safely on disk.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Open or create the store.

        Args:
            path: The folder.
            settings: What it is made of; must have `game`, `seed`, `num_shards` and `shard_frames`.

        Raises:
            StorageError: The folder cannot be written, is damaged, or holds a store made with other settings.
        """
        self._path = path
        self._settings = {"format": FORMAT, **settings}
        self._checksums: list[int] = []
        if (path / "store.json").exists():
            self._continue()
        else:
            self._create()
        self._columns = load_columns(path, "r+")

    @property
    def finished(self) -> int:
        """Number of shards that are safely on disk."""
        return len(self._checksums)

    def append(self, shard: Shard) -> None:
        """Add the next shard.

        Raises:
            StorageError: It cannot be written.
        """
        number, size = self.finished, self._settings["shard_frames"]
        rows = slice(number * size, (number + 1) * size)
        blocks = slice(number * len(shard.block_bytes), (number + 1) * len(shard.block_bytes) + 1)
        columns = self._columns
        start = int(columns["blocks"][blocks][0])
        with writing(self._path), (self._path / "frames.bin").open("r+b") as file:
            file.truncate(start)  # what a killed run wrote of this shard
            file.seek(start)
            file.write(shard.code)
            file.flush()
            os.fsync(file.fileno())
        columns["blocks"][blocks] = np.concatenate([[start], start + np.cumsum(shard.block_bytes)])
        columns["references"][number] = shard.reference
        for name in ("ram", "actions", "episodes"):
            columns[name][rows] = getattr(shard, name)
        with writing(self._path):
            for column in columns.values():
                column.flush()
        self._checksums.append(shard.checksum())
        self._write_settings()

    def _continue(self) -> None:
        found = read_settings(self._path)
        wanted = self._settings
        different = [key for key in wanted if found.get(key) != wanted[key]]
        if different:
            facts = ", ".join(f"{key} {found.get(key)!r} instead of {wanted[key]!r}" for key in different)
            raise StorageError(f"{self._path} holds other frames: {facts}. Delete the folder or choose another place.")
        self._checksums = list(found["checksums"])

    def _create(self) -> None:
        make_dir(self._path)
        shards, size = self._settings["num_shards"], self._settings["shard_frames"]
        with writing(self._path):
            for name, (dtype, shape) in column_layout(shards, size).items():
                np.lib.format.open_memmap(self._path / f"{name}.npy", mode="w+", dtype=dtype, shape=shape).flush()
            (self._path / "frames.bin").write_bytes(b"")
        self._write_settings()

    def _write_settings(self) -> None:
        write_text(self._path / "store.json", json.dumps(self._settings | {"checksums": self._checksums}))
