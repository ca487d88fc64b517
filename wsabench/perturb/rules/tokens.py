"""From a rule's text to words, numbers and signs, and the errors that point into the text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from wsabench.errors import SpecError

MAX_LENGTH = 8192
"""Characters of a rule's text."""
MAX_NUMBER = 2**31 - 1
"""Largest number that may be written."""

_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+)"
    r"|(?P<number>0x[0-9a-fA-F]+|0b[01]+|[0-9]+)(?![0-9a-zA-Z_])"
    r"|(?P<word>[a-zA-Z_][a-zA-Z0-9_]*)"
    r"|(?P<sign>\.\.|//|<<|>>|<=|>=|==|!=|\+=|-=|&=|\|=|\^=|[-+*%&|^~<>=()\[\],;.])"
    r"|(?P<odd>[0-9a-zA-Z_]+|.)",
    re.DOTALL,
)
_HINTS = {
    "/": " Use // for whole division.",
    "!": " Use != or the word not.",
    ":": " Write a range as a..b.",
    "#": " Comments stand in TOML, not in a rule.",
    "else": " Write two statements with opposite conditions.",
    **dict.fromkeys(
        ("every", "at", "if"), " The order is: every N frames, at frame N, if condition; each at most once."
    ),
}
"""What helps where one of them was found and cannot stand."""


@dataclass(frozen=True, slots=True)
class Source:
    """A text and where it stands, for messages."""

    text: str
    where: str
    """The place, with which messages begin; empty where whoever catches the error adds it."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a text."""

    source: Source
    kind: str
    """`number`, `word`, `sign`, `end`."""
    text: str
    """The piece as it is written; empty at the end."""
    position: int
    """Position of its first character in the text, from 0."""

    @property
    def value(self) -> int:
        """The value of a number: decimal, or hexadecimal with 0x, or binary with 0b."""
        return int(self.text, {"0x": 16, "0b": 2}.get(self.text[:2], 10))

    @property
    def shown(self) -> str:
        """How messages name this token."""
        return repr(self.text[:40]) if self.kind != "end" else "the end"

    def fail(self, problem: str) -> NoReturn:
        """Refuse the text at this token.

        Raises:
            SpecError: Always; the message begins with the place, as column or as line and column, both from 1.
        """
        text, where = self.source.text, self.source.where
        line, column = text.count("\n", 0, self.position) + 1, self.position - text.rfind("\n", 0, self.position)
        place = f"line {line}, column {column}" if "\n" in text.strip() else f"column {column}"
        raise SpecError(f"{where}, {place}: {problem}" if where else f"{place}: {problem}")

    def unexpected(self, allowed: str) -> NoReturn:
        """Refuse this token where others are allowed.

        Raises:
            SpecError: Always.
        """
        self.fail(f"found {self.shown}. Allowed: {allowed}.{_HINTS.get(self.text, '')}")


def tokenize(source: Source) -> list[Token]:
    """Return the tokens of a text; the last is of the kind `end`.

    Raises:
        SpecError: The text is too long, or has a character or a number that the language does not have.
    """
    text = source.text
    if len(text) > MAX_LENGTH:
        Token(source, "end", "", MAX_LENGTH).fail(f"the text has {len(text)} characters. Allowed: up to {MAX_LENGTH}.")
    found = (Token(source, match.lastgroup or "", match[0], match.start()) for match in _TOKEN.finditer(text))
    tokens = [token for token in found if token.kind != "space"]
    for token in tokens:
        # The length is checked first, so that reading a number stays quick.
        if token.kind == "number" and (len(token.text) > 40 or token.value > MAX_NUMBER):
            token.fail(f"the number {token.text[:40]} is too large. Allowed: up to {MAX_NUMBER}.")
        if token.kind == "odd":
            numbers = "whole numbers such as 15, 0x0f or 0b1111"
            signs = "names, numbers, = += -= &= |= ^= + - * // % & | ^ ~ << >> < <= > >= == != ( ) [ ] .. , . ;"
            token.unexpected(numbers if token.text[0].isdigit() else signs)
    return [*tokens, Token(source, "end", "", len(text.rstrip()))]
