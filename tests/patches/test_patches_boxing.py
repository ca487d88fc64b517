"""Boxing: what each verified patch does."""

import numpy as np
from patch_checks import Check, Paired, Trace, at_least, at_most, between, exactly, patch_tests, ram, steps

RING = {"rows": slice(36, 180), "columns": slice(30, 130)}
"""Inside the ropes: players and floor, no scores."""
WHITE, BLACK, ROPES = 12, 0, 40


def has_moved(trace, name):
    return steps(trace, name) != 0


def right_to_left_arm(trace):
    """Movement of the right arm as a share of the left arm's."""
    return has_moved(trace, "player_right_arm").mean() / has_moved(trace, "player_left_arm").mean()


def enemy_range(trace):
    """Pixels between the outermost places of the enemy, on the axis where they are further apart."""
    return max(np.ptp(ram(trace, "enemy_x")), np.ptp(ram(trace, "enemy_y")))


def enemy_travel(trace):
    """Mean way of the enemy in 8 frames, both axes together, in pixels."""
    places = np.stack([ram(trace, "enemy_x"), ram(trace, "enemy_y")])
    return np.abs(places[:, 8:] - places[:, :-8]).sum(0).mean()


def share_of_frames_staggered(trace):
    """Share of the frames in which the player moves, on the axis with the fewer."""
    return min(has_moved(trace, "player_x").mean(), has_moved(trace, "player_y").mean())


def points_conceded(trace):
    return -trace.rewards[trace.rewards < 0].sum()


def pixels_instead_of(old, new):
    """Mean number of pixels of the new colour in the ring; 0 while the old one is seen."""
    return lambda trace: 0 if trace.pixels(old, **RING).any() else trace.pixels(new, **RING).mean()


def classic_pixels(trace):
    return min(pixels_instead_of(WHITE, 48)(trace), pixels_instead_of(BLACK, 112)(trace))


def rope_pixels_in_blue(trace):
    return 0 if trace.pixels(ROPES).any() else trace.pixels(112).mean()


def place_of_player_to_enemy(trace):
    """How far the player is to the right of the enemy, or below, whichever is less, on the second kept screen."""
    rows, columns = RING["rows"], RING["columns"]
    white, black = (np.argwhere(trace.screens[1, rows, columns] == color).mean(0) for color in (WHITE, BLACK))
    return (white - black).min()


def seen(metric, expected):
    return Check(metric, expected, "random-held", 300, screens_every=10)


# A boxer has about 390 pixels: more than twice as many in one colour where both have it.
CHECKS = {
    "one_armed": Check(right_to_left_arm, at_most(0.4)),
    # One pixel every third of 24 frames.
    "gravity": Paired("player_y", between(7, 9), policy="noop"),
    "antigravity": Paired("player_y", between(-9, -7), policy="noop"),
    "offensive": Paired("player_x", between(7, 9), policy="noop"),
    "defensive": Paired("player_x", between(-9, -7), policy="noop", approach="track"),
    "drunken_boxing": Check(share_of_frames_staggered, at_least(0.4), "noop"),
    "color_player_black": seen(pixels_instead_of(WHITE, BLACK), at_least(500)),
    "color_enemy_white": seen(pixels_instead_of(BLACK, WHITE), at_least(500)),
    "color_player_red": seen(pixels_instead_of(WHITE, 48), at_least(250)),
    "color_enemy_red": seen(pixels_instead_of(BLACK, 48), at_least(250)),
    "color_player_blue": seen(pixels_instead_of(WHITE, 112), at_least(250)),
    "color_enemy_blue": seen(pixels_instead_of(BLACK, 112), at_least(250)),
    "color_player_green": seen(pixels_instead_of(WHITE, 200), at_least(250)),
    "color_enemy_green": seen(pixels_instead_of(BLACK, 200), at_least(250)),
    "classic_colors": seen(classic_pixels, at_least(250)),
    "ring_color_blue": seen(rope_pixels_in_blue, at_least(250)),
    "switch_positions": Check(place_of_player_to_enemy, at_least(40), "noop", 6, screens_every=5),
    "frozen_enemy": Check(enemy_range, at_most(3), "track"),
    "slow_enemy": Check(enemy_travel, between(2, 4), "track"),
    "pacifist_enemy": Check(points_conceded, exactly(0), "track"),
    "short_round": Check(Trace.num_game_overs, exactly(1), "noop", 2000),
    "start_behind_0_20": Check(Trace.total_reward, exactly(-20), "noop", 6),
}

test_effect, test_complete = patch_tests("boxing", CHECKS)
