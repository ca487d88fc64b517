"""RAM patches of all games: enough of them, each game checked, and a check that finds what it should."""

from pathlib import Path

import pytest
from patch_checks import Check, Paired, assert_complete, assert_effect, at_least, exactly, play, ram

from wsabench.games import catalogue_games, load_game

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("game", catalogue_games())
def test_each_game_has_at_least_five_verified_patches_and_a_test_of_each(game):
    assert len(load_game(game).verified_patches) >= 5
    assert (Path(__file__).parent / f"test_patches_{game}.py").is_file()


def test_a_number_that_is_the_same_without_the_patch_shows_nothing():
    with pytest.raises(AssertionError, match="0 with the patch, 0 without"):
        assert_effect("pong", "frozen_enemy", Check(lambda trace: trace.rewards.sum(), exactly(0), "noop", 10))


def test_an_effect_that_is_not_there_is_found():
    # The patch moves the ball up, not down.
    with pytest.raises(AssertionError, match="up_drift: -4 with the patch"):
        assert_effect(
            "pong",
            "up_drift",
            Paired(
                "ball_y", at_least(1), policy="noop", approach="track", where=lambda trace: ram(trace, 54).min() > 80
            ),
        )


def test_a_patch_without_check_is_found():
    with pytest.raises(AssertionError):
        assert_complete("pong", {"frozen_enemy": None})


def test_the_same_arguments_give_the_same_run():
    first, second = (play("breakout", "strobo_mode_blocks", "random", 60, 3, 20) for _ in range(2))
    assert (first.bytes == second.bytes).all()
    assert (first.screens == second.screens).all()
    assert (play("breakout", "strobo_mode_blocks", "random", 60, 4, 20).bytes != first.bytes).any()
