"""A process that is forked from this one, which has loaded its modules: as a new one, but seconds sooner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import cv2
from warm_workers import after_fork


class Forked:
    """Runs a function in a forked process and can be waited for as a `subprocess.Popen`."""

    def __init__(self, work: Callable[[], object], log: Path) -> None:
        """Start it.

        Args:
            work: Returns the exit code; None or anything that is no number is 0. What it raises is 1.
            log: Where its output is added.
        """
        self._code: int | None = None
        cv2.setNumThreads(1)  # before: a fork would wait for threads that it does not have
        self.pid = os.fork()
        if self.pid == 0:
            _work(work, log)

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the exit code.

        Raises:
            subprocess.TimeoutExpired: It runs for longer.
        """
        begun = time.monotonic()
        while (code := self.poll()) is None:
            if timeout is not None and time.monotonic() > begun + timeout:
                raise subprocess.TimeoutExpired("a forked process", timeout)
            time.sleep(0.002)
        return code

    def send_signal(self, sig: int, /) -> None:
        """Send it a signal."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


def _work(work: Callable[[], object], log: Path) -> None:
    """Do the work and end this process, whatever happens, without what the parent would do at its end."""
    code = 1
    after_fork()
    try:
        with log.open("ab") as file:
            for number in (1, 2):
                os.dup2(file.fileno(), number)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
        result = work()
        code = result if isinstance(result, int) else 0
    except BaseException:  # noqa: BLE001 - as Python itself does with what nobody caught
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
