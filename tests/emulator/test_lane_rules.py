"""Episode rules of a lane: FIRE, lives, caps, rewards, counters."""

import numpy as np
import pytest

from wsabench.emulator import Lane
from wsabench.errors import SpecError
from wsabench.perturb import compile_perturbation
from wsabench.protocol import Protocol

BALL_Y = 101
"""Breakout's byte with the height of the ball; 0: no ball."""
FIRE, NOOP = 1, 0


def breakout(**changes) -> Lane:
    lane = Lane(compile_perturbation("clean", "breakout"), Protocol(noop_max=0).with_changes(**changes), seed=1)
    lane.reset()
    return lane


def play_until_life_lost(lane: Lane) -> None:
    for _ in range(200):
        lane.step(NOOP)
        if lane.life_lost:
            return
    raise AssertionError("no life was lost")


def test_fire_on_reset_brings_the_ball_into_play():
    lane, idle = breakout(), breakout(fire_on_reset=False)
    for player in (lane, idle):
        for _ in range(3):
            player.step(NOOP)
    assert lane.ram()[BALL_Y] != 0
    assert idle.ram()[BALL_Y] == 0


def test_fire_replaces_the_action_after_a_life_loss():
    lane = breakout()
    play_until_life_lost(lane)
    assert lane.ram()[BALL_Y] == 0
    assert (lane.terminated, lane.lives, lane.end) == (False, 4, None)
    lane.step(NOOP)
    assert lane.ram()[BALL_Y] != 0
    assert not lane.life_lost


def test_without_the_rule_a_player_who_does_nothing_stalls():
    lane = breakout(fire_on_life_loss=False, stall_steps=30)
    play_until_life_lost(lane)
    for step in range(1, 31):
        assert not lane.truncated
        lane.step(NOOP)
        assert lane.ram()[BALL_Y] == 0
        assert lane.truncated == (step == 30)
    assert (lane.end, lane.terminated, lane.lives) == ("stalled", False, 4)


def test_reward_and_lost_lives_start_the_stall_count_again():
    lane = breakout(stall_steps=40)
    draws = np.random.default_rng(0).integers(4, size=400)
    idle = 0
    for action in draws:
        before = lane.episode_return
        lane.step(int(action))
        idle = 0 if lane.life_lost or lane.episode_return != before else idle + 1
        assert lane.truncated == (idle >= 40 and not lane.terminated)
        if lane.terminated or lane.truncated:
            lane.reset()
            idle = 0


def test_no_stall_cap_at_zero():
    lane = breakout(fire_on_life_loss=False, fire_on_reset=False, stall_steps=0)
    for _ in range(60):
        lane.step(NOOP)
    assert lane.end is None


@pytest.mark.parametrize(("max_frames", "num_steps"), [(8, 2), (9, 3), (1, 1)])
def test_the_time_limit_counts_frames(max_frames, num_steps):
    lane = breakout(max_frames=max_frames)
    for step in range(1, num_steps + 1):
        lane.step(NOOP)
        assert lane.truncated == (step == num_steps)
    assert (lane.end, lane.terminated, lane.num_frames) == ("time_limit", False, max_frames)


def test_episodic_life_ends_the_learners_episode_and_the_game_goes_on():
    lane = breakout(episodic_life=True)
    plain = breakout()
    for _ in range(4):
        play_until_life_lost(lane)
        play_until_life_lost(plain)
        assert (lane.terminated, lane.truncated, lane.end, lane.game_over) == (True, False, None, False)
        assert not plain.terminated
        lane.reset()
        plain.step(NOOP)
        # The reset pressed FIRE for one step, which is the step that the plain lane's FIRE rule replaced.
        assert np.array_equal(lane.ram(), plain.ram())
        assert np.array_equal(lane.observation, plain.observation)
        assert (lane.episode_length, lane.episode_return, lane.lives) == (
            plain.episode_length,
            plain.episode_return,
            plain.lives,
        )
        assert not lane.terminated
        assert lane.reward == 0
    while not lane.game_over:
        lane.step(NOOP)
    assert (lane.terminated, lane.end, lane.lives) == (True, "game_over", 0)
    lane.reset()
    assert (lane.lives, lane.episode_length, lane.episode_return) == (5, 0, 0.0)


def test_a_seed_starts_a_new_game_even_after_a_life_loss():
    lane = breakout(episodic_life=True)
    play_until_life_lost(lane)
    lane.reset(1)
    assert (lane.lives, lane.episode_length) == (5, 0)


def test_the_time_limit_ends_the_game_even_when_a_life_is_lost_with_it():
    play = breakout(episodic_life=True)
    play_until_life_lost(play)
    lane = breakout(episodic_life=True, max_frames=play.num_frames)
    play_until_life_lost(lane)
    assert (lane.terminated, lane.truncated, lane.end) == (True, False, "time_limit")
    lane.reset()
    assert (lane.lives, lane.episode_length) == (5, 0)


def test_rewards_are_clipped_to_their_sign_and_the_return_is_not():
    lanes = [
        Lane(compile_perturbation("clean", "space_invaders"), Protocol(clip_rewards=clip), seed=2)
        for clip in (False, True)
    ]
    for lane in lanes:
        lane.reset()
    rewards = []
    for action in np.random.default_rng(0).integers(6, size=150).tolist():
        for lane in lanes:
            lane.step(action)
        rewards.append(lanes[0].reward)
        assert lanes[1].reward == np.sign(lanes[0].reward)
        assert lanes[0].episode_return == lanes[1].episode_return == sum(rewards)
    assert max(rewards) > 1


def test_a_perturbation_for_another_game_is_refused():
    lane = breakout()
    with pytest.raises(SpecError, match="compiled for 'pong', this lane plays 'breakout'"):
        lane.set_perturbation(compile_perturbation("clean", "pong"))
