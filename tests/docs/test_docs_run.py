"""The Python of README and docs runs, each page in one process, as does the example."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
SNIPPETS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(FENCE.findall(page.read_text(encoding="utf-8")))
]


def run(code: str, folder: Path) -> str:
    """Run Python in a fresh process, away from the checkout, and return what it printed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "WSABENCH_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("code", SNIPPETS)
def test_a_snippet_runs(code: str, tmp_path: Path) -> None:
    run(code, tmp_path)


def test_the_example_plays_clean_and_shifted_games(tmp_path: Path) -> None:
    printed = run((ROOT / "examples" / "own_policy.py").read_text(encoding="utf-8"), tmp_path)
    assert printed.count("hue-rotate") == 2
    assert len(printed.splitlines()) == 1 + 4
