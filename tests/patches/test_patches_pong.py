"""Pong: what each verified patch does."""

import numpy as np
import pytest
from patch_checks import Check, Paired, at_least, at_most, between, exactly, patch_tests, play, ram, steps

pytestmark = pytest.mark.oracle

COURT = slice(34, 194)
ENEMY, BALL, PLAYER = 56, 14, 200
PLAYER_SIDE, ENEMY_SIDE = slice(120, 160), slice(0, 40)


def is_ball_in_play(trace):
    """The ball stays in the open field, away from paddles and walls."""
    y, x = ram(trace, "ball_y"), ram(trace, "ball_x")
    return y.min() > 60 and y.max() < 195 and x.min() > 70 and x.max() < 180


def flies_to_player(trace):
    return np.r_[False, (steps(trace, "ball_x") > 0) & (steps(trace, "ball_x") < 8)] & (ram(trace, "ball_y") != 0)


def flights_to_player(trace):
    """Index arrays of whole flights of the ball towards the player."""
    runs = np.split(np.arange(len(trace.bytes)), np.flatnonzero(np.diff(flies_to_player(trace).astype(int))) + 1)
    return [run[2:] for run in runs if len(run) > 20 and flies_to_player(trace)[run[0]]]


def enemy_range_in_flight(trace):
    return np.mean([np.ptp(ram(trace, "enemy_y")[flight]) for flight in flights_to_player(trace)])


def paddle_distance(trace):
    return np.abs(ram(trace, "enemy_y") - ram(trace, "player_y"))


def distance_in_flight(trace):
    return np.median(paddle_distance(trace)[np.concatenate(flights_to_player(trace))])


def enemy_jerk(trace):
    y = ram(trace, "enemy_y")
    return np.mean(np.abs(np.diff(y[y > 0], 2)))


def enemy_at_rest(trace):
    """Share of frames, once it has come to the middle, in which the enemy's paddle is within 6 px of it."""
    return np.mean(np.abs(ram(trace, "enemy_y") - 127)[60:] <= 6)


def distance_to_ball(trace):
    """Of the middles of enemy and ball, where the walls let the paddle follow."""
    y = ram(trace, "ball_y")
    is_free = (y > 60) & (y < 190) & (np.roll(y, 1) > 60)
    return np.quantile(np.abs(ram(trace, "enemy_y") + 5 - y)[is_free], 0.95)


def ball_speed(trace):
    moves = np.abs(steps(trace, "ball_x"))
    return np.mean(moves[(moves < 8) & (ram(trace, "ball_y")[1:] != 0)])


def height(index, columns):
    """Median height of a paddle on the screen, in pixels."""

    def metric(trace):
        rows = np.isin(trace.screens[:, COURT, columns], index).any(2).sum(1)
        return np.median(rows[rows > 0])

    return metric


def left_edge(index, columns):
    """Left edge of a paddle on the screen."""

    def metric(trace):
        seen = np.isin(trace.screens[:, COURT, columns], index).any((0, 1))
        return columns.start + np.flatnonzero(seen)[0]

    return metric


def return_of_first_game(trace):
    """Summed reward of the first game; NaN if it did not end."""
    ends = np.flatnonzero(trace.game_overs)
    return trace.rewards[: ends[0] + 1].sum() if len(ends) else np.nan


CHECKS = {
    "lazy_enemy": Check(enemy_range_in_flight, at_most(8), "track", 900),
    "parallel_enemy": Check(lambda trace: np.median(paddle_distance(trace)), at_most(4), "random-held", 600),
    "parallel_enemy_after_hit": Check(distance_in_flight, at_most(4), "random-held", 900),
    "random_perturbation_enemy": Check(enemy_jerk, at_least(2.5), "track", 900),
    "frozen_enemy": Check(enemy_at_rest, at_least(0.99), "track", 900),
    "perfect_enemy": Check(distance_to_ball, at_most(6), "track", 900),
    "up_drift": Paired("ball_y", between(-5, -3), approach="track", policy="noop", where=is_ball_in_play),
    "down_drift": Paired("ball_y", between(3, 5), approach="track", policy="noop", where=is_ball_in_play),
    "left_drift": Paired("ball_x", between(-5, -3), approach="track", policy="noop", where=is_ball_in_play),
    "right_drift": Paired("ball_x", between(3, 5), approach="track", policy="noop", where=is_ball_in_play),
    "fast_ball": Check(ball_speed, at_least(1.7), "track", 900),
    "slow_ball": Check(ball_speed, at_most(0.65), "track", 900),
    "small_player_paddle": Check(height(PLAYER, PLAYER_SIDE), exactly(8), "track", 300, screens_every=10),
    "large_player_paddle": Check(height(PLAYER, PLAYER_SIDE), exactly(32), "track", 300, screens_every=10),
    "small_enemy_paddle": Check(height(ENEMY, ENEMY_SIDE), exactly(8), "track", 300, screens_every=10),
    "large_enemy_paddle": Check(height(ENEMY, ENEMY_SIDE), exactly(32), "track", 300, screens_every=10),
    "player_paddle_forward": Check(left_edge(PLAYER, PLAYER_SIDE), exactly(124), "track", 300, screens_every=10),
    "enemy_paddle_forward": Check(left_edge(ENEMY, ENEMY_SIDE), exactly(32), "track", 300, screens_every=10),
    # Who does nothing loses the six points that are left, the jump itself gives no reward.
    "start_at_15_15": Check(return_of_first_game, exactly(-6), "noop", 1500),
    "start_behind_0_10": Check(lambda trace: trace.rewards[:10].sum(), exactly(-10), "noop", 1500),
}

test_effect, test_complete = patch_tests("pong", CHECKS)


BEFORE_SERVE = "ram[21] = 127 if 0 < ram[11] < 5; ram[49] = 130 if 0 < ram[11] < 5"
PUBLIC = {
    "lazy_enemy": f"{BEFORE_SERVE}; ram[21] = prev[21] if ram[49] > prev[49]",
    "parallel_enemy_after_hit": f"{BEFORE_SERVE}; ram[21] = ram[60] if ram[49] > 130",
}
"""What HackAtari's modifications of these names do (commit 8ca2bdf), in our rule language."""


@pytest.mark.parametrize("policy", ["random-held", "track"])
def test_the_public_lazy_enemy_differs_in_nothing_but_the_countdown_before_a_serve(policy):
    ours = play("pong", "lazy_enemy", policy, 1200)
    public = play("pong", None, policy, 1200, setting=PUBLIC["lazy_enemy"])
    differ = (ours.bytes[:, [21, 49, 54]] != public.bytes[:, [21, 49, 54]]).any(1)
    countdown = ram(ours, 11)
    assert differ.any()
    assert set(countdown[differ].tolist()) <= {1, 2, 3, 4}
    assert (ours.rewards == public.rewards).all()


def test_the_public_parallel_enemy_copies_in_half_the_court_and_ours_while_the_ball_comes():
    ours = play("pong", "parallel_enemy_after_hit", "track", 1500)
    public = play("pong", None, "track", 1500, setting=PUBLIC["parallel_enemy_after_hit"])

    def median_distance(trace, comes, far):
        """Of the paddles, while the ball comes or goes, in the player's half or in the other."""
        is_free = (ram(trace, "ball_y") != 0) & (np.abs(ram(trace, "ball_x") - 130) > 15)
        where = is_free & (flies_to_player(trace) == comes) & ((ram(trace, "ball_x") > 130) == (not far))
        return np.median(paddle_distance(trace)[where])

    assert median_distance(ours, comes=True, far=True) <= 4 < median_distance(public, comes=True, far=True)
    assert median_distance(public, comes=False, far=False) <= 4 < median_distance(ours, comes=False, far=False)
