"""When compiled code is worth loading: that takes a second, which compiled code does not save in a small report."""

from __future__ import annotations

_LOADING_SECONDS = 0.8
"""Processor time that loading numba and compiled code takes in a process."""


class _Saved:
    """The processor time that compiled code would have saved in this process so far, in seconds."""

    seconds = 0.0


def pays(seconds: float) -> bool:
    """Return whether this process has had so much to do that it should load compiled code.

    Compiled code gives the same numbers. Each call adds to the time that it would have saved so far.

    Args:
        seconds: Seconds of processor time that compiled code saves in what is to be done next.
    """
    _Saved.seconds += seconds
    return _Saved.seconds > _LOADING_SECONDS
