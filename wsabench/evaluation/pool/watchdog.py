"""Says when an agent does not get on in this process, which nothing but the user can end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from wsabench.evaluation.contestants import Contestant

WORKER_TIMEOUT = 120.0
"""Seconds without a step after which an agent is taken to hang."""
LOADING = 5
"""How many times as long it may take until an agent's first step: it is loaded, and code is compiled."""
_TICK_SECONDS = 1.0


class Watchdog:
    """Tells once when nothing was heard for long while a block runs."""

    def __init__(self, seconds: float, tell: Callable[[float], None]) -> None:
        """Prepare.

        Args:
            seconds: For how long nothing need be heard at first; 0: for ever, also later.
            tell: Called from a thread of its own with the seconds that passed.
        """
        self._heard, self._limit, self._tell = time.monotonic(), seconds, tell
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="wsabench-watchdog", daemon=True)

    def __enter__(self) -> Watchdog:
        """Begin to watch."""
        if self._limit > 0:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Watch no more."""
        self._is_over.set()

    def hear(self, seconds: float) -> None:
        """Note that something was heard, and that nothing need be for so many seconds from now on."""
        self._heard, self._limit = time.monotonic(), seconds

    def _watch(self) -> None:
        while not self._is_over.wait(min(_TICK_SECONDS, self._limit)):
            if time.monotonic() - self._heard > self._limit:
                self._tell(self._limit)
                return


@contextmanager
def steps_watched(
    contestant: Contestant, note: Callable[[str], None], seconds: float, count_steps: Callable[[int], None]
) -> Iterator[Callable[[int], None]]:
    """Give what counts the steps of an agent that plays in this process; it is told when none come for long.

    Args:
        contestant: The agent.
        note: Gets the sentence.
        seconds: After so many without a step, 0 for never; `LOADING` times as many until the first.
        count_steps: Gets the counts too.
    """

    def tell(passed: float) -> None:
        cure = "" if contestant.can_travel else " and give the agent as package.module:attribute"
        note(
            f"{contestant.id.describe()} has made no step for {passed:g} s. It plays in this process, which cannot end "
            f"it: wait, or stop the run (Ctrl-C){cure}."
        )

    def count(number: int) -> None:
        watchdog.hear(seconds)
        count_steps(number)

    with Watchdog(seconds * LOADING, tell) as watchdog:
        yield count
