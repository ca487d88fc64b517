"""The layers of the design: the contract holds, and it would notice an import that it forbids."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT = Path(sys.executable).with_name("lint-imports")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(LINT), "--config", "pyproject.toml", "--no-cache"]
    environment = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package and its contract, to break."""
    shutil.copytree(ROOT / "wsabench", tmp_path / "wsabench", ignore=shutil.ignore_patterns("__pycache__", "_data"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_import_goes_down_the_layers() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Layers of the design KEPT" in done.stdout


@pytest.mark.parametrize(
    ("module", "statement", "text"),
    [
        (
            "wsabench/games/upwards.py",
            "import wsabench.perturb",
            "wsabench.games is not allowed to import wsabench.perturb",
        ),
        (
            "wsabench/agents/sideways.py",
            "def late():\n    import wsabench.emulator",
            "wsabench.agents is not allowed to import wsabench.emulator",
        ),
    ],
)
def test_a_forbidden_import_is_found(copy: Path, module: str, statement: str, text: str) -> None:
    (copy / module).write_text(statement + "\n", encoding="utf-8")
    done = lint(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert text in done.stdout


def test_every_module_belongs_to_a_layer() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ][0]
    named = {name.strip() for layer in contract["layers"] for name in layer.split("|")}
    parts = {
        p.stem
        for p in (ROOT / "wsabench").iterdir()
        if p.suffix == ".py" or (p.is_dir() and (p / "__init__.py").exists())
    }
    assert {f"wsabench.{part}" for part in parts - {"__init__"}} == named
