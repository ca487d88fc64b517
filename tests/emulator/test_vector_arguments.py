"""Arguments and misuse of the vector environment, seeds, and the benchmark's rows."""

import numpy as np
import pytest

from wsabench.bench.lanes import PERTURBED, benchmark_env
from wsabench.emulator import make_vec
from wsabench.emulator.vector import lane_seed
from wsabench.errors import ShapeError, SpecError, UnknownNameError
from wsabench.perturb import compile_perturbation
from wsabench.protocol import Protocol


@pytest.fixture(scope="module")
def env():
    env = make_vec("breakout", 2, autoreset_mode="disabled", seed=1, protocol=Protocol(max_frames=8))
    yield env
    env.close()


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"num_envs": 0}, SpecError, "num_envs is 0. Allowed: integers from 1."),
        ({"num_workers": -1}, SpecError, "num_workers is -1. Allowed: integers from 0."),
        (
            {"perturbations": ["clean"]},
            ShapeError,
            "1 perturbation for 2 lanes. Allowed: one for all, or one per",
        ),
        ({"seed": [1]}, ShapeError, "Allowed: an integer, or 2 episode seeds, one per lane."),
        ({"seed": [1, -2]}, SpecError, "episode seed is -2. Allowed: integers from 0"),
        ({"autoreset_mode": "next"}, UnknownNameError, "Unknown autoreset mode 'next'"),
        ({"perturbations": "hue-rotat@3"}, UnknownNameError, "Did you mean 'hue-rotate'"),
        ({"game": "brekout"}, UnknownNameError, "Did you mean 'breakout'"),
        ({"game": "joust"}, SpecError, "'joust' needs two players"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, text):
    with pytest.raises(error, match=text):
        make_vec(**({"game": "breakout", "num_envs": 2} | arguments))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"mask": None}, UnknownNameError, "Unknown reset option 'mask'"),
        ({"reset_mask": [True, False]}, ShapeError, "Allowed: a boolean array of shape"),
        ({"reset_mask": np.zeros(2, bool)}, ShapeError, "reset_mask selects no lane"),
        ({"perturbations": ["clean"] * 3}, ShapeError, "3 perturbations for 2 lanes"),
    ],
)
def test_bad_reset_options_are_refused(env, options, error, text):
    with pytest.raises(error, match=text):
        env.reset(options=options)


@pytest.mark.parametrize(
    ("actions", "error", "text"),
    [
        ([0], ShapeError, r"actions have shape \(1,\)"),
        ([0.0, 1.0], ShapeError, "Allowed: integers"),
        ([0, 4], SpecError, r"actions are \[0, 4\] in breakout. Allowed: 0 to 3."),
        ([-1, 0], SpecError, "Allowed: 0 to 3."),
    ],
)
def test_bad_actions_are_refused(env, actions, error, text):
    env.reset()
    with pytest.raises(error, match=text):
        env.step(actions)


def test_lanes_that_ended_must_be_reset_first(env):
    env.reset()
    for _ in range(2):
        *_, truncated, infos = env.step([0, 0])
    assert truncated.all()
    assert infos["end"].tolist() == ["time_limit"] * 2
    with pytest.raises(SpecError, match=r"The episodes of lanes \[0, 1\] ended"):
        env.step([0, 0])


def test_stepping_before_a_reset_or_after_close_is_refused():
    env = make_vec("breakout", 2)
    with pytest.raises(SpecError, match="Not every lane was reset"):
        env.step([0, 0])
    env.close()
    with pytest.raises(SpecError, match="closed"):
        env.reset()


def test_a_masked_reset_leaves_other_lanes_alone():
    env = make_vec("pong", 2, seed=[1, 2], autoreset_mode="disabled")
    env.reset()
    before, *_ = env.step([0, 0])
    after, infos = env.reset(seed=[None, 1], options={"reset_mask": np.array([False, True])})
    assert np.array_equal(before[0], after[0])
    assert not np.array_equal(before[1], after[1])
    assert infos["_lives"].tolist() == [False, True]
    env.close()


def test_returned_arrays_are_copies():
    env = make_vec("pong", 1, seed=1)
    first, _ = env.reset()
    kept = first.copy()
    second, *_ = env.step([0])
    assert np.array_equal(first, kept)
    first[:] = 7
    assert not np.array_equal(env.step([0])[0][0, 2], first[0, 2])
    assert second.any()
    env.close()


def test_seeds_of_lanes_differ_and_keep_the_parity_of_their_root():
    for root in (0, 1, 18, 2**31 - 1):
        seeds = [lane_seed(root, lane) for lane in range(64)]
        assert len(set(seeds)) == 64
        assert {seed % 2 for seed in seeds} == {root % 2}
        assert all(0 <= seed < 2**31 for seed in seeds)


def test_the_same_seed_gives_the_same_lanes_and_another_seed_others():
    def first_observations(seed):
        env = make_vec("breakout", 4, seed=seed)
        observations, _ = env.reset()
        env.close()
        return observations

    assert np.array_equal(first_observations(3), first_observations(3))
    assert not np.array_equal(first_observations(3), first_observations(4))


def test_benchmark_rows_have_what_is_promised():
    rows = benchmark_env(["pong"], num_envs=2, seconds=0.01, rounds=1)
    names = [row["name"] for row in rows]
    for row in rows:
        assert set(row) == {"name", "peer", "value", "unit", "ratio"}
        assert row["value"] > 0
        assert (row["ratio"] is None) == (not row["peer"])
        assert not row["peer"] or row["peer"] in names
    compared = {(row["name"], row["peer"]) for row in rows}
    assert ("pong: clean", "pong: AtariVectorEnv") in compared
    assert ("pong: hue-rotate@3", "pong: bare emulator") in compared
    assert ("pong: clean x2", "pong: AtariVectorEnv x2") in compared
    assert ("pong: RAM patch", "pong: clean") in compared
    assert {f"pong: {name}" for name in PERTURBED} <= set(names)


def test_benchmark_rows_of_all_games_are_medians(monkeypatch):
    tables = {
        "pong": [("peer", "", 10.0, None), ("ours", "peer", 20.0, 2.0)],
        "breakout": [("peer", "", 30.0, None), ("ours", "peer", 120.0, 4.0)],
    }
    monkeypatch.setattr("wsabench.bench.lanes._benchmark_game", lambda game, *rest: tables[game])
    rows = benchmark_env(["pong", "breakout"])
    assert [row["name"] for row in rows[:4]] == ["pong: peer", "pong: ours", "breakout: peer", "breakout: ours"]
    assert [(row["name"], row["peer"], row["value"], row["ratio"]) for row in rows[4:]] == [
        ("all: peer", "", 20.0, None),
        ("all: ours", "all: peer", 70.0, 3.0),
    ]


def test_benchmark_of_a_game_that_does_not_exist_is_refused():
    with pytest.raises(UnknownNameError, match="pongg"):
        benchmark_env(["pong", "pongg"])


def test_lanes_in_worker_processes_cannot_be_had():
    env = make_vec("pong", 1, num_workers=1)
    with pytest.raises(SpecError, match="live in worker processes"):
        _ = env.lanes
    env.close()


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_reset_refused_for_one_lane_leaves_all_as_they_were(num_workers, monkeypatch):
    stage = type(compile_perturbation("pixelate@3", "breakout").images[0].stage)
    assert stage is not type(compile_perturbation("gaussian-noise@3", "breakout").images[0].stage)
    monkeypatch.setattr(stage, "luminance_only", True, raising=False)
    names = ["gaussian-noise@5", "gaussian-noise@4"]
    envs = [make_vec("breakout", 2, names, 1, number, inputs=["rgb84"]) for number in (num_workers, 0)]
    for env in envs:
        env.reset(seed=2)
    with pytest.raises(SpecError, match="changes luminance frames only"):
        envs[0].reset(seed=3, options={"perturbations": ["clean", "pixelate@3"]})
    assert envs[0].perturbation_names == names
    for actions in ([0, 2], [3, 3]):
        assert np.array_equal(envs[0].step(actions)[0], envs[1].step(actions)[0])
    for env in envs:
        env.close()
