"""What importing and the cheap commands load, each in a fresh process."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest

import wsabench

HEAVY = ("torch", "ale_py", "gymnasium", "cv2", "numba", "pandas", "arch", "matplotlib", "seaborn", "sympy")

PACKAGES = ["wsabench", *(one.name for one in pkgutil.walk_packages(wsabench.__path__, "wsabench.") if one.ispkg)]


def loaded_by(code: str) -> set[str]:
    """Run `code` in a fresh process and return which of the heavy packages it loaded."""
    tail = f"\nimport sys, json; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code + tail], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


# gymnasium is there because importing the package registers its environments.
LIGHT = {"gymnasium"}


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("import wsabench; assert 'make' in dir(wsabench)") == LIGHT


def test_importing_the_package_registers_its_environments() -> None:
    code = "import gymnasium, wsabench; gymnasium.spec('wsabench/MsPacman-v0'); gymnasium.spec('wsabench/Breakout-v0')"
    assert loaded_by(code) == LIGHT


def test_importing_the_package_changes_no_global_state() -> None:
    code = (
        "import os, sys, signal, warnings, gymnasium; "
        "state = lambda: (dict(os.environ), list(warnings.filters), signal.getsignal(signal.SIGINT)); "
        "before = state(); import wsabench; assert state() == before"
    )
    assert loaded_by(code) == LIGHT


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_found(package: str) -> None:
    module = import_module(package)
    assert [name for name in getattr(module, "__all__", ()) if not hasattr(module, name)] == []


def test_loading_an_agent_loads_torch_and_nothing_else_that_is_heavy() -> None:
    assert loaded_by("from wsabench.agents import load_agent; load_agent('wsa', 'breakout', 0)") == {*LIGHT, "torch"}


def test_help_loads_nothing_heavy() -> None:
    words = [["--help"], ["run", "--help"], ["report", "--help"], ["--version"]]
    code = f"from wsabench.cli import main; assert [main(one) for one in {words!r}] == [0] * {len(words)}"
    assert loaded_by(code) == LIGHT


def test_listing_loads_no_torch() -> None:
    words = [["list"], ["list", "agents", "--json"], ["show", "hue-rotate", "--games", "none"]]
    code = f"from wsabench.cli import main; assert [main(one) for one in {words!r}] == [0] * {len(words)}"
    assert "torch" not in loaded_by(code)
