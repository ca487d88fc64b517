"""A rule as text: one form for all that mean the same, and the sentence that says which bytes are written."""

from __future__ import annotations

from collections.abc import Mapping

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

_OR, _AND, _NOT, _COMPARISON, _UNARY, _ATOM = 1, 2, 3, 4, 11, 12
"""Levels of precedence, Python's, loosest first."""
_LEVELS: Mapping[str, int] = {
    "or": _OR,
    "and": _AND,
    "|": 5,
    "^": 6,
    "&": 7,
    **dict.fromkeys(("<<", ">>"), 8),
    **dict.fromkeys(("+", "-"), 9),
    **dict.fromkeys(("*", "//", "%"), 10),
}


def canonical_text(rule: Rule) -> str:
    """Return the rule's text with addresses instead of names and no more spaces and parentheses than needed.

    Parsing it gives the same rule, so it stands for the rule in hashes.

    Example:
        >>> from wsabench.perturb.rules.parsing import parse_rule
        >>> canonical_text(parse_rule("ball_y+=(1)  every 4 frames", {"ball_y": 101}))
        'ram[101] += 1 every 4 frames'
    """
    return "; ".join(_statement(statement) for statement in rule.statements)


def written_bytes(rule: Rule, names: Mapping[str, int]) -> str:
    """Return which bytes the rule may write, by their names where the RAM map has them: `ball_y (101), 102..104`."""
    name_of: dict[int, list[str]] = {}
    for name, address in names.items():
        name_of.setdefault(address, []).append(name)
    parts: list[str] = []
    run: list[int] = []
    for address in (*rule.addresses, None):
        if run and (address is None or address != run[-1] + 1 or address in name_of):
            parts.append(str(run[0]) if len(run) == 1 else f"{run[0]}..{run[-1]}")
            run = []
        if address in name_of:
            parts.append(f"{'/'.join(name_of[address])} ({address})")
        elif address is not None:
            run.append(address)
    return ", ".join(parts)


def _statement(statement: Statement) -> str:
    """Return the text of one statement."""
    target = f"{statement.first}..{statement.last}" if statement.is_range else f"{statement.first}"
    words = [f"ram[{target}] {statement.operator} {_text(statement.value)}"]
    if statement.every != 1:
        words.append(f"every {statement.every} frames")
    if statement.at is not None:
        words.append(f"at frame {statement.at}")
    if statement.condition is not None:
        words.append(f"if {_text(statement.condition)}")
    return " ".join(words)


def _text(tree: Expression, level: int = _OR) -> str:
    """Return the text of an expression, in parentheses where its operator binds looser than `level`."""
    if isinstance(tree, Unary | Binary | Logic | Compare):
        own, text = _operation(tree)
    else:
        own, text = _atom(tree)
    return text if own >= level else f"({text})"


def _atom(tree: Number | Byte | Frame | LoopIndex | Random | Call) -> tuple[int, str]:
    """Return the level of precedence and the text of what needs no parentheses, negative numbers apart."""
    match tree:
        case Number(value):
            return (_ATOM if value >= 0 else _UNARY), str(value)
        case Byte(bank, index):
            return _ATOM, f"{bank}[{_text(index)}]"
        case Frame():
            return _ATOM, "frame"
        case LoopIndex():
            return _ATOM, "i"
        case Random(low, high):
            return _ATOM, f"rand({low}, {high})"
        case Call(function, arguments):
            return _ATOM, f"{function}({', '.join(_text(argument) for argument in arguments)})"


def _operation(tree: Unary | Binary | Logic | Compare) -> tuple[int, str]:
    """Return the level of precedence of an operator, and its text with its operands."""
    match tree:
        case Unary("not", operand):
            return _NOT, f"not {_text(operand, _NOT)}"
        case Unary(operator, operand):
            return _UNARY, f"{operator}{_text(operand, _UNARY)}"
        case Compare(first, rest):
            operands = [_text(first, _COMPARISON + 1), *(f"{sign} {_text(x, _COMPARISON + 1)}" for sign, x in rest)]
            return _COMPARISON, " ".join(operands)
        case Binary(operator, left, right) | Logic(operator, left, right):
            own = _LEVELS[operator]
            return own, f"{_text(left, own)} {operator} {_text(right, own + 1)}"
