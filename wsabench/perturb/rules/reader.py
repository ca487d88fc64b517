"""Reading a rule's tokens one by one, with the errors for what was not expected."""

from __future__ import annotations

from typing import NoReturn

from wsabench.perturb.rules.tokens import Source, Token, number_value, tokenize


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
