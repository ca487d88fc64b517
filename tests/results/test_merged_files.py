"""Several result sets written as one: to the bit, duplicates once, what is missing named, nothing half done."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace
from result_fixture import edit_manifest, with_ledger, write_result_set

from wsabench.cli import main
from wsabench.errors import ResultSetError, StorageError
from wsabench.results import load_result
from wsabench.results.manifest import manifest_text, read_manifest
from wsabench.results.merged_files import write_merged

CELLS = (("clean", None), ("hue-rotate", 3), ("invert", None))
FOLDERS = ("episodes", "attention", "frames")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_result_set(tmp_path_factory.mktemp("whole") / "run", cells=CELLS, episodes=4)


def part_of(whole: Path, path: Path, index: int, number: int) -> Path:
    """Write the part that a task of a job array would have: its jobs, all pictures, the whole plan."""
    shutil.copytree(whole, path)
    found = read_manifest(path)
    for place, job in enumerate(found.plan.jobs):
        if place % number != index - 1:
            for folder in ("episodes", "attention"):
                (path / folder / job.file).unlink(missing_ok=True)
    starts = tuple(replace(start, shard=f"{index}/{number}") for start in found.history.starts)
    text = manifest_text(replace(found, history=replace(found.history, starts=starts)))
    (path / "manifest.json").write_text(text, encoding="utf-8")
    return with_ledger(path)


def files_of(path: Path) -> dict[str, bytes]:
    return {f"{folder}/{one.name}": one.read_bytes() for folder in FOLDERS for one in (path / folder).iterdir()}


def test_parts_make_the_undivided_run(whole: Path, tmp_path: Path) -> None:
    parts = [part_of(whole, tmp_path / f"part{index}", index, 3) for index in (3, 1, 2)]
    done = write_merged(parts, tmp_path / "out")
    assert done.is_complete
    assert files_of(tmp_path / "out") == files_of(whole)
    merged, undivided = load_result(tmp_path / "out"), load_result(whole)
    assert merged.has_ledger
    pd.testing.assert_frame_equal(merged.episodes, undivided.episodes, check_exact=True)
    pd.testing.assert_frame_equal(merged.attention, undivided.attention, check_exact=True)
    assert merged.manifest.plan == undivided.manifest.plan
    history = merged.manifest.history
    assert [one.name for one in history.merged_from] == ["part3", "part1", "part2"]
    assert [one.starts[0].shard for one in history.merged_from] == ["3/3", "1/3", "2/3"]
    assert history.shards == ()
    assert not (tmp_path / "out" / "claims").exists()


def test_equal_duplicates_are_kept_once_and_what_is_missing_is_named(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = part_of(whole, tmp_path / "part", 1, 2)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".keep").touch()
    assert main(["merge", str(part), str(part), "--out", str(tmp_path / "out"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["complete"], told["finished"], told["jobs"]) == (False, 6, 12)
    jobs = read_manifest(whole).plan.jobs[1::2]
    assert [(one["agent"], one["train_seed"], one["perturbation"]) for one in told["missing"]] == [
        (job.agent, job.train_seed, job.perturbation) for job in jobs
    ]
    assert len(load_result(tmp_path / "out").episodes) == 6 * 4

    assert main(["merge", str(part), "--out", str(tmp_path / "again")]) == 0
    shown = capsys.readouterr().out
    assert "6 of 12 jobs" in shown
    assert f"{jobs[0].id.describe()}, {jobs[0].perturbation}" in shown
    assert all(len(line) <= 80 for line in shown.splitlines() if str(tmp_path) not in line)


def test_a_table_packed_otherwise_is_equal(whole: Path, tmp_path: Path) -> None:
    other = shutil.copytree(whole, tmp_path / "other")
    for path in (other / "episodes").iterdir():
        pq.write_table(pq.read_table(path), path, compression="gzip")
    write_merged([whole, with_ledger(other)], tmp_path / "out")
    assert files_of(tmp_path / "out") == files_of(whole)


@pytest.mark.parametrize(("folder", "column", "step"), [("episodes", "length", 1), ("attention", "sd", 1e-12)])
def test_unequal_duplicates_are_refused_by_name(
    whole: Path, tmp_path: Path, folder: str, column: str, step: float
) -> None:
    other = shutil.copytree(whole, tmp_path / "other")
    path = sorted((other / folder).iterdir())[-1]
    table = pq.read_table(path)
    place, values = table.schema.get_field_index(column), table.column(column).to_pandas().copy()
    values[0] += step
    changed = table.set_column(place, table.schema.field(column), [values])
    pq.write_table(changed, path)
    with pytest.raises(ResultSetError, match=rf"is not the same in .*{folder}/{path.name} differs"):
        write_merged([whole, with_ledger(other)], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_runs_that_do_not_fit_are_refused(whole: Path, tmp_path: Path) -> None:
    other = shutil.copytree(whole, tmp_path / "other")
    with_ledger(edit_manifest(other, lambda content: content["plan"].update(engine_version=99)))
    with pytest.raises(ResultSetError, match="cannot be combined: engine version"):
        write_merged([whole, other], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_runs_of_other_agents_go_together(tmp_path: Path) -> None:
    halves = [write_result_set(tmp_path / agent, cells=CELLS, episodes=4, agents=(agent,)) for agent in ("wsa", "e2e")]
    done = write_merged(halves, tmp_path / "out")
    assert (done.num_jobs, done.is_complete) == (12, True)
    assert {entry.agent for entry in load_result(done.path).manifest.plan.agents} == {"wsa", "e2e"}


def test_a_directory_with_something_in_it_is_left_alone(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("text", encoding="utf-8")
    with pytest.raises(ResultSetError, match=r"is not empty \(thesis.txt\)"):
        write_merged([whole], tmp_path)
    with pytest.raises(StorageError, match="is a file"):
        write_merged([whole], tmp_path / "thesis.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_damaged_picture_leaves_nothing(whole: Path, tmp_path: Path) -> None:
    other = with_ledger(shutil.copytree(whole, tmp_path / "other"))
    next((other / "frames").iterdir()).write_bytes(b"damaged")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".keep").touch()
    with pytest.raises(ResultSetError, match=r"frames/.* is damaged"):
        write_merged([other], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".keep"]


def test_reports_and_checks_say_that_a_part_is_a_part(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = part_of(whole, tmp_path / "part", 2, 2)
    assert main(["report", str(part), "--format", "md"]) in (0, 2)
    text = capsys.readouterr().err + "".join(path.read_text() for path in (part / "report").glob("*.md"))
    assert "only part 2/2 of its plan: put all parts together with `wsabench merge" in text
    assert main(["check", str(part), "--against", str(whole)]) == 2
    shown = " ".join(capsys.readouterr().err.split())
    assert "6 of 12 jobs; it is only part 2/2 of its plan" in shown
