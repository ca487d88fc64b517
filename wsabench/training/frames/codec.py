"""Frames as bytes: what changed since the frame before, as runs, in blocks that can be read alone.

A frame is coded as the difference (XOR) to the frame before it, and a block's first frame as the difference to a
reference frame. A difference is a sequence of tokens `skip, count, count bytes`: skip so many pixels that did not
change, then XOR so many. Both numbers are LEB128 (seven bits a byte, lowest first, the top bit says that more follow).
A frame ends with its last pixel; `count` is left out where `skip` reached it.

This module loads numba; the first call in a process loads the machine code from numba's cache, or compiles for seconds.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsabench.jit import compiled

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]

FRAME_BYTES = 84 * 84
LONGEST_CODE = FRAME_BYTES + 4 * (FRAME_BYTES // 4 + 1)
"""No coded frame is longer: runs of changed pixels are at least a token's length apart."""
GAP = 3
"""Unchanged pixels between two changed ones that are cheaper to XOR with 0 than to skip."""


@compiled
def _put_number(out: Bytes, at: int, number: int) -> int:
    while number >= 128:
        out[at] = (number & 127) | 128
        number >>= 7
        at += 1
    out[at] = number
    return at + 1


@compiled
def encode_frame(frame: Bytes, before: Bytes, out: Bytes) -> int:
    """Code one frame.

    Args:
        frame: Flat, uint8, shape (7056,).
        before: The frame it differs from, same shape.
        out: Written from its start, uint8, at least `LONGEST_CODE` long.

    Returns:
        Number of bytes written.
    """
    size = frame.shape[0]
    at, place = 0, 0
    while place < size:
        start = place
        while start < size and frame[start] == before[start]:
            start += 1
        at = _put_number(out, at, start - place)
        if start == size:
            return at
        end = start + 1
        same = 0
        for pixel in range(start + 1, size):
            if frame[pixel] == before[pixel]:
                same += 1
                if same > GAP:
                    break
            else:
                same = 0
                end = pixel + 1
        at = _put_number(out, at, end - start)
        for pixel in range(start, end):
            out[at] = frame[pixel] ^ before[pixel]
            at += 1
        place = end
    return at


@compiled
def _apply(data: Bytes, at: int, end: int, frame: Bytes) -> int:
    """XOR one coded frame into `frame`; return where the next one starts, -1 if the code is damaged."""
    size = frame.shape[0]
    place = 0
    is_count = False
    while place < size:
        number, shift = 0, 0
        while True:
            if at >= end or shift > 14:
                return -1
            byte = np.int64(data[at])
            at += 1
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        if place + number > size:
            return -1
        if is_count:
            if number == 0 or at + number > end:
                return -1
            for pixel in range(place, place + number):
                frame[pixel] ^= data[at]
                at += 1
        place += number
        is_count = not is_count
    return at


@compiled
def decode_runs(
    data: Bytes,
    blocks: Integers,
    references: Bytes,
    layout: tuple[int, int],
    starts: Integers,
    out: Bytes,
) -> int:
    """Read runs of consecutive frames.

    Args:
        data: All coded frames, uint8.
        blocks: Where each block starts in `data`, and where the last one ends, int64. Each shard begins a block.
        references: Reference frame of every shard, flat, uint8, shape (num_shards, 7056).
        layout: Frames of a shard, and of a block.
        starts: Row of each run's first frame, int64, shape (N,).
        out: Written: uint8, shape (N, length, 7056).

    Returns:
        -1, or the row of the first frame that could not be read.
    """
    shard_frames, block_frames = layout
    blocks_per_shard = (shard_frames + block_frames - 1) // block_frames
    frame = np.empty(out.shape[2], np.uint8)
    for run in range(starts.shape[0]):
        first = starts[run]
        stop = first + out.shape[1]
        place = first % shard_frames
        row = first - place % block_frames
        at, end = 0, 0
        while row < stop:
            shard, place = row // shard_frames, row % shard_frames
            if place % block_frames == 0:
                block = shard * blocks_per_shard + place // block_frames
                at, end = int(blocks[block]), int(blocks[block + 1])
                if at < 0 or end < at or end > data.shape[0]:
                    return row
                for pixel in range(frame.shape[0]):
                    frame[pixel] = references[shard, pixel]
            at = _apply(data, at, end, frame)
            if at < 0:
                return row
            if row >= first:
                for pixel in range(frame.shape[0]):
                    out[run, row - first, pixel] = frame[pixel]
            row += 1
    return -1
