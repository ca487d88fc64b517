"""The rule language: what a text means, and the message where it means nothing."""

import ast

import numpy as np
import pytest

from wsabench.errors import SpecError
from wsabench.games import load_game
from wsabench.perturb.rules import (
    canonical_text,
    check_patch,
    parse_rule,
    patch_rule,
    ram_addresses,
    reward_note,
    written_bytes,
)
from wsabench.perturb.rules.expressions import MAX_NESTING
from wsabench.perturb.rules.parsing import MAX_STATEMENTS, MAX_TOKENS
from wsabench.perturb.rules.tokens import MAX_LENGTH

NAMES = {"ball_x": 99, "ball_y": 101, "lives": 57}


def canonical(rule, **options):
    return canonical_text(parse_rule(rule, NAMES, **options))


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("ball_y+=1", "ram[101] += 1"),
        ("ball_y = prev.ball_y - reset.ball_x", "ram[101] = prev[101] - reset[99]"),
        ("ram[0x10] = 0b101;", "ram[16] = 5"),
        ("ram[1]=2\n ; ram[ 3 ]=4", "ram[1] = 2; ram[3] = 4"),
        ("ram[3..9] = prev[i] every 2 frames", "ram[3..9] = prev[i] every 2 frames"),
        ("ram[3..3] = i", "ram[3..3] = i"),
        ("ram[1] = 2 every 1 frames", "ram[1] = 2"),
        ("ram[1] = 2 every 3 frames at frame 6 if 1", "ram[1] = 2 every 3 frames at frame 6 if 1"),
        ("ram[1] = rand(-5,5)", "ram[1] = rand(-5, 5)"),
        # Precedence is Python's: & binds tighter than ==, comparisons than not, and than or.
        ("ram[1] = 1 if (ram[2] & 15) == 3", "ram[1] = 1 if ram[2] & 15 == 3"),
        ("ram[1] = 1 if ram[2] & (15 == 3)", "ram[1] = 1 if ram[2] & (15 == 3)"),
        ("ram[1] = 1 if (not (ram[2] < 3)) and (1 or 0)", "ram[1] = 1 if not ram[2] < 3 and (1 or 0)"),
        ("ram[1] = 1 - (2 - 3) - 4", "ram[1] = 1 - (2 - 3) - 4"),
        ("ram[1] = (1 + 2) * 3 << 1", "ram[1] = (1 + 2) * 3 << 1"),
        ("ram[1] = -(-5) + +3", "ram[1] = 5 + 3"),
        ("ram[1] = -(ram[2])", "ram[1] = -ram[2]"),
        ("ram[1] = 1 if (1 < 2) < 3", "ram[1] = 1 if (1 < 2) < 3"),
        ("ram[1] = ram[ram[2] & 127]", "ram[1] = ram[ram[2] & 127]"),
        ("ram[1] = ram[2] // max(1, ram[3])", "ram[1] = ram[2] // max(1, ram[3])"),
    ],
)
def test_a_text_has_one_canonical_form(text, meaning):
    assert canonical(text) == meaning
    assert canonical(meaning) == meaning


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column 1: found the end. Allowed: ram\\[..\\] or a name of the RAM map"),
        ("ram[128] = 1", "column 5: found the address 128. Allowed: 0 to 127"),
        ("ram[-1] = 1", "column 5: found '-'. Allowed: the number of a byte"),
        ("ram[9..3] = 1", "column 8: the range ends at 3, before its beginning 9"),
        ("ball_z = 1", "column 1: the RAM map has no 'ball_z'. Did you mean 'ball_x' or 'ball_y'"),
        ("ram[1] = xyzzy", "column 10: the RAM map has no 'xyzzy'. Allowed: ball_x, ball_y, lives, ram"),
        ("prev.ball_y = 1", "what was cannot be written"),
        ("ball_y == 1", "column 8: found '=='. Allowed: = \\+= .* Use = to write a byte"),
        ("ball_y *= 2", "column 8: found '\\*'"),
        ("ball_y = ram[ball_x]", "column 14: found the name 'ball_x' as an address.*Write ball_x"),
        ("ball_y = prev[ball_x]", "Write prev.ball_x"),
        ("ball_y = prev[(ball_x)]", "column 15: the address may be 0 to 255"),
        ("ball_y = ram[ram[3]]", "column 14: the address may be 0 to 255. Allowed: 0 to 127. Write \\(...\\) & 127"),
        ("ram[0..9] = ram[i - 1]", "column 17: the address may be -1 to 8"),
        ("ball_y = i", "column 10: found 'i'. Allowed: only where a range"),
        ("ball_y = 1 / 2", "column 12: found '/'.*Use // for whole division"),
        ("ball_y = 5 % 0", "column 12: the right side of % may be 0"),
        ("ball_y = 5 // ram[3]", "column 12: the right side of // may be 0. Write max"),
        ("ball_y = 1 << ram[3]", "column 12: the right side of << may be 255. Allowed: 0 to 31"),
        ("ball_y = 1 >> -1", "may be -1"),
        ("ball_y = frame * frame * frame", "column 24: the result of \\* may exceed 2\\*\\*62"),
        ("ball_y = 2147483648", "column 10: the number 2147483648 is too large. Allowed: up to 2147483647"),
        ("ball_y = " + "9" * 5000, "is too large"),
        ("ball_y = 1.5", "column 11: found '.'"),
        ("ball_y = 5px", "column 10: found '5px'. Allowed: whole numbers"),
        ("ball_y = 1 if 2 else 3", "column 17: found 'else'.*Write two statements"),
        ("ball_y = 1 if 2 every 3 frames", "found 'every'.*The order is: every N frames, at frame N, if condition"),
        ("ball_y = 1 at frame 3 at frame 4", "column 23: found 'at'"),
        ("ball_y = 1 every 0 frames", "column 18: found 0. Allowed: integers 1 to"),
        ("ball_y = 1 every 3", "column 19: found the end. Allowed: 'frames' or 'frame'"),
        ("ball_y = 1 at 3", "column 15: found '3'. Allowed: 'frame'"),
        ("ball_y = 1 every 2 frames at frame 3", "never runs: frame 3 is no multiple of 2"),
        ("lives = 1; ball_y = 1 every 2 frames at frame 3", "column 12: the statement never runs"),
        ("ball_y = rand(5, 1)", "column 10: found other arguments of rand"),
        ("ball_y = rand(1, ball_x)", "found other arguments of rand"),
        ("ball_y = min(1)", "column 10: min has 1 arguments. Allowed: two or more"),
        ("ball_y = abs(1, 2)", "column 10: abs has 2 arguments. Allowed: one"),
        ("ball_y = 1 + not 2", "column 14: found 'not' as an operand"),
        ("ball_y = (1", "column 12: found the end. Allowed: an operator or '\\)'"),
        ("ball_y = 1 2", "column 12: found '2'. Allowed: an operator, every, at, if, ';' or the end"),
        ("ball_y = 1;; ball_x = 2", "column 12: found ';'"),
        ("ball_y = min", "column 13: found the end. Allowed: '\\('"),
        ("ball_y = 1 # no", "Comments stand in TOML"),
        ("ball_y = 1\n;ball_x = ?", "line 2, column 11: found '\\?'"),
        ("ball_y = \u0661", "found '\u0661'"),
        # What Python's grammar has and the language has not.
        ("ball_y = min(1, 2,)", "column 19: found '\\)'. Allowed: a number, a byte, a name or a parenthesis"),
        ("ball_y = min(1, ball_x=2)", "column 23: found '='. Allowed: an operator or '\\)'"),
        ("ball_y = min(*ball_x, 1)", "column 14: found '\\*'. Allowed: a number"),
        ("ball_y = ball_x ** 2", "column 18: found '\\*'. Allowed: a number"),
        ("ball_y = 1, 2", "column 11: found ','. Allowed: an operator, every, at, if, ';' or the end"),
        ("ball_y = (prev)[3]", "column 15: found '\\)'. Allowed: '\\[' or '.' after prev"),
        ("ball_y = (max)(1, 2)", "column 14: found '\\)'. Allowed: '\\('"),
        ("ball_y = ball_x.real", "column 16: found '.'"),
        ("ball_y = ball_x is lives", "column 17: found 'is'. Allowed: an operator"),
        ("ball_y = lambda", "column 10: the RAM map has no 'lambda'"),
        ("ball_y = True", "column 10: the RAM map has no 'True'"),
        ("ball_y = 1_0", "column 10: found '1_0'. Allowed: whole numbers"),
        ("ball_y = [1]", "column 10: found '\\['. Allowed: a number"),
        ("ball_y = ()", "column 11: found '\\)'. Allowed: a number"),
        ("ball_y = prev.", "column 15: found the end. Allowed: a name of the RAM map"),
        ("ball_y = mix(1, 2)", "column 10: the RAM map has no 'mix'. Did you mean 'min' or 'max'"),
        ("ball_y = __import__(ball_x)", "column 10: the RAM map has no '__import__'"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text, message):
    with pytest.raises(SpecError, match=message) as caught:
        parse_rule(text, NAMES, "pong")
    assert str(caught.value).startswith(("pong, ", "pong: "))


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (MAX_NESTING, lambda n: "ball_y = " + "(" * n + "1" + ")" * n),
        (MAX_NESTING, lambda n: "ball_y = " + "~" * n + "ball_x"),
        (MAX_NESTING, lambda n: "ball_y = 1 if " + "not " * n + "ball_x"),
        (MAX_NESTING, lambda n: "ball_y = " + "abs(" * n + "ball_x" + ")" * n),
        (MAX_TOKENS // 2 - 1, lambda n: "ball_y = ball_x" + " | ball_x" * (n - 1)),
        (MAX_STATEMENTS, lambda n: "ball_y = 1;" * n),
        (MAX_LENGTH, lambda n: "ball_y = 1".ljust(n)),
    ],
    ids=["parentheses", "signs", "not", "calls", "tokens", "statements", "length"],
)
def test_size_and_depth_have_limits(size, text):
    parse_rule(text(size), NAMES)
    with pytest.raises(SpecError, match=r"Allowed: (up to )?[0-9]+"):
        parse_rule(text(size + 1), NAMES)


HOSTILE = [
    *(sign * 2_000 for sign in ("(", "[", "-", "~", "not ", "ram[", "abs(", "1 if ", "1,", "1|", "-(", "1 < ")),
    *("(" * 2_000 + "1" + ")" * 2_000, "-" * 250 + "1", "not " * 250 + "1", ("(" + "-" * 9) * 24 + "1" + ")" * 24),
    *("9" * 4_300, "9" * 4_301, "0x" + "f" * 4_300, "0" * 4_300 + "1", "1" + " " * 9_000),
    *(
        "ball_x" * 2_000,
        "(1 2)" * 60,
        "ball_x.ball_y" * 60,
        "1\0",
        "1\\",
        "'" * 3,
        "f'{ball_x}'",
        "{1: 2}",
        "[i for i in 1]",
    ),
    *(
        "lambda: 1",
        "(ball_x := 1)",
        "await ball_x",
        "1 if 1 else 1",
        "1e9",
        "2 ** 99",
        "1j",
        "...",
        "x" * 5_000,
        "x" * 65_536,
        "prev." + "x" * 5_000,
    ),
]


@pytest.mark.parametrize("text", HOSTILE, ids=[text[:9] for text in HOSTILE])
def test_hostile_texts_are_refused_in_few_words_and_little_work(monkeypatch, text):
    sizes = []

    def counted(text, **options):
        sizes.append(len(text.splitlines()))
        return parse(text, **options)

    parse = ast.parse
    monkeypatch.setattr(ast, "parse", counted)
    for rule in (f"ball_y = {text}", f"ball_y = 1 if {text}", f"ram[{text}] = 1", text):
        sizes.clear()
        with pytest.raises(SpecError) as caught:
            parse_rule(rule, NAMES, "r")
        assert len(str(caught.value)) < 400
        assert "\n" not in str(caught.value)
        # At most 256 tokens and what completes them; the place of a fault is found in halves.
        assert max(sizes, default=0) <= MAX_TOKENS + MAX_NESTING + 3
        assert len(sizes) <= 60


WORDS = "ball_x prev [ ] ( ) 1 200 + - * // & << < == and or not min max abs , frame rand if every 3 ;"


def test_random_rules_are_read_or_refused_with_their_place():
    generator, words = np.random.default_rng(0), np.array(WORDS.split())
    problems = []
    for _ in range(2_000):
        text = " ".join(generator.choice(words, generator.integers(1, 12)))
        try:
            parse_rule(f"ball_y = {text}", NAMES)
        except SpecError as error:
            problems.append(str(error))
    assert 1_000 < len(problems) < 2_000
    assert all(problem.startswith("rule, column ") for problem in problems)


def test_on_reset_runs_once():
    assert (
        canonical("lives = 1; ball_y = 2 at frame 9", is_on_reset=True)
        == "ram[57] = 1 at frame 0; ram[101] = 2 at frame 9"
    )
    with pytest.raises(SpecError, match="found 'every 2 frames' in a rule that runs on reset"):
        parse_rule("lives = 1 every 2 frames", NAMES, is_on_reset=True)


def test_written_bytes_are_named_where_the_map_has_a_name():
    names = {"score": 4, "other_name": 4, "ball": 9}
    assert written_bytes(parse_rule("ram[2..5] = 1; ram[9] = 1; ram[20..21] = 0; ram[2] = 3", {}), names) == (
        "2..3, score/other_name (4), 5, ball (9), 20..21"
    )


@pytest.mark.parametrize(
    ("game", "patch", "words"),
    [
        ("pong", "start_at_15_15", ["score (score_enemy, score_player)", "becomes reward"]),
        ("enduro", "fewer_cars_to_pass", ["cars_to_pass_lo", "becomes reward"]),
        ("asteroids", "one_life", ["Writes the lives (lives_direction)"]),
        ("pong", "lazy_enemy", []),
    ],
)
def test_rules_that_write_score_or_lives_say_so(game, patch, words):
    record = load_game(game)
    note = reward_note(patch_rule(record, patch), record)
    assert all(word in note for word in words)
    assert bool(note) == bool(words)


def test_patches_are_found_and_checked_by_game():
    pong = load_game("pong")
    with pytest.raises(SpecError, match=r"Unknown RAM patch of pong 'lazy_enemi'. Did you mean 'lazy_enemy'"):
        patch_rule(pong, "lazy_enemi")
    with pytest.raises(SpecError, match="adventure has no RAM patches"):
        patch_rule(load_game("adventure"), "lazy_enemy")
    for patch in pong.patches.values():
        check_patch(patch, pong)
    assert ram_addresses(pong)["ball_y"] == 54
