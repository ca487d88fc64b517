"""Seaquest: what each verified patch does."""

import ale_py
import numpy as np
import pytest
from patch_checks import Check, Paired, Trace, at_least, at_most, between, exactly, patch_tests, play, ram, steps

from wsabench.games import load_game

pytestmark = pytest.mark.oracle

GAME = "seaquest"

LANES, SURFACE, PANEL = slice(68, 158), slice(44, 56), slice(165, 205)
ENEMY, BOAT, OXYGEN, DIVER_ICON = 200, 8, 12, 130
USUAL = (0, 14, 24, 134, 144, 146, 148, 150, 152, 154, 156, 160, 176, 192)
"""Colours in the lanes but the enemies': water, submarine, divers, shots, sky."""


def dive(rng, memory, frame):
    """Go down to the middle and swim about there."""
    if memory[97] < 60:
        return ale_py.Action.DOWN
    return (ale_py.Action.LEFT, ale_py.Action.RIGHT, ale_py.Action.NOOP)[int(rng.integers(3))]


def lane_speed(trace):
    """Pixels per frame of the first enemies, which come at frame 126, in the lane with the fastest."""
    return way_of_lanes(trace) / (len(trace.bytes) - 130)


def way_of_lanes(trace):
    """Pixels between the outermost places of a lane's enemies after frame 130, for the lane with the most."""
    return max(np.ptp(steps(trace, f"enemy_lane{lane}_x")[130:].cumsum()) for lane in range(4))


def least_oxygen_bar(trace):
    """Fewest pixels of the oxygen bar on the screens from frame 200 on."""
    return trace.pixels(OXYGEN, PANEL)[10:].min()


def enemy_pixels(trace, usual=USUAL):
    """Pixels in the lanes that are not water, submarine, divers, shots or sky."""
    return (~np.isin(trace.screens[:, LANES], usual)).sum()


def red_enemy_pixels(trace):
    """Pixels of red enemies; 0 while one has its own colour."""
    return 0 if enemy_pixels(trace, (*USUAL, 66)) else trace.pixels(66, LANES).sum()


def num_enemy_colors(trace):
    """Colours in the lanes that a game without patch does not have there."""
    return len(trace.colors(LANES) - {*USUAL, ENEMY})


def swims(trace):
    return ram(trace, "player_y").min() > 20 and np.ptp(trace.lives) == 0


STARTS = tuple(range(200, 460, 20))


def moved(byte, expected, num_frames=24):
    return Paired(byte, expected, num_frames, policy="noop", approach=dive, starts=STARTS, where=swims)


CHECKS = {
    # Full, the bar has 315 pixels; at frame 480 it has lost a tenth.
    "unlimited_oxygen": Check(least_oxygen_bar, at_least(305), dive, 480, screens_every=20),
    "fast_oxygen_drain": moved("oxygen", between(-7, -5), 48),
    # One pixel every fifth of 24 frames.
    "gravity": moved("player_y", between(4, 5)),
    "buoyancy": moved("player_y", between(-5, -4)),
    "current_right": moved("player_x", between(4, 5)),
    "disable_enemies": Check(enemy_pixels, exactly(0), dive, 540, screens_every=10),
    "random_color_enemies": Check(num_enemy_colors, at_least(3), dive, 1000, screens_every=10),
    "all_red_enemies": Check(red_enemy_pixels, at_least(1000), dive, 540, screens_every=10),
    "unlimited_lives": Check(Trace.lives_won_back, exactly(0), dive, 700),
    "one_life": Check(Trace.num_game_overs, exactly(1), dive, 700),
    # Five icons of 17 pixels.
    "start_with_5_divers": Check(
        lambda trace: trace.pixels(DIVER_ICON, PANEL)[-1], exactly(85), "noop", 60, screens_every=20
    ),
    # It needs until frame 384 to come into view.
    "surface_enemy": Check(
        lambda trace: np.count_nonzero(trace.pixels(BOAT, SURFACE)), at_least(5), "noop", 500, screens_every=10
    ),
    "high_level_start": Check(lane_speed, at_least(0.7), dive, 270),
    "frozen_enemies": Check(way_of_lanes, at_most(2), dive, 540),
}

test_effect, test_complete = patch_tests(GAME, CHECKS)


def first_loss(rule, seed):
    """Frame in which random play loses its first life; 1,400 where none is lost before."""
    lives = play(GAME, None, "random-held", 1400, seed, setting=rule, until_loss=True).lives
    return len(lives) - 2 if lives[-1] < lives[0] else 1400


def test_a_full_tank_is_64_and_not_less():
    """One unit less, held, and the game takes lives for it: the reason for the number in `unlimited_oxygen`."""
    plain, full, less = (
        [first_loss(rule, seed) for seed in range(6)]
        for rule in (None, "ram[102] = 64 if ram[97] > 13", "ram[102] = 63 if ram[97] > 13")
    )
    assert load_game(GAME).patches["unlimited_oxygen"].rule == "ram[102] = 64 if ram[97] > 13"
    assert all(later >= usual for later, usual in zip(full, plain, strict=True))
    assert sum(later > usual for later, usual in zip(full, plain, strict=True)) >= 3
    assert sum(sooner < usual for sooner, usual in zip(less, plain, strict=True)) >= 4
