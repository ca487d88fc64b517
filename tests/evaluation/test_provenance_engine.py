"""Golden trajectories: when what lanes or rollouts do changes, ENGINE_VERSION must be raised.

After a wanted change: raise `ENGINE_VERSION` in wsabench/results/provenance.py, then write new trajectories with
`python tests/evaluation/test_provenance_engine.py`; it refuses to overwrite those of a version that is there.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wsabench.agents import wrap_policy
from wsabench.errors import SpecError
from wsabench.evaluation.rollout import EpisodeLanes, EpisodeTask, Handout, play
from wsabench.protocol import Protocol
from wsabench.results import ENGINE_VERSION
from wsabench.results.records import EpisodeOutcome
from wsabench.types import LaneBatch

pytestmark = pytest.mark.oracle

GOLDEN = Path(__file__).with_name("engine_golden.json")
CASES: dict[str, tuple[str, Protocol, tuple[str, ...]]] = {
    "breakout": ("breakout", Protocol(max_frames=2_000), ("clean", "hue-rotate@3", "palette-pal")),
    "pong, stalled": ("pong", Protocol(stall_steps=60), ("clean", "value@2")),
    "seaquest, machado": ("seaquest", Protocol.machado().with_changes(max_frames=800), ("clean",)),
}


class Watcher:
    """Draws actions from each lane's generator; hashes every observation it sees."""

    def __init__(self, num_actions: int) -> None:
        self._num_actions = num_actions
        self.digests: dict[int, Any] = {}

    def act(self, observations: np.ndarray, lanes: LaneBatch) -> np.ndarray:
        for row, lane in enumerate(lanes.ids):
            self.digests.setdefault(int(lane), hashlib.sha256()).update(observations[row].tobytes())
        drawn = [int(generator.integers(self._num_actions)) for generator in lanes.generators]
        return np.array(drawn, dtype=np.int64)


class OnePortion:
    """All episodes at once, one a lane."""

    def __init__(self, tasks: list[EpisodeTask]) -> None:
        self._tasks = tasks

    def take(self, count: int) -> Handout:
        assert count >= len(self._tasks)
        return Handout(self._tasks, is_last=True)


def trajectory(game: str, protocol: Protocol, perturbations: tuple[str, ...]) -> list[list[Any]]:
    """Return for each episode: perturbation, seed, hash of its observations, return, length, end."""
    tasks = [
        EpisodeTask(job, episode, 1_000 * episode + 2, name, ())
        for job, name in enumerate(perturbations)
        for episode in range(2)
    ]
    lanes = EpisodeLanes(game, protocol, num_lanes=len(tasks))
    watcher = Watcher(lanes.num_actions)
    outcomes: list[EpisodeOutcome] = []
    # Lanes without a game are shown too, with what stood there last; all of it is deterministic.
    play(wrap_policy(watcher), lanes, OnePortion(tasks), outcomes.append, lambda _: None)
    by_task = {(outcome.job_index, outcome.episode): outcome for outcome in outcomes}
    rows = []
    for lane, task in enumerate(tasks):
        outcome = by_task[task.job_index, task.episode]
        digest = watcher.digests[lane].hexdigest()[:16]
        rows.append(
            [task.perturbation, task.episode_seed, digest, outcome.episodic_return, outcome.length, outcome.end]
        )
    return rows


@pytest.mark.parametrize("case", CASES)
def test_behaviour_is_that_of_the_engine_version(case: str) -> None:
    golden = json.loads(GOLDEN.read_text())
    assert str(ENGINE_VERSION) in golden, "write the trajectories of this ENGINE_VERSION, see the top of this file"
    assert max(map(int, golden)) == ENGINE_VERSION
    assert trajectory(*CASES[case]) == golden[str(ENGINE_VERSION)][case], (
        "lanes or rollouts behave differently: raise ENGINE_VERSION, see the top of this file"
    )


def write_golden() -> None:
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if str(ENGINE_VERSION) in golden:
        raise SpecError(f"{GOLDEN} holds engine version {ENGINE_VERSION}. Raise ENGINE_VERSION first.")
    golden[str(ENGINE_VERSION)] = {name: trajectory(*case) for name, case in CASES.items()}
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    write_golden()
