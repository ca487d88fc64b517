"""The measured effect of a perturbation, and the refusal of cells that test nothing."""

import itertools

import numpy as np
import pytest

from wsabench.emulator import measure_effect, require_effect
from wsabench.emulator.effect import (
    CLEAN,
    Effect,
    _clean_observations,
    _clean_play,
    _effect,
    _observations,
    _play,
    _random_play,
)
from wsabench.errors import SpecError, UnknownNameError
from wsabench.perturb import compile_perturbation, parse_perturbation


def test_clean_has_no_effect_and_is_never_refused():
    assert measure_effect("breakout", "clean") == CLEAN == Effect("observation", 0.0)
    assert require_effect("breakout", "clean") == CLEAN


def test_the_effect_is_the_mean_change_of_the_observation(monkeypatch):
    # Half of the screen is black, whose negative differs by 255; half has Pong's background colour, index 34 with
    # grey 87, whose negative, 255 - 87 = 168, differs by 81. The mean is (255 + 81) / 2 = 168.
    assert compile_perturbation("clean", "pong").luminance[34] == 87
    screens = np.zeros((3, 2, 210, 160), np.uint8)
    screens[:, :, 105:] = 34
    perturbation = parse_perturbation("invert")
    monkeypatch.setattr("wsabench.emulator.effect._random_play", lambda _: screens)
    _clean_observations.cache_clear()
    assert _effect.__wrapped__("pong", perturbation) == Effect("observation", 168)
    _clean_observations.cache_clear()


def test_the_effect_is_always_the_same_and_cached():
    first = measure_effect("breakout", "hue-rotate@3")
    _random_play.cache_clear()
    assert measure_effect("breakout", "hue-rotate@3") == first
    assert first.value == pytest.approx(3.7, abs=0.1)  # as in the documentation


def test_a_cell_that_changes_too_little_is_refused_with_its_number():
    # Asteroids is nearly black, and black stays black however its hue is turned.
    assert measure_effect("asteroids", "hue-rotate@1").value < 1
    with pytest.raises(SpecError, match=r"hue-rotate@1 in asteroids changes the observation by 0\.\d\d grey levels"):
        require_effect("asteroids", "hue-rotate@1")


def test_the_own_palette_of_a_pal_game_is_refused():
    with pytest.raises(SpecError, match=r"palette-pal in klax changes the observation by 0.00 grey levels"):
        require_effect("klax", "palette-pal")


def test_the_samples_are_pairs_of_screens_of_a_running_game():
    screens = _random_play("breakout")
    assert screens.shape == (60, 2, 210, 160)
    assert len(np.unique(screens.reshape(60, -1), axis=0)) > 50


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNameError, match="Unknown game 'pung'"):
        measure_effect("pung", "clean")
    with pytest.raises(SpecError, match="severity is missing"):
        measure_effect("pong", "value")


def test_a_table_applied_to_recorded_screens_gives_what_a_lane_gives():
    # Pong's first game outlasts the measurement; where a second game starts, the lane presses FIRE first.
    compiled = compile_perturbation("hue-rotate@3", "pong")
    assert np.array_equal(_play("pong", compiled).observations[4::5], _observations("pong", compiled.luminance))


def test_pixel_changes_that_are_no_table_are_played_through_the_stack():
    effect = measure_effect("pong", "gaussian-noise@3")
    assert effect.measure == "observation"
    assert effect.changed_steps is None
    clean = _clean_play("pong").observations[4::5].astype(int)
    noisy = _play("pong", compile_perturbation("gaussian-noise@3", "pong")).observations[4::5]
    assert effect.value == np.abs(noisy - clean).mean()


@pytest.mark.parametrize(
    "names",
    [
        ["gaussian-noise@1", "gaussian-noise@3", "gaussian-noise@5"],
        ["gaussian-blur@1", "gaussian-blur@3", "gaussian-blur@5"],
        ["occlusion@1", "occlusion@3", "occlusion@5"],
        ["strobe@1"],
    ],
)
def test_the_effect_of_noise_blur_and_occlusion_grows_with_severity(names):
    effects = [measure_effect("seaquest", name) for name in names]
    values = [effect.value for effect in effects]
    assert values == sorted(values)
    assert values[0] > 1
    assert all(effect.is_seen and effect.measure == "observation" for effect in effects)


DELAYED = ["boxing", "seaquest", "asteroids", "space_invaders", "freeway"]


@pytest.mark.parametrize(
    ("game", "levels"),
    [
        *((game, (1, 2, 3, 4, 5) if game == "seaquest" else (1, 3, 5)) for game in DELAYED),
        *(pytest.param(game, (1, 2, 3, 4, 5), marks=pytest.mark.slow) for game in DELAYED if game != "seaquest"),
    ],
)
def test_delay_changes_more_the_longer_it_is(game, levels):
    effects = [measure_effect(game, f"observation-delay@{level}") for level in levels]
    assert {effect.measure for effect in effects} == {"play"}
    assert all(less.value < more.value for less, more in itertools.pairwise(effects))
    assert all((effect.changed_steps or 0) > 0.7 for effect in effects)


@pytest.mark.parametrize(
    "name", ["sticky-actions@2", "frame-skip@1", "lazy-enemy", "mode-1", "difficulty-1", "frame-drop@3"]
)
def test_changes_of_the_play_say_how_many_steps_differ(name):
    effect = require_effect("pong", name)
    assert effect.measure == "play"
    assert 0 < (effect.changed_steps or 0) <= 1
    assert effect.text.endswith("% of steps")


def test_a_play_without_any_difference_is_refused_unless_a_patch_was_confirmed_elsewhere(monkeypatch):
    nothing = Effect("play", 0.0, 0.0)
    monkeypatch.setattr("wsabench.emulator.effect._effect", lambda *_: nothing)
    with pytest.raises(SpecError, match=r"sticky-actions@1 in pong changes nothing in 300 steps"):
        require_effect("pong", "sticky-actions@1")
    assert require_effect("pong", "lazy-enemy") is nothing


def test_changes_of_encoders_change_no_observation_and_are_not_refused():
    effect = require_effect("pong", "zero-all")
    assert effect == Effect("encoders", 0.0)
    assert effect.text == "the agent's encoders"
    assert measure_effect("pong", "invert+zero-all") == measure_effect("pong", "invert")


def test_a_composition_is_measured_as_a_whole():
    both = measure_effect("pong", "invert+action-delay@2")
    assert both.measure == "play"
    assert both.value > measure_effect("pong", "action-delay@2").value
