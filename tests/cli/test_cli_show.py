"""`wsabench list` and `wsabench show`: what they say about the catalogue, and that tables fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wsabench.cli import main
from wsabench.cli.facts.baselines import agent_specs, agents_with_encoders, weight_files
from wsabench.cli.facts.perturbations import named_text
from wsabench.emulator import measure_effect
from wsabench.evaluation.encoder_effect import AttentionCapture
from wsabench.games import catalogue_games, load_game
from wsabench.perturb import list_perturbations, load_suite
from wsabench.perturb.rules import canonical_text, parse_patch, parse_rule, ram_addresses


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    """Return what a command prints with --json."""
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_list_has_all_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(capsys, "list")
    assert [row["game"] for row in found["games"]] == catalogue_games()
    assert [row["name"] for row in found["perturbations"]] == [entry.name for entry in list_perturbations()]
    games = {row["name"]: row["games"] for row in found["perturbations"]}
    assert games["hue-rotate"] is None
    assert games["lazy-enemy"] == ["pong"]
    assert "color-shift" in [row["name"] for row in found["suites"]]
    assert {"wsa", "e2e"} <= {row["agent"] for row in found["agents"]}
    assert list(shown(capsys, "list", "games")) == ["games"]


def test_an_agent_of_several_games_counts_once(capsys: pytest.CaptureFixture[str]) -> None:
    rows = shown(capsys, "list", "agents")["agents"]
    names = {row["agent"] for row in rows}
    assert len(names) < len(rows)
    assert main(["list", "agents"]) == 0
    assert f"agents ({len(names)})" in capsys.readouterr().out


def test_perturbations_are_listed_by_family_and_game(capsys: pytest.CaptureFixture[str]) -> None:
    rows = shown(capsys, "list", "--family", "dynamics", "--game", "pong")["perturbations"]
    names = [row["name"] for row in rows]
    assert {row["family"] for row in rows} == {"dynamics"}
    assert {"sticky-actions", "lazy-enemy", "mode-1"} <= set(names)
    assert "small-paddle" not in names
    effects = {row["name"]: row["summary"] for row in rows}
    assert effects["fast-ball"] == load_game("pong").patches["fast_ball"].effect
    names = [row["name"] for row in shown(capsys, "list", "perturbations", "--game", "asteroids")["perturbations"]]
    assert "recolor-player" not in names  # no colour of the ship is known there


def test_what_games_bring_along_is_counted_unless_a_game_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "perturbations"]) == 0
    text = capsys.readouterr().out
    assert "lazy-enemy" not in text
    pong = next(line.split() for line in text.splitlines() if line.startswith("pong "))
    families = [patch.family for patch in load_game("pong").verified_patches]
    assert pong[1:3] == [str(families.count("dynamics")), str(families.count("color"))]
    assert main(["list", "perturbations", "--game", "pong"]) == 0
    assert "lazy-enemy" in capsys.readouterr().out


def test_options_that_choose_perturbations_are_refused_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "suites", "--game", "pong"]) == 2
    assert "--family and --game choose perturbations, not suites" in capsys.readouterr().err
    assert main(["list", "--family", "colour"]) == 2
    assert "color" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["list"],
        ["list", "--game", "freeway"],
        ["show", "color-shift"],
        ["show", "breakout"],
        ["show", "wsa"],
        ["show", "one-life", "--games", "none"],
        ["show", "noise-encoders", "--games", "none"],
        ["show", "recolor-player", "--games", "none"],
    ],
)
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
    assert row["@3"] == round(measure_effect("breakout", "hue-rotate@3").value, 2)
    assert "share_of_changed_steps" in found
    assert main(["show", "hue-rotate", "--games", "breakout,pong"]) == 0
    assert max(len(line) for line in capsys.readouterr().out.splitlines()) <= 80


def test_cells_that_a_run_refuses_stand_in_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(capsys, "show", "saturation", "--games", "asteroids,pong")
    (asteroids, pong) = found["effect_in_grey_levels"]
    small = [head for head, value in asteroids.items() if head != "game" and value < 1]
    assert 0 < len(small) < 5, "else this test shows nothing"
    assert found["refused"] == {"asteroids": [f"saturation{head}" for head in small]}
    assert min(value for head, value in pong.items() if head != "game") >= 1
    assert main(["show", "saturation", "--games", "asteroids"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("asteroids ")]
    assert [word.startswith("(") for word in line.split()[1:]] == [f"@{number}" in small for number in range(1, 6)]
    assert shown(capsys, "show", "lazy-enemy", "--games", "pong")["refused"] == {}


def test_a_patch_is_shown_with_its_rule_in_names_and_what_it_writes(capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(capsys, "show", "one-life", "--games", "pong")
    rows = {row["game"]: row for row in found["rules"]}
    assert found["games"] == ", ".join(sorted(rows))
    assert rows["breakout"]["rule"].startswith("lives = 1 at frame")
    assert rows["breakout"]["writes"] == "lives (57)"
    assert rows["breakout"]["score and lives"].startswith("Writes the lives (lives)")
    assert rows["breakout"]["verified"] == load_game("breakout").patches["one_life"].how_verified
    assert found["effect_in_grey_levels"] == []  # pong has no such patch
    assert "dynamics" in found["suites"].split(", ")


def test_rules_in_names_parse_to_the_same_rules() -> None:
    for game in map(load_game, catalogue_games()):
        addresses = ram_addresses(game)
        for patch in game.patches.values():
            text = canonical_text(parse_patch(patch, game))
            assert canonical_text(parse_rule(named_text(text, addresses), addresses)) == text


def test_a_change_of_the_play_is_shown_with_the_share_of_changed_steps(capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(capsys, "show", "lazy-enemy", "--games", "pong,breakout")
    effect = measure_effect("pong", "lazy-enemy")
    assert found["effect_in_grey_levels"] == [{"game": "pong", "effect": round(effect.value, 2)}]
    assert found["share_of_changed_steps"] == [{"game": "pong", "effect": round(effect.changed_steps or 0, 3)}]


def test_a_recolouring_lists_what_shares_the_colour(capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(capsys, "show", "recolor-player", "--games", "none")
    row = next(row for row in found["recoloured"] if row["game"] == "breakout")
    assert (row["palette indices"], row["objects"]) == ("70", "player")
    assert row["shared by"].split(", ") == ["ball", "blocks_row_1_from_top"]


def test_changes_of_encoders_are_measured_on_agents(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "wsabench.evaluation.encoder_effect.measure_encoder_effects",
        lambda game, names, agent, seed: dict.fromkeys(names, 0.25 + seed),
    )
    monkeypatch.setattr(
        "wsabench.evaluation.encoder_effect.measure_attention_capture",
        lambda game, names, agent, seed: {names[1]: AttentionCapture(0.1234, 0.5 + seed / 8)},
    )
    found = shown(capsys, "show", "stale-encoders", "--games", "breakout")
    levels = {f"@{level}": 0.25 for level in range(1, 6)}
    assert {"game": "breakout", "agent": "wsa", "train seed": 0, **levels} in found["effect_on_actions"]
    row = {"game": "breakout", "agent": "wsa", "train seed": 0, "severity": "@2", "clean": 0.123, "changed": 0.5}
    assert row in found["attention_captured"]
    assert {row["severity"] for row in found["attention_captured"]} == {"@2"}
    assert found["effect_in_grey_levels"] == []
    assert [row["train seed"] for row in found["effect_on_actions"]] == [0, 1, 2]
    found = shown(capsys, "show", "stale-encoders", "--games", "boxing")
    assert "no agent with encoders is shipped" in found["effect on encoders"]
    # Of several games one train seed is asked, which is said.
    found = shown(capsys, "show", "stale-encoders")
    assert {row["train seed"] for row in found["effect_on_actions"]} == {0}
    assert len({row["game"] for row in found["effect_on_actions"]}) > 1
    assert "one train seed of each agent" in found["effect on encoders"]


def test_a_checkpoint_without_a_description_is_none_that_fuses_encoders() -> None:
    variant = next(agent for _, agent, _, _ in weight_files() if agent not in agent_specs())
    asked = {agent for _, agent, _ in agents_with_encoders()}
    assert {"wsa", "wsa-random"} <= asked
    assert not asked & {"e2e", variant}


def test_a_patch_that_was_not_confirmed_is_refused_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    game, patch = next(
        (game, patch)
        for game in map(load_game, catalogue_games())
        for patch in game.patches.values()
        if not patch.is_verified and patch.perturbation not in {entry.name for entry in list_perturbations()}
    )
    assert main(["show", patch.perturbation]) == 2
    assert patch.how_verified[:40] in capsys.readouterr().err
    rows = {row["ram patch"]: row for row in shown(capsys, "show", game.id)["ram_patches"]}
    assert rows[patch.perturbation]["verified"] is False


def test_a_composition_shows_its_parts(capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(capsys, "show", "hue-rotate@3+value@2", "--games", "breakout")
    assert {"summary of hue-rotate", "how it works of value"} <= set(found)
    assert [row["written"] for row in found["parameters"]] == ["hue-rotate@3", "value@2"]
    effect = round(measure_effect("breakout", "hue-rotate@3+value@2").value, 2)
    assert found["effect_in_grey_levels"] == [{"game": "breakout", "effect": effect}]


def test_clean_is_shown_without_an_effect(capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(capsys, "show", "clean", "--games", "none")
    assert found["family"] == "clean"
    assert not any(value for key, value in found.items() if key not in ("kind", "family"))


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
