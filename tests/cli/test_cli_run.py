"""The command line from a run to its report, with a policy of our own, and a run that is interrupted."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from forked import Forked
from warm_workers import start_server

from wsabench.cli import main

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
MODULE = """
import numpy as np

def still(observations):
    return np.zeros(len(observations), dtype=np.int64)

still.version = "1"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a policy in `policies.py`, as the current directory."""
    (tmp_path / "policies.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    sys.modules.pop("policies", None)
    return tmp_path


def test_run_resume_and_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "--suite", "smoke", "--agents", "still=policies:still", "--workers", "0", "--out", "runs/a"]
    words += ["--protocol", "max_frames=80"]
    assert main([*words, "--json"]) == 0
    first = capsys.readouterr()
    result = json.loads(first.out)
    assert result["path"] == "runs/a"
    played = ["clean", "hue-rotate@3", "palette-pal", "gaussian-noise@3", "sticky-actions@2", "right-drift"]
    assert [row["perturbation"] for row in result["mean_returns"]] == played
    assert {row["episodes"] for row in result["mean_returns"]} == {2}
    assert "run: 6 jobs, 12 episodes" in first.err
    assert "Skipped for still on breakout: zero-all. The agent 'still' has no encoders." in " ".join(first.err.split())

    assert main(words) == 0
    second = capsys.readouterr()
    assert "6 of them finished before" in second.err
    assert "Make the page: wsabench report runs/a" in second.out
    assert max(len(line) for line in second.out.splitlines()) <= 80

    assert main(["report", "runs/a", "--format", "html,md", "--json"]) == 0
    files = json.loads(capsys.readouterr().out)
    assert Path(files["html"]).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert Path(files["markdown"]).is_file()
    assert main(["report", "runs/a", "--format", "png"]) == 0
    assert "files: runs/a/report/figures" in capsys.readouterr().out


def test_a_run_to_a_precision_says_what_it_saved(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "--suite", "smoke", "--agents", "still=policies:still", "--perturbations", "clean,hue-rotate@3"]
    words += ["--protocol", "max_frames=80"]
    words += ["--workers", "0", "--out", "runs/p", "--precision", "0.5", "--max-episodes", "10", "--episodes", "5"]
    assert main([*words, "--json"]) == 0
    first = capsys.readouterr()
    result = json.loads(first.out)
    assert (result["episodes"], result["saving"]["pilot_episodes"]) == (10, 10)
    assert "The pilot is finished. For a half-width of 0.5 in every cell" in " ".join(first.err.split())
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "10 episodes after a pilot of 10, which is kept apart." in " ".join(shown.split())
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert main([*words[:-6], "--precision", "0.5"]) == 2
    assert "--precision needs a limit" in capsys.readouterr().err
    assert main([*words, "--precision-of", "cells"]) == 2
    assert "Did you mean 'cell'?" in capsys.readouterr().err


def test_the_gallery_is_drawn(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gallery", "--suite", "smoke", "--game", "breakout", "--out", "sheet.png"]) == 0
    pages = ["sheet.png", "sheet-2.png"]  # the pictures, then the film strips
    encoders = "No picture: zero-all: acts on the agent's encoders: nothing to draw\n"
    assert capsys.readouterr().out == "".join(f"Page: {page}\n" for page in pages) + encoders
    assert all((folder / page).read_bytes().startswith(b"\x89PNG") for page in pages)


def test_a_gallery_without_a_place_goes_into_a_folder_of_its_own(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gallery", "--perturbations", "invert"]) == 0
    assert capsys.readouterr().out == "Page: gallery/breakout-chosen.png\n"
    assert (folder / "gallery" / "breakout-chosen.png").is_file()
    assert main(["gallery", "--perturbations", "invert", "--out", "pictures"]) == 0
    assert capsys.readouterr().out == "Page: pictures/breakout-chosen.png\n"
    assert list(folder.glob("*.png")) == []


def test_an_interrupted_run_keeps_what_was_finished_and_goes_on(folder: Path) -> None:
    suite = (ROOT / "tests" / "three_cells.toml").read_text(encoding="utf-8")
    short = suite.replace("max_frames = 2000", "max_frames = 80")
    (folder / "short.toml").write_text(short, encoding="utf-8")
    # It waits rather than plays until it is interrupted.
    slow = MODULE.replace("import", "import time\nimport", 1).replace("    return", "    time.sleep(0.02)\n    return")
    (folder / "policies.py").write_text(slow, encoding="utf-8")
    words = ["run", "--suite", "short.toml", "--agents", "still=policies:still", "--workers", "1", "--out", "runs/b"]
    errors = folder / "stderr.txt"

    def command() -> int:
        os.setsid()
        # Whoever runs the tests in the background may have them ignore interrupts, which a child inherits.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return main([*words, "--episodes", "30"])

    start_server()
    process = Forked(command, errors)
    try:
        deadline = time.monotonic() + 120
        while not list((folder / "runs").glob("b/episodes/*.parquet")) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=60) == 130
    finally:
        process.kill()
    text = errors.read_text(encoding="utf-8")
    assert text.endswith(
        "wsabench: interrupted. What was finished, if anything, is kept; the same command goes on from there.\n"
    )
    assert "Traceback" not in text
    kept = {path.name for path in (folder / "runs" / "b" / "episodes").glob("*.parquet")}
    assert kept
    assert all(character.isprintable() or character == "\n" for character in text)
