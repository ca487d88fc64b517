"""Every command of README and of the reference pages runs as printed, with fewer episodes, steps and frames.

The tutorial and the how-to pages run as they are (tests/docs/test_howto.py), docs/in-your-loop.md too
(tests/docs/test_in_your_loop.py), Python blocks in tests/docs/test_docs_run.py.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    path.name: path.read_text(encoding="utf-8")
    for path in sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
    if path.name not in ("tutorial.md", "in-your-loop.md")
}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"^\| `(wsabench [^`]+)` \|", re.MULTILINE)

NOT_HERE = {
    "--device cuda": "needs a GPU",
    "--device auto": "the paper's size takes hours; other trainings run",
    "--launcher slurm": "needs SLURM; tests/cli/test_cli_launcher.py launches the same parts as local processes",
    "--executor ray": "needs Ray; tests/evaluation/test_ray.py plays on it",
    "ray start": "needs Ray",
    "/shared/": "needs a disk that machines share",
    "ppo": "needs Stable-Baselines3; docs/howto/my-sb3-agent.md runs with it",
    "sb3:ckpt": "needs Stable-Baselines3; docs/howto/my-sb3-agent.md runs with it",
    "pip install": "changes the environment; tests/perturb/test_perturb_extensions.py installs it without pip",
    "vignette@3": "is not installed here; tests/perturb/test_perturb_extensions.py plays it",
    "my_agent.toml": "needs an encoder of another package; tests/encoders/test_encoder_extensions.py trains with one",
    "--queue baselines/queue.toml": "takes days; tests/training/test_queue_running.py works through a short one",
    "agents fetch": "needs a server; tests/agents/test_fetching.py has one",
    "make ": "that the target exists is tested below",
}
"""What stands in commands that are not run here, and why."""

SHORTENED = """#!{python}
import re, sys
from wsabench.cli import main

FEWER = {{
    "run": {{"--episodes": "1", "--workers": "1"}},
    "train": {{"--steps": "1024"}},
    "pretrain": {{"--frames": "600", "--stage-steps": "2"}},
    "probe": {{"--frames": "20000"}},
    "verify": {{"--sample": "2"}},
    "record": {{"--max-steps": "20"}},
    "bench": {{"--seconds": "0.05", "--rounds": "1", "--games": "pong"}},
}}
UNLESS_GIVEN = {{
    "run": {{
        "--games": "breakout",
        "--perturbations": "clean,hue-rotate@3",
        "--train-seeds": "0",
        "--protocol": "max_frames=1000",
    }},
    "report": {{"--format": "html,latex"}},
    "probe": {{"--encoders": "ae"}},
}}
words = sys.argv[1:]
if words[0] == "run" and "smoke" in words:
    FEWER["run"], UNLESS_GIVEN["run"] = {{"--workers": "1"}}, {{}}
    words = ["e2e" if word == "wsa,e2e" else word for word in words]
if words[0] == "check":
    FEWER["check"] = {{"--agents": "e2e"}}
if not {{"--dry-run", "--status"}} & set(words):
    for option, value in FEWER.get(words[0], {{}}).items():
        if option in words:
            place = words.index(option) + 1
            words[place] = re.sub(r"=[0-9]+", "=2", words[place]) if "=" in words[place] else value
        else:
            words += [option, value]
    for option, value in UNLESS_GIVEN.get(words[0], {{}}).items():
        words += [] if option in words else [option, value]
sys.exit(main(words))
"""
"""`wsabench`, which plays less than it is told."""

RUNS = {
    "README.md": {"runs/quick": "results/smoke", "runs/new": "results/smoke", "runs/old": "tests/old_results/schema1"},
    "report.md": {f"runs/{name}": "results/smoke" for name in "ab"},
}
"""Result sets that the reader of a page has, and what stands for them."""
BEFORE = {
    "README.md": [
        "wsabench run --agents random,noop --shard 1/2 --out parts/1",
        "wsabench run --agents random,noop --shard 2/2 --out parts/2",
        "wsabench run --suite smoke --agents mine=noop --out runs/mine",
    ],
    "report.md": [
        "wsabench run --agents e2e,random,noop --perturbations clean,hue-rotate@3,value@3 --out runs/quick",
        "cp -r runs/quick runs/many",
    ],
}
"""Commands that a reader has called before."""


def commands(text: str) -> list[str]:
    """Return the command lines of a page, those of its `sh` blocks and then those of its table; a loop is one."""
    lines: list[str] = []
    for kind, block in FENCE.findall(text):
        if kind == "sh":
            whole = block.replace("\\\n", " ")
            lines += [whole] if re.search(r"^(for|#!)", whole, re.M) else whole.splitlines()
    return [line.partition("  #")[0].strip() for line in (*lines, *TABLE.findall(text)) if line.strip()]


def why_not_here(line: str) -> str | None:
    """Return what in a command keeps it from being run here; None for nothing."""
    if "--dry-run" in line or "--status" in line:
        return None
    return next((what for what in NOT_HERE if what in line), None)


RUN_HERE = {name: [line for line in commands(text) if why_not_here(line) is None] for name, text in PAGES.items()}


def files_of(name: str, folder: Path) -> None:
    """Write the files that a page shows, and what stands for the runs that its reader has."""
    shutil.copytree(ROOT / "results", folder / "results")
    (folder / "baselines").symlink_to(ROOT / "baselines")
    blocks = FENCE.findall(PAGES[name])
    shown = {"adding-a-game.md": "games/tennis.toml", "adding-a-perturbation.md": "families/mine.toml"}
    if name in shown:
        path = folder / "own" / shown[name]
        path.parent.mkdir(parents=True)
        path.write_text(next(text for kind, text in blocks if kind == "toml"), encoding="utf-8")
    if name == "evaluating-your-agent.md":
        (module,) = [text for kind, text in blocks if kind == "python" and "def always_right(" in text]
        (folder / "my_module.py").write_text(module.partition("result = ")[0], encoding="utf-8")
    for run, source in RUNS.get(name, {}).items():
        shutil.copytree(ROOT / source, folder / run)


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", [name for name, lines in RUN_HERE.items() if lines])
def test_the_commands_of_a_page_run(name: str, tmp_path: Path) -> None:
    programs, work = tmp_path / "bin", tmp_path / "work"
    programs.mkdir()
    work.mkdir()
    python = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'
    for program, text in {"wsabench": SHORTENED.format(python=sys.executable), "python": python}.items():
        (programs / program).write_text(text)
        (programs / program).chmod(0o755)
    files_of(name, work)
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "WSABENCH_HOME": str(tmp_path / "home"),
        "WSABENCH_PERTURBATIONS": str(work / "own") if (work / "own").is_dir() else "",
        "SLURM_ARRAY_TASK_ID": "1",
    }
    for line in (*BEFORE.get(name, ()), *RUN_HERE[name]):
        print(line, flush=True)  # noqa: T201 - shown by `pytest -s`
        start = time.monotonic()
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        print(f"{time.monotonic() - start:.1f} s", flush=True)  # noqa: T201
        assert done.returncode == 0, f"{name}:\n{line}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


def test_what_is_not_run_has_a_reason_that_still_holds() -> None:
    reasons = {why_not_here(line) for text in PAGES.values() for line in commands(text)} - {None}
    assert reasons == NOT_HERE.keys()
    named = re.findall(r"(?:tests|docs)/[\w/.-]+", " ".join(NOT_HERE.values()))
    assert [path for path in named if not (ROOT / path.rstrip(".")).exists()] == []
    assert sum(map(len, RUN_HERE.values())) > 50


def test_the_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    called = [line.split()[1] for text in PAGES.values() for line in commands(text) if line.startswith("make ")]
    assert len(called) > 5
    assert set(called) <= targets
