"""Cheap policies that a worker process can import."""

from __future__ import annotations

import numpy as np

from wsabench.types import Abilities, Decision, LaneBatch

NUM_ACTIONS = 4


class Sampler:
    """Draws from each lane's generator and from what it sees; counts as one trained network."""

    def __init__(self, version: str | None) -> None:
        self.version = version

    def act(self, observations: np.ndarray, lanes: LaneBatch) -> np.ndarray | Decision:
        return self.draw(observations, lanes)

    def draw(self, observations: np.ndarray, lanes: LaneBatch) -> np.ndarray:
        drawn = [int(generator.integers(NUM_ACTIONS)) for generator in lanes.generators]
        seen = observations[:, -1].sum(axis=(1, 2), dtype=np.int64)
        return (np.array(drawn, dtype=np.int64) + seen) % NUM_ACTIONS


class Attender(Sampler):
    """The same, with weights over two made-up encoders."""

    abilities = Abilities(batch_size=16, attends_to=("bright", "dark"))

    def act(self, observations: np.ndarray, lanes: LaneBatch) -> Decision:
        share = (observations[:, -1].mean(axis=(1, 2)) / 255).astype(np.float32)
        return Decision(self.draw(observations, lanes), attention=np.stack([share, 1 - share], axis=1))


class Walker(Sampler):
    """Flies right (action 3 of Yars' Revenge), where it eats a shield, in a share of the steps, and else stands."""

    def __init__(self, share: float) -> None:
        super().__init__(f"flies right in {share:g} of its steps")
        self.share = share

    def draw(self, observations: np.ndarray, lanes: LaneBatch) -> np.ndarray:
        return np.array([3 * int(generator.uniform() < self.share) for generator in lanes.generators], dtype=np.int64)


sampler = Sampler("1")
walker = Walker(0.9)
slower_walker = Walker(0.6)
stroller = Walker(0.3)
attender = Attender("1")
unversioned = Sampler(None)


def dying(observations: np.ndarray) -> np.ndarray:
    """End the process as a crash would."""
    import os

    os._exit(7)


def wrong(observations: np.ndarray) -> np.ndarray:
    """Choose an action that no game has."""
    return np.full(len(observations), 99)


class Seer(Sampler):
    """Chooses by what it sees alone, and says so or not."""

    def __init__(self, *, says_so: bool) -> None:
        super().__init__("1")
        self.abilities = Abilities(is_deterministic=says_so)

    def draw(self, observations: np.ndarray, lanes: LaneBatch) -> np.ndarray:
        return observations[:, -1].sum(axis=(1, 2), dtype=np.int64) % NUM_ACTIONS


seer = Seer(says_so=True)
silent_seer = Seer(says_so=False)
