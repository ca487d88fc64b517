"""Freeway: what each verified patch does."""

import numpy as np
import pytest
from patch_checks import Check, Paired, assert_effect, at_least, at_most, between, exactly, patch_tests, ram, steps

pytestmark = pytest.mark.oracle

GAME = "freeway"

ROAD, CHICKEN, BLACK = 6, 30, 0
BODIES = [slice(172 - 16 * lane, 180 - 16 * lane) for lane in range(10)]
"""Rows of the cars, lane 0 at the bottom; the tires, always black, are in the rows above and below."""
TIRES = [row for body in BODIES for row in (body.start - 1, body.stop)]
COLUMNS = slice(8, 160)
"""Without the black border at the left, behind which cars come and go."""
SPEEDS = (1 / 5, 1 / 4, 1 / 3, 1 / 2, 1, 1, 1 / 2, 1 / 3, 1 / 4, 1 / 5)
"""Pixels per frame without a patch, from the bottom."""


def lane_travel(trace):
    """Pixels moved from frame to frame, shape (num_frames - 1, 10); jumps from edge to edge count as 0."""
    moves = np.abs(np.stack([steps(trace, f"car_lane{lane}_x") for lane in range(10)], axis=1))
    return np.where(moves > 20, 0, moves)


def lane_speeds(trace):
    return lane_travel(trace).mean(0)


def num_lanes_at(speeds):
    """Lanes with the speed told for them, within 5 % and 0.02."""
    return lambda trace: np.isclose(lane_speeds(trace), speeds, rtol=0.05, atol=0.02).sum()


def stopped(*lanes):
    return Check(num_lanes_at([0 if lane in lanes else SPEEDS[lane] for lane in range(10)]), exactly(10), "up", 300)


def slowest_lane(trace):
    return lane_speeds(trace).min()


def near_to_far(trace):
    """Travel in the half of the road where the chicken is, as a share of that in the other half."""
    chicken_is_low = ram(trace, "player_y")[:-1] < 95
    travel = lane_travel(trace)
    lower, upper = travel[:, :5].mean(1), travel[:, 5:].mean(1)
    return np.where(chicken_is_low, lower, upper).mean() / np.where(chicken_is_low, upper, lower).mean()


def frames_held(trace):
    """Frames from the second time that the chicken leaves a half of the road until a car of that half moves."""
    is_low = ram(trace, "player_y")[:-1] < 95
    left = np.flatnonzero(np.diff(is_low.astype(int)))[1]
    lanes = slice(0, 5) if is_low[left] else slice(5, 10)
    return np.flatnonzero(lane_travel(trace)[left + 1 :, lanes].any(1))[0]


def bodies(screens):
    """Palette indices of all pixels of car bodies."""
    pixels = np.concatenate([screens[:, rows, COLUMNS].reshape(-1) for rows in BODIES])
    return pixels[~np.isin(pixels, (ROAD, CHICKEN))]


def num_tire_pixels(trace):
    return trace.pixels(BLACK, TIRES, COLUMNS)[1:].sum()


def num_car_pixels(trace):
    return bodies(trace.screens[1:]).size + num_tire_pixels(trace)


def num_tire_pixels_alone(trace):
    """Pixels of tires; 0 while a body is seen."""
    return 0 if bodies(trace.screens[1:]).size else num_tire_pixels(trace)


def share_in_columns(lower, upper):
    """Share of the body pixels that lie in these 8 columns, for the five lower and the five upper lanes."""

    def measure(trace):
        inside = total = 0
        for lane, rows in enumerate(BODIES):
            first = lower if lane < 5 else upper
            is_body = ~np.isin(trace.screens[1:, rows], (ROAD, CHICKEN, BLACK))
            inside += is_body[:, :, first : first + 8].sum()
            total += is_body.sum()
        return inside / total

    return measure


def share_of_color(index):
    """Share of the body pixels that have this colour."""
    return lambda trace: (bodies(trace.screens[1:]) == index).mean()


def num_color_changes(trace):
    """How often the cars of lane 4 are seen in another colour than one screen before."""
    colors = []
    for screen in trace.screens[1:, BODIES[4], COLUMNS]:
        seen = screen[~np.isin(screen, (ROAD, CHICKEN))]
        if seen.size:
            colors.append(np.bincount(seen).argmax())
    return np.count_nonzero(np.diff(colors))


def num_blackouts(trace):
    """How often all bodies vanish from one screen to the next; 0 if one is not black."""
    if (bodies(trace.screens) != BLACK).any():
        return 0
    is_seen = [bodies(screen[np.newaxis]).size > 0 for screen in trace.screens]
    return np.count_nonzero(np.diff(np.array(is_seen, np.int8)) == -1)


def seen(metric, expected, num_frames=200, screens_every=10):
    return Check(metric, expected, "up", num_frames, screens_every=screens_every)


CHECKS = {
    "stop_all_cars_tunnel": seen(share_in_columns(32, 52), exactly(1)),
    "stop_all_cars_edge": seen(share_in_columns(12, 147), exactly(1)),
    "disable_cars": seen(num_car_pixels, exactly(0)),
    "stop_top_2": stopped(8, 9),
    "stop_bottom_2": stopped(0, 1),
    "stop_top_4": stopped(6, 7, 8, 9),
    "stop_bottom_4": stopped(0, 1, 2, 3),
    "stop_nearest_5": Check(frames_held, between(95, 101), "up", 600),
    "stop_own_half": Check(frames_held, between(5, 9), "up", 600),
    "align_all_cars": Check(num_lanes_at([0.6] * 10), exactly(10), "up", 300),
    "stop_random_car": Check(lambda trace: lane_speeds(trace).sum(), between(1, 3), "up", 600),
    "speed_mode": Check(slowest_lane, between(1.9, 2.5), "up", 300),
    "all_cars_full_speed": Check(slowest_lane, between(0.95, 1.05), "up", 300),
    "reverse_car_speed_bottom": Check(num_lanes_at(SPEEDS[4::-1] + SPEEDS[5:]), exactly(10), "up", 600),
    "reverse_car_speed_top": Check(num_lanes_at(SPEEDS[:5] + SPEEDS[:4:-1]), exactly(10), "up", 600),
    "vary_car_speeds": Check(
        num_lanes_at([1 / 4, 1 / 2, 1 / 6, 1, 1 / 3, 1 / 5, 1 / 2, 1 / 7, 1, 1 / 3]), exactly(10), "up", 600
    ),
    "all_black_cars": seen(share_of_color(0), exactly(1)),
    "all_white_cars": seen(share_of_color(14), exactly(1)),
    "all_red_cars": seen(share_of_color(66), exactly(1)),
    "all_green_cars": seen(share_of_color(210), exactly(1)),
    "all_blue_cars": seen(share_of_color(144), exactly(1)),
    "invisible_mode": seen(num_tire_pixels_alone, at_least(500)),
    "strobo_mode": seen(num_color_changes, at_least(80), 120, 1),
    "phantom_mode": seen(num_blackouts, between(3, 4), 240, 1),
    "blinking_mode": seen(num_color_changes, between(4, 8), 240, 1),
    # One pixel every third of 24 frames.
    "headwind": Paired("player_y", between(-9, -6), policy="up"),
    "tailwind": Paired("player_y", between(6, 9), policy="up"),
}

test_effect, test_complete = patch_tests(GAME, CHECKS)


@pytest.mark.parametrize("patch", ["stop_nearest_5", "stop_own_half"])
def test_the_half_where_the_chicken_is_stands_still(patch):
    assert_effect(GAME, patch, Check(near_to_far, at_most(0.1), "up", 600))
