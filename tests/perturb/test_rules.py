"""Random rules: the text says the same as the tree, the compiled rule does what the slow interpreter does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_rules import assert_same

from wsabench.errors import SpecError
from wsabench.perturb.rules import Rule, Statement, canonical_text, parse_rule, written_bytes
from wsabench.perturb.rules.syntax import Binary, Byte, Call, Compare, Frame, Logic, LoopIndex, Number, Random, Unary

pytestmark = pytest.mark.property

BANKS = ("ram", "prev", "reset")
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")


class Trees:
    """Draws rules that the parser accepts, their size apart; addresses are few, so that statements meet."""

    def __init__(self, random):
        self.random = random
        self.is_range = False

    def rule(self):
        return Rule(tuple(self.statement() for _ in range(self.random.randint(1, 3))))

    def statement(self):
        first, self.is_range = self.random.randint(0, 7), self.random.random() < 0.5
        every = self.random.randint(1, 3)
        return Statement(
            first=first,
            last=self.random.randint(first, 8) if self.is_range else first,
            is_range=self.is_range,
            operator=self.random.choice(("=", "+=", "-=", "&=", "|=", "^=")),
            value=self.tree(3),
            every=every,
            at=every * self.random.randint(0, 2) if self.random.random() < 0.2 else None,
            condition=self.tree(3) if self.random.random() < 0.7 else None,
        )

    def tree(self, depth):
        if depth == 0 or self.random.random() < 0.2:
            return self.random.choice((self.number, self.byte, Frame, self.address, self.draw))()
        kinds = (self.byte_at, self.unary, self.binary, self.division, self.shift, self.logic, self.compare, self.call)
        return self.random.choice(kinds)(depth - 1)

    def number(self):
        return Number(self.random.choice((self.random.randint(-300, 300), 0, 1, 255, 256, 2**31 - 1)))

    def address(self):
        return LoopIndex() if self.is_range and self.random.random() < 0.5 else Number(self.random.randint(0, 7))

    def byte(self):
        return Byte(self.random.choice(BANKS), self.address())

    def draw(self):
        return Random(self.random.randint(-9, 5), self.random.randint(5, 300))

    def byte_at(self, depth):
        return Byte(self.random.choice(BANKS), Binary("&", self.tree(depth), Number(7)))

    def unary(self, depth):
        operator, operand = self.random.choice("-~!"), self.tree(depth)
        if operator == "-" and isinstance(operand, Number):
            return Number(-operand.value)
        return Unary("not" if operator == "!" else operator, operand)

    def binary(self, depth):
        return Binary(self.random.choice("+-*&|^"), self.tree(depth), self.tree(depth))

    def division(self, depth):
        divisor = self.tree(depth)
        safe = (Call("max", (Number(1), divisor)), Call("min", (divisor, Number(-1))), Number(3), Number(-7))
        return Binary(self.random.choice(("//", "%")), self.tree(depth), self.random.choice(safe))

    def shift(self, depth):
        count = self.random.choice((Number(self.random.randint(0, 31)), Binary("&", self.tree(depth), Number(7))))
        return Binary(self.random.choice(("<<", ">>")), self.tree(depth), count)

    def logic(self, depth):
        return Logic(self.random.choice(("and", "or")), self.tree(depth), self.tree(depth))

    def compare(self, depth):
        size = self.random.randint(1, 3)
        rest = tuple((self.random.choice(COMPARISONS), self.tree(depth)) for _ in range(size))
        return Compare(self.tree(depth), rest)

    def call(self, depth):
        function = self.random.choice(("min", "max", "abs"))
        size = 1 if function == "abs" else self.random.randint(2, 3)
        return Call(function, tuple(self.tree(depth) for _ in range(size)))


def parsed_or_refused(text):
    """The rule and no problem, or None and what is wrong; any other error is a failure."""
    try:
        return parse_rule(text, {"ball_y": 54}, "where"), ""
    except SpecError as error:
        return None, str(error)


def check_compiled(rule, seed):
    text = canonical_text(rule)
    parsed, problem = parsed_or_refused(text)
    if parsed is None:
        # Only sizes can be wrong, of numbers and of the text.
        assert "may exceed 2**62" in problem or "words and signs" in problem
        return
    assert parsed == rule
    assert parse_rule(text.replace(" ", "  ") + " ;", {}) == rule
    rng = np.random.default_rng(seed)
    changes = [
        list(zip(rng.integers(0, 9, 4).tolist(), rng.integers(0, 256, 4).tolist(), strict=True)) for _ in range(8)
    ]
    assert_same(parsed, rng.integers(0, 256, 128), changes, seed)


@settings(max_examples=80, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 2**32 - 1))
def test_compiled_rules_do_what_the_tree_says(random, seed):
    check_compiled(Trees(random).rule(), seed)


PIECES = st.sampled_from(
    [
        *("ram", "prev", "reset", "frame", "i", "rand", "min", "max", "abs", "and", "or", "not", "if", "every", "at"),
        *(
            "frames",
            "else",
            "ball_y",
            "balls",
            "0",
            "1",
            "5",
            "127",
            "128",
            "255",
            "0x1f",
            "0b101",
            "99999999999",
            "1.5",
        ),
        *("[", "]", "(", ")", "..", ".", ";", ",", "=", "+=", "-=", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*"),
        *("//", "/", "%", "&", "|", "^", "~", "<<", ">>", "!", "@", "\u00e9", "\u0661"),
    ]
)


@settings(max_examples=100, deadline=None)
@given(st.lists(PIECES, max_size=30).map(" ".join) | st.text(max_size=60))
def test_any_text_is_a_rule_or_is_refused_with_its_place(text):
    rule, problem = parsed_or_refused(text)
    if rule is None:
        assert problem.startswith(("where, ", "where: "))
        return
    assert parse_rule(canonical_text(rule), {}) == rule
    assert written_bytes(rule, {"ball_y": 54})


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_a_changed_rule_is_a_rule_or_is_refused(data):
    # Closer to the language than random words: a valid text with one token taken out, doubled or replaced.
    tokens = "ram[3..9] -= min(i, prev.ball_y // 2) every 2 frames at frame 4 if 2 < ram[i - 1] < 128 and not frame & 1"
    words = tokens.replace("[", " [ ").replace("]", " ] ").replace("(", " ( ").replace(")", " ) ").split()
    place = data.draw(st.integers(0, len(words) - 1))
    words[place : place + 1] = data.draw(st.lists(PIECES, max_size=2))
    rule, problem = parsed_or_refused(" ".join(words))
    assert problem if rule is None else parse_rule(canonical_text(rule), {}) == rule
