"""Where a number comes from: versions, ROM, commit, machine, command line."""

from __future__ import annotations

import hashlib
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import wsabench
from wsabench import machine
from wsabench.errors import StorageError

BIT_DECIDING = ("ale-py", "numba", "numpy", "opencv-python-headless", "scipy", "torch")
"""Packages that compute what agents see or do, whose version is part of the fingerprint."""
_GIT_SECONDS = 10


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on; "absent" where not installed."""
    return {"python": platform.python_version(), **machine.package_versions()}


def rom_hash(game: str) -> str:
    """Return the SHA-256 of a game's ROM file, hexadecimal.

    Raises:
        StorageError: ale-py has no readable ROM of that name.
    """
    from ale_py import roms

    path = roms.get_rom_path(game) if game in roms.get_all_rom_ids() else None
    if path is None:
        raise StorageError(f"ale-py has no ROM file for {game!r}. Reinstall ale-py.")
    return _file_hash(Path(path))


def git_state(package_dir: Path | None = None) -> dict[str, Any] | None:
    """Return `{"commit", "dirty"}` of the checkout that the package runs from; None for an installed package.

    Args:
        package_dir: The package's folder; this one by default.
    """
    root = (package_dir or Path(wsabench.__file__).resolve().parent).parent
    if not (root / ".git").exists():
        return None
    commit = _git(root, "rev-parse", "HEAD")
    status = _git(root, "status", "--porcelain", "--untracked-files=no")
    if commit is None or status is None:
        return None
    return {"commit": commit, "dirty": bool(status)}


def host_summary() -> dict[str, Any]:
    """Return the machine's kind: system, processor model and the cores this process may use. No names, no addresses."""
    return {
        "system": platform.platform(terse=True),
        "machine": platform.machine(),
        "processor": machine.cpu_facts()["model"],
        "cores": machine.available_cores(),
    }


def command_line() -> str:
    """Return the command line of this process, quoted for a shell; the program without its folder."""
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    return shlex.join([program, *sys.argv[1:]])


def timestamp() -> str:
    """Return the time now, UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@lru_cache(maxsize=256)
def _file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror}. Reinstall ale-py.") from error


def _git(root: Path, *arguments: str) -> str | None:
    """Return what git prints, or None where git is missing, slow or unhappy."""
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
