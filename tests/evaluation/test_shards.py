"""Parts of a plan, and several processes in one directory: together they make the undivided run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from run_bench import SETTINGS, run_small

from wsabench.errors import ResultSetError, SpecError
from wsabench.evaluation import SilentReporter
from wsabench.evaluation.cluster import Shard
from wsabench.evaluation.plan import RunOptions, make_plan
from wsabench.evaluation.runs import play_plan
from wsabench.results import ResultSet, load_result
from wsabench.results.claims import CLAIMS_DIR
from wsabench.results.merged_files import write_merged
from wsabench.results.store import ResultStore

pytestmark = pytest.mark.e2e

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def undivided(tmp_path_factory: pytest.TempPathFactory) -> ResultSet:
    return run_small(tmp_path_factory.mktemp("undivided") / "out", record_attention=True)


def assert_equal(result: ResultSet, expected: ResultSet) -> None:
    pd.testing.assert_frame_equal(result.episodes, expected.episodes, check_exact=True)
    pd.testing.assert_frame_equal(result.attention, expected.attention, check_exact=True)
    for folder in ("attention_steps", "frames"):
        ours, theirs = (sorted((one.path / folder).iterdir()) for one in (result, expected))
        assert [path.name for path in ours] == [path.name for path in theirs]
        for path, other in zip(ours, theirs, strict=True):
            if path.suffix == ".png":
                assert path.read_bytes() == other.read_bytes()
            else:
                assert pq.read_table(path).equals(pq.read_table(other))


@pytest.mark.parametrize(
    "text", ["0/3", "4/3", "1/0", "1", "1/2/3", "-1/3", "a/b", "", "1/3 ", "\N{FULLWIDTH DIGIT ONE}/3"]
)
def test_what_is_no_part_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="I from 1 to N"):
        run_small(tmp_path / "out", shard=text)
    assert not (tmp_path / "out").exists()


def test_a_part_is_written_as_it_is_given() -> None:
    assert [str(Shard.parse(text)) for text in ("1/1", "3/7", "7/7")] == ["1/1", "3/7", "7/7"]


def test_parts_go_together_to_the_undivided_run(tmp_path: Path, undivided: ResultSet) -> None:
    settings = {"record_attention": True}
    parts = [run_small(tmp_path / f"part{index}", shard=f"{index}/3", **settings) for index in (1, 2)]
    jobs = undivided.manifest.plan.jobs
    for place, part in enumerate(parts):
        assert part.manifest.plan == undivided.manifest.plan
        assert part.manifest.history.shards == (f"{place + 1}/3",)
        assert sorted(path.name for path in (part.path / "episodes").iterdir()) == sorted(
            job.file for job in jobs[place::3]
        )
    out = tmp_path / "out"
    done = write_merged([part.path for part in parts], out)
    assert [job.file for job in done.missing] == [job.file for job in jobs[2::3]]
    before = {path: path.stat().st_mtime_ns for path in (out / "episodes").iterdir()}
    assert_equal(run_small(out, **settings), undivided)
    assert all(path.stat().st_mtime_ns == then for path, then in before.items()), "only what was missing is played"


def test_a_run_to_a_precision_has_no_parts(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="--shard and --precision are given"):
        run_small(tmp_path / "out", shard="1/2", precision=0.5, max_episodes=20, episodes=5)


def start(out: Path, log: Path, **changes: object) -> subprocess.Popen[bytes]:
    code = (
        "import sys, run_bench; from pathlib import Path; "
        f"run_bench.run_small(Path(sys.argv[1]), reporter=run_bench.LogReporter(Path(sys.argv[2])), **{changes!r})"
    )
    paths = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.Popen([sys.executable, "-c", code, str(out), str(log)], env=environment)


def lines_of(log: Path, word: str) -> list[str]:
    return (
        [line.split(" ")[1] for line in log.read_text().splitlines() if line.startswith(word)] if log.exists() else []
    )


def assert_each_job_once(out: Path, logs: list[Path], expected: ResultSet) -> None:
    """Nothing was played by two processes, and each shard was written once."""
    finished = [job for log in logs for job in lines_of(log, "finished")]
    assert sorted(finished) == sorted(job.file.removesuffix(".parquet") for job in expected.manifest.plan.jobs)
    files = [
        json.loads(line)["file"]
        for ledger in (out / "ledger").iterdir()
        for line in ledger.read_text().splitlines()
        if "file" in line
    ]
    assert len(files) == len(set(files)), "the ledger has each file once"
    assert not (out / CLAIMS_DIR).exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 3])
def test_processes_in_one_directory_share_the_jobs(tmp_path: Path, undivided: ResultSet, number: int) -> None:
    out, logs = tmp_path / "out", [tmp_path / f"log{index}" for index in range(number)]
    processes = [start(out, log, record_attention=True, workers=1) for log in logs]
    assert [process.wait() for process in processes] == [0] * number
    assert_equal(load_result(out), undivided)
    assert_each_job_once(out, logs, undivided)
    assert len(load_result(out).manifest.history.starts) == number


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGSTOP])
def test_jobs_of_a_killed_or_stopped_process_are_taken_over(
    tmp_path: Path, undivided: ResultSet, stop: signal.Signals
) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    first = start(out, log, record_attention=True, workers=1)
    while not lines_of(log, "played"):
        assert first.poll() is None
        time.sleep(0.002)
    first.send_signal(stop)
    if stop == signal.SIGKILL:
        first.wait()
    try:
        plan = make_plan(RunOptions(**SETTINGS))
        play_plan(plan, ResultStore(out, keeps_steps=True, stale_seconds=3.0), 1, SilentReporter())
        assert_equal(load_result(out), undivided)
    finally:
        first.send_signal(signal.SIGCONT)
        first.wait()
    assert first.returncode == (-signal.SIGKILL if stop == signal.SIGKILL else 0)
    assert_equal(load_result(out), undivided)
    assert not (out / CLAIMS_DIR).exists()


def test_another_plan_does_not_join(tmp_path: Path) -> None:
    first = run_small(tmp_path / "out", perturbations=["clean"], episodes=1)
    with ResultStore(first.path) as store:
        store.begin(first.manifest)
        with pytest.raises(ResultSetError, match="other settings: seed is 5 there and 6 here"):
            run_small(first.path, perturbations=["clean"], episodes=1, seed=6)
        assert run_small(first.path, perturbations=["clean"], episodes=1).is_complete
