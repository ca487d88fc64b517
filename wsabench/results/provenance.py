"""Where a number comes from: versions, ROM, commit, machine, command line."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wsabench import machine
from wsabench.hashing import json_hash
from wsabench.resources import PACKAGE_DIR
from wsabench.results.manifest import GitState, Host, Start

BIT_DECIDING = ("ale-py", "numba", "numpy", "opencv-python-headless", "scipy", "torch")
"""Packages that compute what agents see or do, whose version is part of the fingerprint."""
_GIT_SECONDS = 10


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on; "absent" where not installed."""
    return {"python": platform.python_version(), **machine.package_versions()}


def decisive_versions() -> dict[str, str]:
    """Return the versions of the packages that decide bits."""
    return machine.package_versions(BIT_DECIDING)


def this_start(shard: str | None = None) -> Start:
    """Return what the history of a run says of this process, which starts it now.

    Args:
        shard: Which part of the plan it plays, `2/5`; None for all of it.
    """
    return Start(
        start=timestamp(),
        end=None,
        command_line=command_line(),
        git=git_state(),
        host=host_summary(),
        versions=package_versions(),
        shard=shard,
    )


def git_state(package_dir: Path | None = None) -> GitState | None:
    """Return the state of the checkout that the package runs from; None for an installed package.

    Args:
        package_dir: The package's folder; this one by default.
    """
    root = (package_dir or PACKAGE_DIR).parent
    if not (root / ".git").exists():
        return None
    commit = _git(root, "rev-parse", "HEAD")
    status = _git(root, "status", "--porcelain", "--untracked-files=no")
    if commit is None or status is None:
        return None
    return GitState(commit=commit, dirty=bool(status))


def host_summary() -> Host:
    """Return the machine's kind: system, processor model and the cores this process may use. No names, no addresses."""
    return Host(
        system=platform.platform(terse=True),
        machine=platform.machine(),
        processor=machine.cpu_facts()["model"],
        cores=machine.available_cores(),
    )


def command_line() -> str:
    """Return the command line of this process, quoted for a shell; the program without its folder.

    `python -m wsabench` is called `wsabench`, the program that the installation brings.

    Bytes that are no UTF-8, as names of files may have, are written as Python writes them, with a backslash.
    """
    path = Path(sys.argv[0]) if sys.argv and sys.argv[0] else Path("python")
    program = path.parent.name if path.name == "__main__.py" else path.name
    return shlex.join([program, *sys.argv[1:]]).encode("utf-8", "backslashreplace").decode()


def timestamp() -> str:
    """Return the time now, UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _git(root: Path, *arguments: str) -> str | None:
    """Return what git prints, or None where git is missing, slow or unhappy."""
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


ENGINE_VERSION = 2
"""Raised whenever lanes, perturbations, the rollout or frozen encoders behave differently; golden trajectories in the
tests force it. 2: encoders compute alike in training and evaluation, compact `oke` in float32."""

UNHASHED = "unhashed"
"""Stands for the checkpoint hash of a policy whose content cannot be hashed; its jobs are always run again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FingerprintInputs:
    """Everything that decides a job's episodes. Summaries and names are not part of it."""

    perturbation_hash: str
    """Content hash of the compiled perturbation."""
    protocol: Mapping[str, Any]
    """The protocol's fields as plain values."""
    checkpoint_hash: str
    """Hash of the agent's weights, or of what else identifies a policy."""
    rom_hash: str
    """SHA-256 of the ROM file."""
    episode_seeds: tuple[int, ...]
    """The episode seeds, in the order of the episodes' numbers."""
    versions: Mapping[str, str]
    """Versions of the packages that decide bits (`provenance.BIT_DECIDING`)."""
    engine_version: int = ENGINE_VERSION
    """Version of this package's behaviour."""
    own_play_hash: str | None = None
    """Hash of the agent's own clean play, for perturbations that feed embeddings of it."""
    noops: tuple[int, ...] | None = None
    """No-op frames at the start of each episode, where each start is played once."""


def fingerprint(inputs: FingerprintInputs) -> str:
    """Return the fingerprint, 32 hexadecimal digits; the order of keys makes no difference."""
    values = asdict(inputs)
    for name in ("own_play_hash", "noops"):
        if values[name] is None:
            del values[name]  # as before there was any
    return json_hash(values, 32)
