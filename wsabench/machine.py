"""What machine and which versions a number comes from: processor, flags that matter for speed, packages."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from wsabench.version import __version__

PACKAGES = (
    "wsabench",
    "ale-py",
    "gymnasium",
    "numba",
    "numpy",
    "opencv-python-headless",
    "pandas",
    "pyarrow",
    "scipy",
    "torch",
)
"""Distributions that results depend on."""
ABSENT = "absent"
SPEED_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def package_versions(names: Sequence[str] | None = None) -> dict[str, str]:
    """Return the installed version of each distribution (by default `PACKAGES`); "absent" where it is not installed."""
    return {name: _package_version(name) for name in (PACKAGES if names is None else names)}


@cache
def _package_version(name: str) -> str:
    """Return the installed version of a distribution, read once: a process keeps what it began with."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return __version__ if name == "wsabench" else ABSENT  # a checkout on the path is not installed


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_facts(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, Any]:
    """Return the processor's `model` and those of its `flags` that matter for speed; no flags where not on Linux."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {"model": platform.processor() or platform.machine(), "flags": []}
    values = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    present = set(values.get("flags", "").split())
    return {
        "model": values.get("model name", platform.machine()),
        "flags": [flag for flag in SPEED_FLAGS if flag in present],
    }


def machine_facts() -> dict[str, Any]:
    """Return the machine as plain values: `cpu`, `cores`, `system`, `python`, `packages`. No names, no addresses."""
    return {
        "cpu": cpu_facts(),
        "cores": available_cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": package_versions(),
    }


def most_memory() -> int:
    """Return the most memory that this process has had, in bytes; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # not on POSIX
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
