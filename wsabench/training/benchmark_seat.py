"""Contestants in processes of their own, so that none works in memory as another one left it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from typing import Concatenate, NamedTuple, ParamSpec

from wsabench.training.benchmark import speed
from wsabench.training.device import one_thread
from wsabench.types import BenchRow

P = ParamSpec("P")


class Occupant(NamedTuple):
    """Who sits in a process."""

    works: Mapping[str, Callable[[], int]]
    """By name: does a piece of work and returns how many steps or observations it was."""
    rows: Callable[[], list[BenchRow]] = list
    """What it has to say about its work so far."""


class Seat:
    """A process on one thread for one occupant."""

    def __init__(self, build: Callable[Concatenate[ExitStack, P], Occupant], *args: P.args, **kwargs: P.kwargs) -> None:
        """Start the process and build the occupant there.

        Args:
            build: Of a module, so that the process finds it; gets what closes the occupant first.
            args: Further arguments, which are pickled.
            kwargs: The same.

        Raises:
            Exception: Whatever `build` raises.
        """
        # Spawned: a copy of this process would start in this one's memory.
        self._process = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        self._process.submit(_sit, build, args, kwargs).result()

    def measure(self, work: str) -> Callable[[float], float]:
        """Return what measures a work of the occupant, as a `Contestant` has it."""
        return lambda seconds: self._process.submit(_measure, work, seconds).result()

    def rows(self) -> list[BenchRow]:
        """Return what the occupant says about its work so far."""
        return self._process.submit(_rows).result()

    def close(self) -> None:
        """End the process."""
        self._process.submit(_leave)
        self._process.shutdown(cancel_futures=False)


_STACK = ExitStack()
_OCCUPANTS: list[Occupant] = []
"""Of this process: one, once it is built."""


def _sit(build: Callable[..., Occupant], args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
    _STACK.enter_context(one_thread())
    _OCCUPANTS.append(build(_STACK, *args, **kwargs))


def _measure(work: str, seconds: float) -> float:
    return speed(_OCCUPANTS[0].works[work], seconds)


def _rows() -> list[BenchRow]:
    return _OCCUPANTS[0].rows()


def _leave() -> None:
    _STACK.close()
