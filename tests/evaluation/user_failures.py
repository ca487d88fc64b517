"""Policies of users that fail in the ways in which people's do; a worker process can import them."""

from __future__ import annotations

import numpy as np

from wsabench.types import LaneBatch


class _Failing:
    """Plays five steps, then raises."""

    version = "1"

    def __init__(self, error: BaseException) -> None:
        self.error, self.num_steps = error, 0

    def act(self, observations: np.ndarray, lanes: LaneBatch) -> np.ndarray:
        self.num_steps += 1
        if self.num_steps > 5:
            raise self.error
        return np.zeros(len(observations), np.int64)


def value() -> _Failing:
    return _Failing(ValueError("boom"))


def asserting() -> _Failing:
    return _Failing(AssertionError())


def exiting() -> _Failing:
    return _Failing(SystemExit(3))


def eof() -> _Failing:
    return _Failing(EOFError("no more"))


def runtime() -> _Failing:
    return _Failing(RuntimeError("first line\nmat1 and mat2 cannot be multiplied"))


class Careful:
    """Never fails."""

    version = "1"

    def act(self, observations: np.ndarray, lanes: LaneBatch) -> np.ndarray:
        assert lanes.game == "breakout"
        return np.array([int(one.integers(4)) for one in lanes.generators])


def predicting(observations: np.ndarray) -> tuple[np.ndarray, None]:
    """Answer as model.predict does."""
    return np.zeros(len(observations), np.int64), None


def one_argument_too_many(observations: np.ndarray, lanes: LaneBatch, more: int) -> np.ndarray:
    """Have another signature."""
    return np.zeros(len(observations), np.int64)
