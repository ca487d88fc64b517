"""The Python of README and docs runs, each page in one process, as does the example."""

from __future__ import annotations

import json
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
PROGRAMS = {page.name: FENCE.findall(page.read_text(encoding="utf-8")) for page in PAGES}
EACH_ALONE = """
import json, sys
for number, block in enumerate(json.load(sys.stdin)):
    exec(compile(block, f"block {number} of the page", "exec"), {"__name__": "__main__"})
"""
"""Runs the blocks of a page in one process, each with names of its own."""


def run(code: str, folder: Path, words: str = "") -> str:
    """Run Python in a fresh process, away from the checkout, with these words to read; return what it printed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "WSABENCH_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        input=words,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("page", [page for page, blocks in PROGRAMS.items() if blocks])
def test_the_snippets_of_a_page_run(page: str, tmp_path: Path) -> None:
    run(EACH_ALONE, tmp_path, json.dumps(PROGRAMS[page]))


def test_the_example_plays_clean_and_shifted_games(tmp_path: Path) -> None:
    printed = run((ROOT / "examples" / "own_policy.py").read_text(encoding="utf-8"), tmp_path)
    assert printed.count("hue-rotate") == 2
    assert len(printed.splitlines()) == 1 + 4
