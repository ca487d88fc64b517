"""From two screens to an observation in one compiled pass: table look-ups, maximum, area resize, stack.

The result is that of `cv2.LUT`, `cv2.max` and `cv2.resize(INTER_AREA)`, to the bit. Two things make it faster. Most of
the screen stays as it was a step ago, so only rows that changed are computed. And the resize adds up rows first, which
vectorises; where its sum is so near to a half that the order of float32 additions decides the rounding, the pixel is
computed again in OpenCV's order.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsabench.jit import compiled

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

NUM_TAPS = 3
"""Source columns that a destination column is made of, at most."""
_MARGIN = np.float32(1e-3)
"""Grey levels. Sums of bytes weighted in float32 are off by less than 2e-4 in any order of at most 15 terms."""
_HALF, _ONE = np.float32(0.5), np.float32(1)


class Screens(NamedTuple):
    """Two captured screens of one lane, and what was last made of them; place 0 is the newest, 1 the one before."""

    indices: Bytes
    """Palette indices, uint8, shape (2, height, width)."""
    tables: Bytes
    """Luminance of each index, uint8, shape (2, 256)."""
    last_tables: Bytes
    """`tables` that `luminance` was made of."""
    luminance: Bytes
    """The maximum of both screens, uint8, shape (height, width)."""
    has_changed: npt.NDArray[np.bool_]
    """Which rows of `luminance` the last update changed, bool, shape (height,)."""
    words: Words
    """View of `indices`, 8 pixels a word, uint64, shape (2, height, width / 8)."""
    last_words: Words
    """The words that `luminance` was made of."""
    luminance_words: Words
    """View of `luminance`."""


def blank_screens(height: int, width: int) -> Screens:
    """Return black screens."""
    indices, last_indices = np.zeros((2, 2, height, width), np.uint8)
    luminance = np.zeros((height, width), np.uint8)
    return Screens(
        indices=indices,
        tables=np.zeros((2, 256), np.uint8),
        last_tables=np.zeros((2, 256), np.uint8),
        luminance=luminance,
        has_changed=np.zeros(height, np.bool_),
        words=indices.view(np.uint64),
        last_words=last_indices.view(np.uint64),
        luminance_words=luminance.view(np.uint64),
    )


class AreaTaps(NamedTuple):
    """Which source pixels make a destination pixel, and with what weights, as in OpenCV's `INTER_AREA`."""

    rows: Integers
    """First source row of each destination row, int64, shape (size,)."""
    row_weights: Floats
    """float32, shape (size, taps); 0 behind the last."""
    num_rows: Integers
    """How many source rows, int64, shape (size,)."""
    columns: Integers
    """First source column of each destination column, int64, shape (size,)."""
    column_weights: Floats
    """float32, shape (3, size); 0 behind the last."""
    num_columns: Integers
    """How many source columns, int64, shape (size,)."""


@functools.lru_cache(maxsize=64)
def area_taps(height: int, width: int, size: int) -> AreaTaps | None:
    """Return the taps of a resize to `size` x `size`, or None where the kernel does not do what OpenCV does.

    Shared by all lanes of a process, so never to be changed.
    """
    is_shrinking = size < min(height, width) and not (height % size == 0 and width % size == 0)
    if not is_shrinking or width % 8 or width >= 2 * size:
        return None
    rows, row_weights, num_rows = _weights(height, size)
    columns, column_weights, num_columns = _weights(width, size)
    padding = ((0, 0), (0, NUM_TAPS - column_weights.shape[1]))
    by_tap = np.ascontiguousarray(np.pad(column_weights, padding).T)
    return AreaTaps(rows, row_weights, num_rows, columns, by_tap, num_columns)


def _weights(num_source: int, num_destination: int) -> tuple[Integers, Floats, Integers]:
    """Return first source, weights and their number of each destination, as OpenCV does (`computeResizeAreaTab`)."""
    scale = 1.0 / (num_destination / num_source)
    first, weights = [], []
    for destination in range(num_destination):
        start = destination * scale
        stop = start + scale
        cell = min(scale, num_source - start)
        whole_stop = min(int(np.floor(stop)), num_source - 1)
        whole_start = min(int(np.ceil(start)), whole_stop)
        taps: list[float] = []
        first.append(whole_start)
        if whole_start - start > 1e-3:
            first[-1] -= 1
            taps.append((whole_start - start) / cell)
        taps += [1.0 / cell] * (whole_stop - whole_start)
        if stop - whole_stop > 1e-3:
            taps.append(min(stop - whole_stop, 1.0, cell) / cell)
        weights.append(taps)
    num_taps = [len(taps) for taps in weights]
    padded = [taps + [0.0] * (max(num_taps) - len(taps)) for taps in weights]
    return np.array(first, np.int64), np.array(padded, np.float32), np.array(num_taps, np.int64)


# Loops instead of slices below: they run as fast, and compile in a fraction of the time.


@compiled
def update(screens: Screens, everything: bool) -> None:
    """Bring `luminance` up to date; `everything`: whatever it was made of."""
    new, old, words = screens.words, screens.last_words, screens.luminance_words
    for place in range(2):
        for index in range(256):
            everything |= screens.tables[place, index] != screens.last_tables[place, index]
            screens.last_tables[place, index] = screens.tables[place, index]
    for y in range(new.shape[1]):
        difference = np.uint64(0)
        for word in range(new.shape[2]):
            difference |= (new[0, y, word] ^ old[0, y, word]) | (new[1, y, word] ^ old[1, y, word])
        screens.has_changed[y] = everything or difference != 0
        if not screens.has_changed[y]:
            continue
        for word in range(new.shape[2]):
            first, second = new[0, y, word], new[1, y, word]
            if everything or first != old[0, y, word] or second != old[1, y, word]:
                old[0, y, word], old[1, y, word] = first, second
                if word and first == new[0, y, word - 1] and second == new[1, y, word - 1]:
                    words[y, word] = words[y, word - 1]
                else:
                    _look_up(screens, y, 8 * word)


@compiled
def _look_up(screens: Screens, y: int, left: int) -> None:
    """Compute 8 pixels of `luminance`."""
    indices, tables = screens.indices, screens.tables
    for x in range(left, left + 8):
        screens.luminance[y, x] = max(tables[0, indices[0, y, x]], tables[1, indices[1, y, x]])


@compiled
def compare(image: Words, last_image: Words, has_changed: npt.NDArray[np.bool_], everything: bool) -> None:
    """Note which rows of two images (8 pixels a word) differ, and copy them."""
    for y in range(image.shape[0]):
        difference = np.uint64(0)
        for word in range(image.shape[1]):
            difference |= image[y, word] ^ last_image[y, word]
        has_changed[y] = everything or difference != 0
        if has_changed[y]:
            for word in range(image.shape[1]):
                last_image[y, word] = image[y, word]


@compiled
def resize(image: Bytes, has_changed: npt.NDArray[np.bool_], taps: AreaTaps, frame: Bytes) -> None:
    """Write the rows of `frame`, uint8, shape (size, size), that depend on rows of `image` that have changed."""
    line = np.zeros(image.shape[1] + NUM_TAPS - 1, np.float32)
    sums = np.empty(frame.shape[0], np.float32)
    for y in range(frame.shape[0]):
        is_due = False
        for tap in range(taps.num_rows[y]):
            is_due |= has_changed[taps.rows[y] + tap]
        if is_due:
            _add_rows(image, taps, y, line)
            _add_columns(line, taps, sums)
            if _round(sums, frame, y):
                _correct(image, taps, sums, frame, y)


@compiled
def _add_rows(image: Bytes, taps: AreaTaps, y: int, line: Floats) -> None:
    """Write the weighted sum of the source rows of destination row `y`."""
    top = taps.rows[y]
    for x in range(image.shape[1]):
        line[x] = taps.row_weights[y, 0] * np.float32(image[top, x])
    for tap in range(1, taps.num_rows[y]):
        weight = taps.row_weights[y, tap]
        for x in range(image.shape[1]):
            line[x] += weight * np.float32(image[top + tap, x])


@compiled
def _add_columns(line: Floats, taps: AreaTaps, sums: Floats) -> None:
    """Write the weighted sum of the source columns of each destination column, plus a half."""
    weights = taps.column_weights
    for x in range(sums.shape[0]):
        left = taps.columns[x]
        total = weights[0, x] * line[left] + weights[1, x] * line[left + 1] + weights[2, x] * line[left + 2]
        sums[x] = total + _HALF


@compiled
def _round(sums: Floats, frame: Bytes, y: int) -> bool:
    """Write the whole parts; return whether any is in doubt."""
    is_doubtful = False
    for x in range(sums.shape[0]):
        rounded = np.int32(sums[x])
        frame[y, x] = np.uint8(rounded)
        rest = sums[x] - np.float32(rounded)
        is_doubtful |= (rest < _MARGIN) | (rest > _ONE - _MARGIN)
    return is_doubtful


@compiled
def _correct(image: Bytes, taps: AreaTaps, sums: Floats, frame: Bytes, y: int) -> None:
    """Compute again what is in doubt: added up in float32 in OpenCV's order, halves rounded to even."""
    for x in range(sums.shape[0]):
        rest = sums[x] - np.float32(np.int32(sums[x]))
        if _MARGIN <= rest <= _ONE - _MARGIN:
            continue
        total = np.float32(0)
        for row in range(taps.num_rows[y]):
            part = np.float32(0)
            for column in range(taps.num_columns[x]):
                value = np.float32(image[taps.rows[y] + row, taps.columns[x] + column])
                part += value * taps.column_weights[column, x]
            total += part * taps.row_weights[y, row]
        frame[y, x] = np.uint8(np.rint(total))


@compiled
def push(frame: Bytes, observation: Bytes) -> None:
    """Shift the stack (stack, size, size) and put `frame` on top."""
    newest = observation.shape[0] - 1
    for place in range(newest):
        for y in range(frame.shape[0]):
            for x in range(frame.shape[1]):
                observation[place, y, x] = observation[place + 1, y, x]
    for y in range(frame.shape[0]):
        for x in range(frame.shape[1]):
            observation[newest, y, x] = frame[y, x]


@compiled
def present(screens: Screens, everything: bool, taps: AreaTaps, frame: Bytes, observation: Bytes) -> None:
    """Update the luminance, resize it to `frame`, and put that on top of the stack."""
    update(screens, everything)
    resize(screens.luminance, screens.has_changed, taps, frame)
    push(frame, observation)
