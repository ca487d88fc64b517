"""Freed memory that is kept."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from wsabench.training.device import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def fill():
    bytearray(48 * 2**20)
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    fill()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told so")
def test_large_arrays_come_from_memory_that_was_freed() -> None:
    faults = {
        how: int(subprocess.run([sys.executable, "-c", PROGRAM, how], check=True, capture_output=True).stdout)
        for how in ("keep", "default")
    }
    assert faults["keep"] < 100
    assert faults["default"] > 10 * faults["keep"]
