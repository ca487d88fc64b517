"""What a release needs: one version, small rights of the workflows, README that renders away from the checkout."""

from __future__ import annotations

import re
import runpy
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = "https://example.org/somebody/wsabench"
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def workflow(name: str) -> dict[Any, Any]:
    import yaml

    return yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8"))


def test_the_classifiers_are_the_versions_of_the_matrix() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {c.rpartition(" ")[2] for c in project["classifiers"] if c.startswith("Programming Language")}
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert named == {"3.11", "3.12", "3.13"} == set(re.findall(r'python: "(3\.\d+)"', text))
    assert project["requires-python"] == ">=3.11"


def test_readme_and_addresses_lead_to_the_repository(tmp_path: Path) -> None:
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    script = runpy.run_path(str(ROOT / "docs" / "for_index.py"))
    script["main"]([REPOSITORY + "/", "v1.2.3"], tmp_path)
    targets = LINK.findall((tmp_path / "README.md").read_text(encoding="utf-8"))
    assert len(targets) > 20
    for target in targets:
        kind, tag, path = target.removeprefix(REPOSITORY + "/").split("/", 2)
        assert tag == "v1.2.3"
        assert (ROOT / path).exists()
        assert (kind == "raw") == path.endswith(".png")
    urls = tomllib.loads((tmp_path / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    assert urls["Homepage"] == REPOSITORY
    assert all(address.startswith(REPOSITORY) for address in urls.values())


@pytest.mark.parametrize("words", [[], ["https://example.org"], ["ftp://example.org", "v1"], ["https://a\nb", "v1"]])
def test_odd_addresses_are_refused_and_change_nothing(words: list[str], tmp_path: Path) -> None:
    script = runpy.run_path(str(ROOT / "docs" / "for_index.py"))
    with pytest.raises(SystemExit, match="Give the repository's address"):
        script["main"](words, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.extra
@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.name)
def test_workflows_may_read_and_nothing_else(path: Path) -> None:
    found = workflow(path.name)
    assert found["permissions"] == {"contents": "read"}
    for name, job in found["jobs"].items():
        publishes = (path.name, name) == ("publish.yml", "publish")
        assert job.get("permissions") == ({"id-token": "write"} if publishes else None)
        assert job["timeout-minutes"] <= 60
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step), step


@pytest.mark.extra
def test_only_tags_are_published_and_only_what_was_checked() -> None:
    found = workflow("publish.yml")
    assert found[True] == {"push": {"tags": ["v*"]}}  # YAML 1.1 reads `on` as true
    publish = found["jobs"]["publish"]
    assert (publish["needs"], publish["environment"]) == ("build", "pypi")
    assert not any("run" in step for step in publish["steps"]), "no code of the checkout runs with the right to publish"
    assert any("twine check --strict" in step.get("run", "") for step in found["jobs"]["build"]["steps"])


@pytest.mark.extra
def test_the_matrix_has_every_system_and_python() -> None:
    include = workflow("ci.yml")["jobs"]["test"]["strategy"]["matrix"]["include"]
    assert {(one["os"].partition("-")[0], one["python"]) for one in include} == {
        *(("ubuntu", python) for python in ("3.11", "3.12", "3.13")),
        ("macos", "3.11"),
        ("windows", "3.11"),
    }
