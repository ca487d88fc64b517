"""Enduro: what each verified patch does."""

import numpy as np
from patch_checks import Check, Paired, Trace, at_least, at_most, between, exactly, patch_tests, ram

SKY, ROAD = slice(0, 51), slice(52, 155)
CAR_COLORS = [22, 54, 86, 118, 150, 182, 214, 230, 246]
GREEN, SNOW, NIGHT = 192, 14, 0
WITHOUT_CARS = "ram[27..33] = 0"


def distance(trace):
    """How far the car went, in the unit of the odometer's last byte."""
    return (np.diff(ram(trace, "distance")) % 256).sum()


def car_pixels(trace):
    return trace.pixels(CAR_COLORS, ROAD).mean()


def pixels_while_cars_are_there(trace):
    """Pixels in cars' colours, in screens of moments at which the nearer half of the road has cars."""
    num_screens = len(trace.screens)
    slots = trace.bytes[:: len(trace.bytes) // num_screens, 27:31][:num_screens]
    return trace.pixels(CAR_COLORS, ROAD)[slots.any(1)].mean()


def rightmost_car(trace):
    """The largest x that a car nearby reaches on the screen."""
    return np.flatnonzero(np.isin(trace.screens[:, 100:140], CAR_COLORS).any((0, 1)))[-1]


def road_middles(trace, row):
    """Horizontal middle of what is not ground in a row of the screen, in each screen after the first ten."""
    middles = []
    for screen in trace.screens[10:]:
        edges = np.flatnonzero(screen[row, 8:] != screen[row, 9]) + 8
        if len(edges):
            middles.append((edges[0] + edges[-1]) / 2)
    return middles


def share_of(index, rows):
    """Smallest share of an area's pixels that has a palette index, after the first second."""

    def metric(trace):
        area = trace.screens[6:, rows, 8:]
        return np.isin(area, index).mean((1, 2)).min()

    return metric


def far_road_marks(trace):
    """Pixels of the far third of the road that are not ground, the most in any screen after the first second."""
    area = trace.screens[6:, 56:80, 10:]
    return (area != area[:, :1, :1]).sum((1, 2)).max()


CHECKS = {
    "speed_cap": Check(distance, at_most(14_000), "fire", 600, setting=WITHOUT_CARS),
    "no_cars": Check(car_pixels, exactly(0), "fire", 900, screens_every=10),
    "side_wind_right": Paired("player_x", between(-5, -3), policy="noop", approach="fire"),
    "side_wind_left": Paired("player_x", between(3, 5), policy="noop", approach="fire"),
    # The counter starts at 200: 150 cars count as passed.
    "fewer_cars_to_pass": Check(lambda trace: trace.rewards[:80].sum(), exactly(150), "noop", 120),
    "speed_floor": Check(distance, at_least(3000), "noop", 400),
    "camouflaged_cars": Check(pixels_while_cars_are_there, exactly(0), "fire", 900, screens_every=10),
    # A straight road, on which nothing but steering moves the car, has its middle at x = 87.
    "cars_keep_left": Check(
        rightmost_car, at_most(87), "fire", 900, screens_every=5, setting="road_bend = 0; skid = 0"
    ),
    "straight_road": Check(
        lambda trace: np.std(road_middles(trace, 60)), at_most(2), "fire", 1200, screens_every=20, setting=WITHOUT_CARS
    ),
    "endless_bend": Check(
        lambda trace: max(road_middles(trace, 60)), at_most(50), "fire", 600, screens_every=20, setting=WITHOUT_CARS
    ),
    # Only collisions and steering move the near end of the road: here nobody steers.
    "no_skid": Check(lambda trace: np.std(road_middles(trace, 140)), at_most(2), "fire", 1200, screens_every=20),
    # A day that is almost over ends, and with it the game, as the cars were not passed.
    "endless_day": Check(Trace.num_game_overs, exactly(0), "fire", 1000, setting="day_timer = 194 at frame 30"),
    "always_snow": Check(share_of(SNOW, ROAD), at_least(0.8), "fire", 400, screens_every=10),
    "always_night": Check(share_of(NIGHT, ROAD), at_least(0.8), "fire", 400, screens_every=10),
    "always_fog": Check(far_road_marks, exactly(0), "fire", 400, screens_every=10),
    "color_ground_blue": Check(share_of(112, ROAD), at_least(0.8), "fire", 400, screens_every=10),
}

test_effect, test_complete = patch_tests("enduro", CHECKS)
