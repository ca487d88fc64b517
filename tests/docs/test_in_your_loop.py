"""Every block of docs/in-your-loop.md, as printed and in its order, in one folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from action_runner import ROOT, Runner

pytestmark = [pytest.mark.extra, pytest.mark.e2e]

PAGE = ROOT / "docs" / "in-your-loop.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = """#!/bin/sh
exec {python} -m wsabench "$@"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder, with `wsabench` on the path."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "bin").mkdir()
    command = folder / "bin" / "wsabench"
    command.write_text(COMMAND.format(python=shlex.quote(sys.executable)), encoding="utf-8")
    command.chmod(0o755)
    return folder


def printed(folder: Path, *command: str) -> str:
    """Run a command in the user's folder; return what it printed."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{ROOT}:{folder}",
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
    }
    environment = {k: v for k, v in environment.items() if not k.startswith(("MLFLOW_", "WANDB_"))}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def block(kind: str, number: int) -> str:
    """Return a block of the page, by its language and its place among those."""
    return [text for language, text in FENCE.findall(PAGE.read_text(encoding="utf-8")) if language == kind][number]


def test_all_blocks_are_run_here() -> None:
    kinds = [kind for kind, _ in FENCE.findall(PAGE.read_text(encoding="utf-8"))]
    assert sorted(kinds) == ["python"] * 3 + ["sh"] * 3 + ["yaml"]


@pytest.mark.timeout(900)
def test_the_action_and_its_commands(folder: Path) -> None:
    import yaml

    (folder / "my_module.py").write_text(block("python", 0), encoding="utf-8")
    printed(folder, "bash", "-euc", block("sh", 0))
    (step,) = yaml.safe_load(block("yaml", 0))
    runner = Runner(folder)
    assert runner.run(**step["with"], install="none") == 0, runner.printed
    assert runner.told("outcome") == "passed"
    assert "## Robustness gate: passed" in (folder / runner.told("comment")).read_text(encoding="utf-8")
    printed(folder, "bash", "-euc", block("sh", 1))
    for name in ("gate.md", "gate.xml", "gate.svg", "new/report/comment.md", "new/report/badge.svg"):
        assert (folder / name).stat().st_size > 100


def test_the_callback(folder: Path) -> None:
    lines = printed(folder, sys.executable, "-c", block("python", 1)).splitlines()
    assert [line.split()[:2] for line in lines[-2:]] == [["128", "clean"], ["128", "invert"]]
    assert (folder / "runs" / "ppo" / "steps-0000000128" / "manifest.json").exists()
    assert (folder / "runs" / "ppo" / "robustness.csv").exists()


def test_the_trackers(folder: Path) -> None:
    printed(folder, "bash", "-euc", block("sh", 2))
    assert list((folder / "runs" / "tracked" / "tensorboard").glob("events.*"))
    assert list((folder / "mlruns").glob("*/*/artifacts/manifest.json"))
    assert list((folder / "wandb").glob("offline-run-*"))


def test_any_environment(folder: Path) -> None:
    assert "(210, 160, 3) gaussian-noise@3+action-delay@2" in printed(folder, sys.executable, "-c", block("python", 2))
