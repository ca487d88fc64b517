"""The composite action: its scripts as the runner runs them, with a fake pip and real play."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from action_runner import EXPRESSION, ROOT, Runner, action

pytestmark = pytest.mark.extra
"""PyYAML comes with other extras."""
POLICY = """
import numpy as np

def still(observations):
    return np.zeros(len(observations), dtype=np.int64)

still.version = "1"
"""


def test_no_input_is_pasted_into_a_script() -> None:
    used: set[str] = set()
    for step in action()["runs"]["steps"]:
        assert step["shell"] == "bash"
        assert not EXPRESSION.findall(step["run"]), step["name"]
        for name in step.get("env", {}).values():
            used |= {expression.removeprefix("inputs.") for expression in EXPRESSION.findall(name)}
        assert all(f"${name}" in step["run"] or f"${{{name}" in step["run"] for name in step.get("env", {})), step[
            "name"
        ]
    assert used - {"steps.gate.outputs.outcome"} == action()["inputs"].keys()


@pytest.mark.e2e
def test_it_plays_an_own_policy_gates_and_writes_summary_comment_and_badge(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "my.py").write_text(POLICY, encoding="utf-8")
    runner = Runner(tmp_path)
    agents = "own=my:still\nnobody=noop\n"
    play = {"agents": agents, "games": "breakout", "perturbations": "clean,hue-rotate@3", "python_path": "policies"}
    assert runner.run(**play, workers="1", out="reference", extras="sb3", torch_index="INDEX") == 0, runner.printed
    assert runner.told("outcome") == "played"
    calls = (tmp_path / "pip").read_text(encoding="utf-8").splitlines()
    pinned = f"-m pip install --quiet --disable-pip-version-check --constraint {ROOT}/constraints.txt"
    assert calls == [f"{pinned} --index-url=INDEX --no-deps torch", f"{pinned} -- {ROOT}[sb3]"]
    comment = (tmp_path / "reference" / "comment.md").read_text(encoding="utf-8")
    assert comment.startswith("<!-- wsabench -->\n### wsabench: own and nobody on breakout under hue-rotate@3")
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
    assert "### wsabench: own and nobody on breakout under hue-rotate@3" in summary
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
    import yaml

    workflow: dict[str, Any] = yaml.safe_load(text)
    (step,) = [one for one in workflow["jobs"]["play"]["steps"] if one.get("uses") == "./wsabench"]
    assert step["with"].keys() <= action()["inputs"].keys()
    assert workflow["permissions"] == {"contents": "read"}
    scripts = [one["run"] for job in workflow["jobs"].values() for one in job["steps"] if "run" in one]
    assert not any(EXPRESSION.findall(script) for script in scripts)
