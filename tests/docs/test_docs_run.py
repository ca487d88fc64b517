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
EXAMPLE = (ROOT / "examples" / "own_policy.py").read_text(encoding="utf-8")
EACH_ALONE = """
import contextlib, functools, io, json, os, sys, traceback
import wsabench
from few_draws import draw_few

draw_few()
run = wsabench.run
outcomes = {}
for name, block in json.load(sys.stdin).items():
    most = 1600 if name == "own_policy.py" else 400
    wsabench.run = functools.partial(run, workers=0, protocol={"max_frames": most})
    os.mkdir(name)
    os.chdir(name)
    sys.argv = [name]
    failure = None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            exec(compile(block, name, "exec"), {"__name__": "__main__"})
        except BaseException:
            failure = traceback.format_exc()
    outcomes[name] = [printed.getvalue(), failure]
    os.chdir("..")
print(json.dumps(outcomes))
"""
"""Runs blocks one after the other, each with names and a folder of its own, and prints what each printed and raised.

Games end after 100 steps, those of the example, whose returns are looked at, after 400. They are played in the one
process, and bootstraps draw few times. That whole games are played from a script, with workers, is tested in tests/base
and tests/cli.
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str | None]]:
    """What every snippet and the example printed and failed with; they share a fresh process, away from the checkout.

    It loads torch once.
    """
    folder = tmp_path_factory.mktemp("snippets")
    paths = f"{ROOT}{os.pathsep}{ROOT / 'tests'}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "WSABENCH_HOME": str(folder / "home"), "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, "-c", EACH_ALONE],
        cwd=folder,
        env=environment,
        input=json.dumps({**BLOCKS, "own_policy.py": EXAMPLE}),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", BLOCKS)
def test_a_snippet_runs(name: str, outcomes: dict[str, tuple[str, str | None]]) -> None:
    _, failure = outcomes[name]
    assert failure is None, failure


def test_the_example_plays_clean_and_shifted_games(outcomes: dict[str, tuple[str, str | None]]) -> None:
    printed, failure = outcomes["own_policy.py"]
    assert failure is None, failure
    lines = {
        line.partition(":")[0]: [float(x) for x in re.findall(r"-?\d+\.\d", line)] for line in printed.splitlines()
    }
    assert lines.keys() == {"clean", "hue-rotate@3"}
    for own, chance, low, high in lines.values():
        assert 0 < low <= own - chance <= high
        assert own > 5 * chance, "the own policy beats random play on the same seeds"


def test_the_policy_is_the_same_wherever_it_stands() -> None:
    policy = EXAMPLE[EXAMPLE.index("STAY, FIRE") : EXAMPLE.index("def summarised")].strip()
    for name in ("README.md", "docs/tutorial.md", "docs/howto/into-ci.md"):
        assert policy in (ROOT / name).read_text(encoding="utf-8"), name
