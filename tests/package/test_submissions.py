"""The workflow that verifies submissions gives foreign code no secrets and no rights; the form fits the suites."""

from __future__ import annotations

import re
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


def test_every_submitted_entry_is_looked_at() -> None:
    content = read(WORKFLOW)
    assert content["on"]["pull_request"]["paths"] == ["results/leaderboard/*.json"]
    (found,) = (step["run"] for step in content["jobs"]["verify"]["steps"] if step.get("name") == "Find the entries")
    assert "HEAD^1 HEAD -- 'results/leaderboard/*.json'" in found


def test_the_form_offers_the_suites_that_there_are() -> None:
    fields = {field["id"]: field for field in read(FORM)["body"] if "id" in field}
    assert sorted(fields["suite"]["attributes"]["options"]) == sorted(list_suites())
    assert fields["checkpoint"]["validations"]["required"]
