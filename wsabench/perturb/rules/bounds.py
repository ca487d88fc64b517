"""Which values an expression can have: what a rule is refused for before it runs.

The bounds are safe, not tight. They guarantee that all numbers stay in 64 bits, that no address lies outside the
memory, that nothing is divided by zero, so that compiled rules are exact and need no checks while playing.
"""

from __future__ import annotations

from typing import NamedTuple

LIMIT = 2**62
"""Largest magnitude of an intermediate result."""
MAX_SHIFT = 31


class Bounds(NamedTuple):
    """The least and the greatest value there may be."""

    low: int
    high: int

    @property
    def magnitude(self) -> int:
        """The greatest absolute value."""
        return max(abs(self.low), abs(self.high))


TRUTH = Bounds(0, 1)
BYTE = Bounds(0, 255)
FRAME = Bounds(0, 2**31 - 1)


def unary_bounds(operator: str, x: Bounds) -> Bounds:
    """Return the bounds of `-x`, `~x` or `not x`."""
    if operator == "-":
        return Bounds(-x.high, -x.low)
    if operator == "~":
        return Bounds(~x.high, ~x.low)
    return TRUTH


def binary_bounds(operator: str, x: Bounds, y: Bounds) -> Bounds:
    """Return the bounds of arithmetic; divisors exclude 0 and shifts lie in 0..MAX_SHIFT."""
    match operator:
        case "+":
            return Bounds(x.low + y.low, x.high + y.high)
        case "-":
            return Bounds(x.low - y.high, x.high - y.low)
        case "*":
            return _hull(x.low * y.low, x.low * y.high, x.high * y.low, x.high * y.high)
        case "//":
            return _hull(x.low // y.low, x.low // y.high, x.high // y.low, x.high // y.high)
        case "%":
            # The remainder has the divisor's sign.
            return Bounds(0, y.high - 1) if y.low > 0 else Bounds(y.low + 1, 0)
        case "<<":
            return _hull(x.low << y.low, x.low << y.high, x.high << y.low, x.high << y.high)
        case ">>":
            return _hull(x.low >> y.low, x.low >> y.high, x.high >> y.low, x.high >> y.high)
        case _:
            return _bitwise_bounds(operator, x, y)


def call_bounds(function: str, arguments: list[Bounds]) -> Bounds:
    """Return the bounds of `min`, `max` or `abs`."""
    if function == "abs":
        (x,) = arguments
        return Bounds(0 if x.low <= 0 <= x.high else min(abs(x.low), abs(x.high)), x.magnitude)
    pick = min if function == "min" else max
    return Bounds(pick(x.low for x in arguments), pick(x.high for x in arguments))


def _bitwise_bounds(operator: str, x: Bounds, y: Bounds) -> Bounds:
    """Return the bounds of `x & y`, `x | y` or `x ^ y`: no bits beyond those of the operands are set."""
    if operator == "&" and max(x.low, y.low) >= 0:
        # An operand that is not negative caps the result, whatever the other's sign.
        caps = [bounds.high for bounds in (x, y) if bounds.low >= 0]
        return Bounds(0, min(caps))
    size = 1 << max(value.bit_length() for value in (*x, *y))
    return Bounds(0 if min(x.low, y.low) >= 0 else -size, size - 1)


def _hull(*values: int) -> Bounds:
    """Return the bounds of an operation that is monotone in each operand, from the values at the corners."""
    return Bounds(min(values), max(values))
