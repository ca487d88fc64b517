"""The device that a network is trained on."""

from __future__ import annotations

import ctypes
import re
import sys

import torch

from wsabench.errors import SpecError


def choose_device(name: str = "cpu") -> torch.device:
    """Return a device.

    Args:
        name: `cpu`, `cuda` or `cuda:N`, or `auto` for a CUDA GPU where there is one.

    Raises:
        SpecError: There is no such device, or torch cannot use it.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    match = re.fullmatch(r"cpu|cuda(?::(?P<index>\d+))?", name)
    if match is None:
        raise SpecError(f"The device is {name!r}. Allowed: cpu, cuda, cuda:N, auto.")
    if name != "cpu":
        number = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(match["index"] or 0) >= number:
            found = f"torch {torch.__version__} sees {number or 'no'} CUDA GPU{'' if number == 1 else 's'}"
            raise SpecError(f"The device {name!r} is not available: {found}. Allowed here: cpu, auto.")
    return torch.device(name)


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
