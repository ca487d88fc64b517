"""The Python of README and docs runs, as does the example."""

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
PAGES.remove(ROOT / "docs" / "tutorial.md")  # its blocks build on each other: tests/docs/test_howto.py
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
# README plays what the example plays, whose returns are looked at: one game of each is enough here.
BLOCKS = {
    f"{page.name}-{number}": block.replace("episodes=3", "episodes=1")
    for page in PAGES
    for number, block in enumerate(FENCE.findall(page.read_text(encoding="utf-8")))
    if "stable_baselines3" not in block  # an extra: run by tests/docs/test_in_your_loop.py
}
EACH_ALONE = """
import contextlib, json, os, sys, traceback
outcomes = {}
with contextlib.redirect_stdout(sys.stderr):
    for name, block in json.load(sys.stdin).items():
        os.mkdir(name)
        os.chdir(name)
        try:
            exec(compile(block, name, "exec"), {"__name__": "__main__"})
            outcomes[name] = None
        except BaseException:
            outcomes[name] = traceback.format_exc()
        os.chdir("..")
print(json.dumps(outcomes))
"""
"""Runs blocks one after the other, each with names and a folder of its own, and prints what each failed with."""


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


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    """What every snippet failed with; they share a process, which loads torch once."""
    return json.loads(run(EACH_ALONE, tmp_path_factory.mktemp("snippets"), json.dumps(BLOCKS)))


@pytest.mark.parametrize("name", BLOCKS)
def test_a_snippet_runs(name: str, failures: dict[str, str | None]) -> None:
    assert failures[name] is None, failures[name]


def test_the_example_plays_clean_and_shifted_games(tmp_path: Path) -> None:
    printed = run((ROOT / "examples" / "own_policy.py").read_text(encoding="utf-8"), tmp_path)
    lines = {
        line.partition(":")[0]: [float(x) for x in re.findall(r"-?\d+\.\d", line)] for line in printed.splitlines()
    }
    assert lines.keys() == {"clean", "hue-rotate@3"}
    for own, chance, low, high in lines.values():
        assert 0 < low <= own - chance <= high
        assert own > 5 * chance, "the own policy beats random play on the same seeds"


def test_the_policy_is_the_same_wherever_it_stands() -> None:
    example = (ROOT / "examples" / "own_policy.py").read_text(encoding="utf-8")
    policy = example[example.index("STAY, FIRE") : example.index("def summarised")].strip()
    for name in ("README.md", "docs/tutorial.md", "docs/howto/into-ci.md"):
        assert policy in (ROOT / name).read_text(encoding="utf-8"), name
