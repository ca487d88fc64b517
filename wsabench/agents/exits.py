"""Code of a user that ends the program when it is imported or called: what it wanted becomes one exception."""

from __future__ import annotations

import os
import re
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

_SECONDS = 1.0
"""How long what was written may wait; a parser ends the program at once after its usage."""
_LONGEST = 200
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_LEAD = re.compile(r"^(\S+: )?error: ", re.IGNORECASE)
_FRAME = " \t│╭╮╰╯─"


class _Held:
    """Standard error that keeps what is written for a second, in which the program may turn out to end."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._process = stream, os.getpid()
        self._lock, self._kept = threading.RLock(), [""]
        self._timer: threading.Timer | None = None
        self._is_over = False

    def __getattr__(self, name: str) -> Any:
        """Be the stream in all else."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Keep a text; what a handler of logs or a process made here writes later goes on at once."""
        if not isinstance(text, str) or self._is_over or os.getpid() != self._process:
            return self._stream.write(text)
        with self._lock:
            self._kept.append(text)
            if self._timer is None:
                self._timer = threading.Timer(_SECONDS, self._let_go)
                self._timer.daemon = True
                self._timer.start()
        return len(text)

    def taken(self) -> str:
        """Return what waits, which is then not written."""
        with self._lock:
            text = "".join(self._kept)
            self._kept.clear()
        return text

    def close(self) -> None:
        """Write what waits, and keep nothing from now on."""
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        self._let_go()

    def _let_go(self) -> None:
        with self._lock:
            self._timer = None
            if text := self.taken():
                self._stream.write(text)
                self._stream.flush()


@contextmanager
def exits_raised() -> Iterator[None]:
    """Let `os._exit` raise inside, and let a SystemExit say what was printed before it.

    Code that reads the command line when it is imported reads ours. Its parser (argparse, click and others) prints a
    usage and ends the program: the last line of that goes into the exception, all of it is the exception's cause, and
    nothing is printed before our message. A process that the code forks may end as ever.

    Raises:
        SystemExit: The code ended the program.
    """
    end, here, stream = os._exit, os.getpid(), sys.stderr
    held: Any = _Held(stream)

    def leave(status: int) -> NoReturn:
        if os.getpid() != here:
            end(status)
        raise SystemExit(f"os._exit({status})")

    os._exit, sys.stderr = leave, held
    try:
        yield
    except SystemExit as error:
        _explain(error, held.taken())
        raise
    finally:
        os._exit = end
        if sys.stderr is held:
            sys.stderr = stream
        held.close()


def _explain(error: SystemExit, printed: str) -> None:
    """Write the last line that was printed into an exception, and all of it behind."""
    lines = [_COLOURS.sub("", line).strip(_FRAME) for line in printed.splitlines()]
    said = next((_LEAD.sub("", line) for line in reversed(lines) if any(map(str.isalnum, line))), "")
    text = textwrap.shorten(", ".join(filter(None, (str(error.code), said))), _LONGEST, placeholder="...")
    error.args, error.code = (text,), text
    if printed.strip():
        error.__cause__ = RuntimeError(printed.strip())
