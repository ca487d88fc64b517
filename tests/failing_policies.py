"""Policies that fail with an error of the operating system, in a worker process too."""

from __future__ import annotations

import numpy as np

from wsabench.errors import CheckpointError
from wsabench.types import LaneBatch


class NoWeights:
    """Wants a file that is not there when it is made."""

    def __init__(self) -> None:
        self.weights = np.fromfile("weights-of-mine.pt")

    def act(self, observations: np.ndarray, lanes: LaneBatch) -> np.ndarray:
        return np.zeros(len(observations), np.int64)


def no_weights(observations: np.ndarray) -> np.ndarray:
    """Want a file that is not there when it acts."""
    return np.fromfile("weights-of-mine.pt")


def no_server(observations: np.ndarray) -> np.ndarray:
    """Lose a connection, as a policy on another machine may; the error is the one of a lost parent process."""
    raise ConnectionResetError(104, "Connection reset by peer")


def cut_off(observations: np.ndarray) -> np.ndarray:
    """Read a file that ends too early; the error is also the one of a closed connection."""
    raise EOFError("the file ends too early")


def misshapen(observations: np.ndarray) -> np.ndarray:
    """Fail by a class of ours that is not the base."""
    raise CheckpointError("a layer is missing")
