"""The game records: the whole catalogue loads, and bad entries are refused with clear messages."""

import dataclasses
from pathlib import Path

import ale_py
import gymnasium
import numpy as np
import pytest

import wsabench
from wsabench.emulator.console import Console
from wsabench.emulator.rom_files import rom_hash
from wsabench.errors import SpecError, StorageError, UnknownNameError
from wsabench.games import catalogue_games, check_rom_id, load_game, rom_ids, standard_of
from wsabench.games.catalogue import ReferenceScores, read_game
from wsabench.games.records import Ease, RandomPlay
from wsabench.protocol import Protocol

TWELVE = [
    "asteroids",
    "beam_rider",
    "boxing",
    "breakout",
    "enduro",
    "freeway",
    "ms_pacman",
    "pong",
    "qbert",
    "road_runner",
    "seaquest",
    "space_invaders",
]
VALID = """
title = "Test"
modes = [0]
[ram]
ball_x = { index = 99, encoding = "raw", confidence = "verified", note = "n" }
[objects]
ball = { palette_indices = [70] }
[patches.p]
when = "per_frame"
rule = "ram[1] = 2"
effect = "e"
expected_difficulty = "harder"
verified = true
verified_every_4th_frame = false
how_verified = "h"
"""


def test_the_catalogue_has_the_twelve_games():
    assert catalogue_games() == TWELVE
    games = [load_game(game) for game in TWELVE]
    assert [len(game.ram) for game in games] == [56, 25, 15, 52, 18, 35, 68, 14, 47, 20, 30, 49]
    assert sum(len(game.patches) for game in games) == 207
    assert sum(len(game.objects) for game in games) == 70
    for game in games:
        assert None not in (game.random_score, game.human_score)
        assert len({variable.index for variable in game.ram.values()}) == len(game.ram)
        assert all(name == variable.name for name, variable in game.ram.items())


def test_a_record_has_what_the_data_say():
    game = load_game("breakout")
    assert (game.title, game.random_score, game.human_score) == ("Breakout", 1.7, 30.5)
    assert game.difficulties == (0, 1)
    assert game.modes[:2] == (0, 4)
    assert game.objects["ball"] == game.objects["player"] == (70,)
    patch = load_game("pong").patches["frozen_enemy"]
    assert (patch.when, patch.rule, patch.is_verified) == ("per_frame", "ram[21] = 127", True)
    assert load_game("pong").ram["ball_x"].index == 49


@pytest.mark.parametrize("game", TWELVE)
def test_modes_and_difficulties_are_those_of_the_emulator(game):
    ale = Console(game, Protocol()).ale
    assert load_game(game).modes == tuple(ale.getAvailableModes())
    assert load_game(game).difficulties == tuple(ale.getAvailableDifficulties())


@pytest.mark.parametrize("game", ["breakout", "pong"])
def test_object_colors_are_on_the_screen(game):
    console = Console(game, Protocol())
    console.power_on(0)
    seen = set()
    for frame in range(400):
        console.ale.act(console.actions[frame % len(console.actions)])
        seen |= set(np.unique(console.ale.getScreen()).tolist())
    for name, indices in load_game(game).objects.items():
        assert seen & set(indices), name


def test_records_cannot_be_changed():
    game = load_game("pong")
    with pytest.raises(dataclasses.FrozenInstanceError):
        game.title = "x"
    with pytest.raises(TypeError):
        game.ram["x"] = game.ram["ball_x"]


def test_every_single_player_rom_has_a_record():
    assert len(rom_ids()) == 104
    for game in rom_ids():
        assert load_game(game).id == game
    empty = load_game("adventure")
    assert (empty.title, empty.random_score, dict(empty.ram), dict(empty.patches)) == ("Adventure", None, {}, {})
    assert sum(standard_of(game) == "PAL" for game in rom_ids()) == 10


@pytest.mark.parametrize("game", ["combat", "joust", "maze_craze", "warlords"])
def test_two_player_games_are_refused_by_name(game):
    assert game not in rom_ids()
    with pytest.raises(SpecError, match=f"The game '{game}' needs two players.*Allowed: the 104 single-player games"):
        load_game(game)


def test_gymnasium_names_mean_their_game():
    """ale-py says itself which ROM each of its environments plays."""
    gymnasium.register_envs(ale_py)
    games = {
        id_.removeprefix("ALE/")[:-3]: spec.kwargs["game"]
        for id_, spec in gymnasium.registry.items()
        if id_.startswith("ALE/")
    }
    assert set(rom_ids()) <= set(games.values())
    for bare, game in games.items():
        for name in (f"ALE/{bare}-v5", bare, f"{bare}NoFrameskip-v4", f"{bare}Deterministic-v0", game):
            if game in rom_ids():
                assert check_rom_id(name) == game
            else:
                with pytest.raises(SpecError, match="two players"):
                    check_rom_id(name)
    assert load_game("ALE/MsPacman-v5") == load_game("ms_pacman")
    assert wsabench.make("BreakoutNoFrameskip-v4").unwrapped.game == "breakout"


def test_unknown_games_are_refused_with_the_nearest_names():
    with pytest.raises(UnknownNameError, match=r"Unknown game 'mspacmann'. Did you mean 'ms_pacman'"):
        load_game("mspacmann")


def test_rom_hashes_tell_roms_apart():
    assert len({rom_hash(game) for game in TWELVE}) == 12
    assert len(rom_hash("pong")) == 64


def read(tmp_path: Path, text: str):
    path = tmp_path / "test.toml"
    path.write_text(text)
    return read_game(path, "test", ReferenceScores(None, None))


def test_a_valid_entry_is_read(tmp_path):
    game = read(tmp_path, VALID)
    assert game.objects == {"ball": (70,)}
    assert game.patches["p"].expected_difficulty == "harder"


EASIER = VALID.replace('"harder"', '"easier"\nease = { measure = "length", steps = 40, reason = "why" }').replace(
    "[patches.p]", '[random_play]\nsteps = 900\nactions = ["NOOP", "UP"]\nreason = "why"\n[patches.p]'
)


def test_a_claim_says_in_what_it_shows(tmp_path):
    game = read(tmp_path, EASIER)
    assert game.random_play == RandomPlay(900, ("NOOP", "UP"), "why")
    assert [patch.ease for patch in game.easier_patches] == [Ease("length", 40, "why")]
    usual = read(tmp_path, VALID.replace('"harder"', '"easier"'))
    assert usual.random_play == RandomPlay()
    assert [patch.ease for patch in usual.easier_patches] == [Ease("return", None, "")]
    assert read(tmp_path, VALID).easier_patches == ()
    assert read(tmp_path, EASIER.replace("verified = true", "verified = false", 1)).easier_patches == ()


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (
            '"length"',
            '"fun"',
            r"patches.p, ease, measure: found 'fun'. Allowed: one of length, points_conceded, return.",
        ),
        ("steps = 40", "steps = 0", r"patches.p, ease, steps: found 0. Allowed: integers 1 to 27000."),
        ('steps = 40, reason = "why"', "steps = 40", r"patches.p, ease: the key 'reason' is missing."),
        ("measure =", "mesure =", r"patches.p, ease: unknown key 'mesure'. Did you mean 'measure'\?"),
        ('"easier"', '"harder"', r"""patches.p, ease: found .*Allowed: only beside expected_difficulty = "easier"."""),
        ("steps = 900", "steps = 27001", r"test.toml, random_play, steps: found 27001. Allowed: integers 1 to 27000."),
        ('\nreason = "why"\n[patches', "\n[patches", r"test.toml, random_play: the key 'reason' is missing."),
    ],
)
def test_malformed_claims_are_refused(tmp_path, old, new, text):
    assert old in EASIER
    with pytest.raises(SpecError, match=text):
        read(tmp_path, EASIER.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("index = 99", "index = 128", r"test.toml, ram.ball_x, index: found 128. Allowed: integers 0 to 127."),
        ("index = 99", "index = -1", r"index: found -1. Allowed: integers 0 to 127."),
        ("index = 99", "index = true", r"index: found True. Allowed: integers 0 to 127."),
        ("index = 99", 'index = "99"', r"index: found '99'. Allowed: integers 0 to 127."),
        ("index = 99, ", "", r"ram.ball_x: the key 'index' is missing. Allowed: integers 0 to 127."),
        ('"verified"', '"sure"', r"confidence: found 'sure'. Allowed: one of annotated, verified."),
        ("note =", "nota =", r"ram.ball_x: unknown key 'nota'. Did you mean 'note'\? Allowed: index, encoding"),
        ("ball_x", "Ball-X", r"the name is 'Ball-X'. Allowed: lower-case letters, digits and _."),
        ("[70]", "[256]", r"palette_indices: found \[256\]. Allowed: a list of different integers 0 to 255."),
        ("[70]", "[1, 1]", r"palette_indices: found \[1, 1\]. Allowed: a list of different integers"),
        ('"per_frame"', '"sometimes"', r"patches.p, when: found 'sometimes'. Allowed: one of on_reset, per_frame."),
        ('"ram[1] = 2"', '" "', r"patches.p, rule: found ' '. Allowed: text that is not empty."),
        ("verified = true", 'verified = "yes"', r"verified: found 'yes'. Allowed: true or false."),
        ("modes = [0]", "mode = [0]", r"test.toml: unknown key 'mode'. Did you mean 'modes'\?"),
        ('title = "Test"', "", r"test.toml: the key 'title' is missing."),
        ("[ram]", "[ram", r"test.toml: not valid TOML: .*line"),
        ("[ram]\n", "[ram]\nx = 1\n", r"ram.x: found 1. Allowed: a table of keys."),
    ],
)
def test_malformed_entries_are_refused(tmp_path, old, new, text):
    assert old in VALID
    with pytest.raises(SpecError, match=text):
        read(tmp_path, VALID.replace(old, new, 1))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(StorageError, match=r"Cannot read .*none.toml: No such file"):
        read_game(tmp_path / "none.toml", "test", ReferenceScores(None, None))
