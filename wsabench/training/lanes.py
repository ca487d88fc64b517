"""The lanes that a learner plays: seeds, resets, finished games, and a state that can be restored.

A lane's state is the seed of its current game and the actions played since: replaying them brings the emulator to the
same place, whatever emulator it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch

from wsabench import seeding
from wsabench.errors import CheckpointError
from wsabench.types import INPUT_SHAPES, Actions, BoolArray, FloatArray, Inputs, Observations

RECENT_GAMES = 50
"""Finished games over which the learning curve averages."""


class LaneEnvs(Protocol):
    """The vector environment that training plays; autoreset is DISABLED.

    A reset with seeds starts new games; one without goes on with the game after a lost life. `infos` of a step has
    `end` (a text a lane, empty while the game goes on) and `episode_return` (unclipped, of the game so far). `infos` of
    steps and resets have the inputs that were asked for (`rgb84`, `ram`), those of every lane.
    """

    num_envs: int
    single_action_space: Any

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the lanes in `options["reset_mask"]`, all without it."""
        ...

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Play one step in every lane."""
        ...

    def close(self) -> None:
        """Let go of the emulators."""
        ...


LaneState = dict[str, npt.NDArray[Any]]

DrawPerturbation = Callable[[int, int], str]
"""From a lane and the number of its game to the perturbation that this game is played under."""


class LaneStep(NamedTuple):
    """What one step of all lanes gave the learner."""

    rewards: FloatArray
    """Rewards as the protocol gives them, shape (N,)."""
    ended: BoolArray
    """Where the learner's episode ended (a lost life, the game's end, a cut), shape (N,)."""
    cut: BoolArray
    """Where it was cut, not lost: the value after the step still counts, shape (N,)."""
    final_observations: Observations
    """The last observations of the cut episodes, one row for each True in `cut`."""
    final_inputs: Inputs = {}  # noqa: RUF012 - never changed
    """The further inputs of these observations."""


class FinishedGame(NamedTuple):
    """A full game that was played to its end."""

    unclipped: float
    clipped: float
    steps: float


class TrainingLanes:
    """A vector environment, played game after game with seeds of this training run."""

    def __init__(self, envs: LaneEnvs, train_seed: int, draw: DrawPerturbation | None = None) -> None:
        """Take over `envs`, whose autoreset mode has to be DISABLED; without `draw` games are as `envs` has them."""
        self._envs = envs
        self._draw = draw
        self._train_seed = train_seed
        self._actions: list[list[int]] = [[] for _ in range(envs.num_envs)]
        self._games = np.zeros(envs.num_envs, np.int64)
        self._clipped = np.zeros(envs.num_envs)
        self.recent: deque[FinishedGame] = deque(maxlen=RECENT_GAMES)
        self.num_games = 0
        self.observations: Observations = np.empty(0, np.uint8)
        self.inputs: Inputs = {}
        """The further inputs of `observations`, by name, one row per lane; empty unless lanes were asked for any."""

    @property
    def num_envs(self) -> int:
        """Number of lanes."""
        return self._envs.num_envs

    def start(self) -> None:
        """Begin the first game in every lane."""
        self._new_games(np.ones(self.num_envs, np.bool_))

    def step(self, actions: Actions) -> LaneStep:
        """Play one step in every lane; lanes that ended are reset."""
        observations, rewards, terminated, truncated, infos = self._envs.step(actions)
        for lane, action in enumerate(actions.tolist()):
            self._actions[lane].append(action)
        self._clipped += rewards
        ended = terminated | truncated
        cut = truncated & ~terminated
        finals = observations[cut].copy()
        self._receive(observations, infos)
        final_inputs = {name: value[cut] for name, value in self.inputs.items()}
        over = _game_over(infos)
        for lane in np.flatnonzero(over).tolist():
            self._finish_game(lane, float(infos["episode_return"][lane]))
        if ended.any():
            self._reset(ended, over)
        return LaneStep(rewards, ended, cut, finals, final_inputs)

    def _receive(self, observations: Observations, infos: dict[str, Any]) -> None:
        """Keep what the agent sees next."""
        self.observations = observations
        self.inputs = supplied_inputs(infos)

    def _finish_game(self, lane: int, unclipped: float) -> None:
        self.recent.append(FinishedGame(unclipped, float(self._clipped[lane]), float(len(self._actions[lane]))))
        self.num_games += 1
        self._games[lane] += 1
        self._clipped[lane] = 0.0
        self._actions[lane] = []

    def mean_recent(self) -> FinishedGame:
        """Return the means over the last finished games; NaN before the first."""
        if not self.recent:
            return FinishedGame(np.nan, np.nan, np.nan)
        return FinishedGame(*np.mean(np.array(self.recent), axis=0).tolist())

    def state(self) -> LaneState:
        """Return everything that `restore` needs."""
        return {
            "games": self._games.copy(),
            "lengths": np.array([len(actions) for actions in self._actions], np.int64),
            "actions": np.array([action for actions in self._actions for action in actions], np.uint8),
            "observations": self.observations.copy(),
            "recent": np.array(self.recent, np.float64).reshape(-1, 3),
            "num_games": np.array([self.num_games], np.int64),
        }

    def restore(self, state: LaneState) -> None:
        """Bring the lanes to a saved state by replaying the games under way.

        Raises:
            CheckpointError: The replay ends elsewhere: another emulator, or other versions.
        """
        lengths = state["lengths"]
        histories = np.split(state["actions"], np.cumsum(lengths)[:-1])
        self._games = state["games"].copy()
        self._actions = [history.tolist() for history in histories]
        self._clipped[:] = 0.0
        self._replay(self._actions)
        if not np.array_equal(self.observations, state["observations"]):
            raise CheckpointError(
                "Replaying the games under way did not lead to the saved observations. The checkpoint was made with "
                "another version of the emulator. Use the versions it names, or start again without resume."
            )
        self.recent = deque((FinishedGame(*row) for row in state["recent"].tolist()), maxlen=RECENT_GAMES)
        self.num_games = int(state["num_games"][0])

    def _replay(self, histories: list[list[int]]) -> None:
        """Play all histories so that they end together; a lane with a shorter one idles before it starts."""
        longest = max(len(history) for history in histories)
        starts = np.array([longest - len(history) for history in histories])
        self._new_games(np.ones(self.num_envs, np.bool_))
        for time in range(longest):
            if time and (starts == time).any():
                self._new_games(starts == time)
            row = [
                history[time - start] if start <= time else 0 for history, start in zip(histories, starts, strict=True)
            ]
            observations, rewards, terminated, truncated, infos = self._envs.step(np.array(row, np.int64))
            self._receive(observations, infos)
            self._clipped = np.where(starts <= time, self._clipped + rewards, 0.0)
            if (terminated | truncated).any():
                self._reset(terminated | truncated, _game_over(infos))
        if longest and (starts == longest).any():
            self._new_games(starts == longest)

    def _reset(self, ended: BoolArray, over: BoolArray) -> None:
        """Reset the lanes in `ended`: new games where the game is `over`, the same game after a lost life."""
        if (ended & ~over).any():
            self._receive(*self._envs.reset(options={"reset_mask": ended & ~over}))
        if over.any():
            self._new_games(over)

    def _new_games(self, lanes: BoolArray) -> None:
        options: dict[str, Any] = {"reset_mask": lanes}
        if self._draw is not None:
            options["perturbations"] = [
                self._draw(lane, int(game)) if lanes[lane] else None for lane, game in enumerate(self._games)
            ]
        self._receive(*self._envs.reset(seed=self._seeds(), options=options))

    def _seeds(self) -> npt.NDArray[np.int64]:
        seeds = [
            seeding.training_seed(self._train_seed, "lane", lane, "game", int(game))
            for lane, game in enumerate(self._games)
        ]
        return np.array(seeds, np.int64)


def as_tensors(inputs: Inputs) -> dict[str, torch.Tensor]:
    """Return further inputs as tensors, which share their memory."""
    return {name: torch.from_numpy(value) for name, value in inputs.items()}


def _game_over(infos: dict[str, Any]) -> BoolArray:
    return np.array([bool(end) for end in infos["end"]])


def supplied_inputs(infos: dict[str, Any]) -> Inputs:
    """Return the further inputs that lanes supplied with their observations."""
    return {name: infos[name] for name in INPUT_SHAPES if name in infos}
