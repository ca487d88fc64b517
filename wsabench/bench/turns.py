"""How parts are measured against each other: in turns, on one thread, in processor time."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from wsabench.types import BenchRow

STEPS, OBSERVATIONS = "steps/s", "ms/observation"


class Contestant(NamedTuple):
    """Who takes turns."""

    measure: Callable[[float], float]
    """Works for so many seconds of processor time, at least; returns steps or observations per second of it."""
    peer: str = ""
    """The contestant it is compared with; empty for none."""
    unit: str = STEPS


def take_turns(
    contestants: Mapping[str, Contestant], num_rounds: int, seconds: float = 0.0, warm_up_rounds: int = 0
) -> dict[str, list[float]]:
    """Measure speeds, one contestant after the other, again and again.

    So a change of the machine's speed hits all alike; processor time leaves out what other programs take.

    Args:
        contestants: By name.
        num_rounds: How often each has its turn.
        seconds: A turn repeats the work until so much processor time has passed.
        warm_up_rounds: Rounds before these, which do not count.

    Returns:
        Steps or observations per second of processor time, `num_rounds` of each contestant.
    """
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(-warm_up_rounds, num_rounds):
        for name, contestant in contestants.items():
            found = contestant.measure(seconds)
            if turn >= 0:
                speeds[name].append(found)
    return speeds


def repeated(work: Callable[[], int]) -> Callable[[float], float]:
    """Return what measures a piece of work, which returns how many steps or observations it was."""
    return functools.partial(speed, work)


def speed(work: Callable[[], int], seconds: float) -> float:
    """Repeat a piece of work until so much processor time has passed; return steps or observations per second of it."""
    started, count = time.process_time(), 0
    while True:
        count += work()
        passed = time.process_time() - started
        if passed > 0 and passed >= seconds:
            return count / passed


def bench_rows(contestants: Mapping[str, Contestant], speeds: Mapping[str, Sequence[float]]) -> list[BenchRow]:
    """Return a row for each contestant: its median, and the median over the rounds of its speed by the peer's.

    Args:
        contestants: By name; a peer that is none of them counts as none.
        speeds: As `take_turns` gives them.
    """
    return [_row(name, contestant, speeds) for name, contestant in contestants.items()]


def _row(name: str, contestant: Contestant, speeds: Mapping[str, Sequence[float]]) -> BenchRow:
    median = statistics.median(speeds[name])
    value = median if contestant.unit == STEPS else 1000.0 / median
    peer, ratio = contestant.peer if contestant.peer in speeds else "", None
    if peer:
        ratio = statistics.median(own / other for own, other in zip(speeds[name], speeds[peer], strict=True))
    return {"name": name, "peer": peer, "value": value, "unit": contestant.unit, "ratio": ratio}
