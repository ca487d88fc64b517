"""Suites: what the shipped ones promise, and how mistakes are refused."""

import tomllib
from pathlib import Path

import pytest

from wsabench.emulator import require_effect
from wsabench.errors import SpecError, UnknownNameError
from wsabench.games import load_game
from wsabench.perturb import (
    compile_perturbation,
    list_perturbations,
    list_suites,
    load_suite,
    misfit,
    parse_perturbation,
)
from wsabench.results.manifest import read_manifest

ROOT = Path(__file__).resolve().parents[2]

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


SUITES = ["color-shift", "corruption", "dynamics", "encoder-dropout", "full", "smoke"]
ENTRIES = {entry.name: entry for entry in list_perturbations()}


def cells_of(*families: str) -> set[str]:
    """Return every cell of some families that is no game's own."""
    entries = [entry for entry in ENTRIES.values() if entry.family in families and entry.games is None]
    return {e.name if level is None else f"{e.name}@{level}" for e in entries for level in e.severities}


def own_cells(game: str, family: str) -> set[str]:
    """Return every cell of a family that is a game's own."""
    return {entry.name for entry in ENTRIES.values() if entry.family == family and game in (entry.games or ())}


def test_the_shipped_suites_load():
    assert list_suites() == SUITES
    for name in SUITES:
        suite = load_suite(name)
        assert (suite.name, suite.perturbations[0]) == (name, "clean")
        assert suite.games == ("breakout",)
        assert all(profile.perturbations[0] == "clean" for profile in suite.profiles.values())


@pytest.mark.parametrize("name", SUITES)
@pytest.mark.parametrize("game", ["breakout", "pong", "ms_pacman"])
def test_a_suite_has_every_cell_of_its_families(name, game):
    families = {
        "color-shift": ("color",),
        "corruption": ("corruption",),
        "dynamics": ("dynamics",),
        "encoder-dropout": ("encoder",),
        "full": ("color", "corruption", "dynamics", "encoder"),
    }
    if name in families:
        own = set().union(*(own_cells(game, family) for family in families[name]))
        assert set(load_suite(name).cells.of(game)) == {"clean"} | cells_of(*families[name]) | own


@pytest.mark.parametrize("name", [name for name in SUITES if name != "smoke"])
def test_profiles_grow_in_seeds_and_episodes(name):
    suite = load_suite(name)
    assert [suite.profile(name).episodes for name in ("standard", "paper")] == [30, 100]
    assert [len(suite.profile(name).train_seeds) for name in ("standard", "paper")] == [3, 4]
    assert suite.profile("paper").perturbations == suite.perturbations
    if name != "full":
        quick, reference = suite.profile("quick"), suite.profile("reference")
        assert [(one.episodes, one.train_seeds) for one in (quick, reference)] == [(8, (0, 1, 2)), (10, (0, 1, 2))]
        assert 9 <= len(quick.perturbations) <= 11
        assert 9 <= len(reference.perturbations) <= 12


def test_every_cell_of_the_quick_profiles_tests_something():
    # The larger profiles leave out, with a line, what cannot be seen in a game or does not exist there.
    for name in [name for name in SUITES if name != "full"]:
        suite = load_suite(name)
        for cell in suite.profile("quick").perturbations[1:]:
            for game in suite.games:
                assert misfit(cell, game) is None, (name, cell, game)
                if compile_perturbation(cell, game).is_pixel_change_only:
                    require_effect(game, cell)


def test_smoke_has_a_cell_of_every_family():
    families = {parse_perturbation(cell).family for cell in load_suite("smoke").perturbations}
    assert families == {"clean", "color", "corruption", "dynamics", "encoder"}


def test_the_quick_color_shift_is_the_one_of_the_reference_results():
    plan = read_manifest(ROOT / "results" / "color-shift-quick").plan
    quick = load_suite("color-shift").profile("quick")
    assert quick.perturbations == plan.perturbations
    assert quick.episodes == plan.episodes
    assert quick.protocol == plan.protocol


def test_quick_is_clean_and_eight_cells():
    quick = load_suite("color-shift").profile("quick")
    assert quick.perturbations[0] == "clean"
    assert len(quick.perturbations) == 9
    assert quick.train_seeds == (0, 1, 2)
    assert len({cell.partition("@")[0] for cell in quick.perturbations[1:]}) >= 7


def test_half_of_the_reference_colour_shifts_are_held_out_of_domain_randomisation():
    runs = tomllib.loads((ROOT / "baselines" / "queue.toml").read_text())["run"]
    randomised = {frozenset(run["perturbations"]) for run in runs if run.get("name") == "e2e-randomised"}
    (trained,) = randomised
    cells = load_suite("color-shift").profile("reference").perturbations[1:]
    assert len(cells) == 10
    assert len(trained & set(cells)) == 5


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
    named = load(tmp_path, f'agents = ["mine=sb3:a.zip", "random"]\n{VALID}')
    assert (named.agents, named.content_hash) == (("mine=sb3:a.zip", "random"), before)
    for old, new in (("= 2", "= 4"), ("pong", "boxing"), ("value@2", "value@3"), ("noop_max = 0", "noop_max = 1")):
        assert load(tmp_path, VALID.replace(old, new, 1)).content_hash != before, old


def test_a_list_of_no_agents_is_refused(tmp_path):
    with pytest.raises(SpecError, match=r"agents: found .*without the key the default ones play"):
        load(tmp_path, f"agents = []\n{VALID}")


def test_the_measure_is_part_of_the_hash_unless_it_is_the_default(tmp_path):
    silent = load(tmp_path)
    hashes = {measure: load(tmp_path, f'measure = "{measure}"\n{VALID}') for measure in ("retention", "gap", "score")}
    assert silent.measure == "retention"
    assert {name: suite.measure for name, suite in hashes.items()} == {name: name for name in hashes}
    assert hashes["retention"].content_hash == silent.content_hash
    assert len({suite.content_hash for suite in hashes.values()}) == 3
    with pytest.raises(SpecError, match=r"own\.toml.*measure.*'ratio'.*\"retention\", \"gap\", \"score\""):
        load(tmp_path, f'measure = "ratio"\n{VALID}')


def test_the_shipped_suites_state_their_measure_and_result_sets_stay_comparable():
    assert {name for name in SUITES if load_suite(name).measure != "retention"} == {"dynamics"}
    assert load_suite("dynamics").measure == "gap"
    for path in sorted((ROOT / "perturbations" / "suites").glob("*.toml")):
        assert "\nmeasure = " in path.read_text()
    for name, suite in (("smoke", "smoke"), ("color-shift-quick", "color-shift")):
        recorded = read_manifest(ROOT / "results" / name).plan.suite
        assert (recorded.content_hash, recorded.measure) == (load_suite(suite).content_hash, "retention")


OWN = """
summary = "s"
games = ["pong", "breakout"]
perturbations = ["value@2", "mode-4", "right-drift"]
patches = 3
recolorings = "all"
modes = 2
difficulties = 1
[profiles.quick]
train_seeds = [0]
episodes = 2
perturbations = ["value@2"]
patches = 1
recolorings = 0
[profiles.paper]
train_seeds = [0]
episodes = 2
"""


def test_each_game_brings_its_own_cells(tmp_path):
    suite = load(tmp_path, OWN)
    listed = ("clean", "value@2", "mode-4", "right-drift")
    pong = [patch.perturbation for patch in load_game("pong").verified_patches if patch.family == "dynamics"]
    assert suite.cells.of("pong") == (*listed, *pong[:3], "mode-1", "difficulty-1")
    colors = [patch.perturbation for patch in load_game("breakout").verified_patches if patch.family == "color"]
    assert suite.cells.of("breakout")[:4] == listed  # mode-4 and right-drift are its own, too: each once
    breakout = [patch.perturbation for patch in load_game("breakout").verified_patches if patch.family == "dynamics"]
    first = [name for name in breakout[:3] if name != "right-drift"]
    assert suite.cells.of("breakout")[4:] == (*first, *colors, "mode-8", "difficulty-1")
    assert suite.cells.of("adventure") == listed
    assert suite.perturbations == tuple(dict.fromkeys([*suite.cells.of("pong"), *suite.cells.of("breakout")]))
    quick = suite.profile("quick")
    assert quick.cells.of("pong") == ("clean", "value@2", pong[0], "mode-1", "difficulty-1")
    assert suite.profile("paper").cells == suite.cells


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("patches = 3", "patches = -1", r'own.toml, patches: found -1. Allowed: "all", or integers 0 to 1000.'),
        ("patches = 3", 'patches = "some"', r"own.toml, patches: found 'some'. Allowed: \"all\", or integers 0 to"),
        ("patches = 3", "patches = true", r"own.toml, patches: found True"),
        ("patches = 1", "patches = 4", r"profiles.quick, patches: found 4. Allowed: up to 3, which the suite has."),
        ("patches = 1", 'patches = "all"', r"profiles.quick, patches: found 'all'. Allowed: up to 3"),
        ("modes = 2", "mode = 2", r"unknown key 'mode'. Did you mean 'modes'"),
    ],
)
def test_malformed_shares_are_refused(tmp_path, old, new, text):
    assert old in OWN
    with pytest.raises(SpecError, match=text):
        load(tmp_path, OWN.replace(old, new, 1))


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
            r"the profile's name is 'fast'. Allowed: quick, reference, standard, paper",
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
