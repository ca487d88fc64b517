"""Breakout: what each verified patch does."""

import numpy as np
from patch_checks import Check, Paired, Trace, at_least, at_most, between, exactly, patch_tests, ram, steps

WALL_ROWS = slice(57, 93)
INSIDE = slice(8, 152)
FIELD = slice(93, 194)
PADDLE_ROW = slice(190, 191)
PLAYER_AND_BALL = 70
BRICKS = [70, 54, 38, 22, 198, 134]
FULL_WALL = 36 * 144


def is_in_open_field(trace):
    y, x = ram(trace, "ball_y"), ram(trace, "ball_x")
    return y.min() > 95 and y.max() < 160 and x.min() > 70 and x.max() < 190


def drift(byte, expected):
    return Paired(byte, expected, 20, "noop", "track", tuple(range(60, 1260, 20)), where=is_in_open_field)


def paddle_widths(trace):
    return trace.pixels(PLAYER_AND_BALL, PADDLE_ROW, INSIDE)[10:]


def ball_speed(byte):
    """Mean change of a coordinate in pixels per frame, below the wall and above the paddle."""

    def metric(trace):
        moves, y = np.abs(steps(trace, byte)), ram(trace, "ball_y")
        is_free = (y > 105) & (y < 158)
        return moves[is_free[1:] & is_free[:-1] & (moves < 8)].mean()

    return metric


def rows_with_bricks(trace):
    """The rows that are complete in the last screen, from the top, as the bits 1, 2, 4, ..."""
    wall = np.isin(trace.screens[-1][WALL_ROWS, INSIDE], BRICKS)
    whole, empty = ([share.mean() == x for share in np.split(wall, 6)] for x in (1, 0))
    return sum(2**row for row in range(6) if whole[row]) if np.logical_or(whole, empty).all() else np.nan


def first_open_column(trace):
    """The wall's pixels in the last screen that lie left of x = 16, and how many lack elsewhere."""
    wall = np.isin(trace.screens[-1][WALL_ROWS, INSIDE], BRICKS)
    return wall[:, :8].sum() + (~wall[:, 8:]).sum()


def fewest_bricks_while_scoring(trace):
    return trace.pixels(BRICKS, WALL_ROWS, INSIDE)[12:].min() if trace.rewards.sum() >= 5 else np.nan


def repainted_field(index):
    """Mean number of pixels in a colour below the wall, if none are in the old colour of paddle and ball; else 0."""

    def metric(trace):
        assert (ram(trace, "ball_y") != 0).any()
        new, old = (trace.pixels(i, FIELD, INSIDE)[2:] for i in (index, PLAYER_AND_BALL))
        return 0 if old.any() else new.mean()

    return Check(metric, at_least(40), "track", 200, screens_every=10)


def repainted_wall(index):
    """Smallest share of the wall in a colour, from the moment it stands."""
    return Check(
        lambda trace: trace.pixels(index, WALL_ROWS, INSIDE)[5:].min() / FULL_WALL,
        exactly(1),
        "noop",
        100,
        screens_every=10,
    )


def games(trace):
    """The screens of each finished game of at least 60 frames, every second one, from the moment the wall stands."""
    ends = np.flatnonzero(trace.game_overs)
    starts = [0, *(ends[:-1] + 1)]
    return [trace.screens[(a + 45) // 2 : b // 2] for a, b in zip(starts, ends, strict=True) if b - a >= 60]


def num_drawn_paddle_colors(trace):
    """Colours of the paddle, one in each of ten or more games; NaN if not, or if one is no brick's colour."""
    colors = [set(np.unique(game[:, PADDLE_ROW, INSIDE]).tolist()) - {0} for game in games(trace)]
    is_one_each = len(colors) >= 10 and all(len(of_game) == 1 and of_game <= set(BRICKS) for of_game in colors)
    return len(set.union(*colors)) if is_one_each else np.nan


def num_drawn_walls(trace):
    """Different orders of the six colours in ten or more games; NaN where a row changes or a colour is missing."""
    orders = set()
    for game in games(trace):
        rows = [set(np.unique(row).tolist()) - {0} for row in np.split(game[:, WALL_ROWS, INSIDE], 6, axis=1)]
        if any(len(row) != 1 for row in rows) or set.union(*rows) != set(BRICKS):
            return np.nan
        orders.add(tuple(color for row in rows for color in row))
    return len(orders) if len(games(trace)) >= 10 else np.nan


def colors_without_black(rows):
    """Number of colours in an area; 0 if it is ever black altogether."""

    def metric(trace):
        area = trace.screens[5:, rows, INSIDE]
        return len(np.unique(area)) if area.any((1, 2)).all() else 0

    return metric


def one_draw_a_game(metric):
    return Check(metric, at_least(4), "fire", 2000, screens_every=2, setting="ram[57] = 1 at frame 2")


CHECKS = {
    "right_drift": drift("ball_x", between(3, 5)),
    "left_drift": drift("ball_x", between(-5, -3)),
    "gravity": drift("ball_y", between(3, 5)),
    "inverse_gravity": drift("ball_y", between(-5, -3)),
    # Who only serves loses the five balls.
    "unlimited_lives": Check(Trace.num_game_overs, exactly(0), "fire", 1500),
    "one_life": Check(Trace.first_game_over, at_most(300), "fire", 1500),
    "small_paddle": Check(lambda trace: np.median(paddle_widths(trace)), exactly(12), "noop", 200, screens_every=10),
    # The paddle shrinks when the ball hits the top, which it does at once where there is no wall.
    "wide_paddle": Check(
        lambda trace: np.median(paddle_widths(trace)[-20:]),
        exactly(16),
        "track",
        900,
        screens_every=10,
        setting="ram[0..35] = 0 if frame > 40",
    ),
    "slow_ball": Check(ball_speed("ball_y"), at_most(1.2), "track", 900),
    "fast_ball": Check(ball_speed("ball_y"), at_least(2.2), "track", 900),
    "no_top_three_rows": Check(rows_with_bricks, exactly(8 + 16 + 32), "noop", 46, screens_every=45),
    "no_bottom_three_rows": Check(rows_with_bricks, exactly(1 + 2 + 4), "noop", 46, screens_every=45),
    "open_left_column": Check(first_open_column, exactly(0), "noop", 46, screens_every=45),
    "regenerating_wall": Check(fewest_bricks_while_scoring, at_least(FULL_WALL - 48), "track", 1500, screens_every=5),
    "strobo_mode_blocks": Check(
        lambda trace: len(trace.colors(slice(57, 63), INSIDE)), at_least(40), "noop", 200, screens_every=2
    ),
    "strobo_mode_player_and_ball": Check(
        lambda trace: len(trace.colors(PADDLE_ROW, INSIDE)), at_least(40), "noop", 200, screens_every=2
    ),
    "strobo_mode_blocks_no_black": Check(
        colors_without_black(slice(57, 63)), at_least(40), "noop", 300, screens_every=2
    ),
    "strobo_mode_player_and_ball_no_black": Check(
        colors_without_black(PADDLE_ROW), at_least(40), "noop", 300, screens_every=2
    ),
    "sample_new_player_and_ball_color": one_draw_a_game(num_drawn_paddle_colors),
    "sample_new_brick_colors": one_draw_a_game(num_drawn_walls),
    **{
        f"color_player_and_ball_{name}": repainted_field(index)
        for name, index in {"black": 0, "white": 12, "red": 48, "blue": 112, "green": 200}.items()
    },
    **{
        f"color_all_blocks_{name}": repainted_wall(index)
        for name, index in {"black": 0, "white": 12, "red": 48, "blue": 112, "green": 200}.items()
    },
}

test_effect, test_complete = patch_tests("breakout", CHECKS)
