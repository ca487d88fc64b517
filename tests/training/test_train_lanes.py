"""The lanes that a learner plays: seeds, cuts, finished games, a state that replays."""

from __future__ import annotations

import numpy as np
import pytest
from catch import CatchVector

from wsabench import make_vec
from wsabench.protocol import Protocol
from wsabench.training.lanes import TrainingLanes


def play(lanes: TrainingLanes, steps: int, seed: int = 0) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    seen = []
    for _ in range(steps):
        lanes.step(generator.integers(3, size=lanes.num_envs))
        seen.append(lanes.observations.copy())
    return seen


def lanes_of(envs: CatchVector, train_seed: int = 0) -> TrainingLanes:
    lanes = TrainingLanes(envs, train_seed)
    lanes.start()
    return lanes


def test_seeds_are_odd_and_differ_by_lane_game_and_train_seed() -> None:
    envs, seeds = CatchVector(3), []
    original = envs.reset
    envs.reset = lambda **k: (seeds.extend([] if k.get("seed") is None else k["seed"].tolist()), original(**k))[1]
    for train_seed in (0, 1):
        play(lanes_of(envs, train_seed), 12)
    assert all(seed % 2 for seed in seeds)
    assert len(set(seeds)) == 2 * 3 * 3


def test_full_games_are_counted_and_their_returns_averaged() -> None:
    lanes = lanes_of(CatchVector(4, rounds=3))
    play(lanes, 90)
    assert lanes.num_games == len(lanes.recent)
    assert lanes.num_games >= 4 * 90 // 18
    for game in lanes.recent:
        assert game.unclipped == game.clipped
        assert game.steps in (6, 12, 18)
    means = lanes.mean_recent()
    assert means.steps == np.mean([game.steps for game in lanes.recent])


def test_a_lost_ball_ends_the_episode_but_not_the_game() -> None:
    lanes = lanes_of(CatchVector(24, rounds=3))
    step = None
    for _ in range(6):
        step = lanes.step(np.ones(24, np.int64))
    assert step is not None
    assert step.ended.all()
    assert not step.cut.any()
    assert 0 < lanes.num_games < 24


def test_a_cut_game_gives_its_last_observation() -> None:
    lanes = lanes_of(CatchVector(2, max_steps=4))
    for _ in range(3):
        before = lanes.step(np.ones(2, np.int64))
        assert not before.cut.any()
    shown = lanes.observations.copy()
    step = lanes.step(np.ones(2, np.int64))
    assert step.cut.all()
    # The newest three frames seen before are the older three of the last observation, not of the next game's first.
    assert np.array_equal(step.final_observations[:, :3], shown[:, 1:])
    assert not np.array_equal(lanes.observations, step.final_observations)


def test_a_restored_state_goes_on_the_same_way() -> None:
    lanes = lanes_of(CatchVector(5, rounds=4))
    play(lanes, 31)
    state = lanes.state()
    assert len(set(state["lengths"].tolist())) > 1, "the lanes' games should have different ages here"
    expected = play(lanes, 40, seed=1)
    again = TrainingLanes(CatchVector(5, rounds=4), 0)
    again.restore(state)
    assert np.array_equal(np.array(expected), np.array(play(again, 40, seed=1)))
    assert again.num_games == lanes.num_games
    assert list(again.recent) == list(lanes.recent)


@pytest.mark.parametrize("game", ["breakout"])
def test_emulator_lanes_are_restored_by_replay(game: str) -> None:
    def make() -> TrainingLanes:
        return TrainingLanes(make_vec(game, 3, protocol=Protocol.training(), autoreset_mode="disabled"), 0)

    lanes = make()
    lanes.start()
    play(lanes, 260)
    state = lanes.state()
    assert lanes.num_games > 0
    expected = play(lanes, 60, seed=1)
    again = make()
    again.restore(state)
    assert np.array_equal(np.array(expected), np.array(play(again, 60, seed=1)))
