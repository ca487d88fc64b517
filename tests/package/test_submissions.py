"""The workflow that verifies submissions gives foreign code no secrets and no rights; the form fits the suites."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wsabench.perturb import list_suites

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / ".github/workflows/verify-submission.yml"
FORM = ROOT / ".github/ISSUE_TEMPLATE/submission.yml"

pytestmark = pytest.mark.extra  # PyYAML comes with the extras


def read(path: Path) -> dict[str, Any]:
    import yaml

    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    # YAML 1.1 takes the key `on` for true.
    return {"on" if key is True else key: value for key, value in content.items()}


def test_foreign_code_has_no_secrets_and_may_only_read() -> None:
    content, text = read(WORKFLOW), WORKFLOW.read_text(encoding="utf-8")
    assert set(content["on"]) == {"pull_request"}
    assert content["permissions"] == {"contents": "read"}
    assert "secrets." not in text
    assert "pull_request_target" not in text
    assert "workflow_run" not in text
    for job in content["jobs"].values():
        assert "permissions" not in job
        assert "secrets" not in job
        assert job["timeout-minutes"] <= 60


def test_no_token_stays_in_a_checkout_and_the_judge_is_the_base_branch() -> None:
    steps = read(WORKFLOW)["jobs"]["verify"]["steps"]
    checkouts = {step["with"]["path"]: step["with"] for step in steps if "checkout" in step.get("uses", "")}
    assert all(options["persist-credentials"] is False for options in checkouts.values())
    assert checkouts["bench"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    (install,) = (step["run"] for step in steps if step.get("name") == "Install")
    assert "./bench" in install
    assert "submission" not in install


def test_nothing_of_the_pull_request_becomes_a_command() -> None:
    runs = [step["run"] for step in read(WORKFLOW)["jobs"]["verify"]["steps"] if "run" in step]
    assert runs
    assert not any("${{" in run for run in runs)
    (played,) = (run for run in runs if "wsabench verify" in run)
    assert re.findall(r"\$(?:file|entry|checkpoint)\b", played)
    unquoted = re.findall(r'(?<!")\$(?:file|entry|checkpoint)\b', played.replace('"submission/$entry"', '"$entry"'))
    assert unquoted == []


WSABENCH = """#!/bin/sh
printf '%s\\n' "$*" >> "$CALLS"
echo "played $2"
case "$2" in *differs*) exit 1 ;; *broken*) exit 2 ;; esac
"""


def test_each_entry_is_played_whatever_the_others_are(tmp_path: Path) -> None:
    """The shell of the workflow as its runner starts it: spaces in names, no JSON, texts that look like commands."""
    steps = {step.get("name"): step for step in read(WORKFLOW)["jobs"]["verify"]["steps"]}
    submission = tmp_path / "submission"
    folder = submission / "results" / "leaderboard"
    folder.mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "wsabench").write_text(WSABENCH, encoding="utf-8")
    (tmp_path / "bin" / "wsabench").chmod(0o755)
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    environment = {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "CALLS": str(tmp_path / "calls"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "HOME": str(tmp_path),
    }

    def git(*words: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *words], cwd=submission, env=environment, check=True, capture_output=True)

    def step(name: str, where: Path) -> subprocess.CompletedProcess[str]:
        words = ["bash", "-e", "-c", steps[name]["run"]]
        return subprocess.run(words, cwd=where, env=environment, capture_output=True, text=True, check=False)

    git("init", "-q")
    (folder / "old.json").write_text("{}", encoding="utf-8")
    git("add", ".")
    git("commit", "-qm", "base")
    texts = {
        "a broken one.json": "{",
        "b.json": json.dumps({"checkpoint": None}),
        "c differs.json": json.dumps({"checkpoint": "hf:me/mine; touch stolen"}),
        "d $(touch stolen).json": json.dumps({"checkpoint": "$(touch stolen)"}),
        "e.json": json.dumps({"checkpoint": ["--trust"]}),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    git("add", ".")
    git("commit", "-qm", "submission")

    assert step("Find the entries", submission).returncode == 0
    played = step("Play a sample of each entry again", tmp_path)
    assert played.returncode == 1
    calls = (tmp_path / "calls").read_text(encoding="utf-8").splitlines()
    head = "verify submission/results/leaderboard"
    assert calls == [
        f"{head}/a broken one.json --sample 20",
        f"{head}/b.json --sample 20",
        f"{head}/c differs.json --sample 20 --checkpoint hf:me/mine; touch stolen --allow-download --trust",
        f"{head}/d $(touch stolen).json --sample 20",
        f"{head}/e.json --sample 20",
    ]
    assert not list(tmp_path.rglob("stolen"))
    summary = (tmp_path / "summary").read_text(encoding="utf-8")
    assert [line.rpartition(": ")[2] for line in summary.splitlines() if line.startswith("###")] == [
        "exit code 2",
        "exit code 0",
        "exit code 1",
        "exit code 0",
        "exit code 0",
    ]


def test_every_submitted_entry_is_looked_at() -> None:
    content = read(WORKFLOW)
    assert content["on"]["pull_request"]["paths"] == ["results/leaderboard/*.json"]
    (found,) = (step["run"] for step in content["jobs"]["verify"]["steps"] if step.get("name") == "Find the entries")
    assert "HEAD^1 HEAD -- 'results/leaderboard/*.json'" in found


def test_the_form_offers_the_suites_that_there_are() -> None:
    fields = {field["id"]: field for field in read(FORM)["body"] if "id" in field}
    assert sorted(fields["suite"]["attributes"]["options"]) == sorted(list_suites())
    assert fields["checkpoint"]["validations"]["required"]
