"""A scripted vector environment, policies and tasks for tests of the evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wsabench.agents import wrap_policy
from wsabench.evaluation.rollout import EpisodeTask, Finish, Handout, play
from wsabench.results.records import EpisodeOutcome
from wsabench.types import Abilities, Decision, LaneBatch

NUM_ACTIONS = 4
TASKS = [
    EpisodeTask(job, episode, 2 * (13 * job + episode), ["clean", "hue-rotate@3", "value@1"][job], ())
    for job in range(3)
    for episode in range(9)
]


class FakeLanes:
    """Lanes whose episodes depend on seed, perturbation and actions only: 3 to 12 steps, reward the action taken."""

    game = "breakout"

    def __init__(self, num_lanes: int) -> None:
        self.num_lanes = num_lanes
        self.num_actions = NUM_ACTIONS
        self.observations = np.zeros((num_lanes, 4, 2, 2), dtype=np.uint8)
        self.num_starts = 0
        self._games: list[FakeGame | None] = [None] * num_lanes

    def start(self, row: int, episode_seed: int, perturbation: str, noops: int | None = None) -> None:
        assert self._games[row] is None, "an episode was cut off"
        self._games[row] = FakeGame(episode_seed, perturbation)
        self.num_starts += 1
        self._show(row)

    def step(self, row: int, action: int) -> Finish | None:
        game = self._games[row]
        assert game is not None, "an idle lane was stepped"
        game.length += 1
        game.total += action
        self._show(row)
        if game.length < 3 + game.seed % 10:
            return None
        self._games[row] = None
        return Finish(game.total, game.length, "game_over")

    def restarted(self, row: int) -> bool:
        return False

    def _show(self, row: int) -> None:
        game = self._games[row]
        assert game is not None
        self.observations[row] = game.seen


@dataclass
class FakeGame:
    """One episode."""

    seed: int
    perturbation: str
    length: int = 0
    total: float = 0.0

    @property
    def seen(self) -> int:
        return (self.seed + 7 * self.length + len(self.perturbation)) % 256


class SamplingPolicy:
    """Draws each action from its lane's generator and attends by what it sees."""

    abilities = Abilities(batch_size=16, attends_to=("sr", "oke"))

    def __init__(self) -> None:
        self.batches: list[LaneBatch] = []

    def act(self, observations: np.ndarray, lanes: LaneBatch) -> Decision:
        self.batches.append(lanes)
        seen = observations[:, 0, 0, 0].astype(np.int64)
        drawn = [int(generator.integers(NUM_ACTIONS)) for generator in lanes.generators]
        share = (1 + seen % 7) / 8
        weights = np.stack([share, 1 - share], axis=1).astype(np.float32)
        return Decision((np.array(drawn, dtype=np.int64) + seen) % NUM_ACTIONS, attention=weights)


class PlainPolicy:
    """Sees whatever rows it is given; keeps how many there were."""

    def __init__(self) -> None:
        self.num_rows: set[int] = set()

    def act(self, observations: np.ndarray, lanes: LaneBatch) -> np.ndarray:
        self.num_rows.add(len(observations))
        assert len(lanes.generators) == len(observations) == len(lanes.ids)
        return np.ones(len(observations), dtype=np.int64)


class ListSource:
    """Hands out a list, at most `portion` at a time."""

    def __init__(self, tasks: Sequence[EpisodeTask], portion: int = 100) -> None:
        self._tasks = list(tasks)
        self._portion = portion

    def take(self, count: int) -> Handout:
        number = min(count, self._portion)
        taken, self._tasks = self._tasks[:number], self._tasks[number:]
        return Handout(taken, is_last=not self._tasks)


def played(policy: Any, tasks: Sequence[EpisodeTask], num_lanes: int, portion: int = 100) -> list[EpisodeOutcome]:
    """Play all tasks in fake lanes; outcomes in the order of jobs and episodes."""
    outcomes: list[EpisodeOutcome] = []
    lanes = FakeLanes(num_lanes)
    play(wrap_policy(policy), lanes, ListSource(tasks, portion), outcomes.append, lambda _: None)
    assert lanes.num_starts == len(tasks)
    return sorted(outcomes, key=lambda outcome: outcome[:2])


def as_plain(outcomes: Sequence[EpisodeOutcome]) -> list[Any]:
    """Outcomes as lists and numbers, which compare to the bit."""
    return [
        (*one[:5], None if one.attention is None else [np.asarray(part).tolist() for part in one.attention])
        for one in outcomes
    ]
