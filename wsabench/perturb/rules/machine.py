"""The stack machine that runs compiled rules: its operations, its memory, and its loop, which numba compiles.

The parser proved that no number leaves 64 bits, no address the memory, and that no divisor is 0, so the loop checks
nothing. What numba compiles stands in this one file, because its cache follows the file that a function is in.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from enum import IntEnum

import numpy as np
import numpy.typing as npt

Code = npt.NDArray[np.int64]
Memory = npt.NDArray[np.uint8]

HEADER = 3
"""Numbers before the addresses: how many of them, whether `prev` is kept, size of the stack."""
STATEMENT_HEADER = 5
"""`every`, `at` (-1: any frame), first and last address, where the statement ends."""

NOW, PREVIOUS, RESET, OLD, CHANGED, MEMORY_SIZE = (128 * bank for bank in range(6))
"""Where the banks begin: the memory now, of the frame before, after the reset; old values and addresses of changes."""


class Op(IntEnum):
    """Operations; x and y are the two topmost numbers, y the newest, and the result replaces them."""

    CONSTANT = 0  # push the argument
    LOAD = 1  # push the byte at the argument
    LOAD_AT = 2  # byte y of the bank that begins at the argument
    INDEX = 3  # push the loop's address
    FRAME = 4  # push the frame
    RANDOM = 5  # push a draw from 0 to the argument, the argument not included
    STORE = 6  # take y and write it to the loop's address
    UNLESS = 7  # take y; where it is 0, go to the argument
    AND = 8  # take y; where it is 0, push 0 and go to the argument
    OR = 9  # take y; where it is not 0, push 1 and go to the argument
    TUCK = 10  # x y -> y x y
    CHAIN = 11  # after TUCK and a comparison: leave y where it held, else leave 0 and go to the argument
    NEGATE = 12
    INVERT = 13
    NOT = 14
    TRUTH = 15  # 1 where y is not 0
    ABS = 16
    ADD = 17
    SUBTRACT = 18
    MULTIPLY = 19
    DIVIDE = 20
    REMAINDER = 21
    AND_BITS = 22
    OR_BITS = 23
    XOR_BITS = 24
    LEFT = 25
    RIGHT = 26
    MINIMUM = 27
    MAXIMUM = 28
    LESS = 29
    LESS_EQUAL = 30
    GREATER = 31
    GREATER_EQUAL = 32
    EQUAL = 33
    DIFFERENT = 34


def _run(code: Code, work: Code, memory: Memory, frame: int) -> int:  # noqa: C901, one branch for each operation
    """Run a program before one frame.

    Args:
        code: The program, shape (size,), int64.
        work: State of the random stream, then the stack, shape (1 + stack size,), int64.
        memory: The banks, shape (MEMORY_SIZE,), uint8; NOW is read and written.
        frame: Emulated frames since the reset.

    Returns:
        How many bytes of NOW changed; their addresses begin at CHANGED.
    """
    num_addresses = code[0]
    for k in range(num_addresses):
        memory[OLD + k] = memory[code[HEADER + k]]
    start = HEADER + num_addresses
    while start < code.size:
        every, at, first, last, end = code[start : start + STATEMENT_HEADER]
        if frame % every == 0 and at in (-1, frame):
            for address in range(first, last + 1):
                top = 0
                place = start + STATEMENT_HEADER
                while place < end:
                    op = code[place]
                    argument = code[place + 1]
                    place += 2
                    if op == Op.CONSTANT:
                        top += 1
                        work[top] = argument
                    elif op == Op.LOAD:
                        top += 1
                        work[top] = memory[argument]
                    elif op == Op.LOAD_AT:
                        work[top] = memory[argument + work[top]]
                    elif op == Op.INDEX:
                        top += 1
                        work[top] = address
                    elif op == Op.FRAME:
                        top += 1
                        work[top] = frame
                    elif op == Op.RANDOM:
                        # SplitMix64 (Steele, Lea, Flood 2014); its upper half times the count, upper half again.
                        state = np.uint64(work[0]) + np.uint64(0x9E3779B97F4A7C15)
                        work[0] = np.int64(state)
                        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                        state = (state ^ (state >> np.uint64(31))) >> np.uint64(32)
                        top += 1
                        work[top] = np.int64((state * np.uint64(argument)) >> np.uint64(32))
                    elif op == Op.STORE:
                        memory[address] = work[top] & 255
                        top -= 1
                    elif op == Op.UNLESS:
                        top -= 1
                        if work[top + 1] == 0:
                            place = argument
                    elif op == Op.AND:
                        if work[top] == 0:
                            place = argument
                        else:
                            top -= 1
                    elif op == Op.OR:
                        if work[top] != 0:
                            work[top] = 1
                            place = argument
                        else:
                            top -= 1
                    elif op == Op.TUCK:
                        work[top + 1] = work[top]
                        work[top] = work[top - 1]
                        work[top - 1] = work[top + 1]
                        top += 1
                    elif op == Op.CHAIN:
                        top -= 1
                        if work[top + 1] == 0:
                            work[top] = 0
                            place = argument
                    elif op == Op.NEGATE:
                        work[top] = -work[top]
                    elif op == Op.INVERT:
                        work[top] = ~work[top]
                    elif op == Op.NOT:
                        work[top] = work[top] == 0
                    elif op == Op.TRUTH:
                        work[top] = work[top] != 0
                    elif op == Op.ABS:
                        work[top] = abs(work[top])
                    else:
                        top -= 1
                        x, y = work[top], work[top + 1]
                        if op == Op.ADD:
                            x += y
                        elif op == Op.SUBTRACT:
                            x -= y
                        elif op == Op.MULTIPLY:
                            x *= y
                        elif op == Op.DIVIDE:
                            x //= y
                        elif op == Op.REMAINDER:
                            x %= y
                        elif op == Op.AND_BITS:
                            x &= y
                        elif op == Op.OR_BITS:
                            x |= y
                        elif op == Op.XOR_BITS:
                            x ^= y
                        elif op == Op.LEFT:
                            x <<= y
                        elif op == Op.RIGHT:
                            x >>= y
                        elif op == Op.MINIMUM:
                            x = min(x, y)
                        elif op == Op.MAXIMUM:
                            x = max(x, y)
                        elif op == Op.LESS:
                            x = int(x < y)
                        elif op == Op.LESS_EQUAL:
                            x = int(x <= y)
                        elif op == Op.GREATER:
                            x = int(x > y)
                        elif op == Op.GREATER_EQUAL:
                            x = int(x >= y)
                        elif op == Op.EQUAL:
                            x = int(x == y)
                        else:
                            x = int(x != y)
                        work[top] = x
        start = end
    num_changed = 0
    for k in range(num_addresses):
        address = code[HEADER + k]
        if memory[address] != memory[OLD + k]:
            memory[CHANGED + num_changed] = address
            num_changed += 1
    if code[1]:
        for k in range(128):
            memory[PREVIOUS + k] = memory[k]
    return num_changed


@functools.cache
def machine() -> Callable[[Code, Code, Memory, int], int]:
    """Return the compiled machine; the first call imports numba and reads its cache, or compiles for seconds."""
    from wsabench.jit import compiled

    return compiled(_run, "int64(int64[::1], int64[::1], uint8[::1], int64)", nogil=False)
