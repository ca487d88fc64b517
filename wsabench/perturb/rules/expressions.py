"""From an expression's tokens to its tree: Python's grammar reads it, a white list judges it, nothing is evaluated.

`ast.parse` never sees the text itself. The tokens are written anew, each number as 0 and each word behind an
underscore, so that none is Python's but `and`, `or` and `not`. Each has its own line: a node's line tells its token.
"""

from __future__ import annotations

import ast
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import accumulate
from typing import NamedTuple, NoReturn

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
from wsabench.perturb.rules.tokens import Token

MAX_NESTING = 24
"""Brackets, calls and prefix signs inside each other."""

BANKS: Mapping[str, Bank] = {"ram": "ram", "prev": "prev", "reset": "reset"}
FUNCTIONS = ("min", "max", "abs", "rand")
RESERVED = frozenset((*BANKS, *FUNCTIONS, "frame", "i", "and", "or", "not", "if", "else", "every", "at", "frames"))
"""Words of the language: a RAM map's name that is one of them cannot be used in a rule."""

_ALLOWED = (
    *(ast.Expression, ast.Load, ast.Constant, ast.UnaryOp, ast.BinOp, ast.BoolOp, ast.Compare),
    *(ast.Or, ast.And, ast.Not, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq),
    *(ast.BitOr, ast.BitXor, ast.BitAnd, ast.LShift, ast.RShift, ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod),
    *(ast.UAdd, ast.USub, ast.Invert),
)
"""What a tree may have anywhere; `_is_allowed` adds names, bytes and calls."""

AFTER_OPERAND = "an operator, every, at, if, ';' or the end"
_OPERAND = "a number, a byte, a name or a parenthesis"
_CLOSING = {"(": ")", "[": "]"}


class Operand(NamedTuple):
    """An expression while it is being read."""

    tree: Expression
    bounds: Bounds


def read_expression(tokens: Sequence[Token], names: Mapping[str, int], loop: Bounds | None) -> Expression:
    """Return the tree of an expression.

    Args:
        tokens: Those of the expression, few enough for a tree that can be walked, and the token after it.
        names: Addresses by the names of the game's RAM map.
        loop: The addresses of `i`; None where it has no meaning.

    Raises:
        SpecError: The expression is malformed, too deep, reads outside the memory, divides by what may be zero, or may
            exceed 64 bits.
    """
    return _Reader(tokens, names, loop).read()


def named_address(token: Token, names: Mapping[str, int]) -> int:
    """Return the address of a name of the RAM map.

    Raises:
        SpecError: There is no such name.
    """
    if token.text in names:
        return names[token.text]
    near = nearest_names(token.text, [*names, *sorted(RESERVED)])
    if near:
        allowed = f"Did you mean {' or '.join(repr(name) for name in near)}?"
    elif names:
        allowed = f"Allowed: {', '.join(sorted(names))}, ram[..], prev[..], reset[..]."
    else:
        allowed = "Allowed: ram[..], prev[..], reset[..]; the game has no RAM map."
    token.fail(f"the RAM map has no {token.shown}. {allowed}")


class _Reader:
    """Goes through one expression."""

    def __init__(self, tokens: Sequence[Token], names: Mapping[str, int], loop: Bounds | None) -> None:
        self._tokens = tokens
        self._names = names
        self._loop = loop
        self._depths = list(accumulate((token.text in _CLOSING) - (token.text in (")", "]")) for token in tokens))
        """How many brackets are open at each token, itself included."""

    def read(self) -> Expression:
        """Return the expression's tree."""
        for place in range(len(self._tokens)):
            self._check_depth(place, 0)
        body = _parsed([token.text for token in self._tokens[:-1]])
        if body is None:
            self._fail_grammar()
        return self._operand(body, 0).tree

    def _check_depth(self, place: int, num_signs: int) -> None:
        """Refuse a token inside too many brackets and prefix signs."""
        if self._depths[place] + num_signs > MAX_NESTING:
            self._tokens[place].fail(f"nested too deeply. Allowed: {MAX_NESTING} levels.")

    def _fail_grammar(self) -> NoReturn:
        """Refuse the first token that no expression could have there, or an unknown name before it."""
        texts = [token.text for token in self._tokens]
        sizes = range(1, len(texts))
        place = bisect_left(sizes, True, key=lambda size: not _what_may_follow(texts[:size]))
        for token in self._tokens[:place]:
            if token.kind == "word" and token.text not in RESERVED:
                named_address(token, self._names)
        found, allowed = self._tokens[place], _what_may_follow(texts[:place])
        if found.text == "not" and allowed == _OPERAND:
            found.fail("found 'not' as an operand. Put it in parentheses: (not ...).")
        found.unexpected(allowed)

    def _operand(self, node: ast.expr, num_signs: int) -> Operand:
        """Return a node's tree and bounds; `num_signs` prefix signs stand before it."""
        self._check_depth(node.lineno - 1, num_signs)
        token = self._tokens[node.lineno - 1]
        match node:
            case ast.Name():
                return self._name(token)
            case ast.Attribute():
                name = self._tokens[node.lineno + 1]
                return Operand(Byte(BANKS[token.text], Number(named_address(name, self._names))), BYTE)
            case ast.Subscript():
                index = self._operand(node.slice, num_signs)
                self._check_index(node, index.bounds)
                return Operand(Byte(BANKS[token.text], index.tree), BYTE)
            case ast.Call():
                return self._call(token, [self._operand(argument, num_signs) for argument in node.args])
            case ast.UnaryOp():
                return self._unary(token, self._operand(node.operand, num_signs + 1))
            case ast.BinOp():
                left, right = self._operand(node.left, num_signs), self._operand(node.right, num_signs)
                return self._binary(self._operator_before(node.right), left, right)
            case ast.BoolOp():
                sign = self._operator_before(node.values[1]).text
                trees = [self._operand(value, num_signs).tree for value in node.values]
                return Operand(reduce(lambda left, right: Logic(sign, left, right), trees), TRUTH)
            case ast.Compare():
                first = self._operand(node.left, num_signs).tree
                rest = [(self._operator_before(x).text, self._operand(x, num_signs).tree) for x in node.comparators]
                return Operand(Compare(first, tuple(rest)), TRUTH)
            case _:
                return Operand(Number(token.value), Bounds(token.value, token.value))

    def _name(self, token: Token) -> Operand:
        """Return `frame`, `i`, or the byte of a name."""
        if token.text == "frame":
            return Operand(Frame(), FRAME)
        if token.text != "i":
            return Operand(Byte("ram", Number(named_address(token, self._names))), BYTE)
        if self._loop is None:
            token.fail("found 'i'. Allowed: only where a range such as ram[3..9] is written.")
        return Operand(LoopIndex(), self._loop)

    def _check_index(self, node: ast.Subscript, bounds: Bounds) -> None:
        """Refuse an address that may lie outside the memory, or that is a name."""
        bank, _, start = self._tokens[node.lineno - 1 : node.lineno + 2]
        if isinstance(node.slice, ast.Name) and start.text in self._names and start.text not in RESERVED:
            name = start.text if bank.text == "ram" else f"{bank.text}.{start.text}"
            start.fail(f"found the name {start.text!r} as an address, but it is that byte's value. Write {name}.")
        low, high = bounds
        if not 0 <= low <= high < NUM_BYTES:
            found = f"is {low}" if low == high else f"may be {low} to {high}"
            hint = "" if low == high else " Write (...) & 127 there, say."
            start.fail(f"the address {found}. Allowed: 0 to {NUM_BYTES - 1}.{hint}")

    def _call(self, token: Token, arguments: list[Operand]) -> Operand:
        """Return `min`, `max`, `abs` or `rand` of arguments."""
        trees = [argument.tree for argument in arguments]
        if token.text == "rand":
            match trees:
                case [Number(low), Number(high)] if low <= high:
                    return Operand(Random(low, high), Bounds(low, high))
            token.fail("found other arguments of rand. Allowed: rand(low, high), two numbers, low first.")
        if (len(trees) == 1) != (token.text == "abs"):
            needed = "one" if token.text == "abs" else "two or more"
            token.fail(f"{token.text} has {len(trees)} arguments. Allowed: {needed}.")
        bounds = call_bounds(token.text, [argument.bounds for argument in arguments])
        return Operand(Call(token.text, tuple(trees)), bounds)

    def _unary(self, operator: Token, operand: Operand) -> Operand:
        """Return an operand with a sign before it, checked."""
        if operator.text == "+":
            return operand
        bounds = unary_bounds(operator.text, operand.bounds)
        if operator.text == "-" and isinstance(operand.tree, Number):
            return Operand(Number(-operand.tree.value), bounds)
        return self._checked(operator, Unary(operator.text, operand.tree), bounds)

    def _binary(self, operator: Token, left: Operand, right: Operand) -> Operand:
        """Return `left operator right`, checked."""
        sign, low, high = operator.text, right.bounds.low, right.bounds.high
        if sign in ("//", "%") and low <= 0 <= high:
            operator.fail(f"the right side of {sign} may be 0. Write max(1, ...) there, say.")
        if sign in ("<<", ">>") and not 0 <= low <= high <= MAX_SHIFT:
            operator.fail(
                f"the right side of {sign} may be {low if low < 0 else high}. Allowed: 0 to {MAX_SHIFT}. "
                "Write (... & 7) there, say.",
            )
        bounds = binary_bounds(sign, left.bounds, right.bounds)
        return self._checked(operator, Binary(sign, left.tree, right.tree), bounds)

    def _checked(self, operator: Token, tree: Expression, bounds: Bounds) -> Operand:
        """Return an expression that stays in 64 bits."""
        if bounds.magnitude > LIMIT:
            operator.fail(f"the result of {operator.text} may exceed 2**62. Use smaller numbers, or % before.")
        return Operand(tree, bounds)

    def _operator_before(self, node: ast.expr) -> Token:
        """Return the operator that stands before a node and its parentheses."""
        place = node.lineno - 2
        while self._tokens[place].text == "(":
            place -= 1
        return self._tokens[place]


def _parsed(texts: Sequence[str]) -> ast.expr | None:
    """Return the syntax tree of tokens; None where they are no expression of the language."""
    lines = [_for_python(text, before) for before, text in zip(("", *texts), texts, strict=False)]
    try:
        tree = ast.parse(" \\\n".join(lines), mode="eval")
    except SyntaxError:
        return None
    return tree.body if all(_is_allowed(node, (*texts, "")) for node in ast.walk(tree)) else None


def _for_python(text: str, before: str) -> str:
    """Return how Python is to see a token."""
    if text.isidentifier() and (text not in ("and", "or", "not") or before == "."):
        return f"_{text}"
    return "0" if text[0].isdigit() else text


def _is_allowed(node: ast.AST, texts: Sequence[str]) -> bool:
    """Whether a node is one of the language's; banks and functions stand before their brackets and nowhere else."""
    match node:
        case ast.Name(id=name, lineno=number):
            word, following = name[1:], texts[number]
            if word in BANKS:
                return following in ("[", ".")
            return following == "(" if word in FUNCTIONS else word in ("frame", "i") or word not in RESERVED
        case ast.Subscript(value=ast.Name(id=name)) | ast.Attribute(value=ast.Name(id=name)):
            return name[1:] in BANKS
        case ast.Call(func=ast.Name(id=name), args=[_, *_], end_lineno=end):
            return name[1:] in FUNCTIONS and texts[(end or 0) - 2] != ","
        case _:
            return isinstance(node, _ALLOWED)


def _what_may_follow(texts: Sequence[str]) -> str:
    """Return, for messages, what could go on after the beginning of an expression; empty where it is none."""
    closing: list[str] = []
    for text in texts:
        if text in _CLOSING:
            closing.insert(0, _CLOSING[text])
        elif text in (")", "]"):
            del closing[:1]
    completions = {
        (): f"an operator or {closing[0]!r}" if closing else AFTER_OPERAND,
        ("0",): _OPERAND,
        ("name",): "a name of the RAM map",
        ("[", "0", "]"): f"'[' or '.' after {texts[-1]}" if texts else "",
        ("(", "0", ")"): "'('",
    }
    fitting = (allowed for completion, allowed in completions.items() if _parsed([*texts, *completion, *closing]))
    return next(fitting, "")
