"""Policies that draw from elsewhere are told from those that keep to their lanes, and asking leaves no trace."""

from __future__ import annotations

import os
import random  # noqa: TID251  (what policies of others may draw from)
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
import torch

from wsabench.agents import Moment, draws_of_its_own, wrap_policy
from wsabench.types import LaneBatch

NUM_LANES = 16
PIXELS = np.random.default_rng(0).integers(0, 256, (NUM_LANES + 1, 4, 84, 84), dtype=np.uint8)
MOMENTS = [Moment(PIXELS[:-1], {}), Moment(PIXELS[1:], {})]
ZEROS = np.zeros(NUM_LANES, np.int64)


def own_generator() -> Any:
    generator = np.random.default_rng(0)
    return lambda observations: generator.integers(0, 4, len(observations))


def counting() -> Any:
    seen: list[int] = []

    def act(observations: np.ndarray) -> np.ndarray:
        seen.append(0)
        return np.full(len(observations), len(seen) % 4)

    return act


def python_shared(observations: np.ndarray) -> np.ndarray:
    return np.array([random.randrange(4) for _ in observations])


def numpy_shared(observations: np.ndarray) -> np.ndarray:
    return np.random.randint(0, 4, len(observations))  # noqa: NPY002


def torch_shared(observations: np.ndarray) -> np.ndarray:
    return torch.randint(4, (len(observations),)).numpy()


def rarely(observations: np.ndarray) -> np.ndarray:
    """Explore so seldom that no two answers differ."""
    return np.where(np.random.random(len(observations)) < 1e-9, 1, 0)  # noqa: NPY002


def clock(observations: np.ndarray) -> np.ndarray:
    return np.full(len(observations), time.perf_counter_ns() % 1000)


class Remembering:
    """Counts the steps of each lane, and of each episode where it should."""

    def __init__(self, begins_anew: bool) -> None:
        self.begins_anew, self.steps = begins_anew, np.zeros(NUM_LANES, np.int64)

    def act(self, observations: np.ndarray, lanes: LaneBatch) -> np.ndarray:
        if self.begins_anew:
            self.steps[lanes.ids[lanes.episode_starts]] = 0
        self.steps[lanes.ids] += 1
        return self.steps[lanes.ids]


DRAWING = {
    "python": python_shared,
    "numpy": numpy_shared,
    "torch": torch_shared,
    "rarely": rarely,
    "clock": clock,
    "own": own_generator(),
    "entropy": lambda observations: np.random.default_rng().integers(0, 4, len(observations)),
    "counting": counting(),
    "remembering": Remembering(begins_anew=False),
}


@pytest.mark.parametrize("name", DRAWING)
def test_what_draws_or_remembers_of_its_own_is_found(name: str) -> None:
    assert draws_of_its_own(wrap_policy(DRAWING[name]), MOMENTS, "breakout")


class Sampling:
    def act(self, observations: np.ndarray, lanes: LaneBatch) -> np.ndarray:
        return np.array([one.integers(4) for one in lanes.generators])


def seeding(observations: np.ndarray) -> np.ndarray:
    """Seed a shared generator by what is seen: odd, and repeatable."""
    torch.manual_seed(int(observations.sum()))
    return torch.randint(4, (len(observations),)).numpy()


def failing(observations: np.ndarray) -> np.ndarray:
    raise SystemExit(3)


REPEATABLE = {
    "still": lambda observations: ZEROS,
    "seeing": lambda observations: observations[:, -1, 0, 0].astype(int) % 4,
    "sampling": Sampling(),
    "remembering": Remembering(begins_anew=True),
    "seeding": seeding,
    "failing": failing,
}


@pytest.mark.parametrize("name", REPEATABLE)
def test_what_keeps_to_its_lanes_is_not_suspected(name: str) -> None:
    assert not draws_of_its_own(wrap_policy(REPEATABLE[name]), MOMENTS, "breakout")


@pytest.mark.parametrize("policy", [python_shared, numpy_shared, torch_shared, failing, seeding])
def test_the_shared_generators_are_left_where_they_stood(policy: Any) -> None:
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002  # pyright: ignore
    draws_of_its_own(wrap_policy(policy), MOMENTS, "breakout")
    after = random.getstate(), np.random.get_state()[1], torch.get_rng_state()  # noqa: NPY002  # pyright: ignore
    assert before[0] == after[0]
    np.testing.assert_array_equal(before[1], after[1])
    assert torch.equal(before[2], after[2])


def test_a_policy_may_keep_and_change_what_it_is_shown() -> None:
    kept = [moment.observations.copy() for moment in MOMENTS]

    def greedy_hands(observations: np.ndarray) -> np.ndarray:
        answer = observations[:, -1, 0, 0].astype(int) % 4
        observations[:] = 0
        return answer

    assert not draws_of_its_own(wrap_policy(greedy_hands), MOMENTS, "breakout")
    assert all(np.array_equal(moment.observations, was) for moment, was in zip(MOMENTS, kept, strict=True))


LATE = """
import sys
import numpy as np
from wsabench.agents import Moment, draws_of_its_own, wrap_policy
from wsabench.processes import single_thread


def late(observations):
    import torch
    return np.zeros(len(observations), int) if keeps else torch.randint(4, (len(observations),)).numpy()


keeps = sys.argv[1] == "keeps"
pixels = np.zeros((16, 4, 84, 84), np.uint8)
assert "torch" not in sys.modules
with single_thread():
    found = draws_of_its_own(wrap_policy(late), [Moment(pixels, {})] * 2, "breakout")
import torch
is_new = torch.equal(torch.default_generator.get_state(), torch.Generator().get_state())
print(found, is_new, torch.get_num_threads())
"""


@pytest.mark.parametrize(("name", "draws"), [("keeps", False), ("draws", True)])
def test_a_policy_that_loads_torch_when_it_is_asked_is_judged_alike(name: str, draws: bool) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    words = [sys.executable, "-c", LATE, name]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{draws} True 1\n"
