"""Space Invaders: what each verified patch does."""

import ale_py
import numpy as np
from patch_checks import Check, Paired, Trace, at_least, at_most, between, exactly, patch_tests, play_plain, ram

GAME = "space_invaders"

ALIENS, SHIELDS, SHOTS, SAUCER = 20, 52, 6, 82
SHIELD_COLUMNS = (slice(36, 56), slice(68, 88), slice(100, 120))
BELOW_ALIENS, SHIELD_ROWS, TOP = slice(140, 156), slice(156, 176), slice(8, 28)
ROWS = [slice(31 + 18 * row, 31 + 18 * row + 18) for row in range(6)]
"""Of aliens, from the top."""
FIRST_HIT = 750
"""Frames within which a cannon that does nothing is hit once."""
NO_SHOT = 246


def num_shields_as(*present):
    """Shields (left, middle, right) that are there or missing as told, on the last kept screen."""

    def measure(trace):
        sizes = [np.count_nonzero(trace.screens[-1, SHIELD_ROWS, columns]) for columns in SHIELD_COLUMNS]
        return sum(size > 80 if there else size < 20 for size, there in zip(sizes, present, strict=True))

    return measure


def left_edge_of_shields(trace):
    return np.argwhere(trace.screens[-1, SHIELD_ROWS] == SHIELDS)[:, 1].min()


def top_of_aliens(trace):
    return np.argwhere(trace.screens[-1] == ALIENS)[:, 0].min()


def way_of_aliens(trace):
    """Pixels between the outermost places of the block's left edge on the kept screens, and of its top."""
    corners = np.array([np.argwhere(screen == ALIENS).min(0) for screen in trace.screens])
    return np.ptp(corners, axis=0).max()


def alien_rows(trace):
    """The rows with aliens on the last kept screen, as digits of a binary number, the top row first."""
    return int("".join(str(int(trace.pixels(ALIENS, rows)[-1] > 50)) for rows in ROWS), 2)


def shoot_and_walk(rng, memory, frame):
    if frame % 60 < 4:
        return ale_py.Action.FIRE
    return ale_py.Action.RIGHT if frame % 60 < 30 else ale_py.Action.LEFT


def shot_sideways(trace):
    """Pixels between the outermost columns of the cannon's first shot, seen on the odd frames (bombs on the even)."""
    flies = ram(trace, "shot_y") != NO_SHOT
    first = np.argmax(flies)
    end = first + np.argmax(~flies[first:]) if not flies[first:].all() else len(flies)
    columns = [np.argwhere(trace.screens[frame, 60:184] == SHOTS)[:, 1] for frame in range(first, end) if frame % 2]
    return np.ptp([seen.mean() for seen in columns if seen.size])


def bomb_pixels(trace):
    """Pixels of what falls between the aliens and the shields."""
    return np.count_nonzero(trace.screens[:, BELOW_ALIENS])


def bomb_and_shield_pixels(trace):
    return bomb_pixels(trace) + trace.pixels(SHIELDS, SHIELD_ROWS)[1:].sum()


def num_saucers(trace):
    return np.count_nonzero(trace.pixels(SAUCER, TOP))


def share_shifted(trace):
    """Share of the pixels (but the black ones) whose palette index is XORed with 64."""
    plain = play_plain(GAME, None, "noop", 60, 0, 20).screens[1:]
    return ((plain ^ 64) == trace.screens[1:])[plain != 0].mean()


def seen(metric, expected, num_frames=60, policy="noop", screens_every=20):
    return Check(metric, expected, policy, num_frames, screens_every=screens_every)


CHECKS = {
    "disable_shield_left": seen(num_shields_as(False, True, True), exactly(3)),
    "disable_shield_middle": seen(num_shields_as(True, False, True), exactly(3)),
    "disable_shield_right": seen(num_shields_as(True, True, False), exactly(3)),
    "disable_shields": seen(num_shields_as(False, False, False), exactly(3)),
    # Without a patch it is 42.
    "relocate_shields_slight_left": seen(left_edge_of_shields, exactly(34)),
    "relocate_shields_off_by_one": seen(left_edge_of_shields, exactly(43)),
    "relocate_shields_off_by_three": seen(left_edge_of_shields, exactly(45)),
    "relocate_shields_right": seen(left_edge_of_shields, exactly(52)),
    "controlable_missile": seen(shot_sideways, at_least(8), 260, shoot_and_walk, 1),
    "no_danger": seen(bomb_and_shield_pixels, exactly(0), 400, screens_every=5),
    "no_bombs": seen(bomb_pixels, exactly(0), 400, screens_every=5),
    "unlimited_lives": Check(Trace.lives_won_back, exactly(0), "noop", FIRST_HIT),
    "one_life": Check(Trace.num_game_overs, exactly(1), "noop", FIRST_HIT),
    "aliens_start_low": seen(top_of_aliens, exactly(71)),
    "frozen_aliens": seen(way_of_aliens, at_most(1), 400),
    "fast_aliens": Check(lambda trace: np.ptp(ram(trace, "aliens_x")), between(24, 36), "noop", 600),
    "two_rows_left": seen(alien_rows, exactly(0b000011)),
    # It comes at frame 1594.
    "no_saucer": seen(num_saucers, at_most(1), 1750, screens_every=10),
    "cannon_drift_right": Paired("player_x", between(5, 7), policy="noop"),
    "recolor_all": seen(share_shifted, at_least(0.99)),
}

test_effect, test_complete = patch_tests(GAME, CHECKS)
