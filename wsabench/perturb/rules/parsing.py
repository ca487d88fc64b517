"""From a rule's text to a rule: statements, their times and conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from wsabench.perturb.rules.bounds import Bounds
from wsabench.perturb.rules.expressions import RESERVED, ExpressionReader, named_address
from wsabench.perturb.rules.syntax import NUM_BYTES, Expression, Rule, Statement
from wsabench.perturb.rules.tokens import MAX_NUMBER, Source, TokenReader, refusal

MAX_STATEMENTS = 128
MAX_TOKENS = 256
"""Of one statement; keeps the tree shallow enough to walk."""

ASSIGNMENTS = ("=", "+=", "-=", "&=", "|=", "^=")


def parse_rule(text: str, names: Mapping[str, int], where: str = "rule", is_on_reset: bool = False) -> Rule:
    """Return a parsed rule; it needs no further checks.

    Args:
        text: Statements such as `ram[5] += 1 every 4 frames if frame > 9; ...`.
        names: Addresses by the names of the game's RAM map: `ball_y` is `ram[101]`, `prev.ball_y` is `prev[101]`.
        where: Beginning of messages.
        is_on_reset: Whether each statement runs once, in frame 0 where it names no other.

    Raises:
        SpecError: It is malformed, too long or too deep, reads outside the memory, divides by what may be zero, or
            may exceed 64 bits; the message has the column, what was found and what is allowed.

    Example:
        >>> rule = parse_rule("ball_y += 1 every 4 frames if ball_y != 0", {"ball_y": 101})
        >>> rule.statements[0].addresses, rule.statements[0].every
        (range(101, 102), 4)
    """
    if not isinstance(text, str):
        raise refusal(where, f"found {text!r}. Allowed: a text.")
    statements = _StatementReader(Source(text, where), names).statements()
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


class _StatementReader(TokenReader):
    """Reads statements."""

    def __init__(self, source: Source, names: Mapping[str, int]) -> None:
        """Take a text and the addresses by the names of the game's RAM map."""
        super().__init__(source)
        self._names = names

    def statements(self) -> list[Statement]:
        """Read the whole text as statements separated by `;`, the last `;` may be left out."""
        found = [self._statement()]
        while self._token.kind != "end":
            self._expect(";", allowed="an operator, every, at, if, ';' or the end")
            if self._token.kind != "end":
                found.append(self._statement())
        return found

    def _statement(self) -> Statement:
        """Read one statement."""
        self._check_size()
        first, last, is_range = self._target()
        loop = Bounds(first, last) if is_range else None
        operator = self._token
        if operator.text not in ASSIGNMENTS:
            hint = " Use = to write a byte." if operator.text == "==" else ""
            self._fail(operator, f"found {operator.shown}. Allowed: {' '.join(ASSIGNMENTS)}.{hint}")
        self._next()
        value = self._expression(loop)
        every = self._frames("every", 1)
        at = self._frames("at", 0)
        condition = self._expression(loop) if self._accept("if") else None
        return Statement(first, last, is_range, operator.text, value, every or 1, at, condition)

    def _check_size(self) -> None:
        """Refuse a statement of too many tokens before it is read."""
        ends = (place for place in range(self._place, len(self._tokens)) if self._tokens[place].text == ";")
        size = next(ends, len(self._tokens) - 1) - self._place
        if size > MAX_TOKENS:
            self._fail(self._token, f"the statement has {size} words and signs. Allowed: up to {MAX_TOKENS}.")

    def _expression(self, loop: Bounds | None) -> Expression:
        """Read up to the next `every`, `at`, `if`, `;` or the end; after a point such words are names."""
        start = before = self._place
        while self._token.text not in (";", "") and (
            self._token.text not in ("every", "at", "if") or self._tokens[before].text == "."
        ):
            before = self._place
            self._next()
        tokens = self._tokens[start : self._place + 1]
        return ExpressionReader(self._source, tokens, self._names, loop).read()

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
        address = named_address(self._source, token, self._names)
        return address, address, False

    def _address(self) -> int:
        """Read the address of a byte to write."""
        token = self._token
        address = self._whole_number("the number of a byte")
        if address >= NUM_BYTES:
            self._fail(token, f"found the address {address}. Allowed: 0 to {NUM_BYTES - 1}.")
        return address
