"""What machine this is: processor, flags that matter for speed, versions."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("wsabench", "ale-py", "gymnasium", "numpy", "opencv-python-headless", "pandas", "pyarrow", "scipy", "torch")
SPEED_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def cpu_facts(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, Any]:
    """Return the processor's model and which of the flags that matter for speed it has; empty where not Linux."""
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


def cpu_count() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def package_versions() -> dict[str, str | None]:
    """Return the installed version of each package that a result depends on; None if it is missing."""
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def machine_facts() -> dict[str, Any]:
    """Return processor, flags, cores, system and versions, as `bench` and `doctor` print them."""
    return {
        "cpu": cpu_facts(),
        "cores": cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": package_versions(),
    }
