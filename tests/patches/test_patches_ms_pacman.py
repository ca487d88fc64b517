"""Ms. Pac-Man: what each verified patch does."""

import ale_py
import numpy as np
import pytest
from patch_checks import Check, Trace, at_most, between, exactly, patch_tests, play, play_plain, ram

pytestmark = pytest.mark.oracle

GAME = "ms_pacman"

MAZE = slice(0, 170)
DOTS, VULNERABLE = 74, 150
GHOSTS = {"enemy_sue_orange": 38, "enemy_inky_cyan": 184, "enemy_pinky": 88, "enemy_blinky_red": 70}
"""Their names in the RAM map, and their colours."""
PEN = {
    "enemy_sue_orange": (93, 80),
    "enemy_inky_cyan": (83, 80),
    "enemy_pinky": (93, 67),
    "enemy_blinky_red": (83, 67),
}
START = 260
"""The music is over, ghosts begin to move."""


def places(trace, names=tuple(GHOSTS), start=START):
    """Both coordinates of ghosts from a frame on, shape (2 * num_ghosts, num_frames - start)."""
    return np.stack([ram(trace, f"{name}_{axis}")[start:] for name in names for axis in "xy"])


def way_from_pen(*names):
    """Pixels from the ghosts' places in the pen, 95th percentile over time, for the ghost and axis with the most."""
    pen = np.array([PEN[name] for name in names]).reshape(-1, 1)
    return lambda trace: np.percentile(np.abs(places(trace, names) - pen), 95, axis=1).max()


def way_after_start(trace):
    """Pixels between the outermost places of a ghost, for the ghost and axis with the most."""
    return np.ptp(places(trace), axis=1).max()


def travel(trace):
    """Mean way of a ghost in 8 frames along one axis, in pixels."""
    at = places(trace)
    return np.abs(at[:, 8:] - at[:, :-8]).mean()


def pill_pixels(trace):
    """Pixels of the maze's colour where the four power pills lie."""
    return sum(
        trace.pixels(DOTS, rows, columns).sum()
        for rows in (slice(14, 22), slice(146, 154))
        for columns in (slice(8, 12), slice(148, 152))
    )


def num_vulnerable(trace):
    """Kept screens that show a ghost that can be eaten."""
    return np.count_nonzero(trace.pixels(VULNERABLE, MAZE))


def num_ghosts_seen(trace):
    """Colours of ghosts on the kept screens after the first."""
    return len(set(np.unique(trace.screens[1:, MAZE]).tolist()) & set(GHOSTS.values()))


def share_of_maze_changed(trace):
    """Share of pixels that differ from the game without patch, before anything moves."""
    plain = play_plain(GAME, None, "noop", 30, 0, 10)
    return (trace.screens[-1, MAZE] != plain.screens[-1, MAZE]).mean()


def dot_pixels_gone(trace):
    """How many pixels of dots and pills (the walls have their colour too) the game without patch has more."""
    plain = play_plain(GAME, None, "noop", 30, 0, 10)
    return plain.pixels(DOTS, MAZE)[-1] - trace.pixels(DOTS, MAZE)[-1]


def at_start(metric, expected):
    return Check(metric, expected, "noop", 30, screens_every=10)


def dot_pixels_on_and_off(trace):
    """How many pixels in the colour of dots and walls the kept screens from frame 10 on differ by."""
    return np.ptp(trace.pixels(DOTS, MAZE)[2:])


def wander(rng, memory, frame):
    """Keep to a drawn direction for 24 frames, which leads through the maze."""
    ways = (ale_py.Action.UP, ale_py.Action.DOWN, ale_py.Action.LEFT, ale_py.Action.RIGHT)
    return ways[int(np.random.default_rng([5, frame // 24]).integers(4))]


CLEARED_SOON = "ram[119] = 150 if 0 < ram[119] < 150; ram[123] = (ram[123] & 240) | 2"
"""The count of eaten dots, of 154, leaves out most of a maze; no game over comes in between."""

CHECKS = {
    "disable_orange": Check(way_from_pen("enemy_sue_orange"), at_most(4), "random-held", 900),
    "disable_cyan": Check(way_from_pen("enemy_inky_cyan"), at_most(4), "random-held", 900),
    "disable_pink": Check(way_from_pen("enemy_pinky"), at_most(4), "random-held", 900),
    "disable_red": Check(way_from_pen("enemy_blinky_red"), at_most(4), "random-held", 900),
    "caged_ghosts": Check(way_from_pen(*GHOSTS), at_most(4), "random-held", 900),
    "frozen_ghosts": Check(way_after_start, at_most(2), "random-held", 500),
    "slow_ghosts": Check(travel, between(0.5, 1.4), "random-held", 900),
    # The first death comes before frame 900.
    "unlimited_lives": Check(Trace.lives_won_back, exactly(0), "random-held", 1000),
    "one_life": Check(Trace.num_game_overs, exactly(1), "random-held", 1000),
    "no_power_pills": Check(pill_pixels, exactly(0), "noop", 60, screens_every=10),
    # For 438 frames after a pill; with the patch from frame 241 to the end, 66 screens.
    "edible_ghosts": Check(num_vulnerable, between(60, 66), "noop", 900, screens_every=10),
    "edible_ghosts_start": Check(num_vulnerable, between(20, 50), "noop", 900, screens_every=10),
    "fewer_ghosts": Check(num_ghosts_seen, exactly(1), "random-held", 500, screens_every=5),
    # The mazes differ from the first one in about 21, 19 and 17 % of the pixels.
    # Two mazes are cleared by frame 1,200: the second is drawn like the first, the third is another one.
    "set_level_0": Check(
        share_of_maze_changed, at_most(0.05), "random-held", 1201, screens_every=10, setting=CLEARED_SOON
    ),
    "set_level_1": at_start(share_of_maze_changed, between(0.20, 0.23)),
    "set_level_2": at_start(share_of_maze_changed, between(0.18, 0.20)),
    "set_level_3": at_start(share_of_maze_changed, between(0.16, 0.18)),
    # 132 dots of 8 pixels and two pills of 28 (of the four, two are drawn at a time).
    "end_game": at_start(dot_pixels_gone, exactly(132 * 8 + 2 * 28)),
    # One dot of 8 pixels, or none.
    "maze_man": Check(dot_pixels_on_and_off, exactly(8), wander, 600, screens_every=5),
}

test_effect, test_complete = patch_tests(GAME, CHECKS)


def test_unseen_ghosts_are_harmless():
    trace = play(GAME, "fewer_ghosts", "random-held", 1000, seed=3)
    red, player = (np.stack([ram(trace, f"{name}_{axis}") for axis in "xy"]) for name in ("enemy_blinky_red", "player"))
    assert (np.abs(red - player).sum(0) < 4).sum() >= 3
    assert (trace.lives == 3).all()


def test_maze_man_has_one_dot_after_the_other_and_begins_anew_after_twenty():
    """Of the twenty, all but two are counted beforehand."""
    trace = play(GAME, "maze_man", wander, 6400, setting="ram[119] = 152 at frame 300")
    num_dots = np.bitwise_count(trace.bytes[300:, 59:101]).sum(1)
    assert set(num_dots.tolist()) <= {0, 1, num_dots.max()}
    # For one frame the game fills the next maze.
    assert np.count_nonzero(num_dots > 1) == 1
    counts = ram(trace, 119)[301:]
    assert counts[np.flatnonzero(np.diff(counts))].tolist()[:2] == [152, 153]
    assert counts[-1] == 134
    assert len({places.tobytes() for places in trace.bytes[300:, 59:101] if places.any()}) >= 4
    assert trace.rewards.sum() == 20
    assert (trace.lives == 3).all()
