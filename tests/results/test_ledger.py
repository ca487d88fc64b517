"""The ledger, and what is refused because it is not what was written or makes no sense."""

from __future__ import annotations

import copy
import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_jobs import ENCODERS, JOBS, SEEDS, manifest
from result_fixture import FOLDERS, agent_entry, edit_manifest, with_ledger, write_result_set

from wsabench.cli import main
from wsabench.errors import ResultSetError, StorageError, WsabenchError
from wsabench.gate.check import check_runs
from wsabench.report import write_report
from wsabench.results import load_result
from wsabench.results.ledger import LEDGER_DIR, LedgerWriter, read_ledger
from wsabench.results.manifest import Manifest, ReferenceScores, read_manifest
from wsabench.results.records import EpisodeOutcome, attention_sums
from wsabench.results.store import ResultStore

WEIGHTS = ((0.5, 0.5), (1.0, 0.0))
HASHES = {"breakout": {"clean": "a", "hue-rotate@3": "b"}}


def outcomes(index: int) -> list[EpisodeOutcome]:
    sums = attention_sums(np.array(WEIGHTS))
    return [
        EpisodeOutcome(index, episode, 7.5, 30, "stalled", sums, noops=episode, action_hash="b") for episode in range(2)
    ]


def plan() -> Manifest:
    return manifest(
        agents=(agent_entry("wsa", checkpoint_hash="c", encoders=ENCODERS),),
        reference_scores={"breakout": ReferenceScores(random=1.7, human=30.5)},
        perturbation_hashes=HASHES,
    )


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "run"
    with ResultStore(path) as store:
        store.write_manifest(store.begin(plan()))
        for index, job in enumerate(JOBS):
            store.write_job(job, outcomes(index), ENCODERS)
        store.write_bytes("frames", "breakout--clean.png", b"picture")
    return path


def ledger_of(path: Path) -> Path:
    (found,) = (path / LEDGER_DIR).glob("*.jsonl")
    return found


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ledger_of(path).read_text().splitlines()]


def test_every_file_that_was_written_has_a_line(written: Path) -> None:
    plan_line, *lines = lines_of(written)
    assert list(plan_line) == ["plan"]
    files = {str(file.relative_to(written)) for folder in FOLDERS for file in (written / folder).glob("*")}
    assert {line["file"] for line in lines} == files
    assert len(files) == 5
    for line in lines:
        content = (written / line["file"]).read_bytes()
        assert (line["bytes"], line["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert load_result(written).has_ledger


def test_a_line_is_there_before_its_file(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(self: Path, target: Path) -> Path:
        assert str(Path(target).relative_to(written)) in ledger_of(written).read_text()
        raise KeyboardInterrupt

    shutil.rmtree(written)
    with ResultStore(written) as store:
        store.write_manifest(store.begin(plan()))
        monkeypatch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            store.write_job(JOBS[0], outcomes(0), ENCODERS)


def test_a_rewritten_file_is_whole_as_any_of_its_lines_says(written: Path) -> None:
    shard = written / "episodes" / f"{JOBS[0].key}.parquet"
    old = shard.read_bytes()
    with ResultStore(written) as store:
        store.begin(plan())
        store.write_job(JOBS[0], [one._replace(episodic_return=3.0) for one in outcomes(0)], ENCODERS)
    assert len(list((written / LEDGER_DIR).iterdir())) == 2
    assert list(load_result(written).episodes["return"]) == [3.0, 3.0, 7.5, 7.5]
    shard.write_bytes(old)  # as if the newer one had never got its name
    assert list(load_result(written).episodes["return"]) == [7.5, 7.5, 7.5, 7.5]


def test_a_torn_last_line_vouches_for_nothing_and_hurts_nothing(written: Path) -> None:
    with ledger_of(written).open("a") as file:
        file.write('{"file": "episodes/wsa-seed0--breakout--cl')
    assert load_result(written).is_complete
    text = ledger_of(written).read_text()
    ledger_of(written).write_text(text.replace('"bytes"', '"byte\x00"', 1))
    with pytest.raises(ResultSetError, match=r"attention/wsa-seed0--breakout--clean\.parquet is damaged: it"):
        load_result(written)


def test_a_shard_that_no_ledger_has_is_refused(written: Path) -> None:
    lines = ledger_of(written).read_text().splitlines()
    kept = [line for line in lines if "episodes/wsa-seed0--breakout--clean" not in line]
    ledger_of(written).write_text("\n".join(kept) + "\n")
    with pytest.raises(
        ResultSetError, match=r"episodes/wsa-seed0--breakout--clean\.parquet is damaged: it is in no led"
    ):
        load_result(written)


def test_a_full_disk_leaves_the_ledger_as_it_was(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written_bytes, write = [0], os.write

    def fill_up(handle: int, content: bytes) -> int:
        if written_bytes[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written_bytes[0] = write(handle, content[:10])
        return written_bytes[0]

    writer = LedgerWriter(written)
    writer.record("frames/a.png", b"a")
    before = writer.path.read_bytes()
    monkeypatch.setattr(os, "write", fill_up)
    with pytest.raises(StorageError, match="No space left on device"):
        writer.record("frames/b.png", b"b")
    monkeypatch.undo()
    assert writer.path.read_bytes() == before
    writer.record("frames/c.png", b"c")
    writer.close()
    assert set(read_ledger(written).entries) >= {"frames/a.png", "frames/c.png"}


def test_a_result_set_without_is_read_and_gets_one_when_a_run_goes_on(written: Path) -> None:
    shutil.rmtree(written / LEDGER_DIR)
    assert not load_result(written).has_ledger
    with ResultStore(written) as store:
        store.begin(plan())
        assert all(store.is_finished(job, ENCODERS) for job in JOBS)
        assert store.is_vouched
    assert load_result(written).has_ledger
    assert load_result(written).is_complete


def test_an_edited_plan_is_refused_and_restored_by_the_same_run(written: Path) -> None:
    edit_manifest(written, lambda content: content["plan"]["effects"].update(breakout={"hue-rotate@3": 99.0}))
    with pytest.raises(ResultSetError, match=r"manifest\.json: its plan is none that the run's ledger knows"):
        load_result(written)
    with ResultStore(written) as store:
        begun = store.begin(plan())
        assert not store.is_vouched
        assert "its plan was changed after the run wrote it" in store.notes[0]
        store.write_manifest(begun)
    assert load_result(written).manifest.plan == plan().plan


def test_edited_reference_scores_are_refused_everywhere(written: Path, tmp_path: Path) -> None:
    edit_manifest(written, lambda content: content["plan"]["reference_scores"]["breakout"].update(human=99.0))
    for read in (lambda: write_report(written), lambda: check_runs(written, written)):
        with pytest.raises(ResultSetError, match="its plan is none"):
            read()
    with ResultStore(written) as store, pytest.raises(ResultSetError, match=r"human score of breakout is 99\.0 there"):
        store.begin(plan())


def column(name: str, *values: Any) -> Callable[[pa.Table], pa.Table]:
    """What puts other values into a column."""

    def change(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(name)
        field = table.schema.field(name)
        return table.set_column(place, field.with_nullable(True), pa.array(list(values), field.type))

    return change


FORGED: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "nan": (column("return", math.nan, 1.0), "row 0, return: found nan. Allowed: finite numbers"),
    "infinite": (column("return", 1.0, math.inf), "row 1, return: found inf"),
    "no length": (column("length", 30, 0), "row 1, length: found 0. Allowed: 1 to 27000 steps"),
    "negative length": (column("length", -5, 30), "row 0, length: found -5"),
    "endless": (column("length", 27_001, 30), "row 0, length: found 27001"),
    "another agent": (column("agent", "wsa", "e2e"), "row 1, agent: found 'e2e'. Allowed: 'wsa', the job's"),
    "another train seed": (column("train_seed", 1, 1), "row 0, train_seed: found 1"),
    "another game": (column("game", "pong", "pong"), "row 0, game: found 'pong'"),
    "another cell": (column("perturbation", "clean", "value"), "row 1, perturbation: found 'value'"),
    "another severity": (column("severity", 3, 3), "row 0, perturbation: found 'clean@3'"),
    "one episode twice": (column("episode", 0, 0), "row 1, episode: found 0. Allowed: 0 to 1, each once, in order"),
    "another order": (column("episode", 1, 0), "row 0, episode: found 1"),
    "another episode seed": (column("episode_seed", SEEDS[0], 8), "row 1, episode_seed: found 8"),
    "unknown end": (column("end", "won", "stalled"), "row 0, end: found 'won'. Allowed: game_over, time_limit, stal"),
    "missing value": (column("return", None, 1.0), "row 0, return: found None. Allowed: a value"),
    "another fingerprint": (column("fingerprint", "f0", "f1"), "was made by another run"),
    "too many no-ops": (column("noops", 31, 0), "row 0, noops: found 31. Allowed: 0 to 30"),
    "no hash": (column("action_hash", "<b>", "b"), "row 0, action_hash: found '<b>'"),
    "one episode less": (lambda table: table.slice(0, 1), "holds 1 episode; the manifest says 2"),
    "four times": (lambda table: pa.concat_tables([table.slice(0, 1)] * 4), "holds 4 episodes"),
    "good-looking": (column("return", 99999.0, 99999.0), ""),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_episodes_are_refused(name: str, written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, message = FORGED[name]
    shard = written / "episodes" / f"{JOBS[0].key}.parquet"
    pq.write_table(change(pq.ParquetFile(shard).read()), shard)
    assert main(["check", str(written), "--against", str(written)]) == 2
    found = capsys.readouterr()
    assert "clean.parquet is damaged: it has " in found.err
    assert found.err.count("\n") == 1
    assert "Passed" not in found.out
    if message:  # forged together with the ledger: what makes no sense is refused for that
        with_ledger(written)
        with pytest.raises(ResultSetError) as refused:
            load_result(written)
        assert str(shard) in str(refused.value)
        assert message in str(refused.value)
        with ResultStore(written) as store:
            store.begin(plan())
            assert not store.is_finished(JOBS[0], ENCODERS)
            assert store.is_finished(JOBS[1], ENCODERS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (column("mean", math.nan, 0.5), "row 0, mean: found nan. Allowed: weights from 0 to 1"),
        (column("mean", 1.5, 0.5), "row 0, mean: found 1.5"),
        (column("mean", 0.75, 0.75), "weights that sum to 1.5"),
        (column("sd", 0.1, -0.1), "row 1, sd: found -0.1"),
        (column("entropy", 0.7, 0.7), "row 0, entropy: found 0.7. Allowed: 0 to 0.6931"),
        (column("num_steps", -1, 2), "row 0, num_steps: found -1"),
        (column("encoder", "sr", "sr"), "encoder: found sr, sr. Allowed: sr, oke"),
        (column("context_variance_share", math.inf, None), "row 0, context_variance_share: found inf"),
        (column("agent", "e2e", "e2e"), "row 0, agent: found 'e2e'"),
        (column("family", "color", "color"), "row 0, family: found 'color'. Allowed: 'clean'"),
        (lambda table: table.slice(0, 0), "encoder: found no row"),
    ],
)
def test_forged_attention_is_refused(change: Callable[[pa.Table], pa.Table], message: str, written: Path) -> None:
    shard = written / "attention" / f"{JOBS[0].key}.parquet"
    pq.write_table(change(pq.ParquetFile(shard).read()), shard)
    with_ledger(written)
    with pytest.raises(ResultSetError) as refused:
        load_result(written)
    assert message in str(refused.value)


def test_one_flipped_bit_anywhere_is_found(written: Path) -> None:
    rng = np.random.default_rng(16)
    shards = sorted((written / "episodes").iterdir()) + sorted((written / "attention").iterdir())
    for _ in range(200):
        shard = shards[rng.integers(len(shards))]
        good = shard.read_bytes()
        bad = bytearray(good)
        bad[rng.integers(len(bad))] ^= 1 << int(rng.integers(8))
        shard.write_bytes(bad)
        with pytest.raises(ResultSetError, match=r"parquet is damaged: it has another checksum"):
            load_result(written)
        shard.write_bytes(good)
    assert load_result(written).is_complete


def test_without_a_ledger_a_flipped_bit_gives_a_table_or_one_message(written: Path) -> None:
    rng = np.random.default_rng(17)
    shutil.rmtree(written / LEDGER_DIR)
    for shard in sorted((written / "episodes").iterdir()) + sorted((written / "attention").iterdir()):
        good = shard.read_bytes()
        for _ in range(50):
            bad = bytearray(good)
            bad[rng.integers(len(bad))] ^= 1 << int(rng.integers(8))
            shard.write_bytes(bad)
            try:
                load_result(written)
            except ResultSetError as error:
                assert shard.name in str(error)  # noqa: PT017 - it need not be raised
        shard.write_bytes(good)


def double(content: dict[str, Any], key: str) -> None:
    content["plan"][key].append(copy.deepcopy(content["plan"][key][0]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: double(c, "jobs"), r"the job wsa \(train seed 0\) on breakout, clean is listed twice"),
        (lambda c: double(c, "agents"), r"agent wsa \(train seed 0\) on breakout is listed twice"),
        (
            lambda c: c["plan"]["jobs"][1].update(file=c["plan"]["jobs"][0]["file"]),
            "the file 'wsa-seed0--breakout--clean.parquet' is that of two jobs",
        ),
        (
            lambda c: c["plan"]["jobs"][0].update(file="../../secret.parquet"),
            r"has the file '\.\./\.\./secret\.parquet'",
        ),
        (lambda c: c["plan"]["jobs"][0].update(file="/etc/passwd"), "has the file '/etc/passwd'"),
        (lambda c: c["plan"]["jobs"][0].update(agent="other"), "is of an agent that is not listed"),
        (lambda c: c["plan"]["jobs"][0].update(game="pong"), "is of an agent that is not listed"),
        (lambda c: c["plan"].update(perturbations=["clean"]), "is of a cell that was not planned"),
        (lambda c: c["plan"]["agents"][0].update(view={"frame_skip": 0}), r"the view of wsa .* is no protocol"),
        (lambda c: c["plan"]["agents"][0].update(view={"frames": 1}), r"the view of wsa .* is no protocol"),
        (lambda c: c["plan"].update(episodes=0), r"Expected `int` >= 1 - at `\$\.plan\.episodes`"),
        (lambda c: c["plan"].update(seed=-1), r"Expected `int` >= 0 - at `\$\.plan\.seed`"),
        (lambda c: c["plan"]["reference_scores"]["breakout"].update(human=math.nan), "NaN is no finite number"),
        (lambda c: c["plan"]["suite"].update(name="\ud800"), "cannot be read"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(
    change: Callable[[dict[str, Any]], object], message: str, written: Path
) -> None:
    edit_manifest(written, change)
    shutil.rmtree(written / LEDGER_DIR)
    with pytest.raises(ResultSetError, match=message):
        load_result(written)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where something stands in a manifest."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    return [found for key, inner in items for found in ((*path, key), *places(inner, (*path, key)))]


STRANGE = (None, True, -1, 0, 1.5, 10**30, -(10**30), "", "x", "a\nb", "\ud800", [], {}, [1], {"a": 1}, ["x"] * 3)


def test_no_malformed_manifest_gives_a_traceback(tmp_path: Path) -> None:
    cells = (("clean", None), ("hue-rotate", 3))
    good = write_result_set(tmp_path / "good", train_seeds=(0,), cells=cells, perturbation_hashes=HASHES, episodes=3)
    run = shutil.copytree(good, tmp_path / "run")
    content = json.loads((good / "manifest.json").read_text())
    rng = np.random.default_rng(3)
    refused, everywhere = 0, places(content)
    for _ in range(60):
        *path, key = everywhere[rng.integers(len(everywhere))]
        changed = copy.deepcopy(content)
        inner = changed
        for step in path:
            inner = inner[step]
        if rng.uniform() < 0.2:
            del inner[key]
        else:
            inner[key] = STRANGE[rng.integers(len(STRANGE))]
        (run / "manifest.json").write_text(json.dumps(changed))
        try:
            write_report(run, tmp_path / "report", formats=("csv", "md", "latex"))
            check_runs(run, good)
            with ResultStore(run) as store:
                store.begin(read_manifest(good))
        except WsabenchError:
            refused += 1
    assert refused > 40


@pytest.mark.parametrize(
    "where", ["manifest.json", "episodes", "episodes/wsa-seed0--breakout--clean.parquet", "ledger"]
)
@pytest.mark.parametrize("what", ["empty", "folder", "text", "link to itself"])
def test_no_malformed_folder_gives_a_traceback(
    where: str, what: str, written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = written / where
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    match what:
        case "empty":
            place.touch()
        case "folder":
            place.mkdir()
        case "text":
            place.write_text("{}[\n")
        case _:
            place.symlink_to(place)
    code = main(["report", str(written), "--format", "csv"])
    is_as_missing = where == "ledger" or (what == "link to itself" and where.endswith(".parquet"))
    assert code == (0 if is_as_missing else 2)
    assert capsys.readouterr().err.count("\n") == (1 if code else 0)
