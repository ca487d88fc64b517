"""Working through a queue: order, failures, kills of either process, stopping; the runs are pretended."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from forked import Forked
from queue_child import forked, pretended

from wsabench.cli import main
from wsabench.errors import SpecError, StorageError
from wsabench.hashing import file_hash
from wsabench.resources import make_dir
from wsabench.training.queue import (
    Places,
    Queue,
    QueueOptions,
    QueueRun,
    Result,
    failure,
    queue_status,
    read_queue,
    run_queue,
    running,
)
from wsabench.training.queue.child import die_with_parent
from wsabench.training.queue.places import is_held
from wsabench.training.queue.record import RunRecord, hashed, read_record, write_record
from wsabench.training.queue.running import Spawn, device_of, start_child

CHAIN = {"expert": [], "frames": ["expert"], "encoders": ["frames"], "wsa": ["encoders"], "other": []}


@pytest.fixture(autouse=True)
def attentive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a queue look at its runs often: these last no second."""
    monkeypatch.setattr(running, "POLL_SECONDS", 0.02)


def write_queue(tmp_path: Path, names: Sequence[str] = tuple(CHAIN)) -> Queue:
    """Write a queue of an expert, frames, encoders and wsa on pong, and an agent on qbert."""
    tables = {
        "expert": 'kind = "train"\ngame = "pong"\nagent = "e2e"\nsteps = 40000\n',
        "frames": 'kind = "frames"\ngame = "pong"\ndata = "mixed"\nexpert = "run:expert"\nframes = 400\n',
        "encoders": 'kind = "pretrain"\ngame = "pong"\nframes = "run:frames"\nsteps = {ae = 40}\n',
        "wsa": 'kind = "train"\ngame = "pong"\nagent = "wsa"\nencoders = "run:encoders"\nsteps = 40000\n',
        "other": 'kind = "train"\ngame = "qbert"\nagent = "e2e"\nsteps = 40000\n',
    }
    text = "".join(f'[[run]]\nid = "{name}"\nafter = {CHAIN[name]}\n{tables[name]}' for name in names)
    path = tmp_path / "queue.toml"
    path.write_text(text)
    return read_queue(path)


def work(queue: Queue, places: Places, parallel: int = 2, spawn: Spawn = forked) -> tuple[Result, list[str]]:
    """Work through a queue of pretended runs."""
    lines: list[str] = []
    options = QueueOptions(parallel=parallel, command=pretended, spawn=spawn, tell=lines.append)
    return run_queue(queue, places.root, options), lines


def first_started() -> Spawn:
    """Start the first run's process as the queue does, which takes seconds, and fork the others."""
    starts = iter([lambda command, log: start_child(command, log, {})])
    return lambda command, log: next(starts, forked)(command, log)


def finish_elsewhere(queue: Queue, places: Places, run_id: str) -> None:
    """Leave what a finished run of training leaves, without doing it."""
    made = make_dir(places.run(run_id)) / "agent.safetensors"
    made.write_text("from elsewhere")
    record = replace(RunRecord.of(queue[run_id], "finished"), products=hashed([made], places.root))
    write_record(places.record(run_id), record)


def starts(places: Places) -> list[list[str]]:
    return [line.split() for line in (places.root / "starts.txt").read_text().splitlines()]


def record_of(places: Places, run_id: str) -> RunRecord:
    record = read_record(places.record(run_id))
    assert record is not None
    return record


def wait_until(condition: Callable[[], bool], seconds: float = 240.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.05)


def start_queue(queue: Queue, places: Places, log: Path) -> Forked:
    """Start the command that works through a queue, in a process of its own whose runs are forked from it."""

    def command() -> int:
        running.child_command = pretended
        running.start_child = lambda command, log, environment: forked(command, log)
        return main(["train", "--queue", str(queue.path), "--out", str(places.root), "--parallel", "1"])

    return Forked(command, log)


def test_a_queue_from_beginning_to_end_and_again(tmp_path: Path) -> None:
    names = ("expert", "frames", "other")
    queue, places = write_queue(tmp_path, names), Places(tmp_path / "out")
    result, lines = work(queue, places, parallel=1, spawn=first_started())
    assert result == Result(names, (), ())
    assert failure(result) is None
    # One after the other, in the order of the file: what an earlier one needs comes first.
    told = [(words[0], words[1].rstrip(":")) for words in map(str.split, lines)]
    assert told == [(word, name) for name in names for word in ("started", "finished")]
    began = starts(places)
    assert [words[0] for words in began] == list(names)
    assert len({words[1] for words in began}) == len(names)
    assert {tuple(words[2:]) for words in began} == {("1", str(places.state))}
    record = record_of(places, "expert")
    assert (record.outcome, record.steps, record.seed, record.device) == ("finished", 40960, 0, "cpu")
    assert record.final == {"return_unclipped": 3.5, "return_clipped": 2.5, "games": 60.0}
    assert record.products["runs/expert/agent.safetensors"] == file_hash(places.agent("expert"))
    assert record.machine["versions"]["torch"]

    result, lines = work(queue, places)
    assert (result.finished, lines) == (names, [])
    assert starts(places) == began

    # A product that is no longer what was recorded is neither trusted nor overwritten; the others stay as they are.
    places.agent("other").write_text("other")
    result, lines = work(queue, places)
    assert result == Result(("expert", "frames"), ("other",), ())
    assert "agent.safetensors is not what was recorded. Remove" in lines[0]
    assert places.agent("other").read_text() == "other"
    assert starts(places) == began


def test_what_depends_on_a_failed_run_is_skipped_and_the_rest_goes_on(tmp_path: Path) -> None:
    queue, places = write_queue(tmp_path), Places(tmp_path / "out")
    finish_elsewhere(queue, places, "expert")
    (make_dir(places.run("frames")) / "fail").touch()
    (make_dir(places.run("other")) / "crash").touch()
    result, lines = work(queue, places)
    assert result == Result(("expert",), ("frames", "other"), ("encoders", "wsa"))
    assert "failed frames: It was told to fail." in lines
    assert "skipped encoders: it depends on frames" in lines
    assert "skipped wsa: it depends on encoders" in lines
    error = failure(result)
    assert "2 of the runs failed: frames, other. 2 that depend on them were skipped: encoders, wsa." in str(error)
    assert record_of(places, "frames").reason == "It was told to fail."
    assert "ended with exit code 1. Its log ends with: RuntimeError: unforeseen" in record_of(places, "other").reason

    # A cause is gone: the same call does what is missing, and tries again what failed.
    (places.run("other") / "crash").unlink()
    assert work(queue, places)[0] == Result(("expert", "other"), ("frames",), ("encoders", "wsa"))
    assert sorted(words[0] for words in starts(places)) == ["frames", "frames", "other", "other"]
    assert [session.outcome for session in record_of(places, "other").sessions] == ["interrupted", "finished"]


@pytest.mark.usefixtures("impatient")
def test_a_killed_queue_takes_its_run_with_it_and_goes_on_from_the_checkpoint(tmp_path: Path) -> None:
    queue, places = write_queue(tmp_path, ["expert"]), Places(tmp_path / "out")
    (make_dir(places.run("expert")) / "slow").touch()
    process, count = start_queue(queue, places, tmp_path / "log.txt"), places.run("expert") / "count.txt"
    try:
        # Four steps of 0.4 s, so that times in whole seconds differ.
        wait_until(lambda: (count.exists() and int(count.read_text()) > 3 * 2048) or process.poll() is not None)
        with pytest.raises(StorageError, match=rf"Another process works .*: process {process.pid}, since 20"):
            run_queue(queue, places.root, QueueOptions(command=pretended))
    finally:
        process.kill()
        process.wait()
    wait_until(lambda: not is_held(places.run_lock("expert")), 5)
    reached = int(count.read_text())
    assert reached < 40960
    time.sleep(0.8)  # as long as two more steps
    assert int(count.read_text()) == reached, "the run went on without its queue"
    assert record_of(places, "expert").outcome == "running"
    assert queue_status(queue, places).runs[0].state == "interrupted"

    (places.run("expert") / "slow").unlink()
    assert work(queue, places)[0].finished == ("expert",)
    first, second = record_of(places, "expert").sessions
    assert (first.outcome, second.outcome) == ("interrupted", "finished")
    assert (first.from_steps, second.from_steps) == (0, reached)
    assert first.hours > 0


def test_a_killed_run_is_started_again_but_not_for_ever(tmp_path: Path) -> None:
    queue, places = write_queue(tmp_path, ["expert"]), Places(tmp_path / "out")
    lines: list[str] = []
    killed = [sys.executable, "-S", "-c", "import os; os.kill(os.getpid(), 9)"]
    result = run_queue(queue, places.root, QueueOptions(command=lambda *told: killed, tell=lines.append))
    assert result.failed == ("expert",)
    assert lines.count("expert was killed by signal 9; it goes on from its last checkpoint") == 2
    assert lines[-1] == "failed expert: Its process was killed by signal 9, 3 times."
    assert record_of(places, "expert").reason == "Its process was killed by signal 9, 3 times."


def test_a_stopped_queue_stops_its_runs_in_order(tmp_path: Path) -> None:
    queue, places = write_queue(tmp_path, ["expert"]), Places(tmp_path / "out")
    (make_dir(places.run("expert")) / "slow").touch()
    process = start_queue(queue, places, tmp_path / "log.txt")
    try:
        wait_until(lambda: (places.run("expert") / "count.txt").exists() or process.poll() is not None)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(240) == 130
    finally:
        process.kill()
    assert time.monotonic() - began < 60
    assert "interrupted. What was finished, if anything, is kept" in (tmp_path / "log.txt").read_text()
    assert not is_held(places.run_lock("expert"))
    record = record_of(places, "expert")
    assert (record.outcome, record.sessions[0].outcome) == ("interrupted", "interrupted")
    assert record.steps == int((places.run("expert") / "count.txt").read_text())


@pytest.mark.usefixtures("impatient")
def test_a_run_that_another_process_holds_is_not_begun(tmp_path: Path) -> None:
    import fcntl

    queue, places = write_queue(tmp_path, ["expert"]), Places(tmp_path / "out")
    make_dir(places.run("expert"))
    with places.run_lock("expert").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        result, lines = work(queue, places)
    assert result.failed == ("expert",)
    assert "Another process works on the run 'expert'" in lines[-1]
    assert not (places.root / "starts.txt").exists()


def test_a_child_whose_parent_is_gone_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda *args, **options: type("C", (), {"prctl": lambda *words: 0})())
    die_with_parent(os.getppid())
    with pytest.raises(SystemExit) as ended:
        die_with_parent(os.getppid() + 1)
    assert ended.value.code == 130


def test_other_options_than_those_of_the_folder_are_refused(tmp_path: Path) -> None:
    queue, places = write_queue(tmp_path, ["expert"]), Places(tmp_path / "out")
    make_dir(places.run("expert"))
    write_record(places.record("expert"), RunRecord.of(queue.runs[0]))
    queue.path.write_text(queue.path.read_text().replace("40000", "50000"))
    with pytest.raises(SpecError, match=r"run 'expert', steps: is 50000, but what lies in .* begun with 40000"):
        run_queue(read_queue(queue.path), places.root, QueueOptions(command=pretended))
    with pytest.raises(SpecError, match=r"--parallel is 0. Allowed: integers from 1"):
        run_queue(queue, places.root, QueueOptions(parallel=0))


def test_a_shard_leaves_the_other_games_alone(tmp_path: Path) -> None:
    queue, places = write_queue(tmp_path), Places(tmp_path / "out")
    begun: list[str] = []

    def command(queue: Queue, run: QueueRun, places: Places, device: str) -> Sequence[str]:
        begun.append(run.id)
        finish_elsewhere(queue, places, run.id)
        return [sys.executable, "-S", "-c", "pass"]

    result = run_queue(queue, places.root, QueueOptions(command=command, shard=(2, 2)))
    assert result == Result(("other",), (), ())
    assert begun == ["other"]


@pytest.mark.parametrize("parallel", [1, 2])
def test_as_many_runs_at_once_as_asked_for(tmp_path: Path, parallel: int) -> None:
    queue, places = write_queue(tmp_path, ["expert", "other"]), Places(tmp_path / "out")
    lines: list[str] = []
    command = [sys.executable, "-S", "-c", "import time; time.sleep(0.3)"]
    run_queue(queue, places.root, QueueOptions(parallel=parallel, command=lambda *_: command, tell=lines.append))
    words = [line.split()[0] for line in lines]
    # They do nothing, so they fail; what counts is when they start.
    assert words == ["started", "failed"] * 2 if parallel == 1 else ["started", "started", "failed", "failed"]


def test_a_run_that_was_finished_elsewhere_meanwhile_is_not_begun(tmp_path: Path) -> None:
    queue, places = write_queue(tmp_path, ["expert", "other"]), Places(tmp_path / "out")
    begun: list[str] = []

    def command(queue: Queue, run: QueueRun, places: Places, device: str) -> Sequence[str]:
        begun.append(run.id)
        finish_elsewhere(queue, places, "other")
        return [sys.executable, "-S", "-c", "pass"]

    result = run_queue(queue, places.root, QueueOptions(parallel=1, command=command))
    assert (begun, result.finished) == (["expert"], ("other",))


def test_a_gpu_is_used_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_queue(tmp_path, ["expert"]).runs[0]
    assert device_of(run, None) == "cpu"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert device_of(run, None) == "cuda"
    on_cpu = QueueRun(id="x", kind="train", game="pong", options={"device": "cpu"})
    assert device_of(on_cpu, None) == "cpu"
    # What was begun on one kind of device goes on there.
    assert device_of(run, with_session(run, "cpu")) == "cpu"


def with_session(run: QueueRun, device: str) -> RunRecord:
    values = RunRecord.of(run, "interrupted").to_dict() | {"device": device}
    values["sessions"] = [{"started": "2026-01-01T00:00:00+00:00", "outcome": "interrupted"}]
    return RunRecord.from_dict(json.loads(json.dumps(values)))


def test_a_damaged_record_is_refused(tmp_path: Path) -> None:
    queue, places = write_queue(tmp_path, ["expert"]), Places(tmp_path / "out")
    make_dir(places.run("expert"))
    for text, message in (("{", "is damaged"), ('{"format": "x"}', "is not a record of this version")):
        places.record("expert").write_text(text)
        with pytest.raises(StorageError, match=message):
            run_queue(queue, places.root, QueueOptions(command=pretended))
