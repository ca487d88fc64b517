"""From a parsed rule to a program for the stack machine: one flat integer array.

Layout: the header, the addresses that may be written, then the statements, each with its header and its instructions,
two numbers each: operation and argument.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wsabench.perturb.rules.machine import NOW, PREVIOUS, RESET, Op
from wsabench.perturb.rules.syntax import (
    Binary,
    Byte,
    Call,
    Compare,
    Expression,
    Frame,
    Logic,
    LoopIndex,
    Number,
    Random,
    Rule,
    Statement,
    Unary,
)

BANK_START = {"ram": NOW, "prev": PREVIOUS, "reset": RESET}

_UNARY = {"-": Op.NEGATE, "~": Op.INVERT, "not": Op.NOT}
_BINARY = {
    "+": Op.ADD,
    "-": Op.SUBTRACT,
    "*": Op.MULTIPLY,
    "//": Op.DIVIDE,
    "%": Op.REMAINDER,
    "&": Op.AND_BITS,
    "|": Op.OR_BITS,
    "^": Op.XOR_BITS,
    "<<": Op.LEFT,
    ">>": Op.RIGHT,
    "min": Op.MINIMUM,
    "max": Op.MAXIMUM,
    "<": Op.LESS,
    "<=": Op.LESS_EQUAL,
    ">": Op.GREATER,
    ">=": Op.GREATER_EQUAL,
    "==": Op.EQUAL,
    "!=": Op.DIFFERENT,
}
_GROWTH = {
    **dict.fromkeys((Op.CONSTANT, Op.LOAD, Op.INDEX, Op.FRAME, Op.RANDOM, Op.TUCK), 1),
    **dict.fromkeys((Op.LOAD_AT, Op.NEGATE, Op.INVERT, Op.NOT, Op.TRUTH, Op.ABS), 0),
}
"""By how many numbers an operation makes the stack grow; all others take one from it."""


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A compiled rule; it is shared by lanes and never changed."""

    code: npt.NDArray[np.int64]
    stack_size: int
    """How many numbers the machine's stack must hold."""
    draws: bool
    """Whether the rule has random numbers in it."""
    keeps_previous: bool
    """Whether the rule reads the memory of the frame before."""
    period: int
    """Statements without `at` run only in frames whose number is a multiple of this; 0: there are no such."""
    moments: frozenset[int]
    """The frames in which the statements with `at` run."""


def compile_rule(rule: Rule) -> Program:
    """Return the program of a rule that the parser accepted."""
    addresses = rule.addresses
    writer = _Writer([len(addresses), 0, 0, *addresses])
    for statement in rule.statements:
        writer.statement(statement)
    writer.code[1:3] = [int(writer.keeps_previous), writer.deepest]
    every = [statement.every for statement in rule.statements if statement.at is None]
    return Program(
        code=np.array(writer.code, np.int64),
        stack_size=writer.deepest,
        draws=writer.draws,
        keeps_previous=writer.keeps_previous,
        period=int(np.gcd.reduce(every)) if every else 0,
        moments=frozenset(statement.at for statement in rule.statements if statement.at is not None),
    )


class _Writer:
    """Writes instructions and follows the height of the stack."""

    def __init__(self, code: list[int]) -> None:
        self.code = code
        self.deepest = 0
        self.draws = False
        self.keeps_previous = False
        self._height = 0

    def statement(self, statement: Statement) -> None:
        """Write one statement."""
        at = -1 if statement.at is None else statement.at
        self.code += [statement.every, at, statement.first, statement.last, 0]
        end = len(self.code) - 1
        jump: int | None = None
        if statement.condition is not None:
            self._expression(statement.condition)
            jump = self._emit(Op.UNLESS)
        value = statement.value
        if statement.operator != "=":
            value = Binary(statement.operator[:-1], Byte("ram", LoopIndex()), value)
        self._expression(value)
        self._emit(Op.STORE)
        self.code[end] = len(self.code)
        if jump is not None:
            self.code[jump] = len(self.code)

    def _emit(self, op: Op, argument: int = 0) -> int:
        """Write an instruction; return the place of its argument."""
        self.code += [int(op), argument]
        self._height += _GROWTH.get(op, -1)
        self.deepest = max(self.deepest, self._height)
        return len(self.code) - 1

    def _land(self, *jumps: int) -> None:
        """Let jumps go to what is written next."""
        for jump in jumps:
            self.code[jump] = len(self.code)

    def _expression(self, tree: Expression) -> None:
        """Write what pushes the value of an expression."""
        if isinstance(tree, Unary | Binary | Logic | Compare | Call):
            self._operation(tree)
        else:
            self._atom(tree)

    def _atom(self, tree: Number | Byte | Frame | LoopIndex | Random) -> None:
        """Write what pushes a number that needs no operator."""
        match tree:
            case Number(value):
                self._emit(Op.CONSTANT, value)
            case Byte(bank, index):
                self.keeps_previous |= bank == "prev"
                if isinstance(index, Number):
                    self._emit(Op.LOAD, BANK_START[bank] + index.value)
                else:
                    self._expression(index)
                    self._emit(Op.LOAD_AT, BANK_START[bank])
            case Frame():
                self._emit(Op.FRAME)
            case LoopIndex():
                self._emit(Op.INDEX)
            case Random(low, high):
                self.draws = True
                self._emit(Op.RANDOM, high - low + 1)
                self._emit(Op.CONSTANT, low)
                self._emit(Op.ADD)

    def _operation(self, tree: Unary | Binary | Logic | Compare | Call) -> None:
        """Write what pushes the result of an operator or a call."""
        match tree:
            case Unary(operator, operand):
                self._expression(operand)
                self._emit(_UNARY[operator])
            case Binary(operator, left, right):
                self._expression(left)
                self._expression(right)
                self._emit(_BINARY[operator])
            case Logic(operator, left, right):
                self._expression(left)
                jump = self._emit(Op.AND if operator == "and" else Op.OR)
                self._expression(right)
                self._emit(Op.TRUTH)
                self._land(jump)
            case Compare(first, rest):
                self._compare(first, rest)
            case Call("abs", (argument,)):
                self._expression(argument)
                self._emit(Op.ABS)
            case Call(function, arguments):
                self._expression(arguments[0])
                for argument in arguments[1:]:
                    self._expression(argument)
                    self._emit(_BINARY[function])

    def _compare(self, first: Expression, rest: tuple[tuple[str, Expression], ...]) -> None:
        """Write a chain of comparisons."""
        jumps: list[int] = []
        self._expression(first)
        for operator, operand in rest[:-1]:
            self._expression(operand)
            self._emit(Op.TUCK)
            self._emit(_BINARY[operator])
            jumps.append(self._emit(Op.CHAIN))
        operator, operand = rest[-1]
        self._expression(operand)
        self._emit(_BINARY[operator])
        self._land(*jumps)
