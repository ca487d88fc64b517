"""Lanes with different perturbations do not influence each other."""

from __future__ import annotations

import copy
import pickle  # noqa: TID251  (to see that it is refused)

import numpy as np
import pytest

from wsabench.emulator import make, make_vec
from wsabench.perturb import list_perturbations, misfit
from wsabench.protocol import Protocol

pytestmark = pytest.mark.oracle

GAME = "breakout"
PROTOCOL = Protocol(max_frames=48)
NUM_LANES = 4
SEEDS = [4, 5, 6, 7]
ACTIONS = np.random.default_rng(2).integers(4, size=(18, NUM_LANES))
"""More steps than an episode has under `PROTOCOL`, so that lanes start new games."""


def one_of_each_kind() -> list[str]:
    """Return a perturbation of each kind that the game has, those of the agent's own encoders left out."""
    by_kind: dict[str, str] = {}
    for entry in list_perturbations():
        name = f"{entry.name}@3" if entry.has_severity else entry.name
        fits = entry.family != "encoder" and (entry.games is None or GAME in entry.games)
        if fits and entry.kind not in by_kind and misfit(name, GAME) is None:
            by_kind[entry.kind] = name
    return sorted(by_kind.values())


def test_a_lane_is_the_same_alone_and_among_others():
    names = one_of_each_kind()
    together = make_vec(GAME, NUM_LANES, "clean", SEEDS, 0, PROTOCOL)
    alone = make(GAME, protocol=PROTOCOL)
    for start in range(0, len(names), NUM_LANES - 1):
        lanes = ["clean", *names[start : start + NUM_LANES - 1]]
        lanes += ["clean"] * (NUM_LANES - len(lanes))
        shown = [together.reset(seed=SEEDS, options={"perturbations": lanes})[0]]
        rewards = []
        for actions in ACTIONS:
            observations, reward, *_ = together.step(actions)
            shown.append(observations)
            rewards.append(reward)
        for row, name in enumerate(lanes):
            observation, _ = alone.reset(seed=SEEDS[row], options={"perturbation": name})
            assert np.array_equal(shown[0][row], observation), name
            ended = False
            for step, actions in enumerate(ACTIONS):
                if ended:
                    (observation, _), own, ended = alone.reset(), 0.0, False
                else:
                    observation, own, terminated, truncated, _ = alone.step(actions[row])
                    ended = terminated or truncated
                assert np.array_equal(shown[step + 1][row], observation), (name, step)
                assert rewards[step][row] == own
    together.close()


def test_a_lane_cannot_be_copied_and_environments_are_by_their_arguments():
    env = make("breakout")
    env.reset(seed=1)
    for held in (env.lane, env.lane.console):
        for way in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match=r"has an emulator of its own\. It cannot be copied: make another one"):
                way(held)
    other = copy.deepcopy(env)
    env.close()
    other.reset(seed=1)
    assert other.step(0)[0].any()
    other.close()
