"""How a process that trains treats memory it no longer needs."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_INT = 2**31 - 1
_NEVER_APART = 2**30


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory for the next tensor instead of giving it back to the system.

    Each minibatch needs the same tensors anew; memory that was given back comes page by page, filled with zeros. Holds
    for the whole process, which then keeps its largest size.

    Returns:
        Whether the C library can be told so: glibc can.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    return bool(mallopt(_M_MMAP_THRESHOLD, _NEVER_APART)) and bool(mallopt(_M_TRIM_THRESHOLD, _LARGEST_INT))
