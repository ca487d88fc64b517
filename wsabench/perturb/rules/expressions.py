"""From tokens to expressions: recursive descent with Python's precedence, each result with its bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from wsabench.errors import nearest_names
from wsabench.perturb.rules.bounds import (
    BYTE,
    FRAME,
    LIMIT,
    MAX_SHIFT,
    TRUTH,
    Bounds,
    binary_bounds,
    call_bounds,
    unary_bounds,
)
from wsabench.perturb.rules.reader import TokenReader
from wsabench.perturb.rules.syntax import (
    NUM_BYTES,
    Bank,
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
    Unary,
)
from wsabench.perturb.rules.tokens import Source, Token, number_value

MAX_NESTING = 24
"""Brackets, calls and prefix signs inside each other."""

BANKS: tuple[Bank, ...] = ("ram", "prev", "reset")
FUNCTIONS = ("min", "max", "abs")
RESERVED = frozenset(
    (*BANKS, *FUNCTIONS, "rand", "frame", "i", "and", "or", "not", "if", "else", "every", "at", "frames")
)
"""Words of the language: a RAM map's name that is one of them cannot be used in a rule."""

OR, AND, NOT, COMPARISON, UNARY = 1, 2, 3, 4, 11
"""Levels of precedence, loosest first."""
LEVELS: Mapping[str, int] = {
    "or": OR,
    "and": AND,
    **dict.fromkeys(("<", "<=", ">", ">=", "==", "!="), COMPARISON),
    "|": 5,
    "^": 6,
    "&": 7,
    **dict.fromkeys(("<<", ">>"), 8),
    **dict.fromkeys(("+", "-"), 9),
    **dict.fromkeys(("*", "//", "%"), 10),
}


class Operand(NamedTuple):
    """An expression while it is being parsed."""

    tree: Expression
    bounds: Bounds


class ExpressionParser(TokenReader):
    """Reads expressions."""

    def __init__(self, source: Source, names: Mapping[str, int]) -> None:
        """Take a text and the addresses by the names of the game's RAM map."""
        super().__init__(source)
        self._names = names
        self._nesting = 0
        self._loop: Bounds | None = None
        """The addresses of `i`; None where it has no meaning."""

    def _expression(self, level: int) -> Operand:
        """Read operators of at least this level of precedence."""
        left = self._prefix(level)
        while (found := LEVELS.get(self._token.text, 0)) >= level:
            if found == COMPARISON:
                left = self._comparison(left)
                continue
            operator = self._next()
            right = self._expression(found + 1)
            if found in (OR, AND):
                left = Operand(Logic(operator.text, left.tree, right.tree), TRUTH)
            else:
                left = self._binary(operator, left, right)
        return left

    def _comparison(self, first: Operand) -> Operand:
        """Read a chain of comparisons."""
        rest: list[tuple[str, Expression]] = []
        while LEVELS.get(self._token.text) == COMPARISON:
            operator = self._next()
            rest.append((operator.text, self._expression(COMPARISON + 1).tree))
        return Operand(Compare(first.tree, tuple(rest)), TRUTH)

    def _binary(self, operator: Token, left: Operand, right: Operand) -> Operand:
        """Return `left operator right`, checked."""
        sign, low, high = operator.text, right.bounds.low, right.bounds.high
        if sign in ("//", "%") and low <= 0 <= high:
            self._fail(operator, f"the right side of {sign} may be 0. Write max(1, ...) there, say.")
        if sign in ("<<", ">>") and not 0 <= low <= high <= MAX_SHIFT:
            self._fail(
                operator,
                f"the right side of {sign} may be {low if low < 0 else high}. Allowed: 0 to {MAX_SHIFT}. "
                "Write (... & 7) there, say.",
            )
        bounds = binary_bounds(sign, left.bounds, right.bounds)
        return self._checked(operator, Binary(sign, left.tree, right.tree), bounds)

    def _checked(self, operator: Token, tree: Expression, bounds: Bounds) -> Operand:
        """Return an expression that stays in 64 bits."""
        if bounds.magnitude > LIMIT:
            self._fail(operator, f"the result of {operator.text} may exceed 2**62. Use smaller numbers, or % before.")
        return Operand(tree, bounds)

    def _prefix(self, level: int) -> Operand:
        """Read an operand with the signs before it."""
        operator = self._accept("not", "-", "+", "~")
        if operator is None:
            return self._primary()
        if operator.text == "not" and level > NOT:
            self._fail(operator, "found 'not' as an operand. Put it in parentheses: (not ...).")
        self._enter(operator)
        operand = self._expression(NOT) if operator.text == "not" else self._prefix(UNARY)
        self._nesting -= 1
        if operator.text == "+":
            return operand
        bounds = unary_bounds(operator.text, operand.bounds)
        if operator.text == "-" and isinstance(operand.tree, Number):
            return Operand(Number(-operand.tree.value), bounds)
        return self._checked(operator, Unary(operator.text, operand.tree), bounds)

    def _enter(self, token: Token) -> None:
        """Go one level deeper."""
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            self._fail(token, f"nested too deeply. Allowed: {MAX_NESTING} levels.")

    def _primary(self) -> Operand:
        """Read a number, a byte, a name, a call, or an expression in parentheses."""
        token = self._token
        if token.kind == "number":
            value = number_value(self._next())
            return Operand(Number(value), Bounds(value, value))
        if token.text == "(":
            self._enter(self._next())
            inner = self._expression(OR)
            self._close(")")
            return inner
        if token.kind != "word":
            self._unexpected("a number, a byte, a name or a parenthesis")
        return self._word()

    def _word(self) -> Operand:
        """Read what begins with a word."""
        token = self._token
        if token.text in BANKS:
            return self._byte()
        if token.text in FUNCTIONS:
            return self._call()
        if token.text == "rand":
            return self._random()
        if token.text == "frame":
            self._next()
            return Operand(Frame(), FRAME)
        if token.text == "i":
            if self._loop is None:
                self._fail(token, "found 'i'. Allowed: only where a range such as ram[3..9] is written.")
            self._next()
            return Operand(LoopIndex(), self._loop)
        if token.text in RESERVED:
            self._unexpected("a number, a byte, a name or a parenthesis")
        return Operand(Byte("ram", Number(self._named(self._next()))), BYTE)

    def _byte(self) -> Operand:
        """Read `ram[...]`, `prev[...]`, `reset[...]`, or a name after `prev.` or `reset.`."""
        token = self._next()
        bank: Bank = token.text  # pyright: ignore[reportAssignmentType]
        if self._accept("."):
            name = self._next()
            if name.kind != "word":
                self._fail(name, f"found {name.shown}. Allowed: a name of the RAM map.")
            return Operand(Byte(bank, Number(self._named(name))), BYTE)
        if self._token.text != "[":
            self._unexpected(f"'[' or '.' after {bank}")
        self._enter(self._next())
        start = self._token
        is_name = start.text in self._names and start.text not in RESERVED
        if is_name and self._tokens[self._place + 1].text == "]":
            name = start.text if bank == "ram" else f"{bank}.{start.text}"
            self._fail(
                start, f"found the name {start.text!r} as an address, but it is that byte's value. Write {name}."
            )
        index = self._expression(OR)
        self._close("]")
        if not 0 <= index.bounds.low <= index.bounds.high < NUM_BYTES:
            low, high = index.bounds
            found = f"is {low}" if low == high else f"may be {low} to {high}"
            hint = "" if low == high else " Write (...) & 127 there, say."
            self._fail(start, f"the address {found}. Allowed: 0 to {NUM_BYTES - 1}.{hint}")
        return Operand(Byte(bank, index.tree), BYTE)

    def _call(self) -> Operand:
        """Read `min(...)`, `max(...)` or `abs(...)`."""
        token = self._next()
        arguments = self._arguments()
        needed = "one" if token.text == "abs" else "two or more"
        if (len(arguments) == 1) != (token.text == "abs"):
            self._fail(token, f"{token.text} has {len(arguments)} arguments. Allowed: {needed}.")
        bounds = call_bounds(token.text, [argument.bounds for argument in arguments])
        return Operand(Call(token.text, tuple(argument.tree for argument in arguments)), bounds)

    def _random(self) -> Operand:
        """Read `rand(low, high)`."""
        token = self._next()
        arguments = self._arguments()
        ends = [argument.tree.value for argument in arguments if isinstance(argument.tree, Number)]
        if len(arguments) != 2 or len(ends) != 2 or ends[0] > ends[1]:
            self._fail(token, "found other arguments of rand. Allowed: rand(low, high), two numbers, low first.")
        return Operand(Random(ends[0], ends[1]), Bounds(ends[0], ends[1]))

    def _arguments(self) -> list[Operand]:
        """Read the arguments of a call."""
        self._enter(self._expect("("))
        arguments = [self._expression(OR)]
        while self._accept(","):
            arguments.append(self._expression(OR))
        self._close(")")
        return arguments

    def _close(self, bracket: str) -> None:
        """Read the end of a bracket."""
        if not self._accept(bracket):
            self._unexpected(f"an operator or {bracket!r}")
        self._nesting -= 1

    def _named(self, token: Token) -> int:
        """Return the address of a name."""
        if token.text in self._names:
            return self._names[token.text]
        near = nearest_names(token.text, [*self._names, *sorted(RESERVED)])
        if near:
            allowed = f"Did you mean {' or '.join(repr(name) for name in near)}?"
        elif self._names:
            allowed = f"Allowed: {', '.join(sorted(self._names))}, ram[..], prev[..], reset[..]."
        else:
            allowed = "Allowed: ram[..], prev[..], reset[..]; the game has no RAM map."
        self._fail(token, f"the RAM map has no {token.text!r}. {allowed}")
