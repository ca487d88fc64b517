"""Beam Rider: what each verified patch does."""

import numpy as np
from patch_checks import Check, Paired, Trace, at_least, between, exactly, patch_tests, ram

NO_SHOT = 255
HUD = 42


def torpedoes_launched(trace):
    """How often the shot's depth begins anew, under `up`, which launches nothing but torpedoes."""
    depth = ram(trace, "shot_y")
    return ((np.diff(depth) > 0) & (depth[1:] != NO_SHOT)).sum() + (
        (depth[:-1] == NO_SHOT) & (depth[1:] < NO_SHOT)
    ).sum()


def sector_digits(trace):
    """Pixels of the line SECTOR 01 in the last screen: 157 for 01, 165 for 05, 174 for 10."""
    return trace.pixels(HUD, slice(18, 32))[-1]


def is_ship_in_the_middle(trace):
    x = ram(trace, "player_x")
    return x.min() > 112 and x.max() < 153


CHECKS = {
    # Who stays where the game begins is hit at frame 1970; both runs have but one ship left then.
    "unlimited_lives": Check(Trace.num_game_overs, exactly(0), "fire", 2300, setting="lives = 0 at frame 60"),
    "one_life": Check(Trace.num_game_overs, at_least(1), "fire", 2300),
    "no_torpedoes": Check(torpedoes_launched, exactly(0), "up", 600),
    "unlimited_torpedoes": Check(torpedoes_launched, at_least(6), "up", 600),
    "start_sector_5": Check(sector_digits, exactly(165), "fire", 401, screens_every=100),
    "start_sector_10": Check(sector_digits, exactly(174), "fire", 401, screens_every=100),
    "ship_drift_right": Paired("player_x", between(5, 7), policy="noop", where=is_ship_in_the_middle),
    "ship_drift_left": Paired("player_x", between(-7, -5), policy="noop", where=is_ship_in_the_middle),
    # Three saucers shot, and the next sector begins.
    "short_sector": Check(lambda trace: ram(trace, "sector").max(), exactly(2), "fire", 3600),
}

test_effect, test_complete = patch_tests("beam_rider", CHECKS)
