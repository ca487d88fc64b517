"""What the commands print: tables and JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from wsabench.cli.terminal import console


@dataclass
class Thing:
    path: Path
    values: tuple[float, ...]


def test_json_has_null_for_what_is_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    console.write_json(
        {"thing": Thing(Path("a/b"), (1.5, float("nan"))), "array": np.array([1, 2]), "all": {3: np.inf}}
    )
    assert json.loads(capsys.readouterr().out) == {
        "thing": {"path": "a/b", "values": [1.5, None]},
        "array": [1, 2],
        "all": {"3": None},
    }


def test_tables_fold_long_words_into_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    console.write_table("title", ["name", "summary", "value"], [["n" * 60, "word " * 40, 0.123456], ["m", "[b]", None]])
    text = capsys.readouterr().out
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "0.123" in text
    assert "[b]" in text
    assert not any(character < " " and character != "\n" for character in text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (float("nan"), "-"),
        (True, "yes"),
        (3, "3"),
        (0.0, "0"),
        (12.34, "12.3"),
        (345.67, "345.7"),
        (7242.6, "7243"),
    ],
)
def test_cell_text(value: object, text: str) -> None:
    assert console.value_text(value) == text


def test_names_may_be_repeated_or_joined_by_commas() -> None:
    assert console.split_names(["wsa, e2e", "own:policy"]) == ["wsa", "e2e", "own:policy"]
    assert console.split_names([" , "]) is None
    assert console.split_names(None) is None


@pytest.mark.parametrize("width", [30, 60, 80])
def test_tables_and_paragraphs_break_no_name(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    names = ["encoder-dropout-of-transporter", "gaussian-noise@3", "montezuma_revenge"]
    rows = [[name, "space_invaders", 3, 1234.5, "Rotate the hue of every colour by some degrees"] for name in names]
    console.write_table("Title", ["perturbation", "game", "seeds", "mean return", "summary"], rows, " ".join(names * 3))
    out = capsys.readouterr().out
    for name in (*names, "space_invaders", "degrees"):
        assert out.split().count(name) >= (3 if name != "montezuma_revenge" else 1), out
    assert max(map(len, out.splitlines())) <= max(width, len("  perturbation: ") + max(map(len, names)))
