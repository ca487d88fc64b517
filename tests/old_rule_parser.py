"""The rule language's first parser, written by hand: recursive descent over the text's own tokens.

It is the authority on what a rule means and what is refused: `perturb/test_rules_reading.py` compares the package's
parser, which reads with `ast`, with it. Only the tree's classes and the bounds are the package's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, NoReturn

from wsabench.errors import SpecError, nearest_names
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
    Rule,
    Statement,
    Unary,
)

MAX_LENGTH = 8192
"""Characters of a rule's text."""
MAX_NUMBER = 2**31 - 1
"""Largest number that may be written."""

TokenKind = Literal["number", "word", "sign", "end"]

_TOKEN = re.compile(
    r"(?P<number>0x[0-9a-fA-F]+|0b[01]+|[0-9]+)(?![0-9a-zA-Z_])"
    r"|(?P<word>[a-zA-Z_][a-zA-Z0-9_]*)"
    r"|(?P<sign>\.\.|//|<<|>>|<=|>=|==|!=|\+=|-=|&=|\|=|\^=|[-+*%&|^~<>=()\[\],;.])"
)
_SPACE = re.compile(r"[ \t\r\n]*")
_ODD = re.compile(r"[0-9a-zA-Z_]+|.", re.DOTALL)
_HINTS = {
    "/": "Use // for whole division.",
    "!": "Use != or the word not.",
    ":": "Write a range as a..b.",
    "#": "Comments stand in TOML, not in a rule.",
}


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text."""

    kind: TokenKind
    text: str
    """As written; empty at the end."""
    position: int
    """Of its first character, from 0."""

    @property
    def shown(self) -> str:
        """How messages name it."""
        return repr(self.text) if self.kind != "end" else "the end"


@dataclass(frozen=True, slots=True)
class Source:
    """A text and where it stands, for messages."""

    text: str
    where: str
    """Empty where whoever catches the error adds the place."""

    def fail(self, position: int, problem: str) -> NoReturn:
        """Refuse the text at a position.

        Raises:
            SpecError: Always; it begins with the place, as column or as line and column, both from 1.
        """
        line = self.text.count("\n", 0, position) + 1
        column = position - self.text.rfind("\n", 0, position)
        place = f"line {line}, column {column}" if "\n" in self.text.strip() else f"column {column}"
        raise refusal(placed(self.where, place), problem)


def placed(where: str, place: str) -> str:
    """Return a place inside `where`, which may be empty."""
    return f"{where}, {place}" if where else place


def refusal(where: str, problem: str) -> SpecError:
    """Return the error for a problem at a place."""
    return SpecError(f"{where}: {problem}" if where else problem)


def tokenize(source: Source) -> list[Token]:
    """Return the tokens of a text; the last is of the kind `end`.

    Raises:
        SpecError: The text is too long, or has a character or number that the language has not.
    """
    text = source.text
    if len(text) > MAX_LENGTH:
        source.fail(MAX_LENGTH, f"the text has {len(text)} characters. Allowed: up to {MAX_LENGTH}.")
    tokens: list[Token] = []
    position = _skip_space(text, 0)
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            _fail_odd(source, position)
        kind, written = match.lastgroup, match.group()
        if kind == "number":
            _check_number(source, position, written)
        tokens.append(Token(kind, written, position))  # pyright: ignore[reportArgumentType]
        position = _skip_space(text, match.end())
    tokens.append(Token("end", "", len(text.rstrip())))
    return tokens


def number_value(token: Token) -> int:
    """Return the value of a number token: decimal, or hexadecimal with 0x, or binary with 0b."""
    base = {"0x": 16, "0b": 2}.get(token.text[:2], 10)
    return int(token.text, base)


def _skip_space(text: str, position: int) -> int:
    """Return the position of the next character that is no space."""
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _check_number(source: Source, position: int, written: str) -> None:
    """Refuse numbers that are too large; the length is checked first, so that reading them stays quick."""
    if len(written) > 40 or number_value(Token("number", written, position)) > MAX_NUMBER:
        source.fail(position, f"the number {written[:40]} is too large. Allowed: up to {MAX_NUMBER}.")


def _fail_odd(source: Source, position: int) -> NoReturn:
    """Refuse what is no token."""
    match = _ODD.match(source.text, position)
    odd = match.group() if match else ""
    if odd[:1].isdigit():
        source.fail(position, f"found {odd[:40]!r}. Allowed: whole numbers such as 15, 0x0f or 0b1111.")
    allowed = "names, numbers, = += -= &= |= ^= + - * // % & | ^ ~ << >> < <= > >= == != ( ) [ ] .. , . ;"
    hint = f" {_HINTS[odd]}" if odd in _HINTS else ""
    source.fail(position, f"found {odd!r}. Allowed: {allowed}.{hint}")


class TokenReader:
    """Goes through one text from left to right."""

    def __init__(self, source: Source) -> None:
        """Take a text.

        Raises:
            SpecError: It is too long, or has a character or number that the language has not.
        """
        self._source = source
        self._tokens = tokenize(source)
        self._place = 0

    @property
    def _token(self) -> Token:
        """The next token."""
        return self._tokens[self._place]

    def _next(self) -> Token:
        """Return the next token and go on."""
        token = self._token
        self._place += token.kind != "end"
        return token

    def _accept(self, *texts: str) -> Token | None:
        """Return the next token and go on, if it is one of some."""
        return self._next() if self._token.text in texts else None

    def _expect(self, *texts: str) -> Token:
        """Return the next token, which must be one of some, and go on."""
        token = self._accept(*texts)
        if token is None:
            self._unexpected(" or ".join(repr(text) for text in texts))
        return token

    def _unexpected(self, allowed: str) -> NoReturn:
        """Refuse the next token."""
        hint = ""
        if self._token.text == "else":
            hint = " Write two statements with opposite conditions."
        elif self._token.text in ("every", "at", "if"):
            hint = " The order is: every N frames, at frame N, if condition; each at most once."
        self._fail(self._token, f"found {self._token.shown}. Allowed: {allowed}.{hint}")

    def _fail(self, token: Token, problem: str) -> NoReturn:
        """Refuse the text at a token."""
        self._source.fail(token.position, problem)

    def _whole_number(self, allowed: str) -> int:
        """Read a number."""
        if self._token.kind != "number":
            self._unexpected(allowed)
        return number_value(self._next())


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


MAX_STATEMENTS = 128
MAX_TOKENS = 256
"""Of one statement; keeps the tree shallow enough to walk."""

ASSIGNMENTS = ("=", "+=", "-=", "&=", "|=", "^=")


def old_parse_rule(text: str, names: Mapping[str, int], where: str = "rule", is_on_reset: bool = False) -> Rule:
    """The rule of a text, or a SpecError."""
    statements = _StatementParser(Source(text, where), names).statements()
    if len(statements) > MAX_STATEMENTS:
        raise refusal(where, f"found {len(statements)} statements. Allowed: up to {MAX_STATEMENTS}.")
    return Rule(tuple(_timed(statement, is_on_reset, where) for statement in statements))


def _timed(statement: Statement, is_on_reset: bool, where: str) -> Statement:
    """Return the statement with its frame, checked that it can ever run."""
    if is_on_reset and statement.every != 1:
        raise refusal(
            where,
            f"found 'every {statement.every} frames' in a rule that runs on reset. Allowed: 'at frame N', or "
            "a rule that runs per frame.",
        )
    if is_on_reset and statement.at is None:
        return replace(statement, at=0)
    if statement.at is not None and statement.at % statement.every:
        raise refusal(
            where,
            f"a statement never runs: frame {statement.at} is no multiple of {statement.every}. Leave out "
            "'every' or 'at'.",
        )
    return statement


class _StatementParser(ExpressionParser):
    """Reads statements."""

    def statements(self) -> list[Statement]:
        """Read the whole text as statements separated by `;`, the last `;` may be left out."""
        found: list[Statement] = []
        while self._token.kind != "end" or not found:
            found.append(self._statement())
            if self._token.kind != "end" and not self._accept(";"):
                self._unexpected("an operator, every, at, if, ';' or the end")
        return found

    def _check_size(self, first: Token) -> None:
        """Refuse a statement of too many tokens before it is read."""
        ends = (place for place in range(self._place, len(self._tokens)) if self._tokens[place].text == ";")
        size = next(ends, len(self._tokens) - 1) - self._place
        if size > MAX_TOKENS:
            self._fail(first, f"the statement has {size} words and signs. Allowed: up to {MAX_TOKENS}.")

    def _statement(self) -> Statement:
        """Read one statement."""
        self._check_size(self._token)
        first, last, is_range = self._target()
        self._loop = Bounds(first, last) if is_range else None
        operator = self._token
        if operator.text not in ASSIGNMENTS:
            hint = " Use = to write a byte." if operator.text == "==" else ""
            self._fail(operator, f"found {operator.shown}. Allowed: {' '.join(ASSIGNMENTS)}.{hint}")
        self._next()
        value = self._expression(OR).tree
        every = self._frames("every", 1)
        at = self._frames("at", 0)
        condition = self._expression(OR).tree if self._accept("if") else None
        return Statement(first, last, is_range, operator.text, value, every or 1, at, condition)

    def _frames(self, word: str, lowest: int) -> int | None:
        """Read `every N frames` or `at frame N`."""
        if not self._accept(word):
            return None
        if word == "at":
            self._expect("frame")
        token = self._token
        count = self._whole_number("a number of frames" if word == "every" else "the number of a frame")
        if count < lowest:
            self._fail(token, f"found {count}. Allowed: integers {lowest} to {MAX_NUMBER}.")
        if word == "every":
            self._expect("frames", "frame")
        return count

    def _target(self) -> tuple[int, int, bool]:
        """Read what is written: first and last address, and whether it is a range."""
        token = self._next()
        if token.text == "ram":
            self._expect("[")
            first, is_range = self._address(), False
            last = first
            if self._accept(".."):
                place = self._token
                last, is_range = self._address(), True
                if last < first:
                    self._fail(place, f"the range ends at {last}, before its beginning {first}. Write ram[low..high].")
            self._expect("]")
            return first, last, is_range
        if token.text in ("prev", "reset"):
            self._fail(token, f"found {token.shown}. Allowed: ram[..] or a name; what was cannot be written.")
        if token.kind != "word" or token.text in RESERVED:
            self._fail(token, f"found {token.shown}. Allowed: ram[..] or a name of the RAM map.")
        address = self._named(token)
        return address, address, False

    def _address(self) -> int:
        """Read the address of a byte to write."""
        token = self._token
        address = self._whole_number("the number of a byte")
        if address >= NUM_BYTES:
            self._fail(token, f"found the address {address}. Allowed: 0 to {NUM_BYTES - 1}.")
        return address
