"""Result sets of earlier layouts: brought over without a changed shard, and what may be done with them afterwards."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from result_fixture import change_manifest, changed

from wsabench.cli import main
from wsabench.errors import ResultSetError
from wsabench.gate.check import check_runs
from wsabench.report import write_report
from wsabench.results import load_result, migration
from wsabench.results.manifest import UNKNOWN, read_manifest
from wsabench.results.merging import load_results
from wsabench.results.migration import migrate
from wsabench.results.provenance import this_start
from wsabench.results.store import ResultStore, check_same_run

ROOT = Path(__file__).resolve().parents[2]
OLD = ROOT / "tests" / "old_results" / "schema1"
"""Cut from a run of the suite `smoke` of that time: two agents, two cells, one picture."""


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return migrate(OLD, tmp_path / "new").path


def files(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def edited(tmp_path: Path, **changes: Any) -> Path:
    """A copy of the old set with other entries; those that are None are left out."""
    path = tmp_path / "old"
    shutil.copytree(OLD, path)
    content = json.loads((path / "manifest.json").read_text(encoding="utf-8")) | changes
    kept = {key: value for key, value in content.items() if value is not None}
    (path / "manifest.json").write_text(json.dumps(kept), encoding="utf-8")
    return path


def test_everything_but_the_manifest_is_the_same_to_the_byte(new: Path) -> None:
    before, after = files(OLD), files(new)
    (ledger,) = after.keys() - before.keys()
    assert before.keys() < after.keys()
    assert ledger.startswith("ledger/")
    assert [name for name in before if before[name] != after[name]] == ["manifest.json"]


def test_nothing_of_the_old_manifest_is_lost(new: Path) -> None:
    old = json.loads((OLD / "manifest.json").read_text(encoding="utf-8"))
    content = json.loads((new / "manifest.json").read_text(encoding="utf-8"))
    plan, history = content["plan"], content["history"]
    same = {key for key, value in old.items() if plan.get(key, ...) == value}
    assert old.keys() - same == {
        *("schema_version", "agents", "versions", "suite"),
        *("host", "git", "command_line", "start", "end", "resumed"),
    }
    assert plan["suite"] == {**old["suite"], "measure": "retention"}
    (start,) = history["starts"]
    assert start == {key: old[key] for key in ("start", "end", "command_line", "git", "host", "versions")}
    for before, after in zip(old["agents"], plan["agents"], strict=True):
        assert {**before, "agent": before["name"], "own_play": None} == {**after, "name": after["agent"]}
    (step,) = history["migrated_from"]
    assert step["schema_version"] == 1
    assert step["fingerprints"] == {job["file"]: job["fingerprint"] for job in old["jobs"]}


def test_versions_that_were_never_recorded_are_unknown(new: Path) -> None:
    versions = load_result(new).manifest.plan.versions
    assert versions["numba"] == UNKNOWN
    assert versions["ale-py"] == "0.12.1"


def test_it_is_reported_is_a_reference_and_merges(new: Path, tmp_path: Path) -> None:
    assert load_result(new).is_complete
    page = write_report(new, tmp_path / "report", formats=("md",)).markdown
    assert page is not None
    assert "--suite smoke --agents wsa,e2e --episodes 20" in page.read_text()
    assert check_runs(new, new).passed
    other = shutil.copytree(new, tmp_path / "other")
    change_manifest(other, versions={**read_manifest(other).plan.versions, "numba": "0.68.1"})
    assert load_results([new, other]).is_complete


def test_no_run_goes_on_in_it_and_the_reason_is_said(new: Path) -> None:
    before = files(new)
    manifest = read_manifest(new)
    now = changed(manifest, versions={**manifest.plan.versions, "numba": "0.68.1"})
    message = "the numba version is not recorded there, so new episodes might not be like the old ones"
    with ResultStore(new) as store, pytest.raises(ResultSetError, match=message):
        store.begin(now)
    assert files(new) == before


def test_where_all_was_recorded_a_run_goes_on(tmp_path: Path) -> None:
    old = json.loads((OLD / "manifest.json").read_text(encoding="utf-8"))
    path = edited(tmp_path, versions={**old["versions"], "numba": "0.68.1"})
    done = migrate(path, tmp_path / "new")
    assert done.unrecorded == ()
    manifest = read_manifest(done.path)
    with ResultStore(done.path) as store:
        begun = store.begin(changed(manifest, start=this_start().start))
    assert len(begun.history.starts) == 2
    assert begun.history.migrated_from == manifest.history.migrated_from


def test_every_start_is_kept_and_the_end_is_that_of_the_last(tmp_path: Path) -> None:
    old = json.loads((OLD / "manifest.json").read_text(encoding="utf-8"))
    again = {key: old[key] for key in ("start", "command_line", "git", "host")} | {"start": "2026-11-27T00:00:00+00:00"}
    first, second = read_manifest(migrate(edited(tmp_path, resumed=[again]), tmp_path / "new").path).history.starts
    assert (first.start, first.end) == (old["start"], None)
    assert (second.start, second.end) == (again["start"], old["end"])
    assert set(second.versions.values()) == {UNKNOWN}


def test_what_the_first_versions_did_not_write_is_empty(tmp_path: Path) -> None:
    agents = json.loads((OLD / "manifest.json").read_text(encoding="utf-8"))["agents"]
    for entry in agents:
        del entry["inputs"], entry["privileged"]
    missing = dict.fromkeys(("perturbation_hashes", "misfits", "skipped", "resumed"))
    plan = read_manifest(migrate(edited(tmp_path, agents=agents, **missing), tmp_path / "new").path).plan
    assert (plan.perturbation_hashes, plan.misfits, plan.skipped) == ({}, {}, ())
    assert {(one.inputs, one.privileged) for one in plan.agents} == {((), False)}
    with pytest.raises(ResultSetError, match="has no perturbation hashes"):
        check_runs(tmp_path / "new", tmp_path / "new")


@pytest.mark.parametrize("name", ["old", "it's old"])
def test_reading_it_directly_prints_a_command_that_works(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shutil.copytree(OLD, tmp_path / name)
    assert main(["report", str(path)]) == 2
    command = shlex.split(capsys.readouterr().err.rpartition(": ")[2])
    assert command[:2] == ["wsabench", "migrate"]
    assert main(command[1:]) == 0
    printed = capsys.readouterr().out
    assert "Copied to the byte: 7 files (shards and pictures)" in printed
    assert "The version of numba was not recorded" in printed
    assert load_result(command[-1]).is_complete


def test_the_command_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", str(OLD), "--out", str(tmp_path / "new"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {
        "path": str(tmp_path / "new"),
        "from_version": 1,
        "schema_version": 2,
        "num_files": 7,
        "unrecorded": ["numba"],
    }


def test_what_is_there_is_never_overwritten(new: Path, tmp_path: Path) -> None:
    before = files(tmp_path)
    with pytest.raises(ResultSetError, match=r"new exists and is not empty\. Give --out"):
        migrate(OLD, new)
    with pytest.raises(ResultSetError, match="has schema version 2 and a ledger already"):
        migrate(new, tmp_path / "newer")
    assert files(tmp_path) == before
    (tmp_path / "empty").mkdir()
    assert load_result(migrate(OLD, tmp_path / "empty").path).is_complete


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 7}, r"has schema version 7\. Allowed: 1, 2"),
        ({"engine_version": None}, r"manifest\.json is damaged: .*'engine_version'"),
        ({"agents": "wsa"}, r"manifest\.json is damaged: .* of another type"),
        ({"jobs": [{"file": "f", "fingerprint": "f"}]}, r"missing required field `agent` - at `\$\.plan\.jobs\[0\]`"),
        ({"episodes": 3}, r"holds 20 episodes; the manifest says 3"),
    ],
)
def test_a_damaged_old_set_is_refused_and_nothing_is_written(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = edited(tmp_path, **changes)
    with pytest.raises(ResultSetError, match=message):
        migrate(path, tmp_path / "new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["old"]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(migration.shutil, "copyfile", full)
    with pytest.raises(Exception, match="No space left on device"):
        migrate(OLD, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["smoke", "color-shift-quick"])
def test_shipped_result_sets_are_of_the_present_layout_and_complete(name: str) -> None:
    assert load_result(ROOT / "results" / name).is_complete


def test_a_set_that_was_brought_over_is_not_gone_on_with(new: Path) -> None:
    result = load_result(new)
    assert [one.schema_version for one in result.manifest.history.migrated_from] == [1]
    now = changed(result.manifest, versions={**result.manifest.plan.versions, "numba": "0.68.1"})
    with pytest.raises(ResultSetError, match="numba version is not recorded there"):
        check_same_run(result.manifest, now, result.path)
