"""Policies that harm their process in the ways in which people's do; a worker process can import them."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import time
from collections.abc import Callable

import numpy as np

LATE = 8
"""The step in which they do it."""


class _Harmful:
    """Plays some steps, then does harm."""

    version = "1"

    def __init__(self, harm: Callable[[int], np.ndarray | None]) -> None:
        self.harm, self.num_steps = harm, 0

    def act(self, observations: np.ndarray, lanes: object) -> np.ndarray:
        self.num_steps += 1
        answer = self.harm(len(observations)) if self.num_steps == LATE else None
        return np.zeros(len(observations), np.int64) if answer is None else answer


def _raise(_: int) -> None:
    raise ValueError("boom")


def _answer_nonsense(number: int) -> np.ndarray:
    return np.full((number, 2), "left")


def _sleep(_: int) -> None:
    while True:
        time.sleep(3600)


def _exit(_: int) -> None:
    os._exit(0)


def _be_killed(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _crash(_: int) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _fork(_: int) -> None:
    """Leave a child that never ends, and holds what it inherited."""
    if os.fork() == 0:
        _sleep(0)


def _double(_: int) -> None:
    """Fork and let the child go on as if it were the parent."""
    os.fork()


def _eat(_: int) -> None:
    """Take more memory than there is; how much there is, is said before."""
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()  # noqa: SIM115, PTH123
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, resource.RLIM_INFINITY))
    eaten = []
    while True:
        eaten.append(np.ones(2**22))


def _print(_: int) -> None:
    """Print on every way to standard output."""
    print("from Python")  # noqa: T201 - that is the point
    ctypes.CDLL(None).puts(b"from C")
    os.write(1, b"from the system\n")


raising = _Harmful(_raise)
answering_nonsense = _Harmful(_answer_nonsense)
sleeping = _Harmful(_sleep)
exiting = _Harmful(_exit)
killed = _Harmful(_be_killed)
crashing = _Harmful(_crash)
forking = _Harmful(_fork)
doubling = _Harmful(_double)
eating = _Harmful(_eat)
printing = _Harmful(_print)
