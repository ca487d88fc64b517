"""`clean` is ale-py's own vector environment, to the bit."""

import numpy as np
import pytest
from lane_oracle import COPY_OF_ALE, compare_with_ale

from wsabench.emulator import Lane, observation_shape
from wsabench.games import catalogue_games, rom_ids
from wsabench.perturb import compile_perturbation
from wsabench.protocol import Protocol
from wsabench.seeding import generator

pytestmark = pytest.mark.oracle

FIRE_BOTH_WAYS = pytest.mark.parametrize("fire", [True, False], ids=["fire", "no-fire"])


@pytest.mark.parametrize("name", ["wsabench", "sb3"])
def test_a_lane_tells_the_no_ops_of_its_start(name):
    lane = Lane(compile_perturbation("clean", "breakout"), Protocol.named(name))
    lowest = 1 if name == "sb3" else 0
    for seed in range(0, 12, 2):
        lane.reset(seed)
        assert lane.num_noops == generator(seed, "noops").integers(lowest, 30, endpoint=True)


def test_episodes_of_equal_no_ops_start_alike_and_others_do_not():
    lane = Lane(compile_perturbation("clean", "pong"), Protocol.named("sb3").with_changes(noop_max=3))
    pictures = {}
    for seed in range(0, 40, 2):
        lane.reset(seed)
        pictures.setdefault(lane.num_noops, set()).add(lane.ram().tobytes())
    assert sorted(pictures) == [1, 2, 3]
    assert [len(found) for found in pictures.values()] == [1, 1, 1]
    assert len(set.union(*pictures.values())) == lane.protocol.num_starts


@FIRE_BOTH_WAYS
@pytest.mark.parametrize("game", catalogue_games())
def test_equals_ale_for_the_first_steps(game, fire):
    compare_with_ale(game, COPY_OF_ALE.with_changes(fire_on_reset=fire), 80, seed=None)


@pytest.mark.slow
@FIRE_BOTH_WAYS
@pytest.mark.parametrize("game", catalogue_games())
def test_equals_ale_for_2000_steps(game, fire):
    compare_with_ale(game, COPY_OF_ALE.with_changes(fire_on_reset=fire), 2000)


@pytest.mark.slow
@FIRE_BOTH_WAYS
@pytest.mark.parametrize("game", rom_ids())
def test_equals_ale_in_every_single_player_rom(game, fire):
    compare_with_ale(game, COPY_OF_ALE.with_changes(fire_on_reset=fire), 300)


def test_equals_ale_across_game_ends():
    assert compare_with_ale("breakout", COPY_OF_ALE, 480, seed=None) >= 2


@pytest.mark.parametrize(
    "changes",
    [
        {"grayscale": False},
        {"max_frames": 101},
        {"max_frames": 102},
        {"sticky_probability": 0.25},
        {"full_action_space": True},
    ],
    ids=lambda changes: next(iter(changes)),
)
@pytest.mark.parametrize("game", ["breakout", "air_raid"])
def test_equals_ale_under_other_protocols(game, changes):
    compare_with_ale(game, COPY_OF_ALE.with_changes(**changes), 60, 3 if "sticky_probability" in changes else None)


@pytest.mark.parametrize("game", ["carnival", "pooyan", "journey_escape", "king_kong"])
def test_equals_ale_where_the_screen_is_not_210_lines_high(game):
    compare_with_ale(game, COPY_OF_ALE, 40, seed=None)


# Games in which the emulator's plain reset does not bring back the same start, with and without sticky actions.
@pytest.mark.parametrize("sticky", [0.0, 0.25])
@pytest.mark.parametrize("game", ["beam_rider", "qbert", "elevator_action"])
def test_an_episode_seed_fixes_the_episode_whatever_was_played_before(game, sticky):
    protocol = Protocol(sticky_probability=sticky, max_frames=3000)
    fresh, used = (Lane(compile_perturbation("clean", game), protocol, seed=9) for _ in range(2))
    draws = np.random.default_rng(1).integers(fresh.num_actions, size=80).tolist()
    fresh.reset()
    used.reset(4)
    for _ in range(2):
        for action in draws:
            used.step(action)
            if used.terminated or used.truncated:
                used.reset()
        used.reset()
    used.reset(9)
    assert np.array_equal(fresh.observation, used.observation)
    for action in draws[:40]:
        fresh.step(action)
        used.step(action)
        assert np.array_equal(fresh.observation, used.observation)
        assert np.array_equal(fresh.ram(), used.ram())


def test_different_seeds_draw_different_numbers_of_noops():
    lane = Lane(compile_perturbation("clean", "breakout"), Protocol())
    starts = set()
    for seed in range(40):
        lane.reset(seed)
        starts.add(lane.observation.tobytes())
    assert 10 < len(starts) <= 31


def test_shape_follows_the_protocol():
    protocol = Protocol(frame_stack=2, screen_size=64, grayscale=False)
    lane = Lane(compile_perturbation("clean", "pong"), protocol, seed=1)
    lane.reset()
    assert lane.observation.shape == observation_shape(protocol) == (2, 64, 64, 3)
