"""Stores of played frames on disk: compact, memory-mapped, read in any order by pre-training and probing.

A store is a folder. `frames.bin` holds the frames as `frame_codec` codes them, one block after another; `blocks.npy`
says where each block starts, `references.npy` holds the frame that each shard's blocks start from; `ram.npy`,
`actions.npy` and `episodes.npy` have a row for each step; `store.json` says what the store is made of, and the checksum
of each finished shard. It is filled shard by shard, so that a collection that was killed goes on with the first shard
that is missing and ends with the same bytes.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wsabench.errors import StorageError
from wsabench.words import counted

FORMAT = "wsabench-frames-2"
SCREEN = 84
RAM_BYTES = 128
STACK = 4
BLOCK_FRAMES = 16
"""Frames of a block: longer ones are smaller and slower to read."""
AGAIN = "Delete the folder and collect again."
_Column = npt.NDArray[Any]


class CodedFrames:
    """The frames of a store; indexed like an array of shape (num_frames, 84, 84), every access decodes.

    Attributes:
        shape: (num_frames, 84, 84).
        num_bytes: What the coded frames take on disk.
    """

    def __init__(self, path: Path, blocks: _Column, references: _Column, shard_frames: int) -> None:
        """Map the file.

        Args:
            path: The store's folder.
            blocks: Content of `blocks.npy`.
            references: Content of `references.npy`.
            shard_frames: Frames of a shard.

        Raises:
            StorageError: The file is missing or too short.
        """
        self._path = path
        self._blocks = np.ascontiguousarray(blocks, np.int64)
        self._references = np.ascontiguousarray(references, np.uint8).reshape(len(references), -1)
        self._layout = (shard_frames, BLOCK_FRAMES)
        self.shape = (shard_frames * len(references), SCREEN, SCREEN)
        self.num_bytes = int(self._blocks[-1])
        try:
            self._data = np.memmap(path / "frames.bin", np.uint8, "r").view(np.ndarray)
        except (OSError, ValueError) as error:
            raise StorageError(f"{path / 'frames.bin'} cannot be read: {error}. {AGAIN}") from error
        if len(self._data) != self.num_bytes:
            raise StorageError(
                f"{path / 'frames.bin'} is damaged: {len(self._data)} bytes instead of {self.num_bytes}. {AGAIN}"
            )

    def __len__(self) -> int:
        """Return the number of frames."""
        return self.shape[0]

    def runs(self, starts: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.uint8]:
        """Return runs of consecutive frames.

        Args:
            starts: Row of the first frame of each, int64, shape (N,).
            length: Frames of a run.

        Returns:
            uint8, shape (N, length, 84, 84).

        Raises:
            IndexError: A run reaches beyond the store.
            StorageError: The file is damaged there.
        """
        from wsabench.training.frames.codec import decode_runs

        starts = np.ascontiguousarray(starts, np.int64)
        if len(starts) and (starts.min() < 0 or starts.max() + length > len(self)):
            raise IndexError(f"frames {starts.min()} to {starts.max() + length - 1} of a store of {len(self)}")
        out = np.empty((len(starts), length, SCREEN * SCREEN), np.uint8)
        damaged = decode_runs(self._data, self._blocks, self._references, self._layout, starts, out)
        if damaged >= 0:
            raise StorageError(f"{self._path / 'frames.bin'} is damaged at frame {damaged}. {AGAIN}")
        return out.reshape(len(starts), length, SCREEN, SCREEN)

    def __getitem__(self, index: int | slice | npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Return one frame, a slice with step 1, or the frames at rows of any shape."""
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                raise IndexError("slices of a store have step 1")
            return self.runs(np.array([start]), max(0, stop - start))[0]
        if isinstance(index, tuple):
            raise IndexError("frames take one index; the pixels of `frames[row]` take more")
        rows = np.asarray(index, np.int64)
        rows = np.where(rows < 0, rows + len(self), rows)
        return self.runs(rows.ravel(), 1).reshape(*rows.shape, SCREEN, SCREEN)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> _Column:
        """Return all frames as one array."""
        return self[:].astype(dtype or np.uint8, copy=False)


@dataclass(frozen=True)
class FrameStore:
    """Steps of many games, oldest first; row i of every array belongs to the same step.

    Attributes:
        path: The folder.
        game: The game's id.
        seed: The seed of the collection.
        settings: What the store is made of, as in `store.json`: `data`, `expert` and its hash among it.
        content_hash: Hash of what is in the finished shards, 8 hexadecimal digits.
        frames: Newest frame after each step, uint8, shape (num_steps, 84, 84), decoded when indexed.
        ram: Emulator memory after each step, uint8, shape (num_steps, 128).
        actions: Index of the action that led here, uint8, shape (num_steps,); 0 at a reset.
        episodes: Number of the episode, unique in the store, int32, shape (num_steps,).
    """

    path: Path
    game: str
    seed: int
    settings: Mapping[str, Any]
    content_hash: str
    frames: CodedFrames
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
        return self.frames.runs(index - (STACK - 1), STACK)


@dataclass(frozen=True)
class Shard:
    """One finished shard, coded.

    Attributes:
        code: Coded frames.
        block_bytes: Length of each block, int64.
        reference: What the first frame of each block is coded against, uint8, shape (84, 84).
        ram: uint8, shape (shard_frames, 128).
        actions: uint8, shape (shard_frames,).
        episodes: int32, shape (shard_frames,).
    """

    code: bytes
    block_bytes: npt.NDArray[np.int64]
    reference: npt.NDArray[np.uint8]
    ram: npt.NDArray[np.uint8]
    actions: npt.NDArray[np.uint8]
    episodes: npt.NDArray[np.int32]

    def checksum(self) -> int:
        """Return a CRC-32 of everything in it."""
        value = zlib.crc32(self.code)
        for column in (self.block_bytes, self.reference, self.ram, self.actions, self.episodes):
            value = zlib.crc32(column.tobytes(), value)
        return value


def open_frames(path: Path) -> FrameStore:
    """Open a finished store for reading; everything in it is checked against its checksums.

    Raises:
        StorageError: It is missing, unfinished or damaged.
    """
    meta = read_settings(path)
    checksums, num_shards, size = meta["checksums"], meta["num_shards"], meta["shard_frames"]
    if len(checksums) != num_shards:
        found = f"{len(checksums)} of {counted(num_shards, 'shard')}"
        raise StorageError(f"{path} holds {found}. Collect again to finish the store.")
    columns = load_columns(path, "r")
    wanted = {name: shape for name, (_, shape) in column_layout(num_shards, size).items()}
    for name, column in columns.items():
        if column.shape != wanted[name]:
            raise StorageError(
                f"{path / name}.npy is damaged: it has shape {column.shape}, not {wanted[name]}. {AGAIN}"
            )
    frames = CodedFrames(path, columns["blocks"], columns["references"], size)
    for number, checksum in enumerate(checksums):
        if _stored_shard(path, columns, number, size).checksum() != checksum:
            raise StorageError(f"{path} is damaged: shard {number} is not what was written. {AGAIN}")
    content = f"{zlib.crc32(json.dumps(checksums).encode()):08x}"
    settings = {key: value for key, value in meta.items() if key not in ("format", "checksums")}
    rows = {name: columns[name] for name in ("ram", "actions", "episodes")}
    return FrameStore(path, meta["game"], meta["seed"], settings, content, frames, **rows)


def _stored_shard(path: Path, columns: Mapping[str, _Column], number: int, size: int) -> Shard:
    num_blocks = -(-size // BLOCK_FRAMES)
    blocks = columns["blocks"][number * num_blocks : (number + 1) * num_blocks + 1]
    rows = slice(number * size, (number + 1) * size)
    with (path / "frames.bin").open("rb") as file:
        file.seek(max(0, int(blocks[0])))
        code = file.read(max(0, int(blocks[-1] - blocks[0])))
    parts = (columns[name][rows] for name in ("ram", "actions", "episodes"))
    return Shard(code, np.diff(blocks), columns["references"][number], *parts)


def column_layout(num_shards: int, shard_frames: int) -> dict[str, tuple[type[np.generic], tuple[int, ...]]]:
    """Return type and shape of every array file."""
    rows, blocks = num_shards * shard_frames, num_shards * -(-shard_frames // BLOCK_FRAMES)
    return {
        "blocks": (np.int64, (blocks + 1,)),
        "references": (np.uint8, (num_shards, SCREEN, SCREEN)),
        "ram": (np.uint8, (rows, RAM_BYTES)),
        "actions": (np.uint8, (rows,)),
        "episodes": (np.int32, (rows,)),
    }


def read_settings(path: Path) -> dict[str, Any]:
    """Read `store.json`.

    Raises:
        StorageError: It is missing, damaged or of another version.
    """
    try:
        meta = json.loads((path / "store.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} is not a frame store: store.json is missing or damaged. Collect again.") from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise StorageError(f"{path} is not a frame store of this version ({FORMAT}). Delete it and collect again.")
    return meta


def load_columns(path: Path, mode: str) -> dict[str, np.memmap[Any, Any]]:
    """Map every array file, for reading (`r`) or writing (`r+`).

    Raises:
        StorageError: One is missing or damaged.
    """
    columns = {}
    for name in column_layout(1, 1):
        try:
            columns[name] = np.lib.format.open_memmap(path / f"{name}.npy", mode=mode)
        except (OSError, ValueError) as error:
            raise StorageError(f"{path / name}.npy cannot be read: {error}. {AGAIN}") from error
    return columns
