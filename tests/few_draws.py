"""Bootstraps of few draws, for tests that are about no interval's width: those of tests/stats draw as many as usual."""

from __future__ import annotations

from wsabench import stats

_FEW = 300
_DEFAULTS = [getattr(getattr(stats, name), "__kwdefaults__", None) or {} for name in stats.__all__]
_USUAL = [(defaults, defaults["repetitions"]) for defaults in _DEFAULTS if "repetitions" in defaults]


def draw_few() -> None:
    """Let every function of the statistics draw few times where it is not told how often."""
    for defaults, _ in _USUAL:
        defaults["repetitions"] = _FEW


def draw_as_usual() -> None:
    """Let them draw as often as they do for users."""
    for defaults, number in _USUAL:
        defaults["repetitions"] = number
