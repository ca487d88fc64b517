"""Q*bert: what each verified patch does."""

import numpy as np
from ale_py import Action
from patch_checks import Check, Trace, at_least, at_most, between, exactly, patch_tests, ram

PYRAMID = slice(30, 210)
ENEMY_COLORS = [102, 196]
"""Purple ball and Coily, green ball and Sam; the red ball is rare."""


def ride(rng, memory, frame):
    """Down the left edge to the fourth row below the top, and to the left onto the disk; then, once more."""
    frame = frame if frame < 560 else 200 + (frame - 560)
    if frame < 200 or frame >= 330:
        return Action.NOOP
    return Action.DOWN if frame < 310 else Action.LEFT


def jumps(rng, memory, frame):
    """Jumps on four cubes that were not jumped on before."""
    moves = [Action.DOWN, Action.RIGHT, Action.UP, Action.LEFT]
    return moves[(frame - 200) // 32 % 4] if frame >= 200 else Action.NOOP


def enemy_columns(trace):
    """Where enemies are, row by row, shape (num_frames, 5); they change when enemies jump."""
    return np.stack([ram(trace, f"falling_object_column_row{row}") for row in range(1, 6)], 1)


def enemy_jumps(trace):
    """Frames at which an enemy jumps, after the pyramid has been drawn."""
    frames = np.flatnonzero((np.diff(enemy_columns(trace), axis=0) != 0).any(1))
    return frames[frames > 120]


def jump_interval(trace):
    """Frames from jump to jump of the enemies, the median of what is not an enemy's appearance."""
    return np.median(np.diff(enemy_jumps(trace)))


def visible_share_of_moving_enemies(trace):
    """Share of screens with enemies in them; NaN if there were none."""
    # The disks at the sides take on all colours in turn.
    shown = trace.pixels(ENEMY_COLORS, PYRAMID, slice(32, 128))[12:] > 0
    return shown.mean() if len(enemy_jumps(trace)) >= 10 else np.nan


def fewest_pixels(index):
    """The fewest pixels of a colour in any screen after the pyramid has been drawn."""
    return lambda trace: trace.pixels(index, PYRAMID)[12:].min()


CHECKS = {
    # Who keeps jumping down falls off the pyramid again and again.
    "unlimited_lives": Check(Trace.num_game_overs, exactly(0), "down", 2400),
    "one_life": Check(Trace.first_game_over, at_most(900), "down", 2400),
    # Without disks the jump to the left costs a life.
    "no_disks": Check(lambda trace: trace.lives[450], exactly(3), ride, 500),
    "frozen_enemies": Check(lambda trace: len(enemy_jumps(trace)), exactly(0), "random-held", 1200),
    "fast_enemies": Check(jump_interval, between(25, 35), "random-held", 2400),
    "slow_enemies": Check(jump_interval, at_least(120), "random-held", 2400),
    "invisible_enemies": Check(visible_share_of_moving_enemies, exactly(0), "random-held", 1200, screens_every=10),
    # The second ride needs the disk of the first.
    "unlimited_disks": Check(lambda trace: trace.lives[-1], exactly(4), ride, 900),
    # On the way down and up again each cube is new; in level 2 that does not finish it.
    "start_level_2": Check(Trace.total_reward, exactly(0), jumps, 320),
    "cube_side_color": Check(fewest_pixels(66), at_least(6000), "noop", 400, screens_every=10),
    "color_background_blue": Check(fewest_pixels(112), at_least(15_000), "noop", 400, screens_every=10),
}

test_effect, test_complete = patch_tests("qbert", CHECKS)
