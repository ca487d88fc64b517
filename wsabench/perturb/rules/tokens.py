"""From a rule's text to words, numbers and signs, read one by one, and the errors that point into the text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NoReturn

from wsabench.errors import SpecError

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
        return repr(self.text[:40]) if self.kind != "end" else "the end"


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
        raise refusal(f"{self.where}, {place}" if self.where else place, problem)

    def unexpected(self, token: Token, allowed: str) -> NoReturn:
        """Refuse a token where others are allowed.

        Raises:
            SpecError: Always.
        """
        hint = ""
        if token.text == "else":
            hint = " Write two statements with opposite conditions."
        elif token.text in ("every", "at", "if"):
            hint = " The order is: every N frames, at frame N, if condition; each at most once."
        self.fail(token.position, f"found {token.shown}. Allowed: {allowed}.{hint}")


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


def number_value(text: str) -> int:
    """Return the value of a number token's text: decimal, or hexadecimal with 0x, or binary with 0b."""
    return int(text, {"0x": 16, "0b": 2}.get(text[:2], 10))


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

    def _accept(self, *texts: str) -> bool:
        """Go on if the next token is one of some; return whether it is."""
        is_one = self._token.text in texts
        if is_one:
            self._next()
        return is_one

    def _expect(self, *texts: str, allowed: str = "") -> None:
        """Go on over the next token, which must be one of some."""
        if not self._accept(*texts):
            self._source.unexpected(self._token, allowed or " or ".join(repr(text) for text in texts))

    def _fail(self, token: Token, problem: str) -> NoReturn:
        """Refuse the text at a token."""
        self._source.fail(token.position, problem)

    def _whole_number(self, allowed: str) -> int:
        """Read a number."""
        if self._token.kind != "number":
            self._source.unexpected(self._token, allowed)
        return number_value(self._next().text)


def _skip_space(text: str, position: int) -> int:
    """Return the position of the next character that is no space."""
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _check_number(source: Source, position: int, written: str) -> None:
    """Refuse numbers that are too large; the length is checked first, so that reading them stays quick."""
    if len(written) > 40 or number_value(written) > MAX_NUMBER:
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
