"""Where the time of a process goes while it plays, for who asks: emulators, network, and all else.

Nothing is timed unless the environment variable `WSABENCH_TIMES` names a folder; then every process of a run that plays
writes `PID.json` there. It changes no result and costs about a microsecond per step.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from wsabench.resources import atomic_path
from wsabench.types import Decision, DeclaredPolicy, Inputs, LaneBatch, Observations

if TYPE_CHECKING:
    from wsabench.evaluation.rollout import Finish, Lanes

TIMES_FOLDER = "WSABENCH_TIMES"
"""The name of that environment variable."""


class Times(NamedTuple):
    """What one process did, from its first decision on."""

    begun: float
    """When its first decision had been made, by `time.time`: what loads and compiles is over."""
    ended: float
    """When its last episode had ended, by `time.time`."""
    lanes: float
    """Seconds inside the lanes: emulators, preprocessing, perturbations, starts of episodes."""
    network: float
    """Seconds inside the policy."""
    steps: int
    """Steps of single lanes."""
    turns: int
    """Decisions for all lanes at once."""

    def utilisation(self, ended: float | None = None) -> float:
        """Return the share of the time in lanes or network, 0 to 1.

        Args:
            ended: When the whole run ended, so that a process that waits for others counts as idle; None: its own end.
        """
        wall = (self.ended if ended is None else ended) - self.begun
        return (self.lanes + self.network) / wall if wall > 0 else 0.0


class Timer:
    """Adds up times while a policy plays in lanes."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.lanes = self.network = 0.0
        self.steps = self.turns = 0
        self.begun: float | None = None

    def restart(self) -> None:
        """Forget what was; times count from now on."""
        self.lanes = self.network = 0.0
        self.steps = self.turns = 0
        self.begun = time.time()

    def times(self) -> Times:
        """Return what was added up until now."""
        now = time.time()
        return Times(now if self.begun is None else self.begun, now, self.lanes, self.network, self.steps, self.turns)


class TimedPolicy:
    """A policy whose decisions are timed; the first one, which compiles and loads, starts the timer anew."""

    def __init__(self, policy: DeclaredPolicy, timer: Timer) -> None:
        """Watch a policy."""
        self.abilities = policy.abilities
        self._policy, self._timer = policy, timer

    def act(self, observations: Observations, lanes: LaneBatch) -> Decision:
        """Let the policy choose."""
        began = time.perf_counter()
        decision = self._policy.act(observations, lanes)
        self._timer.network += time.perf_counter() - began
        self._timer.turns += 1
        if self._timer.begun is None:
            self._timer.restart()
        return decision


class TimedLanes:
    """Lanes whose steps and starts are timed."""

    def __init__(self, lanes: Lanes, timer: Timer) -> None:
        """Watch lanes."""
        self.game, self.num_lanes, self.num_actions = lanes.game, lanes.num_lanes, lanes.num_actions
        self.observations = lanes.observations
        self._lanes, self._timer = lanes, timer

    @property
    def inputs(self) -> Inputs:
        """What the lanes supply beside observations."""
        return self._lanes.inputs

    def start(self, row: int, episode_seed: int, perturbation: str, noops: int | None = None) -> None:
        """Start an episode in one lane."""
        began = time.perf_counter()
        self._lanes.start(row, episode_seed, perturbation, noops)
        self._timer.lanes += time.perf_counter() - began

    def step(self, row: int, action: int) -> Finish | None:
        """Play one step in one lane."""
        began = time.perf_counter()
        finish = self._lanes.step(row, action)
        self._timer.lanes += time.perf_counter() - began
        self._timer.steps += 1
        return finish

    def episode_return(self, row: int) -> float:
        """Return the unclipped return of a lane's episode so far."""
        return self._lanes.episode_return(row)

    def restarted(self, row: int) -> bool:
        """Whether the lane's last step began a new life whose stack starts anew."""
        return self._lanes.restarted(row)


_TIMER: list[Timer] = []
"""Of this process, once it has played."""


def timer_of_this_process() -> Timer | None:
    """Return the timer that all play of this process adds to; None where nobody asked."""
    if not os.environ.get(TIMES_FOLDER):
        return None
    if not _TIMER:
        _TIMER.append(Timer())
    return _TIMER[0]


def write_times(timer: Timer) -> None:
    """Write what this process did so far into the folder that was asked for.

    Raises:
        StorageError: It cannot be written.
    """
    folder = os.environ.get(TIMES_FOLDER)
    if folder:
        with atomic_path(Path(folder) / f"{os.getpid()}.json") as path:
            path.write_text(json.dumps(timer.times()._asdict()), encoding="utf-8")


def read_times(folder: Path) -> list[Times]:
    """Return what the processes of a run wrote, in the order in which they began."""
    return sorted(Times(**json.loads(path.read_text(encoding="utf-8"))) for path in folder.glob("*.json"))
