"""The vector environment against gymnasium's `SyncVectorEnv` over the same lanes."""

from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from wsabench.emulator import make, make_vec
from wsabench.protocol import Protocol

pytestmark = pytest.mark.oracle

SEEDS = [5, 6, 7]
PROTOCOLS = {
    "evaluation": Protocol(max_frames=100),
    "training": Protocol.training().with_changes(noop_max=3, stall_steps=15),
}


def assert_same(ours: Any, theirs: Any, where: str = "infos") -> None:
    """Compare nested infos, values and types."""
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs), where
        for key in theirs:
            assert_same(ours[key], theirs[key], f"{where}.{key}")
        return
    assert ours.dtype == theirs.dtype, where
    for own, their in zip(ours, theirs, strict=True):
        assert (own is None) == (their is None), where
        assert np.array_equal(own, their), where


CASES = [("evaluation", 0), ("training", 0), ("training", 2)]
PARAMETERS = [
    # Lanes in workers are the same lanes (test_vector_workers.py): one mode shows it here, the others take their time.
    pytest.param(
        mode,
        *case,
        id=f"{mode.name}-{case[0]}-{case[1]}",
        marks=pytest.mark.slow if case[1] and mode is not AutoresetMode.DISABLED else (),
    )
    for mode in AutoresetMode
    for case in CASES
]


@pytest.mark.parametrize(("mode", "name", "num_workers"), PARAMETERS)
def test_equals_sync_vector_env(mode, name, num_workers):
    protocol = PROTOCOLS[name]
    names = ["clean", "invert", "hue-rotate@3"]
    ours = make_vec("breakout", 3, names, SEEDS, num_workers, protocol, mode)
    theirs = SyncVectorEnv([lambda n=n: make("breakout", n, protocol=protocol) for n in names], autoreset_mode=mode)
    own, their = ours.reset(), theirs.reset(seed=SEEDS)
    assert np.array_equal(own[0], their[0])
    assert_same(own[1], their[1])
    num_ended = 0
    for actions in np.random.default_rng(0).integers(4, size=(60, 3)):
        own, their = ours.step(actions), theirs.step(actions)
        for place in range(4):
            assert np.array_equal(own[place], their[place])
            assert own[place].dtype == their[place].dtype
        assert_same(own[4], their[4])
        ended = own[2] | own[3]
        num_ended += ended.sum()
        if mode is AutoresetMode.DISABLED and ended.any():
            own, their = (env.reset(options={"reset_mask": ended.copy()}) for env in (ours, theirs))
            assert np.array_equal(own[0], their[0])
            assert_same(own[1], their[1])
    assert num_ended >= 3
    assert ours.single_observation_space == theirs.single_observation_space
    assert ours.action_space == theirs.action_space
    ours.close()
    theirs.close()
