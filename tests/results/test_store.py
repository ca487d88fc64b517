"""Shards, the manifest, and what a result directory refuses."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_jobs import ENCODERS, JOBS, SEEDS, manifest
from msgspec.structs import replace
from result_fixture import VERSIONS, agent_entry, change_manifest, edit_manifest, with_ledger

from wsabench.errors import ResultSetError, StorageError
from wsabench.protocol import Protocol
from wsabench.results import Job, load_result
from wsabench.results import store as store_module
from wsabench.results.manifest import UNKNOWN, SuiteEntry
from wsabench.results.provenance import UNHASHED
from wsabench.results.records import EpisodeOutcome, EpisodeSteps, attention_sums
from wsabench.results.store import ResultStore
from wsabench.results.tables import episode_keys, has_starts


def outcomes(index: int) -> list[EpisodeOutcome]:
    weights = np.array([[0.5, 0.5], [1.0, 0.0]])
    return [
        EpisodeOutcome(index, 1, 7.5, 30, "stalled", attention_sums(weights), noops=0, action_hash="b"),
        EpisodeOutcome(index, 0, -1.0, 10, "game_over", attention_sums(weights[:1]), noops=17, action_hash="a"),
    ]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return write_whole_run(tmp_path / "results")


def write_whole_run(path: Path) -> Path:
    with ResultStore(path) as store:
        store.write_manifest(store.begin(manifest()))
        for index, job in enumerate(JOBS):
            store.write_job(job, outcomes(index), ENCODERS)
    return path


def test_what_is_written_is_read_back(written: Path) -> None:
    result = load_result(written)
    assert result.is_complete
    assert list(result.episodes["perturbation"]) == ["clean", "clean", "hue-rotate", "hue-rotate"]
    assert list(result.episodes["episode"]) == [0, 1, 0, 1]
    assert list(result.episodes["return"]) == [-1.0, 7.5, -1.0, 7.5]
    assert list(result.episodes["episode_seed"]) == [*SEEDS, *SEEDS]
    assert list(result.episodes["end"]) == ["game_over", "stalled"] * 2
    assert list(result.episodes["noops"]) == [17, 0, 17, 0]
    assert list(result.episodes["action_hash"]) == ["a", "b", "a", "b"]
    assert result.episodes["severity"].isna().tolist() == [True, True, False, False]
    assert str(result.episodes["severity"].dtype) == "Int64"
    assert result.episodes["return"].dtype == np.float64
    assert result.episodes["length"].dtype == np.int64
    assert not list(written.rglob("*.tmp"))


def test_attention_is_taken_over_all_steps_of_all_episodes(written: Path) -> None:
    # Steps: (0.5, 0.5) in episode 0; (0.5, 0.5) and (1, 0) in episode 1. Means 2/3 and 1/3.
    # Variance of (0.5, 0.5, 1) is 1/18 for both encoders. Entropies: log 2, log 2, 0.
    table = load_result(written).attention
    rows = table[table["perturbation"] == "clean"]
    assert list(rows["encoder"]) == list(ENCODERS)
    assert rows["mean"].to_numpy() == pytest.approx([2 / 3, 1 / 3])
    assert rows["sd"].to_numpy() == pytest.approx([np.sqrt(1 / 18)] * 2)
    assert rows["entropy"].to_numpy() == pytest.approx([2 * np.log(2) / 3] * 2)
    assert list(rows["num_steps"]) == [3, 3]


def test_an_unfinished_run_has_the_rows_it_has(written: Path) -> None:
    (written / "episodes" / f"{JOBS[0].key}.parquet").unlink()
    result = load_result(written)
    assert not result.is_complete
    assert result.num_finished == 1
    assert set(result.attention["perturbation"]) == {"hue-rotate"}


def test_a_finished_job_is_known_by_its_fingerprint(written: Path) -> None:
    other = Job("wsa", 0, "breakout", "clean", "clean", None, SEEDS, "other")
    with ResultStore(written) as store:
        store.begin(manifest())
        assert store.is_finished(JOBS[0])
        assert not store.is_finished(other)


def test_a_job_is_finished_when_all_its_shards_are(written: Path) -> None:
    shard = written / "attention" / f"{JOBS[0].key}.parquet"
    with ResultStore(written) as store:
        store.begin(manifest())
        assert store.is_finished(JOBS[0], ENCODERS)
        shard.write_bytes(shard.read_bytes()[:200])
        assert not store.is_finished(JOBS[0], ENCODERS)
        (note,) = store.notes
        assert "clean.parquet is damaged: it has 200 bytes, and was written with" in note
        assert note.endswith("wsa (train seed 0) on breakout, clean is played again.")
        shard.unlink()
        assert not store.is_finished(JOBS[0], ENCODERS)
        assert store.is_finished(JOBS[0])


def test_a_job_without_the_attention_of_all_its_encoders_is_not_finished(written: Path) -> None:
    shard = written / "attention" / f"{JOBS[0].key}.parquet"
    pq.write_table(pq.ParquetFile(shard).read().slice(0, 1), shard)
    with_ledger(written)
    with ResultStore(written) as store:
        store.begin(manifest())
        assert not store.is_finished(JOBS[0], ENCODERS)


def test_steps_that_are_kept_are_part_of_a_finished_job(tmp_path: Path) -> None:
    steps = EpisodeSteps(np.zeros(1, np.int64), np.zeros(1), np.zeros(1, np.float32), np.ones((1, 2), np.float32))
    played = [outcome._replace(steps=steps) for outcome in outcomes(0)]
    shard = tmp_path / "attention_steps" / f"{JOBS[0].key}.parquet"
    with ResultStore(tmp_path, keeps_steps=True) as store:
        store.begin(manifest())
        store.write_job(JOBS[0], played, ENCODERS)
        assert store.is_finished(JOBS[0], ENCODERS)
        shard.write_bytes(shard.read_bytes()[:200])
        assert not store.is_finished(JOBS[0], ENCODERS)
        assert "attention_steps" in store.notes[0]
        shard.unlink()
        assert not store.is_finished(JOBS[0], ENCODERS)


def test_a_job_without_its_attention_has_no_rows_when_its_agent_attends(written: Path) -> None:
    (written / "attention" / f"{JOBS[0].key}.parquet").unlink()
    assert load_result(written).num_finished == 2  # this manifest says nothing of encoders
    change_manifest(written, agents=(agent_entry("wsa", encoders=ENCODERS),))
    result = load_result(written)
    assert not result.is_complete
    assert (result.num_finished, set(result.episodes["perturbation"])) == (1, {"hue-rotate"})


def test_leftovers_of_a_killed_run_are_swept(written: Path) -> None:
    leftover = written / "episodes" / ".x.parquet.abc.tmp"
    leftover.write_bytes(b"half")
    assert load_result(written).is_complete
    with ResultStore(written) as store:
        store.begin(manifest())
    assert not leftover.exists()


def test_a_second_process_joins_the_same_run_and_both_starts_are_kept(written: Path) -> None:
    with ResultStore(written) as store, ResultStore(written) as second:
        ours = store.begin(manifest())
        theirs = second.begin(manifest())
        store.write_manifest(ours)
        second.write_manifest(theirs)
        store.write_manifest(replace(ours, history=ours.history.ended("2026-01-01")))
        assert store.claims.take(JOBS[0].key)
        assert not second.claims.take(JOBS[0].key)
    starts = load_result(written).manifest.history.starts
    assert [start.end for start in starts].count("2026-01-01") == 1
    assert len(starts) == 3
    assert not (written / "claims").exists()


@pytest.mark.parametrize(
    ("changes", "alone", "message"),
    [
        ({"seed": 1}, False, "seed is 0 there and 1 here"),
        (
            {"jobs": tuple(replace(job, fingerprint="f9") for job in manifest().plan.jobs)},
            False,
            "is being played by process",
        ),
        ({}, True, "to a precision is played by one process at a time"),
    ],
)
def test_a_second_process_with_another_plan_is_refused(
    written: Path, changes: dict[str, Any], alone: bool, message: str
) -> None:
    with ResultStore(written) as store, ResultStore(written) as second:
        store.begin(manifest())
        with pytest.raises(ResultSetError, match=message):
            second.begin(manifest(**changes), alone=alone)


def test_a_policy_without_a_hash_is_not_joined(tmp_path: Path) -> None:
    unhashed = manifest(agents=(agent_entry("wsa", checkpoint_hash=UNHASHED),))
    with ResultStore(tmp_path) as store, ResultStore(tmp_path) as second:
        store.begin(unhashed)
        with pytest.raises(ResultSetError, match=r"has no hash, so it may have changed.*attribute `version`"):
            second.begin(unhashed)
    with ResultStore(tmp_path) as alone:
        alone.begin(unhashed)


def test_a_directory_is_new_only_if_it_still_is_when_others_are_shut_out(tmp_path: Path) -> None:
    path = tmp_path / "results"
    with ResultStore(path) as store:
        enter = store.claims.open

        def enter_late() -> None:  # another run begins and ends after we looked and before we are in
            write_whole_run(path)
            enter()

        store.claims.open = enter_late  # type: ignore[method-assign]
        with pytest.raises(ResultSetError, match="seed is 0 there and 1 here"):
            store.begin(manifest(seed=1))
    with ResultStore(path) as store:
        assert len(store.begin(manifest()).history.starts) == 2
    assert load_result(path).is_complete


def test_temporary_files_of_a_process_that_writes_are_left_alone(written: Path) -> None:
    with ResultStore(written) as store, ResultStore(written) as second:
        store.begin(manifest())
        being_written = written / "episodes" / ".x.parquet.1.tmp"
        being_written.touch()
        second.begin(manifest())
        assert being_written.exists()
    with ResultStore(written) as third:
        third.begin(manifest())
        assert not being_written.exists()


def test_a_refused_directory_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tmp").write_text("mine")
    (tmp_path / ".notes.tmp").write_text("mine too")
    with ResultStore(tmp_path) as store, pytest.raises(ResultSetError, match="not empty"):
        store.begin(manifest())
    assert sorted(path.name for path in tmp_path.iterdir()) == [".notes.tmp", "thesis.tmp"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"episodes": 3}, "episodes is 2 there and 3 here"),
        ({"seed": 1}, "seed is 0 there and 1 here"),
        ({"protocol": Protocol(frame_skip=3)}, "protocol.frame_skip is 4 there and 3 here"),
        # neither is written in the manifest while it is the default
        ({"protocol": Protocol(life_start="restart")}, "protocol.life_start is go_on there and restart here"),
        (
            {"suite": SuiteEntry(name="s", summary="", content_hash="g")},
            "settings: hash of the suite is h there and g here",
        ),
        ({"profile": "quick"}, "profile is null there and quick here"),
        ({"perturbations": ("clean",)}, "perturbation hue-rotate@3 is only there"),
        ({"versions": {**VERSIONS, "ale-py": "0.13"}}, "ale-py version is 0.12.1 there and 0.13 here"),
        ({"versions": {**VERSIONS, "torch": "2.13.0+cpu"}}, r"torch version is 2\.13\.0 there and 2\.13\.0\+cpu here"),
        (
            {"agents": (agent_entry("wsa", checkpoint_hash="d"),)},
            r"checkpoint of wsa \(train seed 0\) on breakout is c there and d here",
        ),
        ({"agents": (agent_entry("wsa", 1),)}, r"agent wsa \(train seed 0\) on breakout is only there; agent wsa \(tr"),
        ({"jobs": manifest().plan.jobs[:1]}, r"job wsa \(train seed 0\) on breakout, hue-rotate@3 is only there"),
    ],
)
def test_another_run_is_refused(written: Path, changes: dict[str, Any], message: str) -> None:
    with ResultStore(written) as store, pytest.raises(ResultSetError, match=message):
        store.begin(manifest(**changes))


def test_another_run_is_told_with_what_there_and_here_are(written: Path) -> None:
    with ResultStore(written) as store, pytest.raises(ResultSetError) as told:
        store.begin(manifest(seed=1))
    assert str(told.value) == (
        f"{written} holds a run with other settings: seed is 0 there and 1 here (there: what the run in that folder "
        "began with; here: what this command asks for). Choose another directory for this run, or repeat the command "
        "that began it."
    )


@pytest.mark.parametrize("package", ["ale-py", "numba", "numpy", "opencv-python-headless", "scipy", "torch"])
def test_an_upgrade_of_what_decides_bits_makes_another_run(tmp_path: Path, package: str) -> None:
    versions = {**VERSIONS, package: "1.0"}
    with ResultStore(tmp_path) as store:
        store.write_manifest(store.begin(manifest(versions=versions)))
    upgraded = manifest(versions={**versions, package: "1.1"})
    with (
        ResultStore(tmp_path) as store,
        pytest.raises(ResultSetError, match=f"{package} version is 1.0 there and 1.1 here"),
    ):
        store.begin(upgraded)


@pytest.mark.parametrize("recorded", [{"numba": UNKNOWN}, {}])
def test_a_run_that_recorded_fewer_versions_is_not_gone_on_with(written: Path, recorded: dict[str, str]) -> None:
    others = {name: version for name, version in VERSIONS.items() if name != "numba"}
    change_manifest(written, versions=others | recorded)
    now = manifest(versions={**VERSIONS, "numba": "0.68.1"})
    with ResultStore(written) as store, pytest.raises(ResultSetError, match="numba version is not recorded there"):
        store.begin(now)
    assert load_result(written).is_complete


def test_summaries_and_starts_make_no_other_run(written: Path) -> None:
    suite = SuiteEntry(name="s", summary="new words", content_hash="h")
    again = manifest(suite=suite, start="later", command_line="b", effects={"breakout": {"hue-rotate@3": 5.0}})
    with ResultStore(written) as store:
        begun = store.begin(again)
    assert begun.history.starts == (manifest().history.first, again.history.first)
    assert begun.plan == again.plan


def test_a_foreign_directory_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with ResultStore(tmp_path) as store, pytest.raises(ResultSetError, match=r"not empty \(thesis.txt\)"):
        store.begin(manifest())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    with ResultStore(path) as store, pytest.raises(StorageError, match="is a file"):
        store.begin(manifest())
    with ResultStore(path / "below") as store, pytest.raises(StorageError, match="Cannot create the folder"):
        store.begin(manifest())


def test_a_full_disk_leaves_nothing_of_the_job(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = sorted(written.rglob("*"))
    (written / "episodes" / f"{JOBS[1].key}.parquet").unlink()
    monkeypatch.setattr(store_module.pq, "write_table", full)
    store = ResultStore(written)
    with pytest.raises(StorageError, match=r"Cannot write .*hue-rotate@3.parquet: No space left on device"):
        store.write_job(JOBS[1], outcomes(1), ())
    assert [path for path in before if path.name != f"{JOBS[1].key}.parquet" or "attention" in str(path)] == sorted(
        written.rglob("*")
    )


def test_a_damaged_shard_is_named(written: Path) -> None:
    path = written / "episodes" / f"{JOBS[0].key}.parquet"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ResultSetError, match=r"clean\.parquet is damaged: it has 200 bytes.*plays this job again"):
        load_result(written)
    with_ledger(written)
    with pytest.raises(ResultSetError, match=r"clean\.parquet is damaged and cannot be read .*plays this job again"):
        load_result(written)


def test_other_columns_are_refused(written: Path) -> None:
    path = written / "episodes" / f"{JOBS[0].key}.parquet"
    pq.write_table(pq.ParquetFile(path).read().drop_columns(["end"]), path)
    with_ledger(written)
    with pytest.raises(ResultSetError, match="Allowed: agent, train_seed"):
        load_result(written)


def test_shards_of_earlier_versions_have_no_starts_and_are_finished(written: Path) -> None:
    path = written / "episodes" / f"{JOBS[0].key}.parquet"
    pq.write_table(pq.ParquetFile(path).read().drop_columns(["noops", "action_hash"]), path)
    with_ledger(written)
    old = path.read_bytes()
    episodes = load_result(written).episodes
    assert episodes["noops"].isna().tolist() == episodes["action_hash"].isna().tolist() == [True, True, False, False]
    assert str(episodes["noops"].dtype) == "Int64"
    assert list(episodes["return"]) == [-1.0, 7.5, -1.0, 7.5]
    assert has_starts(episodes).tolist() == [False, False, True, True]
    assert episode_keys(episodes) == ["-1.0 10 game_over", "7.5 30 stalled", "17 a", "0 b"]
    with ResultStore(written) as store:
        store.begin(manifest())
        assert store.is_finished(JOBS[0], ENCODERS)
    assert path.read_bytes() == old


def test_a_shard_of_another_run_is_refused(written: Path) -> None:
    path = written / "episodes" / f"{JOBS[0].key}.parquet"
    table = pq.ParquetFile(path).read()
    column = table.schema.get_field_index("fingerprint")
    pq.write_table(table.set_column(column, table.schema.field(column), [["x", "x"]]), path)
    with_ledger(written)
    with pytest.raises(ResultSetError, match="made by another run"):
        load_result(written)
    pq.write_table(table.slice(0, 1), path)
    with_ledger(written)
    with pytest.raises(ResultSetError, match="holds 1 episode; the manifest says 2"):
        load_result(written)


def test_a_shard_of_no_job_is_refused(written: Path) -> None:
    (written / "episodes" / "stranger.parquet").write_bytes(b"")
    with pytest.raises(ResultSetError, match="belongs to no job"):
        load_result(written)


def test_directories_that_are_no_result_sets(tmp_path: Path) -> None:
    with pytest.raises(ResultSetError, match="There is no result directory"):
        load_result(tmp_path / "nowhere")
    with pytest.raises(ResultSetError, match=r"is not a result set: it has no manifest\.json"):
        load_result(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("\xff", "cannot be read"),
        ("[]", "has no schema_version"),
        ('{"name": "other"}', "has no schema_version"),
        ('{"schema_version": 3}', "has schema version 3. Allowed: 2"),
        ('{"schema_version": true}', "has schema version True. Allowed: 2"),
        ('{"schema_version": 2}', r"manifest\.json is damaged: Object missing required field `plan`\. Restore"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_bad_manifests(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ResultSetError, match=message):
        load_result(tmp_path)


def without(*path: str | int) -> Callable[[Any], Any]:
    """What deletes a value of a manifest."""
    return lambda content: inner(content, path[:-1]).__delitem__(path[-1])


def with_value(value: object, *path: str | int) -> Callable[[Any], Any]:
    """What sets a value of a manifest."""
    return lambda content: inner(content, path[:-1]).__setitem__(path[-1], value)


def inner(content: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        content = content[key]
    return content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("plan", "jobs"), r"missing required field `jobs` - at `\$\.plan`"),
        (without("plan", "jobs", 1, "file"), r"missing required field `file` - at `\$\.plan\.jobs\[1\]`"),
        (without("plan", "protocol", "noop_max"), r"missing required field `noop_max` - at `\$\.plan\.protocol`"),
        (without("history", "starts", 0), r"at least one start - at `\$\.history\.starts`"),
        (with_value(1, "plan", "sead"), r"unknown field `sead` - at `\$\.plan`"),
        (with_value(1, "sead"), "unknown field `sead`"),
        (with_value(1, "plan", "protocol", "sead"), r"unknown field `sead` - at `\$\.plan\.protocol`"),
        (with_value("0", "plan", "seed"), r"Expected `int`, got `str` - at `\$\.plan\.seed`"),
        (with_value(0, "plan", "protocol", "frame_skip"), r"Protocol\.frame_skip is 0\. Allowed"),
        (with_value(None, "plan", "agents"), r"got `null` - at `\$\.plan\.agents`"),
    ],
)
def test_a_manifest_is_read_strictly(written: Path, change: Callable[[Any], Any], message: str) -> None:
    edit_manifest(written, change)
    with pytest.raises(ResultSetError, match=rf"manifest\.json is damaged: .*{message}"):
        load_result(written)


def test_a_manifest_survives_the_file(written: Path) -> None:
    assert load_result(written).manifest == manifest()


def test_keys_are_file_names() -> None:
    plain = Job("wsa", 1, "breakout", "color", "hue-rotate@3+value@2", None, (2,), "f")
    odd = Job("a", 1, "b", "color", "x" * 300, None, (2,), "f")
    assert plain.key == "wsa-seed1--breakout--hue-rotate@3+value@2"
    assert plain.bare_name == "hue-rotate@3+value@2"
    assert len(odd.key) < 150
    assert odd.key != Job("a", 1, "b", "color", "x" * 301, None, (2,), "f").key
