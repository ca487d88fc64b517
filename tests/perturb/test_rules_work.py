"""The work of reading a rule grows with its length and no faster, whatever it says; calls are counted, not seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest

from wsabench.errors import SpecError
from wsabench.perturb.rules import canonical_text, compile_rule, parse_rule
from wsabench.perturb.rules.parsing import MAX_STATEMENTS, MAX_TOKENS
from wsabench.perturb.rules.tokens import MAX_LENGTH

NAMES = {"ball_x": 99, "ball_y": 101, "lives": 57}
WORDS = "ball_x prev [ ] ( ) 1 200 + - * // & << < == and or not min max abs , frame rand if every 3 ; xyzzy . .. ~ ="


def work_of(text: str) -> tuple[int, bool]:
    """Return how many functions are called to read a rule and compile it, and whether it is one."""
    calls, is_rule = 0, True

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        rule = parse_rule(text, NAMES)
        canonical_text(rule)
        compile_rule(rule)
    except SpecError:
        is_rule = False
    finally:
        sys.setprofile(before)
    return calls, is_rule


def statements(text: str) -> Callable[[int], str]:
    """Return what repeats a statement up to a length."""
    return lambda length: ";".join([text] * (length // (len(text) + 1)))


SHAPES: dict[str, Callable[[int], str]] = {
    "statements": statements("ram[3..9]=min(ball_y,i)+prev[(i+1)&127]//3 every 2 frames if 1<ram[i]<9 and not ball_x"),
    "short statements with a fault at the end": lambda n: statements("ball_y=ball_x+ball_x*3-lives")(n) + "; lives = ",
    "long statements": statements("lives=" + "|".join(["ball_x"] * (MAX_TOKENS // 5))),
    "one statement too long": lambda n: "lives=" + "|".join(["lives"] * (n // 6)),
    "too many statements": lambda n: "lives=1;" * (n // 8),
    "brackets": lambda n: "lives=" + "(" * (n - 6),
    "signs": lambda n: "lives=" + "-" * (n - 6),
    "calls": lambda n: "lives=" + "abs(" * (n // 4 - 2),
    "digits": lambda n: "lives=" + "9" * (n - 6),
    "a long name": lambda n: "lives=" + "x" * (n - 6),
    "spaces": lambda n: "lives=1" + " " * (n - 7),
}
RULES = ("statements", "long statements", "too many statements", "spaces")
"""Those that are rules while they are short."""


@pytest.mark.parametrize("name", SHAPES)
def test_ten_times_the_text_is_at_most_ten_times_the_work(name: str) -> None:
    short, long = (SHAPES[name](length) for length in (MAX_LENGTH // 10, MAX_LENGTH))
    (little, is_rule), (much, _) = work_of(short), work_of(long)
    assert is_rule == (name in RULES)
    assert much <= 1.1 * len(long) / len(short) * little + 100


def random_rule(random: np.random.Generator, words: np.ndarray) -> str:
    """Return words in any order, or statements of a rule, some of them with a word changed."""
    if random.uniform() < 0.5:
        return "lives = " + " ".join(random.choice(words, random.integers(1, 12)))
    size = min(int(random.geometric(0.3)), MAX_STATEMENTS)
    places = random.integers(128, size=(size, 2))
    text = " ; ".join(f"ram[{to}] = ( ball_x + {to} ) & prev[{of}] if {of} < frame and not lives" for to, of in places)
    if random.uniform() < 0.5:
        return text
    pieces = text.split(" ")
    pieces[random.integers(len(pieces))] = str(random.choice(words))
    return " ".join(pieces)


@pytest.mark.slow
def test_ten_thousand_random_rules_take_work_in_proportion_to_their_length() -> None:
    random, words = np.random.default_rng(0), np.array(WORDS.split())
    found = []
    for _ in range(10_000):
        text = random_rule(random, words)
        found.append((len(text.split()), *work_of(text)))
    sizes, calls, are_rules = np.array(found).T
    assert 2_000 < are_rules.sum() < 7_000
    assert np.max(calls / (sizes + 10)) < 200
