"""Perturbations that games bring along: which there are, where they fit, and what enters their hashes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import MappingProxyType

import pytest

from wsabench.errors import SpecError, UnknownNameError
from wsabench.games import catalogue_games, load_game
from wsabench.games.catalogue import ReferenceScores, read_game
from wsabench.perturb import catalogue as catalogue_module
from wsabench.perturb import (
    compile_perturbation,
    compiling,
    game_entries,
    list_perturbations,
    load_suite,
    misfit,
    parse_perturbation,
)
from wsabench.perturb.catalogue import all_kinds

GAMES = {game: load_game(game) for game in catalogue_games()}
PATCHES = [(game.id, patch) for game in GAMES.values() for patch in game.patches.values()]
ENTRIES = {entry.name: entry for entry in list_perturbations()}


def test_every_verified_patch_is_a_perturbation_of_its_games_and_no_other_is():
    owners: dict[str, list[str]] = {}
    for game, patch in PATCHES:
        if patch.is_verified:
            owners.setdefault(patch.name.replace("_", "-"), []).append(game)
    found = {entry.name: list(entry.games) for entry in ENTRIES.values() if entry.kind == "ram.patch"}
    assert found == {name: sorted(games) for name, games in owners.items()}
    assert all(not ENTRIES[name].has_severity for name in found)


@pytest.mark.parametrize("game", catalogue_games())
def test_every_patch_of_a_game_compiles_there(game):
    for patch in GAMES[game].verified_patches:
        compiled = compile_perturbation(patch.perturbation, game)
        assert len(compiled.rules) == 1
        assert compiled.family == patch.family
        assert not compiled.is_pixel_change_only
        assert compiled.content_hash != parse_perturbation(patch.perturbation).content_hash


def test_patches_that_write_colours_alone_are_of_the_family_color():
    colored = {name for name, entry in ENTRIES.items() if entry.kind == "ram.patch" and entry.family == "color"}
    assert {"all-black-cars", "color-all-blocks-red", "ring-color-blue", "recolor-all"} <= colored
    assert len(colored) >= 34
    assert {entry.family for entry in ENTRIES.values() if entry.kind == "ram.patch"} == {"color", "dynamics"}


def test_every_mode_and_difficulty_but_the_default_is_a_perturbation():
    for switch in ("mode", "difficulty"):
        values = {
            f"{switch}-{value}": sorted(g.id for g in GAMES.values() if value in getattr(g, plural(switch))[1:])
            for game in GAMES.values()
            for value in getattr(game, plural(switch))[1:]
        }
        found = {entry.name: list(entry.games) for entry in ENTRIES.values() if entry.kind == f"console.{switch}"}
        assert found == values
    assert "mode-0" not in ENTRIES
    assert ENTRIES["mode-4"].games == ("asteroids", "breakout", "freeway", "space_invaders")


def plural(switch: str) -> str:
    return "modes" if switch == "mode" else "difficulties"


def test_a_name_that_does_not_fit_is_refused_everywhere_else_and_never_clean():
    for entry in ENTRIES.values():
        if entry.games is None:
            continue
        for game in (*GAMES, "adventure", "air_raid"):
            if game in entry.games:
                assert misfit(entry.name, game) is None
                continue
            with pytest.raises(SpecError) as caught:
                compile_perturbation(entry.name, game)
            text = str(caught.value)
            assert text == misfit(entry.name, game)
            assert text.startswith(f"{entry.name} in {game}: ")
            assert f"Games that have it: {', '.join(entry.games)}." in text


@pytest.mark.parametrize(
    ("name", "game", "text"),
    [
        (
            "lazy-enemy",
            "boxing",
            r"lazy-enemy in boxing: the game has no such RAM patch. Games that have it: pong. boxing",
        ),
        ("mode-4", "pong", r"mode-4 in pong: the game has no mode 4. Games .*breakout.*\. pong has: 1\."),
        ("mode-1", "adventure", r"mode-1 in adventure: the catalogue lists no mode of this game. Games that have it"),
        ("difficulty-1", "asteroids", r"the game has no difficulty 1\. .* asteroids has: 3\."),
        ("mode-1", "enduro", r"enduro has: no other mode than its default"),
        ("hue-rotate@2+lazy-enemy", "boxing", r"lazy-enemy in boxing: the game has no such RAM patch"),
        ("mode-4+mode-8", "breakout", r"mode-4\+mode-8: the mode is set twice. Allowed: once"),
    ],
)
def test_the_reason_is_said(name, game, text):
    with pytest.raises(SpecError, match=text):
        compile_perturbation(name, game)


def test_a_patch_that_was_not_verified_is_refused_by_name_with_the_reason():
    for game, patch in [(game, patch) for game, patch in PATCHES if not patch.is_verified]:
        name = patch.perturbation
        if name in ENTRIES:
            assert "was not confirmed in this game" in str(misfit(name, game))
            continue
        with pytest.raises(SpecError) as caught:
            parse_perturbation(f"invert+{name}", "own.toml")
        assert str(caught.value).startswith(f"own.toml, {name}: a RAM patch whose effect was not confirmed ({game}: ")


def test_a_severity_on_a_patch_is_refused():
    with pytest.raises(SpecError, match=r"lazy-enemy: severity is 2, but it has no scale. Allowed: 'lazy-enemy' with"):
        parse_perturbation("lazy-enemy@2")
    with pytest.raises(UnknownNameError, match=r"Unknown perturbation 'lazy_enemy'. Did you mean 'lazy-enemy'"):
        parse_perturbation("lazy_enemy")


def test_compositions_across_families_keep_each_part_and_its_place():
    name = "lazy-enemy+value@2+sticky-actions@1+difficulty-1+mode-1+gaussian-noise@1"
    compiled = compile_perturbation(name, "pong")
    assert (compiled.name, compiled.family) == (name, "color+corruption+dynamics")
    assert [placed.place for placed in (*compiled.rules, *compiled.controls, *compiled.images)] == [0, 2, 5]
    assert (compiled.console.mode, compiled.console.difficulty) == (1, 1)
    assert compiled.luminance.tolist() == compile_perturbation("value@2", "pong").luminance.tolist()


def edited(monkeypatch, game: str, patch: str, **changes) -> None:
    """Make the catalogue say something else about a patch."""
    record = load_game(game)
    patches = {**record.patches, patch: dataclasses.replace(record.patches[patch], **changes)}
    other = dataclasses.replace(record, patches=MappingProxyType(patches))
    for module in (compiling, game_entries):
        monkeypatch.setattr(module, "load_game", lambda name: other if name == game else load_game(name))
    compiling._compiled.cache_clear()


@pytest.fixture
def _fresh():
    yield
    compiling._compiled.cache_clear()
    catalogue_module._catalogue.cache_clear()


@pytest.mark.usefixtures("_fresh")
@pytest.mark.parametrize(
    ("changes", "is_other"),
    [
        ({"rule": "ram[21] = 128"}, True),
        ({"rule": "ram[22] = 127"}, True),
        ({"rule": "ram[21] = 127 every 2 frames"}, True),
        ({"rule": "ram[21] = 127 if ram[54] != 0"}, True),
        ({"when": "on_reset"}, True),
        ({"rule": " ram[21]  =  127 ;"}, False),
        ({"rule": "enemy_y_control = 127"}, False),
        ({"effect": "other words", "how_verified": "x", "expected_difficulty": "harder"}, False),
    ],
)
def test_the_rule_decides_the_hash_and_words_do_not(monkeypatch, changes, is_other):
    suite = load_suite("dynamics")
    of_pong = dataclasses.replace(suite, games=("pong",))
    before = compile_perturbation("frozen-enemy", "pong").content_hash, of_pong.content_hash
    written = parse_perturbation("frozen-enemy").content_hash
    edited(monkeypatch, "pong", "frozen_enemy", **changes)
    after = compile_perturbation("frozen-enemy", "pong").content_hash, of_pong.content_hash
    assert [a != b for a, b in zip(before, after, strict=True)] == [is_other, is_other]
    assert parse_perturbation("frozen-enemy").content_hash == written


def test_hashes_of_the_first_results_hold():
    # results/color-shift-quick was made with these; a change would make every finished job foreign.
    assert parse_perturbation("clean").content_hash == compile_perturbation("clean", "breakout").content_hash
    assert compile_perturbation("hue-rotate@3", "breakout").content_hash == HASH_OF_HUE_ROTATE_3
    assert compile_perturbation("palette-pal", "breakout").content_hash == HASH_OF_PALETTE_PAL


HASH_OF_HUE_ROTATE_3 = "9dcb97830c2e111e"
HASH_OF_PALETTE_PAL = "eda90b0efd5a40ca"


def read(tmp_path: Path, patch: str, game: str = "pong"):
    path = tmp_path / f"{game}.toml"
    path.write_text(
        f'title = "T"\n[ram]\nball_y = {{ index = 54, encoding = "raw", confidence = "verified" }}\n{patch}'
    )
    return read_game(path, game, ReferenceScores(None, None))


PATCH = """[patches.drop]
when = "per_frame"
rule = {rule}
effect = "e"
expected_difficulty = "harder"
verified = true
verified_every_4th_frame = false
how_verified = "h"
"""


def test_a_rules_names_are_addresses(tmp_path):
    kind = all_kinds()["ram.patch"]
    named, numbered = '"ball_y += 1 every 4 frames if ball_y != 0"', '"ram[54] += 1 every 4 frames if ram[54] != 0"'
    games = [read(tmp_path, PATCH.format(rule=rule)) for rule in (named, numbered)]
    assert kind.content(games[0], patch="drop") == kind.content(games[1], patch="drop")


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("{rule}", "3", r"patches.drop, rule: found 3. Allowed: text that is not empty"),
        ("{rule}", "[]", r"patches.drop, rule: found \[\]. Allowed"),
        ("{rule}", '["ram[1] = 2"]', r"patches.drop, rule: found \['ram\[1\] = 2'\]. Allowed"),
        ("{rule}", '{ do = "ram[1] = 2" }', r"patches.drop, rule: found \{'do': 'ram\[1\] = 2'\}. Allowed: text"),
        ('"h"', '"h"\nfamily = "sound"', r"patches.drop, family: found 'sound'. Allowed: one of color, dynamics"),
    ],
)
def test_malformed_patches_are_refused_where_they_are_read(tmp_path, old, new, text):
    with pytest.raises(SpecError, match=text):
        read(tmp_path, PATCH.replace(old, new).replace("{rule}", '"ram[1] = 2"'))


@pytest.mark.usefixtures("_fresh")
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"rule": "ram[21] ="}, r"games/pong.toml, patches.frozen_enemy, rule: column \d+"),
        ({"rule": "ram[128] = 1"}, r"games/pong.toml, patches.frozen_enemy, rule: "),
        ({"rule": "enemy_height_ = 1"}, r"games/pong.toml, patches.frozen_enemy, rule: .*enemy_height"),
        ({"name": "frozen__enemy"}, r"games/pong.toml, patches.frozen__enemy: the name is 'frozen__enemy'"),
        ({"name": "invert"}, r"perturbation 'invert' \(pong\): the name is taken by another file. Choose another"),
        ({"name": "mode_4"}, r"perturbation 'mode-4' \(.*\): the name is taken by another file"),
        (
            {"family": "color"},
            r"patches.frozen_enemy: found the families color and dynamics in boxing, pong. Allowed: the",
        ),
    ],
)
def test_a_malformed_catalogue_is_refused_with_file_and_key(monkeypatch, changes, text):
    edited(monkeypatch, "pong", "frozen_enemy", **changes)
    catalogue_module._catalogue.cache_clear()
    with pytest.raises(SpecError, match=text):
        parse_perturbation("value@3")
