"""Asteroids: what each verified patch does."""

import numpy as np
from ale_py import Action
from patch_checks import Check, Paired, Trace, at_most, between, exactly, patch_tests, ram

SHOT = 156
LAST_SHIP = "lives_direction = (lives_direction & 15) | 16 at frame 2"


def shoots(rng, memory, frame):
    """A shot every 20 frames, straight ahead, from where the ship is."""
    return Action.FIRE if frame % 20 < 4 else Action.NOOP


def travel(trace):
    """Median of how far rocks go up or down in 8 frames, in units of 2 pixels, away from the edges."""
    y = np.stack([ram(trace, f"asteroid_{slot}_y") for slot in range(15)], 1)
    before, after = y[:-8], y[8:]
    distance = np.abs(after - before)
    # A slot may pass to another rock, which is somewhere else.
    is_same = (before > 20) & (before < 65) & (after > 10) & (after < 75) & (distance < 12)
    return np.median(distance[is_same])


def rows_with_shots(trace):
    """In how many rows above the ship shots are seen in the course of the run."""
    return (trace.screens[:, 16:100] == SHOT).any((0, 2)).sum()


def is_ship_in_the_middle(trace):
    y = ram(trace, "player_y")
    return y.min() > 12 and y.max() < 68


CHECKS = {
    # Both begin with the last ship, and lose it.
    "unlimited_lives": Check(Trace.num_game_overs, exactly(0), "random", 900, setting=LAST_SHIP),
    "one_life": Check(Trace.first_game_over, at_most(2400), "random", 2400),
    "frozen_asteroids": Check(travel, exactly(0), "noop", 400),
    "ship_drift_down": Paired("player_y", between(3, 5), 32, "noop", "noop", where=is_ship_in_the_middle),
    "ship_drift_up": Paired("player_y", between(-5, -3), 32, "noop", "noop", where=is_ship_in_the_middle),
    "no_shots": Check(rows_with_shots, at_most(2), shoots, 120, screens_every=1),
}

test_effect, test_complete = patch_tests("asteroids", CHECKS)
