"""Malformed specs, made at random: each gives one clear message, none another exception, and none runs as clean."""

from __future__ import annotations

import copy
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from wsabench.errors import SpecError, UnknownNameError
from wsabench.fields import Fields
from wsabench.games import catalogue_games, load_game
from wsabench.perturb import compile_perturbation, list_perturbations, parse_perturbation
from wsabench.perturb.catalogue import all_kinds, read_entry
from wsabench.perturb.rules import parse_rule
from wsabench.perturb.spec import Perturbation, PerturbationPart

pytestmark = pytest.mark.property

ENTRIES = list_perturbations()
NAMES = {entry.name for entry in ENTRIES}
LETTERS = "abcdefghijklmnopqrstuvwxyz-_@+ .0123456789ABCÄ\t\x00'\"%{}"
ODD_VALUES = [None, True, -1, 0, 7, 10**30, 0.5, float("nan"), float("inf"), "", "x", [], [1], {}, {"a": 1}, ("b",)]


def rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def pick(generator: np.random.Generator, values):
    return values[int(generator.integers(len(values)))]


def written(generator: np.random.Generator) -> str:
    """Return a valid term."""
    entry = pick(generator, ENTRIES)
    return entry.name if not entry.has_severity else f"{entry.name}@{int(generator.integers(1, 6))}"


def mutated(generator: np.random.Generator, text: str) -> str:
    """Return the text with one to three letters changed, added or taken away."""
    letters = list(text)
    for _ in range(int(generator.integers(1, 4))):
        place = int(generator.integers(len(letters) + 1))
        what = int(generator.integers(3))
        if what == 0 or not letters:
            letters.insert(place, pick(generator, LETTERS))
        elif what == 1:
            letters[min(place, len(letters) - 1)] = pick(generator, LETTERS)
        else:
            del letters[min(place, len(letters) - 1)]
    return "".join(letters)


def is_valid(text: str) -> bool:
    """Whether a text is well formed, judged without the parser."""
    severities = {entry.name: entry.has_severity for entry in ENTRIES}
    if text.strip() == "clean":
        return True
    for term in text.split("+"):
        name, at, level = term.strip().partition("@")
        if name not in severities or severities[name] != bool(at) or (at and level not in set("12345")):
            return False
    return True


def assert_clear(error: Exception) -> None:
    """Check that a message says what was found or wrong and what is allowed, on one line."""
    text = str(error)
    assert len(text) > 20
    assert "\n" not in text.strip()
    assert any(word in text for word in ("Allowed", "Did you mean", "Run `wsabench", "Correct")), text


def test_mutated_names_are_refused_or_are_what_they_say():
    generator, num_refused = rng(0), 0
    while num_refused < 400:
        text = "+".join(written(generator) for _ in range(int(generator.integers(1, 4))))
        text = mutated(generator, text)
        try:
            parsed = parse_perturbation(text)
        except (SpecError, UnknownNameError) as error:
            assert not is_valid(text), text
            assert_clear(error)
            num_refused += 1
        else:
            assert is_valid(text), text
            assert parsed.name == "+".join(term.strip() for term in text.split("+"))
            assert not parsed.is_clean or text.strip() == "clean"


@pytest.mark.parametrize(
    "text", [None, 3, b"clean", ["clean"], {"clean": 1}, "", " ", "clean+", "+", "@", "@1", "Clean"]
)
def test_what_is_no_name_is_refused(text):
    with pytest.raises((SpecError, UnknownNameError)) as caught:
        parse_perturbation(text)
    assert_clear(caught.value)


def test_names_never_compile_to_clean_in_a_game_that_does_not_have_them():
    generator = rng(1)
    games = [*catalogue_games(), "adventure", "air_raid", "klax"]
    for _ in range(300):
        name, game = "+".join(written(generator) for _ in range(2)), pick(generator, games)
        try:
            compiled = compile_perturbation(name, game)
        except SpecError as error:
            assert_clear_fit(error)
            continue
        assert compiled.name == name
        assert compiled.content_hash != compile_perturbation("clean", game).content_hash


def assert_clear_fit(error: SpecError) -> None:
    """Check that a message about a misfit says which games fit, or what is allowed."""
    assert any(word in str(error) for word in ("Allowed", "Games that have it")), error


TABLES = {
    "value": {
        "family": "color",
        "kind": "palette.value",
        "summary": "s",
        "source": "t",
        "severity": {"factor": [0.9, 0.8, 0.7, 0.6, 0.5]},
    },
    "swap": {"family": "color", "kind": "palette.channel_permute", "summary": "s", "parameters": {"order": "bgr"}},
    "jitter": {
        "family": "dynamics",
        "kind": "control.frame_skip_jitter",
        "summary": "s",
        "parameters": {"lowest": 1, "highest": 7},
        "severity": {"probability": [0.2, 0.4, 0.6, 0.8, 1.0]},
    },
    "drop": {"family": "encoder", "kind": "encoder.drop", "summary": "s", "parameters": {"encoders": ["sr", "vos"]}},
}


def broken_table(generator: np.random.Generator) -> tuple[str, dict]:
    """Return a name and a table that is no longer valid."""
    name = pick(generator, sorted(TABLES))
    table = copy.deepcopy(TABLES[name])
    required = [key for key in table if key != "source"]
    match int(generator.integers(6)):
        case 0:
            del table[pick(generator, required)]
        case 1:
            table[mutated(generator, "severity") + "x"] = 1
        case 2:
            table[pick(generator, ["family", "kind"])] = mutated(generator, "palette.value") + "?"
        case 3:
            table["summary"] = pick(generator, [value for value in ODD_VALUES if value not in ("x",)])
        case 4:
            key = "severity" if "severity" in table else "parameters"
            inner = pick(generator, sorted(table[key]))
            values = [value for value in ODD_VALUES if not isinstance(value, tuple)]
            table[key][inner] = pick(generator, [v for v in values if not (name == "drop" and v == ["x"])])
        case _:
            if "severity" in table:
                steps = next(iter(table["severity"].values()))
                steps[int(generator.integers(5))] = pick(generator, [9e9, -9e9, steps[0], "a", None, steps[4]])
                if len(set(map(str, steps))) == 5:  # it happened to stay as it was
                    steps.pop()
            else:
                table["severity"] = {"degrees": [1, 2, 3, 4, 5]}
    return name, table


def test_mutated_tables_are_refused_with_place_and_key():
    generator = rng(2)
    for _ in range(300):
        name, table = broken_table(generator)
        with pytest.raises((SpecError, UnknownNameError)) as caught:
            read_entry(name, Fields(table, f"own.toml, {name}"))
        assert_clear(caught.value)
        assert str(caught.value).startswith(f"own.toml, {name}")


def test_valid_tables_are_read():
    for name, table in TABLES.items():
        assert read_entry(name, Fields(table, name)).kind == table["kind"]


def test_mutated_rules_are_refused_or_parsed():
    generator, num_refused = rng(3), 0
    rules = [(game.id, patch.rule) for game in map(load_game, catalogue_games()) for patch in game.patches.values()]
    while num_refused < 300:
        game, text = pick(generator, rules)
        names = {variable.name: variable.index for variable in load_game(game).ram.values()}
        try:
            parse_rule(mutated(generator, text), names, "rule")
        except SpecError as error:
            num_refused += 1
            assert_placed(error, "rule")


def assert_placed(error: SpecError, where: str) -> None:
    """Check that a message is one line that begins with the place of the mistake."""
    assert str(error).startswith(where)
    assert "\n" not in str(error)


def hash_of(kind: str, **parameters) -> str:
    """Return the content hash of one part in Pong, whatever its name."""
    part = PerturbationPart("own", all_kinds()[kind].family, None, kind, tuple(sorted(parameters.items())))
    return compile_perturbation(Perturbation((part,)), "pong").content_hash


def test_any_parameter_of_any_kind_changes_the_hash_and_its_order_does_not():
    for entry in ENTRIES:
        if entry.games is not None or not entry.has_severity:
            continue
        texts = [f"{entry.name}@{level}" for level in entry.severities]
        assert len({parse_perturbation(text).content_hash for text in texts}) == 5, entry.name
    base = {"probability": 0.2, "lowest": 1, "highest": 7}
    changes = [{}, {"probability": 0.3}, {"lowest": 2}, {"highest": 8}]
    assert len({hash_of("control.frame_skip_jitter", **{**base, **change}) for change in changes}) == 4
    part = PerturbationPart("own", "dynamics", None, "control.frame_skip_jitter", tuple(base.items()))
    backwards = PerturbationPart("other", "dynamics", 3, "control.frame_skip_jitter", tuple(reversed(base.items())))
    assert Perturbation((part,)).content_hash == Perturbation((backwards,)).content_hash


def test_parts_in_another_order_are_another_perturbation_and_words_do_not_count(tmp_path: Path):
    both = parse_perturbation("sticky-actions@1+action-delay@1").content_hash
    assert both != parse_perturbation("action-delay@1+sticky-actions@1").content_hash
    table = TABLES["value"]
    reworded = dict(reversed({**table, "summary": "other", "source": "other"}.items()))
    for level in range(1, 6):
        first, second = (read_entry("a", Fields(t, "t")).resolved(level) for t in (table, reworded))
        assert list(first.items()) == list(second.items())
    assert isinstance(read_entry("a", Fields(table, "t")).scale, MappingProxyType)
