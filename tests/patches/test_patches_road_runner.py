"""Road Runner: what each verified patch does."""

import numpy as np
from patch_checks import Check, Paired, Trace, at_least, at_most, between, exactly, patch_tests, ram

ROAD_ROWS = slice(100, 188)
COYOTE, ROAD, PINK = (52, 54, 56), 0, 72
SECOND_LEVEL = "ram[22] = 1 at frame 2"


def nearest_coyote(trace):
    """Smallest x of the coyote from frame 150 on; the road runner runs at 69, and 148 is the right edge."""
    return ram(trace, "coyote_x")[150:].min()


def nearest_coyote_early(trace):
    """The same before the first rocks."""
    return ram(trace, "coyote_x")[60:200].min()


def num_coyotes(trace):
    """Kept screens with the coyote on the road."""
    return np.count_nonzero(trace.pixels(COYOTE, ROAD_ROWS))


def lower_road_pixels(trace):
    """Black pixels where the lowest lane is in the first level, on the last kept screen."""
    return trace.pixels(ROAD, slice(158, 178), slice(16, 144))[-1]


def steel_shot_sign(trace):
    """Most pixels of the pink sign that tells of the third level's steel shot."""
    return trace.pixels(PINK, slice(60, 100)).max()


CHECKS = {
    "default_coyote": Check(nearest_coyote_early, at_least(140), "left", 240, setting=SECOND_LEVEL),
    "change_coyote": Check(nearest_coyote, between(70, 130), "left", 700),
    "always_rocket_coyote": Check(nearest_coyote, at_most(90), "left", 700),
    "coyote_held_off_screen": Check(num_coyotes, exactly(0), "noop", 500, screens_every=10),
    # Who stands still is caught before frame 400.
    "unlimited_lives": Check(Trace.lives_won_back, exactly(0), "noop", 500),
    "one_life": Check(Trace.num_game_overs, exactly(1), "noop", 500),
    "level_1": Check(lower_road_pixels, exactly(0), "left", 200, screens_every=20),
    "level_2": Check(steel_shot_sign, at_least(50), "left", 300, screens_every=10),
    # One pixel every fourth of 24 frames, once he lets go; against the wind he stays 10 pixels further back.
    "headwind": Paired("player_x", between(5, 7), policy="noop", approach="left"),
    "no_seeds": Check(Trace.total_reward, exactly(0), "left", 700),
}

test_effect, test_complete = patch_tests("road_runner", CHECKS)
