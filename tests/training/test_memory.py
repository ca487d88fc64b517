"""Freed memory that is kept."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from wsabench.training.device import keep_freed_memory
def faults():
    bytearray(48 * 2**20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        bytearray(48 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
usual = faults()
assert keep_freed_memory()
print(usual, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told so")
def test_large_arrays_come_from_memory_that_was_freed() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    usual, kept = map(int, done.stdout.split())
    assert kept < 100
    assert usual > 10 * kept
