"""From a rule's text to a rule: statements, their times and conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wsabench.perturb.rules.bounds import Bounds
from wsabench.perturb.rules.expressions import AFTER_OPERAND, RESERVED, named_address, read_expression
from wsabench.perturb.rules.syntax import NUM_BYTES, Expression, Rule, Statement
from wsabench.perturb.rules.tokens import MAX_NUMBER, Source, Token, tokenize

MAX_STATEMENTS = 128
MAX_TOKENS = 256
"""Of one statement; keeps the tree shallow enough to walk."""

ASSIGNMENTS = ("=", "+=", "-=", "&=", "|=", "^=")


def parse_rule(text: str, names: Mapping[str, int], where: str = "rule", is_on_reset: bool = False) -> Rule:
    """Return a parsed rule; it needs no further checks.

    Args:
        text: Statements such as `ram[5] += 1 every 4 frames if frame > 9; ...`.
        names: Addresses by the names of the game's RAM map: `ball_y` is `ram[101]`, `prev.ball_y` is `prev[101]`.
        where: Beginning of all messages.
        is_on_reset: Whether each statement runs once, in frame 0 where it names no other.

    Raises:
        SpecError: The text is malformed, too long or too deep, reads outside the memory, divides by what may be
            zero, or may exceed 64 bits; the message has the column, what was found and what is allowed.

    Example:
        >>> rule = parse_rule("ball_y += 1 every 4 frames if ball_y != 0", {"ball_y": 101})
        >>> rule.statements[0].addresses, rule.statements[0].every
        (range(101, 102), 4)
    """
    return Rule(tuple(_Reader(tokenize(Source(text, where)), names, is_on_reset).statements()))


class _Reader:
    """Reads statements, token by token."""

    def __init__(self, tokens: Sequence[Token], names: Mapping[str, int], is_on_reset: bool) -> None:
        self._tokens = tokens
        self._names = names
        self._is_on_reset = is_on_reset
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

    def _accept(self, *texts: str) -> bool:
        """Return whether the next token is one of some, and then go on."""
        return self._token.text in texts and bool(self._next())

    def _expect(self, *texts: str) -> None:
        """Go on over the next token, which must be one of some."""
        if not self._accept(*texts):
            self._token.unexpected(" or ".join(repr(text) for text in texts))

    def _number(self, allowed: str) -> int:
        """Read a number."""
        if self._token.kind != "number":
            self._token.unexpected(allowed)
        return self._next().value

    def statements(self) -> list[Statement]:
        """Read the whole text as statements separated by `;`, the last `;` may be left out."""
        found = [self._statement()]
        while self._token.kind != "end":
            if not self._accept(";"):
                self._token.unexpected(AFTER_OPERAND)
            if self._token.kind != "end":
                found.append(self._statement())
            if len(found) > MAX_STATEMENTS:
                self._token.fail(f"found more statements. Allowed: up to {MAX_STATEMENTS}.")
        return found

    def _statement(self) -> Statement:
        """Read one statement, which must be able to run."""
        start = self._token
        self._check_size()
        first, last, is_range = self._target()
        loop = Bounds(first, last) if is_range else None
        operator = self._token
        if not self._accept(*ASSIGNMENTS):
            hint = " Use = to write a byte." if operator.text == "==" else ""
            operator.fail(f"found {operator.shown}. Allowed: {' '.join(ASSIGNMENTS)}.{hint}")
        value = self._expression(loop)
        every = self._every() if self._accept("every") else 1
        at = self._at() if self._accept("at") else None
        condition = self._expression(loop) if self._accept("if") else None
        if self._is_on_reset and every != 1:
            allowed = "Allowed: 'at frame N', or a rule that runs per frame."
            start.fail(f"found 'every {every} frames' in a rule that runs on reset. {allowed}")
        if at is not None and at % every:
            start.fail(f"the statement never runs: frame {at} is no multiple of {every}. Leave out 'every' or 'at'.")
        at = 0 if self._is_on_reset and at is None else at
        return Statement(first, last, is_range, operator.text, value, every, at, condition)

    def _check_size(self) -> None:
        """Refuse a statement of too many tokens before it is read."""
        ends = (place for place in range(self._place, len(self._tokens)) if self._tokens[place].text in (";", ""))
        size = next(ends) - self._place
        if size > MAX_TOKENS:
            self._token.fail(f"the statement has {size} words and signs. Allowed: up to {MAX_TOKENS}.")

    def _expression(self, loop: Bounds | None) -> Expression:
        """Read up to the next `every`, `at`, `if`, `;` or the end; after a point such words are names."""
        start = self._place
        before = ""
        while (text := self._token.text) not in (";", "") and (text not in ("every", "at", "if") or before == "."):
            before = self._next().text
        return read_expression(self._tokens[start : self._place + 1], self._names, loop)

    def _every(self) -> int:
        """Read the rest of `every N frames`."""
        token = self._token
        every = self._number("a number of frames")
        if every == 0:
            token.fail(f"found 0. Allowed: integers 1 to {MAX_NUMBER}.")
        self._expect("frames", "frame")
        return every

    def _at(self) -> int:
        """Read the rest of `at frame N`."""
        self._expect("frame")
        return self._number("the number of a frame")

    def _target(self) -> tuple[int, int, bool]:
        """Read what is written: first and last address, and whether it is a range."""
        token = self._next()
        if token.text == "ram":
            self._expect("[")
            first = last = self._address()
            is_range = self._accept("..")
            if is_range:
                place = self._token
                last = self._address()
                if last < first:
                    place.fail(f"the range ends at {last}, before its beginning {first}. Write ram[low..high].")
            self._expect("]")
            return first, last, is_range
        if token.text in ("prev", "reset"):
            token.fail(f"found {token.shown}. Allowed: ram[..] or a name; what was cannot be written.")
        if token.kind != "word" or token.text in RESERVED:
            token.fail(f"found {token.shown}. Allowed: ram[..] or a name of the RAM map.")
        address = named_address(token, self._names)
        return address, address, False

    def _address(self) -> int:
        """Read the address of a byte to write."""
        token = self._token
        address = self._number("the number of a byte")
        if address >= NUM_BYTES:
            token.fail(f"found the address {address}. Allowed: 0 to {NUM_BYTES - 1}.")
        return address
