"""The parser that reads rules with `ast` against the hand-written one before it: same trees, same refusals."""

import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from old_rule_parser import old_parse_rule

from wsabench.errors import SpecError
from wsabench.games import catalogue_games, load_game
from wsabench.perturb.rules import canonical_text, compile_rule, parse_rule, ram_addresses

pytestmark = pytest.mark.property

NAMES = {"ball_y": 54, "lives": 127, "lambda": 3, "None": 4, "is": 5, "_": 6, "if": 7, "frame": 8, "prev": 9, "and": 10}
"""Also words of Python, and words of the language, which are names after a point only."""

PLACE = re.compile(r"pong(?:, (?:line (\d+), )?column (\d+))?: ")

TIME = re.compile("in a rule that runs on reset|never runs")


def outcome(parse, text, names, is_on_reset=False):
    """The rule, or None where it is refused, and the message; any other error is a failure."""
    try:
        return parse(text, names, "pong", is_on_reset), ""
    except SpecError as error:
        return None, str(error)


def assert_agree(text, names=NAMES, is_on_reset=False):
    """Check that both parsers find the same, and return it."""
    old, before = outcome(old_parse_rule, text, names, is_on_reset)
    new, problem = outcome(parse_rule, text, names, is_on_reset)
    assert new == old, problem
    if problem != before:
        # Of two faults the later may be named: grammar is checked before values. Times are, with their statement.
        assert place_of(problem) > place_of(before) or TIME.search(problem)
    return new


def place_of(message):
    """Line and column."""
    match = PLACE.match(message)
    assert match, message
    return [int(number or 0) for number in match.groups()]


@pytest.mark.parametrize("game", catalogue_games())
def test_shipped_rules_are_what_they_were(game):
    record = load_game(game)
    for patch in record.patches.values():
        rule = assert_agree(patch.rule, ram_addresses(record), patch.when == "on_reset")
        old = old_parse_rule(patch.rule, ram_addresses(record), is_on_reset=patch.when == "on_reset")
        assert rule is not None
        assert canonical_text(rule) == canonical_text(old)
        assert np.array_equal(compile_rule(rule).code, compile_rule(old).code)


OPERATORS = ("+", "-", "*", "&", "|", "^", "<", "<=", ">", ">=", "==", "!=", "and", "or", "+", "-")
BANKS = ("ram", "prev", "reset")
WORDS_AFTER_A_POINT = ("ball_y", "lives", "lambda", "None", "is", "_", "if", "frame", "prev", "and")


class Texts:
    """Draws texts of rules, most of them valid, with more parentheses than needed."""

    def __init__(self, random):
        self.random = random
        self.is_range = False

    def rule(self):
        return " ; ".join(self.statement() for _ in range(self.random.randint(1, 3)))

    def statement(self):
        first, self.is_range = self.random.randint(0, 127), self.random.random() < 0.5
        target = (
            f"ram [ {first} .. {self.random.randint(first, 127)} ]" if self.is_range else self.one("ram [ 9 ]", "is")
        )
        words = [target, self.one("=", "+=", "-=", "&=", "|=", "^="), self.expression(3)]
        every = self.random.randint(1, 4) if self.random.random() < 0.4 else 1
        words += [f"every {every} frames"] if every > 1 else []
        words += [f"at frame {every * self.random.randint(0, 3)}"] if self.random.random() < 0.3 else []
        words += ["if", self.expression(3)] if self.random.random() < 0.6 else []
        return " ".join(words)

    def one(self, *choices):
        return self.random.choice(choices)

    def leaf(self):
        own = ("i", "prev [ i ]", "ram [ ( i ) & 5 ]") if self.is_range else ()
        numbers = (str(self.random.randint(0, 300)), "007", "0x1F", "0b101", "2147483647", "rand ( -(3) , +4 )")
        names = (f"{self.one(*BANKS)} . {self.one(*WORDS_AFTER_A_POINT)}", "ball_y", "lambda", "None", "is", "_")
        return self.one(self.one(*numbers), self.one(*names), self.one(*own, "frame", f"{self.one(*BANKS)} [ 5 ]"))

    def expression(self, depth):
        if depth == 0 or self.random.random() < 0.15:
            return self.leaf()
        x, y, z = (self.expression(depth - 1) for _ in range(3))
        operator, other = self.one(*OPERATORS), self.one(*OPERATORS)
        return self.one(
            f"{x} {operator} {y}",
            f"{x} {operator} {y} {other} {z}",
            f"{x} {operator} ( {y} {other} {z} )",
            f"{self.one('-', '+', '~', 'not', '- -')} {x}",
            f"( {self.one('', 'not', '-')} {x} )",
            f"{self.one(*BANKS)} [ ( {x} ) & 127 ]",
            f"{x} {self.one('//', '%')} max ( 1 , {y} )",
            f"( {x} ) {self.one('//', '%', '<<', '>>')} {self.random.randint(1, 32)}",
            f"( {x} ) {self.one('<<', '>>')} ( {y} & 7 )",
            f"{self.one('min', 'max')} ( {x} , {y} )",
            f"abs ( {x} )",
        )


TEXTS = st.randoms(use_true_random=True).map(lambda random: Texts(random).rule())
TOKEN = re.compile(r"\s*(\w+|\.\.|//|<<|>>|[<>=!+\-&|^]=|.)", re.DOTALL)
WORDS = "ram prev reset frame frames i rand min max abs and or not if else every at ball_y lambda None is in for balls"
NUMBERS = "0 1 5 127 128 0x1f 0X1f 0b2 1_0 1e5 1j 99999999999 1. .5"
SIGNS = "[ ] ( ) .. . ; , = += == != < <= > >= + - * ** // / % & | ^ ~ << >> := : @ ! { } ' \" # \\ \n é ² ..."
BITS = "() [] [1] (1,) , *ball_y ball_y=1 .ball_y (prev) (min) not-1"
PIECES = st.sampled_from([*WORDS.split(), *NUMBERS.split(), *SIGNS.split(" "), *BITS.split()])


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.sampled_from((False, False, False, True)))
@example("ram[1] = - 2 * not 3", False)
@example("ram[1] = 1 if not not 1 < 2 == 3 and not 4 or 5", False)
@example("ram[1] = 2 - 3 - 4 << 1 & 7 | 8 ^ 9 == 10 < 11", False)
@example("ram[1] = prev.if if prev.and", True)
@example("ram[1] = prev. ; is = 3", False)
def test_valid_rules_have_the_same_tree(text, is_on_reset):
    assert_agree(text, is_on_reset=is_on_reset)
    assert_agree(re.sub(r"(?<!\w) +| +(?!\w)", "", text), is_on_reset=is_on_reset)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_changed_rules_are_both_refused_or_the_same(data):
    shipped = [patch.rule for patch in load_game(data.draw(st.sampled_from(catalogue_games()))).patches.values()]
    words = TOKEN.findall(data.draw(TEXTS | st.sampled_from(shipped)))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(words)))
        words[place : place + data.draw(st.integers(0, 2))] = data.draw(st.lists(PIECES, max_size=2))
    assert_agree(data.draw(st.sampled_from((" ", "", "\n"))).join(words))


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, max_size=12).map(" ".join) | st.text(max_size=30))
@example("1.5")
@example("1 << 31")
@example("1 << 32")
@example("(prev)[3]")
@example("(min)(1, 2)")
@example("min(1, 2,)")
@example("min(*ball_y, 1)")
@example("min(1, a=2)")
@example("1, 2")
@example("ram[1, 2]")
@example("ram[1][2]")
@example("2 ** 3")
@example("1_0")
@example("(ball_y := 3)")
@example("'1'")
@example("ball_y.real")
@example("1 is 1")
@example("1 not in 2")
@example("[1]")
@example("()")
@example("1 if 2 else 3")
@example("lambda: 3")
@example("True")
def test_any_expression_is_refused_by_both_or_is_the_same(text):
    for rule in (f"ram[1] = {text}", f"ram[3..5] = i if {text}"):
        assert_agree(rule)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(("(", "-", "~", "not ", "abs(", "ram[", "+(")), max_size=30), st.booleans())
def test_nesting_ends_at_the_same_depth(parts, is_last_open):
    signs = {"(": ")", "a": ")", "+": ")", "r": " & 1]"}
    closing = "".join(signs.get(part[0], "") for part in reversed(parts))
    assert_agree("ram[1] = " + "".join(parts) + "1" + closing[: len(closing) - is_last_open])
