"""Every how-to page runs as printed: its files are written, its commands and its Python run, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from wsabench.protocol import PROTOCOLS, Protocol

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "howto"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"\A# (\S+\.(?:py|toml|yml))\n")
SHOWN = re.compile(r"`([\w./-]+\.html)`")
"""A page that a reader is told to open."""
EXTRA = {"my-sb3-agent.md": "stable_baselines3"}
PAGES = sorted(page.name for page in FOLDER.glob("*.md"))
TUTORIAL = "../tutorial.md"
WITH_COMMANDS = [TUTORIAL, *(name for name in PAGES if "```sh" in (FOLDER / name).read_text(encoding="utf-8"))]


def marks_of(name: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.e2e, pytest.mark.extra if name in EXTRA else pytest.mark.slow]


def shown_files(name: str) -> list[str]:
    """Return the paths of pages of HTML that the text between the blocks names."""
    return SHOWN.findall(FENCE.sub("", (FOLDER / name).read_text(encoding="utf-8")))


def run_page(name: str, folder: Path) -> list[str]:
    """Run a page's blocks from top to bottom; return what each printed.

    A block whose first line is a comment with a file's name is written to that file; other Python runs, and so do the
    lines of `sh` blocks, with `wsabench` and `python` those of these tests.
    """
    programs = folder / "bin"
    programs.mkdir()
    for program, words in {"wsabench": "-m wsabench", "python": ""}.items():
        (programs / program).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (programs / program).chmod(0o755)
    work = folder / "work"
    work.mkdir()
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "WSABENCH_HOME": str(folder / "home"),
    }
    printed: list[str] = []
    for kind, block in FENCE.findall((FOLDER / name).read_text(encoding="utf-8")):
        if named := NAMED.match(block):
            path = work / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block, encoding="utf-8")
        elif kind in ("sh", "python"):
            words = ["bash", "-euo", "pipefail", "-c", block] if kind == "sh" else [sys.executable, "-c", block]
            done = subprocess.run(
                words, cwd=work, env=environment, capture_output=True, text=True, timeout=800, check=False
            )
            assert done.returncode == 0, f"{name}:\n{block}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
            printed.append(done.stdout + done.stderr)
    return printed


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("name", [pytest.param(name, marks=marks_of(name)) for name in WITH_COMMANDS])
def test_a_page_runs_as_printed(name: str, tmp_path: Path) -> None:
    printed = run_page(name, tmp_path)
    assert len(printed) >= (1 if name == "my-cleanrl-agent.md" else 2)
    if name == "my-own-network.md":
        assert "mine, version '1': 4 finished jobs kept" in " ".join(printed[1].split())
    for path in shown_files(name):
        assert (tmp_path / "work" / path).is_file(), f"{name} tells to open {path}"


@pytest.mark.parametrize("name", WITH_COMMANDS)
def test_a_report_that_a_page_opens_has_the_name_of_reports(name: str) -> None:
    assert {Path(path).name for path in shown_files(name) if "report" in path} <= {"report.html"}


def test_the_table_of_protocols_is_that_of_the_code() -> None:
    text = (FOLDER / "train-so-that-it-matches.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    assert [name.strip("`") for name in rows[0][1:]] == list(PROTOCOLS)
    shown = {row[0].split("`")[1]: row[1:] for row in rows[2:] if len(row) == 1 + len(PROTOCOLS)}
    for field, default in Protocol().to_dict().items():
        values = [getattr(Protocol.named(name), field) for name in PROTOCOLS]
        assert (field in shown) == (len(set(values)) > 1), field
        if field in shown:
            words = [f"{value:g}" if isinstance(default, float) else str(value).lower() for value in values]
            assert shown[field] == words, field


def test_every_page_is_listed() -> None:
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert [name for name in PAGES if f"(howto/{name})" not in text] == []
