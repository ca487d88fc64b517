"""Compiling loops to machine code."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile to machine code, kept between processes where any folder for it can be written.

    The first call in a process loads the code from numba's cache, or compiles for seconds.
    """
    try:
        return cast("Callable[P, R]", njit(cache=True, nogil=True)(function))
    except RuntimeError:  # numba found no folder for its cache
        return cast("Callable[P, R]", njit(nogil=True)(function))
