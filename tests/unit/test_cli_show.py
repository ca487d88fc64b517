"""`wsabench list` and `wsabench show`: what they say about the catalogue, and that tables fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wsabench.cli import main
from wsabench.emulator import measure_effect
from wsabench.games import catalogue_games
from wsabench.perturb import list_perturbations, load_suite


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    """Return what a command prints with --json."""
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_list_has_all_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(capsys, "list")
    assert [row["game"] for row in found["games"]] == catalogue_games()
    assert [row["name"] for row in found["perturbations"]] == [entry.name for entry in list_perturbations()]
    assert "color-shift" in [row["name"] for row in found["suites"]]
    assert {"wsa", "e2e"} <= {row["agent"] for row in found["agents"]}
    assert list(shown(capsys, "list", "games")) == ["games"]


@pytest.mark.parametrize("words", [["list"], ["show", "color-shift"], ["show", "breakout"], ["show", "wsa"]])
def test_every_table_fits_80_columns(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    text = capsys.readouterr().out
    assert max(len(line) for line in text.splitlines()) <= 80
    assert all(line == line.rstrip() for line in text.splitlines())


def test_a_perturbation_is_shown_at_every_severity_with_its_measured_effect(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = shown(capsys, "show", "hue-rotate", "--games", "breakout")
    assert found["kind"] == "perturbation"
    assert [row["degrees"] for row in found["parameters"]] == [36, 72, 108, 144, 180]
    (row,) = found["effect_in_grey_levels"]
    assert row["game"] == "breakout"
    assert row["@3"] == round(measure_effect("breakout", "hue-rotate@3"), 2)
    assert main(["show", "hue-rotate", "--games", "breakout,pong"]) == 0
    assert max(len(line) for line in capsys.readouterr().out.splitlines()) <= 80


def test_a_composition_shows_its_parts(capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(capsys, "show", "hue-rotate@3+value@2", "--games", "breakout")
    assert {"hue-rotate", "value"} <= set(found)
    assert [row["written"] for row in found["parameters"]] == ["hue-rotate@3", "value@2"]
    effect = round(measure_effect("breakout", "hue-rotate@3+value@2"), 2)
    assert found["effect_in_grey_levels"] == [{"game": "breakout", "effect": effect}]


def test_clean_is_shown_without_an_effect(capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(capsys, "show", "clean", "--games", "none")
    assert found == {"kind": "perturbation", "family": "clean", "parameters": [], "effect_in_grey_levels": []}


def test_a_suite_is_shown_with_profiles_and_cells(capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(capsys, "show", "color-shift")
    suite = load_suite("color-shift")
    assert found["hash"] == suite.content_hash
    assert [row["perturbation"] for row in found["cells"]] == list(suite.perturbations)
    quick = {row["perturbation"] for row in found["cells"] if row["quick"]}
    assert quick == set(suite.profiles["quick"].perturbations)


def test_a_suite_file_is_shown_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    head = 'summary = "x"\ngames = ["pong"]\nperturbations = ["clean", "invert"]\n'
    path.write_text(head + "[profiles.quick]\ntrain_seeds = [0]\nepisodes = 1\n", encoding="utf-8")
    found = shown(capsys, "show", str(path))
    assert [row["perturbation"] for row in found["cells"]] == ["clean", "invert"]


def test_a_game_is_shown_with_memory_colours_and_scores(capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(capsys, "show", "breakout")
    assert (found["random_score"], found["human_score"]) == (1.7, 30.5)
    assert {"ram": 99, "variable": "ball_x", "encoding": "raw", "confidence": "verified"} in found["ram_variables"]
    assert {"object": "ball", "palette indices": "70"} in found["object_colours"]


def test_a_game_without_an_entry_is_shown_with_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(capsys, "show", "tennis")
    assert found["kind"] == "game"
    assert found["ram_variables"] == []


def test_an_agent_is_shown_with_its_description(capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(capsys, "show", "wsa")
    assert found["encoders"] == ["sr", "oke", "okk", "vos"]
    assert found["context"] == "ae"
    for row in found["checkpoints"]:
        assert row["parameters"] > 0
        assert row["steps"] > 0
        assert len(row["sha256"]) == 12
    if found["checkpoints"]:
        assert {row["encoder"] for row in found["encoder_hashes"]} >= {"breakout/sr", "breakout/ae"}
