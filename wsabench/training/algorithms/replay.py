"""DQN's memory: every frame is kept once, stacks are put together when they are drawn."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from wsabench.errors import CheckpointError, StorageError
from wsabench.training.lanes import LaneStep
from wsabench.types import Actions, BoolArray, Observations

STACK = 4
_FRAME = (84, 84)
_MOST_FRAMES_A_STEP = 1 + STACK
"""A cut episode adds its last frame and the first stack of the next."""

ReplayState = dict[str, npt.NDArray[Any]]


class Transitions(NamedTuple):
    """Steps drawn from the replay."""

    observations: Observations
    """What was seen, uint8, shape (B, 4, 84, 84)."""
    actions: Actions
    """What was done, int64, shape (B,)."""
    rewards: npt.NDArray[np.float32]
    """What it gave, shape (B,)."""
    following: Observations
    """What was seen next; means nothing where `terminated`."""
    terminated: BoolArray
    """Whether the learner's episode was over, shape (B,); not where it was cut: the value after it still counts."""


class Replay:
    """The newest steps of several lanes.

    Each lane has a ring of frames. An observation adds as many frames as it differs by from the one before it: one
    after a step, two after a lost life (the last frame, which is not kept otherwise, and the one after it), four where
    a new game begins. So the four frames before any place of a ring are a stack that was really seen, and no boundary
    has to be marked. A step is held as long as all frames of its observation are among the newest `capacity` of its
    lane; steps whose frames were overwritten are never drawn.

    With a file, the ring lies on disk, and `slack` further frames per lane keep those alive that the last checkpoint
    needs: a run that is killed finds them untouched. What was played since is played again and written to the same
    places.
    """

    def __init__(self, capacity: int, num_lanes: int, *, path: Path | None = None, slack: int = 0) -> None:
        """Allocate.

        Args:
            capacity: Frames over all lanes.
            num_lanes: Lanes.
            path: File of the frames; None: in memory.
            slack: Further frames per lane.

        Raises:
            StorageError: The file cannot be written.
        """
        self._per_lane = capacity // num_lanes
        self._ring = self._per_lane + slack
        self._slack = slack
        shape = (num_lanes, self._ring, *_FRAME)
        self._file = None if path is None else _map(path, shape)
        self._frames: npt.NDArray[np.uint8] = (
            np.zeros(shape, np.uint8) if self._file is None else np.asarray(self._file)
        )
        self._pushed = np.zeros(num_lanes, np.int64)
        self._saved = self._pushed.copy()
        self._count = np.zeros(num_lanes, np.int64)
        self._first = np.zeros(num_lanes, np.int64)
        size = (num_lanes, self._per_lane)
        self._newest = np.zeros(size, np.int64)
        self._following = np.zeros(size, np.int64)
        self._actions = np.zeros(size, np.uint8)
        self._rewards = np.zeros(size, np.float32)
        self._terminated = np.zeros(size, np.bool_)

    def __len__(self) -> int:
        """Return the number of steps that can be drawn."""
        return int((self._count - self._first).sum())

    def start(self, observations: Observations) -> None:
        """Take the first observation of every lane."""
        for lane, stack in enumerate(observations):
            self._push(lane, stack)

    def add(self, actions: Actions, played: LaneStep, observations: Observations) -> None:
        """Take one step of every lane.

        Args:
            actions: What was done, shape (num_lanes,).
            played: What it gave.
            observations: What each lane shows now, after a reset where its episode ended.
        """
        finals = iter(played.final_observations)
        for lane, stack in enumerate(observations):
            newest = following = self._pushed[lane] - 1
            terminated = bool(played.ended[lane] and not played.cut[lane])
            if played.cut[lane]:
                following = self._push(lane, next(finals))
            current = self._push(lane, stack)
            if not played.ended[lane]:
                following = current
            slot = self._count[lane] % self._per_lane
            self._newest[lane, slot], self._following[lane, slot] = newest, following
            self._actions[lane, slot], self._rewards[lane, slot] = actions[lane], played.rewards[lane]
            self._terminated[lane, slot] = terminated
            self._count[lane] += 1
            self._forget(lane)

    def sample(self, size: int, generator: torch.Generator) -> Transitions:
        """Draw steps, each with the same probability, with replacement."""
        available = self._count - self._first
        drawn = torch.randint(int(available.sum()), (size,), generator=generator).numpy()
        bounds = available.cumsum()
        lanes = np.searchsorted(bounds, drawn, side="right")
        number = self._first[lanes] + drawn - (bounds - available)[lanes]
        slots = number % self._per_lane
        return Transitions(
            self._stacks(lanes, self._newest[lanes, slots]),
            self._actions[lanes, slots].astype(np.int64),
            self._rewards[lanes, slots],
            self._stacks(lanes, self._following[lanes, slots]),
            self._terminated[lanes, slots],
        )

    def needs_saving(self, steps: int) -> bool:
        """Whether another `steps` steps per lane could overwrite frames that the last checkpoint needs."""
        return bool((self._pushed - self._saved).max() + steps * _MOST_FRAMES_A_STEP > self._slack)

    def state(self) -> ReplayState:
        """Bring the frames to disk and return all else that `restore` needs."""
        if self._file is not None:
            self._file.flush()
        return {name: value.copy() for name, value in self._arrays().items()}

    def saved(self) -> None:
        """Note that the last `state()` is in a checkpoint."""
        self._saved[:] = self._pushed

    def restore(self, state: ReplayState, observations: Observations) -> None:
        """Take over a saved state; the frames are in the file.

        Raises:
            CheckpointError: The file does not hold what the lanes show.
        """
        for name, value in self._arrays().items():
            value[...] = state[name]
        self._saved[:] = self._pushed
        if not np.array_equal(self._stacks(np.arange(len(observations)), self._pushed - 1), observations):
            raise CheckpointError(
                "The replay's frames do not belong to the checkpoint beside them. Start again without resume."
            )

    def _arrays(self) -> ReplayState:
        return {
            "pushed": self._pushed,
            "count": self._count,
            "first": self._first,
            "newest": self._newest,
            "following": self._following,
            "actions": self._actions,
            "rewards": self._rewards,
            "terminated": self._terminated,
        }

    def _push(self, lane: int, stack: npt.NDArray[np.uint8]) -> int:
        """Add the frames by which a stack differs from the lane's last one; return the place of its newest."""
        pushed = int(self._pushed[lane])
        new = STACK
        if pushed:
            before = self._frames[lane, (pushed - STACK + np.arange(STACK)) % self._ring]
            new = next((k for k in range(1, STACK) if np.array_equal(before[k:], stack[:-k])), STACK)
        self._frames[lane, (pushed + np.arange(new)) % self._ring] = stack[-new:]
        self._pushed[lane] = pushed + new
        return pushed + new - 1

    def _forget(self, lane: int) -> None:
        """Give up the steps whose oldest frame is too old."""
        oldest = self._pushed[lane] - self._per_lane
        first = self._first[lane]
        while first < self._count[lane] and self._newest[lane, first % self._per_lane] - (STACK - 1) < oldest:
            first += 1
        self._first[lane] = first

    def _stacks(self, lanes: npt.NDArray[np.int64], newest: npt.NDArray[np.int64]) -> Observations:
        places = newest[:, None] - (STACK - 1) + np.arange(STACK)
        return self._frames[lanes[:, None], places % self._ring]


def _map(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """Map a file of frames, which is made or kept; its space is taken now, so that a full disk is noticed here."""
    size = int(np.prod(shape))
    try:
        with path.open("ab") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            os.ftruncate(file.fileno(), size)
        return np.memmap(path, np.uint8, "r+", shape=shape)
    except OSError as error:
        raise StorageError(
            f"Cannot make {path} of {size / 1e9:.2f} GB: {error.strerror}. Free space, or choose another place."
        ) from error
