"""`wsabench doctor`: does everything that a run needs work here?"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from wsabench.cli.facts.baselines import agent_specs, weight_files
from wsabench.cli.options import Json
from wsabench.cli.terminal.console import write_json, write_line, write_table
from wsabench.errors import WsabenchError
from wsabench.machine import ABSENT, machine_facts, package_versions
from wsabench.resources import state_dir
from wsabench.words import counted

HELP = "Check that everything a run needs is there. Exits with 1 if something is wrong, and says how to put it right."
EXAMPLE = "Example: wsabench doctor"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    """What was looked at."""
    fine: bool
    """Whether a run can rely on it."""
    found: str
    """What is there."""
    fix: str = ""
    """How to put it right; empty where nothing is wrong."""


def doctor(as_json: Json = False) -> None:
    """Run every check, print what was found, and exit with 1 if something is wrong."""
    findings = [finding for check in CHECKS for finding in _guarded(check)]
    wrong = [finding for finding in findings if not finding.fine]
    if as_json:
        write_json({"machine": machine_facts(), "findings": findings, "fine": not wrong})
    else:
        rows = [("ok" if finding.fine else "WRONG", finding.check, finding.found) for finding in findings]
        write_table("wsabench doctor", ["", "check", "found"], rows)
        for finding in wrong:
            write_line(f"{finding.check}: {finding.fix}")
        write_line("Everything is fine." if not wrong else f"{len(wrong)} of {len(findings)} checks failed.")
    if wrong:
        raise typer.Exit(1)


def _guarded(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """Run a check; what it raises becomes a finding, so that the checks after it still run."""
    try:
        return list(check())
    except (WsabenchError, OSError, ImportError) as error:
        name = check.__name__.removeprefix("check_").replace("_", " ")
        return [Finding(name, False, type(error).__name__, str(error))]


def check_versions() -> Iterator[Finding]:
    """Check that every package that a run needs is installed."""
    versions = package_versions()
    missing = [name for name, version in versions.items() if version == ABSENT]
    found = ", ".join(f"{name} {version}" for name, version in versions.items())
    yield Finding("versions", not missing, found, "" if not missing else f"Install {', '.join(missing)} with pip.")


def check_roms() -> Iterator[Finding]:
    """Check that the emulator's package holds the ROMs."""
    from wsabench.games import rom_ids

    ids = rom_ids()
    yield Finding("roms", len(ids) > 0, f"{len(ids)} single-player games", "" if ids else "Reinstall ale-py.")


def check_catalogue() -> Iterator[Finding]:
    """Check that every file of a game, a family of perturbations or a suite can be read."""
    from wsabench.cli.listing import game_rows, perturbation_rows, suite_rows

    games, perturbations, suites = game_rows(), perturbation_rows(), suite_rows()
    own = sum(row["games"] is not None for row in perturbations)
    found = (
        f"{counted(len(games), 'game')}, {counted(len(perturbations) - own, 'perturbation')} of any game and "
        f"{own} that games add, {counted(len(suites), 'suite')}"
    )
    yield Finding("catalogue", bool(games and perturbations and suites), found, "Reinstall wsabench.")


def check_baselines() -> Iterator[Finding]:
    """Check that every shipped or fetched checkpoint opens."""
    from wsabench.cli.facts.baselines import read_header

    specs = agent_specs()
    files = weight_files()
    for _, _, _, path in files:
        read_header(path)
    found = f"{counted(len(specs), 'agent')}, {counted(len(files), 'checkpoint')}"
    yield Finding("baselines", bool(specs and files), found, "Reinstall wsabench, or train: `wsabench train --help`.")


def check_write_access() -> Iterator[Finding]:
    """Check that runs and training can write their files."""
    yield from (_writable("write access: results", Path.cwd(), "Change to a directory of your own, or use --out."),)
    yield _writable("write access: training", state_dir(), "Set WSABENCH_HOME to a directory that you can write to.")


def _writable(check: str, path: Path, fix: str) -> Finding:
    place = path
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.NamedTemporaryFile(dir=place):
            pass
    except OSError as error:
        return Finding(check, False, f"{path}: {error.strerror}", fix)
    return Finding(check, True, str(path))


def check_threads() -> Iterator[Finding]:
    """Check that torch uses no more threads than there are cores, and say whether the processor computes bf16."""
    import torch

    machine: dict[str, Any] = machine_facts()
    cores, threads = machine["cores"], torch.get_num_threads()
    bf16 = (
        "bf16 in hardware" if "avx512_bf16" in machine["cpu"]["flags"] else "no bf16 in hardware (slower, same results)"
    )
    setting = os.environ.get("OMP_NUM_THREADS")
    fix = f"Set OMP_NUM_THREADS to {cores} or less" + (f" (it is {setting})." if setting else ".")
    yield Finding(
        "threads", threads <= cores, f"torch {counted(threads, 'thread')}, {counted(cores, 'core')}, {bf16}", fix
    )


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    check_versions,
    check_roms,
    check_catalogue,
    check_baselines,
    check_write_access,
    check_threads,
)
