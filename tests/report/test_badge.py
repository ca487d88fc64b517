"""Badges and the text for pull requests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from result_fixture import CELLS, write_result_set

from wsabench.cli import main
from wsabench.gate.outcome import CheckResult
from wsabench.report import write_report
from wsabench.report.badge import GREEN, GREY, RED, Badge, badge_svg, check_badge
from wsabench.report.page import comment_text, content_of
from wsabench.results.result import load_result
from wsabench.summary.summarise import summarise

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str | None]:
    return [one.text for one in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_a_badge_is_whole_svg_with_escaped_text_that_fits_its_halves() -> None:
    svg = badge_svg(Badge("a & b", "<script>", GREEN, 'say "hi"'))
    assert texts(svg) == ["a & b", "<script>"]
    root = ElementTree.fromstring(svg)
    left, right = (int(one.get("textLength", "0")) for one in root.iter(f"{SVG}text"))
    assert int(root.get("width", "0")) == left + right + 4 * 6
    assert right > left


@pytest.mark.parametrize(
    ("code", "value", "color"), [(0, "passed", GREEN), (1, "less robust", RED), (2, "cannot tell", GREY)]
)
def test_the_badge_of_a_check_is_its_exit_code(
    code: int, value: str, color: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CheckResult, "exit_code", code)
    badge = check_badge(CheckResult("run", "reference", 0.2, 0.05, False, (), (), ()))
    assert (badge.value, badge.color) == (value, color)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_result_set(tmp_path_factory.mktemp("badge") / "run", cells=CELLS[:3])


def test_a_report_writes_comment_and_badge_where_they_are_named(run_dir: Path, tmp_path: Path) -> None:
    files = write_report(run_dir, out=tmp_path, formats=["comment", "badge"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["badge.svg", "comment.md"]
    assert files.comment is not None
    assert files.badge is not None
    rows = [one for one in summarise(load_result(run_dir)).measures if one.perturbation == "all perturbations"]
    kept = ", ".join(
        f"{one.agent} keeps {one.retention.value:.2f} (capped {one.capped_retention.value:.2f}, "
        f"{100 * one.lost_share:.0f}% of cells lost)"
        for one in rows
    )
    assert texts(files.badge.read_text(encoding="utf-8"))[1] == kept
    text = files.comment.read_text(encoding="utf-8")
    assert text.startswith("### wsabench: ")
    assert "#### Retention by agent" in text
    assert "| hue-rotate@3 |" in text


def test_a_comment_stays_below_what_a_pull_request_takes(run_dir: Path) -> None:
    result = load_result(run_dir)
    content = content_of(summarise(result), result.manifest)
    table = content.tables_of["families"][0]
    long = content._replace(tables_of={**content.tables_of, "families": (replace(table, rows=table.rows * 2000),)})
    text = comment_text(long)
    assert len(text) <= 50_000
    assert f"{table.title}: too long for a comment; the report has it." in text


def test_check_writes_a_badge(tmp_path: Path) -> None:
    smoke = str(Path(__file__).resolve().parents[2] / "results" / "smoke")
    assert main(["check", smoke, "--against", smoke, "--badge", str(tmp_path / "gate.svg")]) == 0
    assert texts((tmp_path / "gate.svg").read_text(encoding="utf-8")) == ["robustness", "passed"]
