"""From a rule's text, or its tables, to a rule: statements, their times and conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from wsabench.errors import nearest_names
from wsabench.perturb.rules.bounds import Bounds
from wsabench.perturb.rules.expressions import OR, RESERVED, ExpressionParser
from wsabench.perturb.rules.syntax import NUM_BYTES, Expression, Rule, Statement
from wsabench.perturb.rules.tokens import MAX_NUMBER, Source, Token, placed, refusal

MAX_STATEMENTS = 128
MAX_TOKENS = 256
"""Of one statement; keeps the tree shallow enough to walk."""

ASSIGNMENTS = ("=", "+=", "-=", "&=", "|=", "^=")

RuleSource = str | Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""A rule as TOML has it: text, a table `{ every, at, when, do }`, or a list of such tables."""


def parse_rule(rule: RuleSource, names: Mapping[str, int], where: str = "rule", is_on_reset: bool = False) -> Rule:
    """Return a parsed rule; it needs no further checks.

    Args:
        rule: The text `ram[5] += 1 every 4 frames if frame > 9; ...`, or a table `{ every = 4, at = 9, when = "...",
            do = "..." }` or a list of them: `every`, `at` and `when` hold for each statement of `do`, one by one.
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
    if isinstance(rule, str):
        statements = _StatementParser(Source(rule, where), names).statements()
    elif isinstance(rule, Mapping):
        statements = _table(rule, names, where)
    elif isinstance(rule, Sequence) and rule and all(isinstance(table, Mapping) for table in rule):
        statements = [
            statement
            for number, table in enumerate(rule, 1)
            for statement in _table(table, names, placed(where, f"table {number}"))
        ]
    else:
        raise refusal(where, f"found {rule!r}. Allowed: a text, a table with the key 'do', or a list of tables.")
    if len(statements) > MAX_STATEMENTS:
        raise refusal(where, f"found {len(statements)} statements. Allowed: up to {MAX_STATEMENTS}.")
    return Rule(tuple(_timed(statement, is_on_reset, where) for statement in statements))


def _table(table: Mapping[str, Any], names: Mapping[str, int], where: str) -> list[Statement]:
    """Return the statements of a rule's table."""
    keys = ("every", "at", "when", "do")
    for key in table:
        if key not in keys:
            near = nearest_names(str(key), keys)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise refusal(where, f"found the key {key!r}. Allowed: {', '.join(keys)}.{hint}")
    for key in ("do", "when"):
        if (key in table or key == "do") and not isinstance(table.get(key), str):
            raise refusal(placed(where, key), f"found {table.get(key)!r}. Allowed: a text.")
    every = _count(table, "every", 1, where)
    at = _count(table, "at", 0, where)
    statements = _StatementParser(Source(table["do"], placed(where, "do")), names).statements(has_modifiers=False)
    condition: Expression | None = None
    timed: list[Statement] = []
    for statement in statements:
        if "when" in table:
            condition = _StatementParser(Source(table["when"], placed(where, "when")), names).condition(statement)
        timed.append(replace(statement, every=every or 1, at=at, condition=condition))
    return timed


def _count(table: Mapping[str, Any], key: str, lowest: int, where: str) -> int | None:
    """Return a number of frames of a rule's table."""
    value = table.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= MAX_NUMBER:
        raise refusal(placed(where, key), f"found {value!r}. Allowed: integers {lowest} to {MAX_NUMBER}.")
    return value


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

    def statements(self, has_modifiers: bool = True) -> list[Statement]:
        """Read the whole text as statements separated by `;`, the last `;` may be left out."""
        found: list[Statement] = []
        while self._token.kind != "end" or not found:
            found.append(self._statement(has_modifiers))
            if self._token.kind != "end" and not self._accept(";"):
                allowed = (
                    "an operator, every, at, if, ';' or the end" if has_modifiers else "an operator, ';' or the end"
                )
                self._unexpected(allowed)
        return found

    def condition(self, statement: Statement) -> Expression:
        """Read the whole text as the condition of a statement."""
        self._loop = Bounds(statement.first, statement.last) if statement.is_range else None
        self._check_size(self._tokens[0])
        tree = self._expression(OR).tree
        if self._token.kind != "end":
            self._unexpected("an operator or the end")
        return tree

    def _check_size(self, first: Token) -> None:
        """Refuse a statement of too many tokens before it is read."""
        ends = (place for place in range(self._place, len(self._tokens)) if self._tokens[place].text == ";")
        size = next(ends, len(self._tokens) - 1) - self._place
        if size > MAX_TOKENS:
            self._fail(first, f"the statement has {size} words and signs. Allowed: up to {MAX_TOKENS}.")

    def _statement(self, has_modifiers: bool) -> Statement:
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
        if not has_modifiers:
            if self._token.text in ("every", "at", "if"):
                key = "when" if self._token.text == "if" else self._token.text
                self._fail(self._token, f"found {self._token.shown}. Allowed: as the key {key!r} of the table.")
            return Statement(first, last, is_range, operator.text, value)
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
