"""Speed of training: steps a second of PPO for each agent."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from wsabench.cli.bench import Row


class StepClock:
    """A reporter that notes when steps were finished."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._times: list[tuple[float, int]] = []
        self._count = 0

    def start(self, task: str, total: int, unit: str) -> None:
        """Note nothing."""

    def advance(self, n: int, **fields: float | str) -> None:
        """Note the time at which `n` more steps were finished."""
        if n > 0:
            self._count += n
            self._times.append((time.perf_counter(), self._count))

    def finish(self) -> None:
        """Note nothing."""

    @property
    def steps_per_second(self) -> float:
        """Steps a second after the first update, which warms everything up; NaN with one update."""
        if len(self._times) < 2:
            return float("nan")
        (first, before), (last, after) = self._times[0], self._times[-1]
        return (after - before) / (last - first)


def measure_train(game: str, agents: Sequence[str], preset: str, steps: int) -> list[Row]:
    """Return the training steps a second of each agent; the first agent is the peer of the others."""
    from wsabench.training import train

    rows: list[Row] = []
    for agent in agents:
        clock = StepClock()
        with tempfile.TemporaryDirectory() as folder:
            train(agent, game, train_seed=0, preset=preset, steps=steps, out=Path(folder), resume=False, reporter=clock)
        speed = clock.steps_per_second
        first = rows[0] if rows else None
        rows.append(Row(agent, first.name if first else "", speed, "steps/s", speed / first.value if first else None))
    return rows
