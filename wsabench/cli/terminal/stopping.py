"""Ctrl-C and SIGTERM: the first stops a command in an orderly way, and soon; a second one ends it at once."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from wsabench.cli.terminal.console import clean_up_terminal, write_error

STOP_SECONDS = 3.0
"""How long an orderly stop may take: 5 s with what a busy machine adds."""
_SAME_SECONDS = 0.5
"""Within so many seconds another signal is the same wish: wrappers pass on what the terminal has sent already."""
_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class Stop:
    """The signal by which a command was stopped."""

    number: int | None = None
    """The first one that came; None: none did."""

    def heed(self, number: int, _frame: FrameType | None = None) -> None:
        """Stop the main thread by the first signal."""
        if self.number is None:
            self.number = number
            raise KeyboardInterrupt

    @property
    def exit_code(self) -> int:
        """What the process ends with, as shells tell it: 130 or 143."""
        return 128 + (self.number or signal.SIGINT)

    @property
    def message(self) -> str:
        """What the user is told."""
        word = _WORDS[signal.Signals(self.number or signal.SIGINT)]
        return f"{word}. What was finished is kept; the same command goes on from there."


@contextmanager
def stopping() -> Iterator[Stop]:
    """Let Ctrl-C and SIGTERM raise KeyboardInterrupt in the main thread, once.

    Where that ends the block neither within `STOP_SECONDS` (the main thread may be inside other people's code) nor
    before a second signal, the process ends there. A signal that is ignored stays ignored.
    """
    stop = Stop()
    defaults = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    heeded = [number for number, default in defaults.items() if signal.getsignal(number) == default]
    if threading.current_thread() is not threading.main_thread() or os.name != "posix" or not heeded:
        yield stop
        return
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    earlier = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(read_end, stop, heeded), name="wsabench-signals", daemon=True).start()
    for number in heeded:
        signal.signal(number, stop.heed)
    try:
        yield stop
    finally:
        for number in heeded:
            signal.signal(number, defaults[number])
        signal.set_wakeup_fd(earlier)
        os.close(write_end)


def _watch(read_end: int, stop: Stop, heeded: list[signal.Signals]) -> None:
    """Wait for a signal and then for the end of the block; end the process where it does not come."""
    with os.fdopen(read_end, "rb", buffering=0) as signals:
        while (first := signals.read(1)) and first[0] not in heeded:
            pass
        if not first:
            return
        since = time.monotonic()
        while (left := since + STOP_SECONDS - time.monotonic()) > 0:
            if not select.select([signals], [], [], left)[0]:
                break
            number = signals.read(1)
            if not number:
                return
            if number[0] in heeded and time.monotonic() - since > _SAME_SECONDS:
                break
        stop.number = first[0]
        _end(stop)


def leave(code: int) -> NoReturn:
    """End the process at once, when all has been said."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            if stream is not None:
                stream.flush()
    os._exit(code)


def _end(stop: Stop) -> NoReturn:
    """End the process without waiting for its main thread."""
    clean_up_terminal()
    write_error(stop.message)
    os._exit(stop.exit_code)
