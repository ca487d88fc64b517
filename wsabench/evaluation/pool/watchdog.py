"""Says when an agent does not get on in this process, which nothing but the user can end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

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
