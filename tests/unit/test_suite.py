"""Suites: what the shipped ones promise, and how mistakes are refused."""

import pytest

from wsabench.emulator import MIN_EFFECT_GREY_LEVELS, measure_effect
from wsabench.errors import SpecError, UnknownNameError
from wsabench.perturb import list_perturbations, list_suites, load_suite

VALID = """
summary = "s"
games = ["pong"]
perturbations = ["value@*", "invert"]
protocol = { max_frames = 1000 }
[profiles.quick]
train_seeds = [0]
episodes = 2
perturbations = ["value@2"]
[profiles.paper]
train_seeds = [0, 1]
episodes = 3
protocol = { noop_max = 0 }
"""


def load(tmp_path, text=VALID):
    path = tmp_path / "own.toml"
    path.write_text(text)
    return load_suite(path)


def test_the_shipped_suites_load():
    assert list_suites() == ["color-shift", "smoke"]
    for name in list_suites():
        assert load_suite(name).name == name


def test_color_shift_has_every_color_cell():
    suite = load_suite("color-shift")
    cells = sum(len(entry.severities) for entry in list_perturbations("color"))
    assert len(suite.perturbations) == 1 + cells
    assert suite.perturbations[0] == "clean"
    assert suite.games == ("breakout",)
    assert [suite.profile(name).episodes for name in ("quick", "standard", "paper")] == [8, 30, 100]
    assert suite.profile("paper").perturbations == suite.perturbations


def test_every_cell_that_is_run_by_default_tests_something():
    for name in list_suites():
        suite = load_suite(name)
        for cell in suite.perturbations[1:]:
            for game in suite.games:
                assert measure_effect(game, cell) >= MIN_EFFECT_GREY_LEVELS, (name, cell, game)


def test_quick_is_clean_and_eight_cells():
    quick = load_suite("color-shift").profile("quick")
    assert quick.perturbations[0] == "clean"
    assert len(quick.perturbations) == 9
    assert quick.train_seeds == (0, 1)
    assert len({cell.partition("@")[0] for cell in quick.perturbations[1:]}) >= 7


def test_a_suite_file_is_resolved(tmp_path):
    suite = load(tmp_path)
    assert suite.perturbations == ("clean", "value@1", "value@2", "value@3", "value@4", "value@5", "invert")
    quick, paper = suite.profile("quick"), suite.profile("paper")
    assert quick.perturbations == ("clean", "value@2")
    assert paper.perturbations == suite.perturbations
    assert (quick.protocol.max_frames, quick.protocol.noop_max) == (1000, 30)
    assert (paper.protocol.max_frames, paper.protocol.noop_max) == (1000, 0)


def test_the_hash_is_of_what_is_run(tmp_path):
    before = load(tmp_path).content_hash
    reordered = VALID.replace('summary = "s"\ngames = ["pong"]', 'games = ["pong"]\nsummary = "other"')
    assert load(tmp_path, reordered).content_hash == before
    for old, new in (("= 2", "= 4"), ("pong", "boxing"), ("value@2", "value@3"), ("noop_max = 0", "noop_max = 1")):
        assert load(tmp_path, VALID.replace(old, new, 1)).content_hash != before, old


@pytest.mark.parametrize(
    ("old", "new", "error", "text"),
    [
        ("value@2", "value@7", SpecError, r"profiles.quick, perturbations, value: severity is 7. Allowed: integers 1"),
        ('"invert"', '"invert@*"', SpecError, r"own.toml, perturbations, invert: severity is 1, but it has no scale"),
        ('"invert"', '"inverted"', UnknownNameError, r"own.toml, perturbations: Unknown perturbation 'inverted'. Did"),
        ('"invert"', '"value@1"', SpecError, r"own.toml, perturbations: 'value@1' is listed twice"),
        (
            '["value@2"]',
            '["contrast@2"]',
            SpecError,
            r"profiles.quick, perturbations: found 'contrast@2', which the su",
        ),
        ("pong", "pongg", UnknownNameError, r"own.toml, games: Unknown game 'pongg'. Did you mean 'pong'"),
        ("pong", "joust", SpecError, "'joust' needs two players"),
        ('["pong"]', "[]", SpecError, r"games: found \[\]. Allowed: at least one game."),
        (
            "profiles.quick",
            "profiles.fast",
            SpecError,
            r"the profile's name is 'fast'. Allowed: quick, standard, paper",
        ),
        ("episodes = 2", "episodes = 0", SpecError, r"profiles.quick, episodes: found 0. Allowed: integers 1 to"),
        ("train_seeds = [0]", "train_seeds = []", SpecError, r"train_seeds: found \[\]. Allowed: at least one."),
        ("max_frames = 1000", "max_frame = 1", UnknownNameError, r"own.toml, protocol: Unknown protocol field 'max_fr"),
        ("max_frames = 1000", "max_frames = 0", SpecError, r"own.toml, protocol: Protocol.max_frames is 0"),
        ("summary", "sumary", SpecError, r"own.toml: the key 'summary' is missing"),
        ("games =", "extra = 1\ngames =", SpecError, r"own.toml: unknown key 'extra'"),
    ],
)
def test_malformed_suites_are_refused(tmp_path, old, new, error, text):
    assert old in VALID
    with pytest.raises(error, match=text):
        load(tmp_path, VALID.replace(old, new, 1))


def test_a_suite_needs_a_profile(tmp_path):
    with pytest.raises(SpecError, match=r"own.toml: no profile. Allowed: at least one table \[profiles.NAME\]"):
        load(tmp_path, VALID.partition("[profiles")[0])


def test_unknown_suites_and_profiles_are_refused(tmp_path):
    with pytest.raises(UnknownNameError, match=r"Unknown suite 'colour-shift'. Did you mean 'color-shift'"):
        load_suite("colour-shift")
    with pytest.raises(SpecError, match=r"The suite file .*none.toml does not exist"):
        load_suite(tmp_path / "none.toml")
    with pytest.raises(UnknownNameError, match=r"Unknown profile of suite 'smoke' 'quik'. Did you mean 'quick'"):
        load_suite("smoke").profile("quik")
