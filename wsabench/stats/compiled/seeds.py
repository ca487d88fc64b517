"""NumPy's draws of a few train seeds with replacement, to the bit and from the same stream, as one number each.

References:
    Lemire 2019, "Fast random integer generation in an interval", which NumPy uses with 32 bits for each number.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from wsabench.jit import compiled
from wsabench.types import IntArray

_SLACK = 100
"""Random numbers beyond those needed: one in some 10^9 is drawn anew."""


def compiled_ways(ways: IntArray, num_seeds: int, rng: np.random.Generator, size: tuple[int, int]) -> IntArray | None:
    """Return in which ways train seeds are drawn.

    Args:
        ways: The way of each order in which they can be drawn, shape (num_seeds ** num_seeds,); the first seed drawn is
            the first digit of the order's number.
        num_seeds: Number of train seeds, two or more.
        rng: A generator on `PCG64`; the function leaves it as `rng.integers` would leave it.
        size: Shape of the result: how many times all train seeds are drawn.

    Returns:
        `ways` of what `rng.integers(0, num_seeds, (*size, num_seeds))` gives, int64, of this shape.
        None, and `rng` as it was, where it is on another generator or has half of a number left over.
    """
    bits = rng.bit_generator
    if not isinstance(bits, np.random.PCG64) or bits.state["has_uint32"]:
        return None
    before = bits.state
    numbers = bits.random_raw(size[0] * size[1] * num_seeds // 2 + _SLACK)
    found = np.empty(size[0] * size[1], dtype=np.int64)
    used = _filled(found, numbers, ways, num_seeds)
    bits.state = before
    bits.advance((used + 1) // 2)
    rest = {"has_uint32": used % 2, "uinteger": int(numbers[(used - 1) // 2] >> np.uint64(32))}
    bits.state = cast("Any", {**bits.state, **rest})
    return found.reshape(size)


@compiled
def _filled(found: IntArray, numbers: npt.NDArray[np.uint64], ways: IntArray, num_seeds: int) -> int:
    """Fill in the ways, and return how many halves of numbers, the lower first, that took."""
    used, several = 0, np.uint64(num_seeds)
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    unfair = np.uint64(2**32 % num_seeds)
    for place in range(len(found)):
        order = 0
        for _ in range(num_seeds):
            product = np.uint64(0)
            while True:
                number = numbers[used // 2]
                product = ((number >> half) if used % 2 else (number & low)) * several
                used += 1
                if (product & low) >= unfair:
                    break
            order = order * num_seeds + np.int64(product >> half)
        found[place] = ways[order]
    return used
