"""The composite action: its scripts as the runner runs them, with a fake pip and real play."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).resolve().parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = ACTION["runs"]["steps"]
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
POLICY = """
import numpy as np

def still(observations):
    return np.zeros(len(observations), dtype=np.int64)

still.version = "1"
"""
PIP = """#!/bin/sh
if [ "$2" = pip ]; then echo "$@" >> "$PIP_CALLS"; else exec {python} "$@"; fi
"""


class Runner:
    """Runs the steps of the action one after the other, and stops at the first that fails."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.outputs: dict[str, dict[str, str]] = {}
        self.printed = ""
        (folder / "policies").mkdir()
        (folder / "policies" / "my.py").write_text(POLICY, encoding="utf-8")
        self.python = folder / "python"
        self.python.write_text(PIP.format(python=shlex.quote(sys.executable)), encoding="utf-8")
        self.python.chmod(0o755)
        self.summary = folder / "summary"

    def value(self, text: str, inputs: dict[str, str]) -> str:
        """Fill in expressions as the runner does."""

        def meaning(match: re.Match[str]) -> str:
            kind, *rest = match[1].split(".")
            if kind == "inputs":
                return inputs[rest[0]]
            assert (kind, rest[1]) == ("steps", "outputs")
            return self.outputs[rest[0]].get(rest[2], "")

        return EXPRESSION.sub(meaning, text)

    def run(self, **given: str) -> int:
        """Run the action; return the exit code of the step that failed, or 0."""
        given = {name.replace("_", "-"): value for name, value in given.items()}
        inputs = {name: given.pop(name, str(one.get("default", ""))) for name, one in ACTION["inputs"].items()}
        assert not given
        inputs["python"] = str(self.python)
        self.summary.unlink(missing_ok=True)
        for step in STEPS:
            output = self.folder / "output"
            output.write_text("", encoding="utf-8")
            environment = {
                **{name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")},
                "PYTHONPATH": str(ROOT),
                "PIP_CALLS": str(self.folder / "pip"),
                "GITHUB_ACTION_PATH": str(ROOT),
                "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(self.summary),
                **{name: self.value(text, inputs) for name, text in step.get("env", {}).items()},
            }
            command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]]
            done = subprocess.run(
                command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=240, check=False
            )
            self.printed += done.stdout + done.stderr
            if "id" in step:
                lines = output.read_text(encoding="utf-8").splitlines()
                self.outputs[step["id"]] = dict(line.split("=", 1) for line in lines)
            if done.returncode:
                return done.returncode
        return 0

    def told(self, name: str) -> str:
        """Return an output of the action."""
        return self.value(ACTION["outputs"][name]["value"], {})


def test_no_input_is_pasted_into_a_script() -> None:
    used: set[str] = set()
    for step in STEPS:
        assert step["shell"] == "bash"
        assert not EXPRESSION.findall(step["run"]), step["name"]
        for name in step.get("env", {}).values():
            used |= {expression.removeprefix("inputs.") for expression in EXPRESSION.findall(name)}
        assert all(f"${name}" in step["run"] or f"${{{name}" in step["run"] for name in step.get("env", {})), step[
            "name"
        ]
    assert used - {"steps.gate.outputs.outcome"} == ACTION["inputs"].keys()


@pytest.mark.e2e
def test_it_plays_an_own_policy_gates_and_writes_summary_comment_and_badge(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    agents = "own=my:still\nnobody=noop\n"
    play = {"agents": agents, "games": "breakout", "perturbations": "clean,hue-rotate@3", "python_path": "policies"}
    assert runner.run(**play, workers="1", out="reference", extras="sb3", torch_index="INDEX") == 0, runner.printed
    assert runner.told("outcome") == "played"
    calls = (tmp_path / "pip").read_text(encoding="utf-8").splitlines()
    pinned = f"-m pip install --quiet --disable-pip-version-check --constraint {ROOT}/constraints.txt"
    assert calls == [f"{pinned} --index-url=INDEX --no-deps torch", f"{pinned} -- {ROOT}[sb3]"]
    comment = (tmp_path / "reference" / "comment.md").read_text(encoding="utf-8")
    assert comment.startswith("<!-- wsabench -->\n### wsabench: smoke, profile quick")
    assert "| hue-rotate@3 |" in comment
    assert runner.summary.read_text(encoding="utf-8") in comment
    badge = ElementTree.parse(tmp_path / runner.told("badge")).getroot()
    assert badge.tag == "{http://www.w3.org/2000/svg}svg"
    assert "robustness: smoke" in [text.text for text in badge.iter("{http://www.w3.org/2000/svg}text")]

    # The gate cannot tell: these agents score nothing, so there is nothing to lose.
    assert runner.run(**play, workers="1", out="second run", install="none", against="reference/run") == 2
    assert runner.told("outcome") == "cannot-tell"
    assert len((tmp_path / "pip").read_text(encoding="utf-8").splitlines()) == 2
    assert runner.told("comment") == "second run/comment.md"
    summary = (tmp_path / "second run" / "summary.md").read_text(encoding="utf-8")
    assert summary.startswith("## Robustness gate: cannot tell")
    assert "### wsabench: smoke, profile quick" in summary
    assert runner.summary.read_text(encoding="utf-8") == summary
    assert "cannot tell" in (tmp_path / runner.told("badge")).read_text(encoding="utf-8")
    assert ElementTree.parse(tmp_path / runner.told("junit")).getroot().tag == "testsuites"


@pytest.mark.e2e
def test_what_looks_like_a_script_stays_text(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    agents = '$(touch stolen); `touch stolen`\n"; touch stolen; "\n--trust'
    assert runner.run(agents=agents, install="none", out="$(touch stolen)") == 2
    assert not (tmp_path / "stolen").exists()
    assert "touch stolen" in runner.printed


def test_the_example_uses_inputs_that_there_are() -> None:
    text = (ROOT / "examples" / "github-actions-own-agent.yml").read_text(encoding="utf-8")
    workflow: dict[str, Any] = yaml.safe_load(text)
    (step,) = [one for one in workflow["jobs"]["play"]["steps"] if one.get("uses") == "./wsabench"]
    assert step["with"].keys() <= ACTION["inputs"].keys()
    assert workflow["permissions"] == {"contents": "read"}
    scripts = [one["run"] for job in workflow["jobs"].values() for one in job["steps"] if "run" in one]
    assert not any(EXPRESSION.findall(script) for script in scripts)
