"""One short run of a published suite, which the tests of entries share; nobody writes into it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wsabench.cli import main
from wsabench.evaluation import run

AGENTS = ("random", "noop", "e2e", "mine=scripted_policies:sampler")


@pytest.fixture(scope="module", autouse=True)
def _few(few_repetitions: None) -> None:
    """Numbers of this folder's tests rest on few draws; the intervals themselves are tested in tests/stats."""


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All cells of `smoke`, profile quick, in games of 10 steps."""
    path = tmp_path_factory.mktemp("entries") / "run"
    run("smoke", AGENTS, "quick", train_seeds=[0], protocol={"max_frames": 40}, workers=0, out=path)
    return path


@pytest.fixture(scope="session")
def entry_files(run_dir: Path) -> dict[str, Path]:
    """The entry of each agent, as `wsabench submit` writes it."""
    files = {}
    for agent in ("random", "noop", "e2e", "mine"):
        files[agent] = run_dir.parent / f"{agent}.json"
        words = ["submit", str(run_dir), "--agent", agent, "--name", f"The {agent}", "--out", str(files[agent])]
        assert main(words) == 0
    return files


@pytest.fixture
def changed(entry_files: dict[str, Path], tmp_path: Path) -> Callable[..., Path]:
    """Write an entry with something changed in its JSON."""

    def write(change: Callable[[dict[str, Any]], object], agent: str = "e2e") -> Path:
        content = json.loads(entry_files[agent].read_text(encoding="utf-8"))
        change(content)
        path = tmp_path / "changed.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    return write
