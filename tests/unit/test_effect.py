"""The measured effect of a perturbation, and the refusal of cells that test nothing."""

import numpy as np
import pytest

from wsabench.emulator import measure_effect, require_effect
from wsabench.emulator.effect import _clean_observations, _effect, _random_play
from wsabench.errors import SpecError, UnknownNameError
from wsabench.perturb import compile_perturbation, parse_perturbation


def test_clean_has_no_effect_and_is_never_refused():
    assert measure_effect("breakout", "clean") == 0.0
    assert require_effect("breakout", "clean") == 0.0


def test_the_effect_is_the_mean_change_of_the_observation(monkeypatch):
    # Half of the screen is black, whose negative differs by 255; half has Pong's background colour, index 34 with
    # grey 87, whose negative, 255 - 87 = 168, differs by 81. The mean is (255 + 81) / 2 = 168.
    assert compile_perturbation("clean", "pong").luminance[34] == 87
    screens = np.zeros((3, 2, 210, 160), np.uint8)
    screens[:, :, 105:] = 34
    perturbation = parse_perturbation("invert")
    monkeypatch.setattr("wsabench.emulator.effect._random_play", lambda _: screens)
    _clean_observations.cache_clear()
    assert _effect.__wrapped__("pong", perturbation) == 168
    _clean_observations.cache_clear()


def test_the_effect_is_always_the_same_and_cached():
    first = measure_effect("breakout", "hue-rotate@3")
    _random_play.cache_clear()
    assert measure_effect("breakout", "hue-rotate@3") == first
    assert first == pytest.approx(3.7, abs=0.1)  # as in the documentation


def test_a_cell_that_changes_too_little_is_refused_with_its_number():
    # Asteroids is nearly black, and black stays black however its hue is turned.
    assert measure_effect("asteroids", "hue-rotate@1") < 1
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
