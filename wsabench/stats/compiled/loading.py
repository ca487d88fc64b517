"""When compiled code pays: loading it takes a second, which a small report does not save."""

from __future__ import annotations

_LOADING_SECONDS = 0.8
"""Processor time that loading numba and compiled code takes in a process."""


class _Saved:
    """The processor time that compiled code would have saved in this process so far, in seconds."""

    seconds = 0.0


def pays(seconds: float) -> bool:
    """Return whether a process has had so much to do that it should load compiled code; it gives the same numbers.

    Args:
        seconds: Processor time that compiled code saves in what is to be done next.
    """
    _Saved.seconds += seconds
    return _Saved.seconds > _LOADING_SECONDS
