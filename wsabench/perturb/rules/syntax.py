"""What a parsed rule is: a list of statements, each an assignment with conditions, as an immutable tree.

Numbers are whole and exact. Nothing here knows the names of a RAM map: they are addresses by now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NUM_BYTES = 128
"""Bytes of the console's memory."""

Bank = Literal["ram", "prev", "reset"]
"""The memory now (earlier statements included), right after the rule ran one frame ago, and right after the reset."""


@dataclass(frozen=True, slots=True)
class Number:
    """A constant."""

    value: int


@dataclass(frozen=True, slots=True)
class Byte:
    """A byte of the memory, 0..255."""

    bank: Bank
    index: Expression


@dataclass(frozen=True, slots=True)
class Frame:
    """Emulated frames since the console's reset; 0 before the first."""


@dataclass(frozen=True, slots=True)
class LoopIndex:
    """The address that a statement about a range is at."""


@dataclass(frozen=True, slots=True)
class Random:
    """A number drawn evenly from `low` to `high`, both included, whenever it is evaluated."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Unary:
    """`-`, `~`, or `not`, which gives 0 or 1."""

    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    """`+ - * // % & | ^ << >>`, as in Python."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Logic:
    """`and`, `or`: the right side is evaluated only where the left does not decide; gives 0 or 1."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Compare:
    """`a < b < c`: each operand is evaluated at most once, none after the first that fails; gives 0 or 1."""

    first: Expression
    rest: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class Call:
    """`min` and `max` of at least two, `abs` of one."""

    function: str
    arguments: tuple[Expression, ...]


Expression = Number | Byte | Frame | LoopIndex | Random | Unary | Binary | Logic | Compare | Call


@dataclass(frozen=True, slots=True)
class Statement:
    """Write to the bytes `first`..`last`, one after the other, wherever the condition holds for the byte."""

    first: int
    last: int
    is_range: bool
    """Whether the statement was written for a range of bytes, where `i` has a meaning."""
    operator: str
    """`=`, or `+= -= &= |= ^=`."""
    value: Expression
    every: int = 1
    """The statement runs only in frames whose number is a multiple of this."""
    at: int | None = None
    """The statement runs only in this frame; None: in any frame."""
    condition: Expression | None = None

    @property
    def addresses(self) -> range:
        """The addresses of the bytes that the statement may write."""
        return range(self.first, self.last + 1)


@dataclass(frozen=True, slots=True)
class Rule:
    """Statements that run in order before every emulated frame."""

    statements: tuple[Statement, ...]

    @property
    def addresses(self) -> tuple[int, ...]:
        """The addresses of the bytes that the rule may write, in ascending order."""
        return tuple(sorted({address for statement in self.statements for address in statement.addresses}))
