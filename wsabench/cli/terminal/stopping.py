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
from typing import Any, NoReturn

from wsabench.cli.terminal.console import clean_up_terminal, write_error

STOP_SECONDS = 3.0
"""How long an orderly stop may take: 5 s with what a busy machine adds."""
LEFT_SECONDS = 3.0
"""How long threads that code of a user left may go on when a command is done."""
_SAME_SECONDS = 0.5
"""Within so many seconds another signal is the same wish: wrappers pass on what the terminal has sent already."""
_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class Stop:
    """The signal by which a command was stopped."""

    number: int | None = None
    """The first one that came; None: none did."""
    keeps: bool = True
    """Whether the command writes anything that is kept."""

    def heed(self, number: int, _frame: FrameType | None = None) -> None:
        """Stop the main thread by the first signal; later ones are let pass.

        Raises:
            KeyboardInterrupt: It is the first one.
        """
        if self.number is None:
            self.number = number
            raise KeyboardInterrupt

    @property
    def exit_code(self) -> int:
        """The exit code of the process, as shells tell it: 130 or 143."""
        return 128 + (self.number or signal.SIGINT)

    @property
    def message(self) -> str:
        """What the user is told."""
        word = _WORDS[signal.Signals(self.number or signal.SIGINT)]
        if not self.keeps:
            return f"{word}. A dry run keeps nothing."
        return f"{word}. What was finished, if anything, is kept; the same command goes on from there."


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


def end_soon(code: int) -> None:
    """Let the process end also where code of a user left threads or processes that go on: they get a short time.

    Args:
        code: What the process ends with; all has been said and written.
    """
    if _left():
        threading.Thread(target=_end_late, args=(code,), name="wsabench-end", daemon=True).start()


def _end_late(code: int) -> None:
    """Wait a short time for what was left; then say what it is, and end the process."""
    deadline = time.monotonic() + LEFT_SECONDS
    while (left := _left()) and time.monotonic() < deadline:
        time.sleep(0.05)
    if not left:
        return
    names = ", ".join(
        sorted(f"{'thread' if isinstance(one, threading.Thread) else 'process'} {one.name}" for one in left)
    )
    write_error(
        f"note: all is done, and code that was loaded goes on in {names}. The process ends all the same. Start what "
        "may go on with daemon=True, or end it."
    )
    for one in left:
        if not isinstance(one, threading.Thread):
            one.kill()
            one.join(1)
    leave(code)


def _left() -> list[Any]:
    """Return the threads and child processes for which the interpreter would wait at its end."""
    threads = [one for one in threading.enumerate() if not one.daemon and one is not threading.main_thread()]
    module = sys.modules.get("multiprocessing")
    return [*threads, *([] if module is None else (one for one in module.active_children() if not one.daemon))]


def _end(stop: Stop) -> NoReturn:
    """End the process without waiting for its main thread."""
    clean_up_terminal()
    write_error(stop.message)
    os._exit(stop.exit_code)
