"""`make reference`: each of its commands is one that the shipped agents can play, and the sets are merged by suite."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wsabench.results import load_result

ROOT = Path(__file__).resolve().parents[2]
VENV = Path(sys.prefix)

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="needs make")


def test_every_set_is_played_and_merged(tmp_path):
    play = f"{VENV}/bin/wsabench run --profile reference --agents e2e --train-seeds 0 --perturbations clean --workers 0"
    # The environment is there; nothing of it is made anew.
    is_made = ["--old-file", f"{VENV}/.run", f"VENV={VENV}"]
    command = ["make", "--file", str(ROOT / "Makefile"), *is_made, "REFERENCE_GAMES=breakout:1", f"REFERENCE={play}"]
    done = subprocess.run([*command, "reference"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    suites = {path.name: load_result(path) for path in (tmp_path / "runs" / "results").iterdir()}
    assert set(suites) == {"color-shift", "color-shift-machado", "corruption", "dynamics", "encoder-dropout"}
    assert {len(result.episodes) for result in suites.values()} == {1}
    sticky = {name for name, result in suites.items() if result.manifest.plan.protocol.sticky_probability}
    assert sticky == {"color-shift-machado"}
