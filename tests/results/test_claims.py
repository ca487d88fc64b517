"""Claims: one process has a job, a stale claim is taken over once, and nothing is left at the end."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from wsabench.results.claims import CLAIMS_DIR, Claims

LONG = 1000.0
"""Seconds until a claim is stale, in tests that do not wait for it."""


def content_of(directory: Path, name: str) -> dict[str, object]:
    return json.loads((directory / CLAIMS_DIR / f"{name}.json").read_text())


def grow_old(directory: Path, name: str, seconds: float) -> None:
    path = directory / CLAIMS_DIR / f"{name}.json"
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


@pytest.fixture
def pair(tmp_path: Path):
    first, second = Claims(tmp_path, stale_seconds=LONG), Claims(tmp_path, stale_seconds=LONG)
    first.open()
    second.open()
    yield first, second
    first.close()
    second.close()


def test_a_claim_says_who_has_it_and_one_alone_gets_it(tmp_path: Path, pair: tuple[Claims, Claims]) -> None:
    first, second = pair
    assert first.take("a")
    assert first.take("a"), "it has it already"
    assert not second.take("a")
    assert not second.is_free("a")
    content = content_of(tmp_path, "a")
    assert content["process"] == os.getpid()
    assert {"host", "start", "heartbeat", "machine", "token"} < content.keys()
    second.release("a")
    assert first.holds("a"), "nobody else can release it"
    first.release("a")
    assert second.take("a")
    assert not first.holds("a")


def test_others_are_those_who_are_here(pair: tuple[Claims, Claims]) -> None:
    first, second = pair
    first.take("run-seed0--pong--clean")
    assert [claim.process for claim in first.others()] == [os.getpid()]
    second.close()
    assert first.others() == []


def test_a_stale_claim_is_taken_over_and_its_holder_hears_of_it(tmp_path: Path, pair: tuple[Claims, Claims]) -> None:
    first, second = pair
    assert first.take("a")
    grow_old(tmp_path, "a", LONG - 100)
    assert not second.take("a")
    grow_old(tmp_path, "a", 200)
    assert second.is_free("a")
    assert second.take("a")
    assert not first.holds("a")
    first.release("a")
    first.renew()
    assert second.holds("a")


def test_a_renewed_claim_is_not_stale(tmp_path: Path, pair: tuple[Claims, Claims]) -> None:
    first, second = pair
    assert first.take("a")
    grow_old(tmp_path, "a", 2 * LONG)
    before = (tmp_path / CLAIMS_DIR / "a.json").read_bytes()
    first.renew()
    assert not second.take("a")
    after = (tmp_path / CLAIMS_DIR / "a.json").read_bytes()
    assert len(before) == len(after)
    assert content_of(tmp_path, "a")["token"] == json.loads(before)["token"]


def test_claims_renew_themselves(tmp_path: Path) -> None:
    first, second = Claims(tmp_path, stale_seconds=0.6), Claims(tmp_path, stale_seconds=0.6)
    first.open()
    second.open()
    assert first.take("a")
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        assert not second.take("a")
        time.sleep(0.05)
    first.close()
    assert second.take("a")
    second.close()


def test_a_claim_of_a_process_that_is_gone_is_stale_at_once(tmp_path: Path, pair: tuple[Claims, Claims]) -> None:
    first, second = pair
    assert first.take("a")
    child = multiprocessing.get_context("spawn").Process(target=int)
    child.start()
    child.join()
    path = tmp_path / CLAIMS_DIR / "a.json"
    gone = json.loads(path.read_text()) | {"process": child.pid}
    path.write_text(json.dumps(gone | {"machine": "another"}))
    assert not second.take("a"), "on another machine the number says nothing"
    path.write_text(json.dumps(gone))
    assert second.take("a")


@pytest.mark.parametrize("content", [b"", b"[", b"[1]", b'{"token": 1}', b"\xff", b'{"process": 1e400}'])
def test_a_claim_that_cannot_be_read_counts_until_it_is_old(tmp_path: Path, content: bytes) -> None:
    claims = Claims(tmp_path, stale_seconds=LONG)
    claims.open()
    path = tmp_path / CLAIMS_DIR / "a.json"
    path.write_bytes(content)
    assert not claims.take("a")
    grow_old(tmp_path, "a", 2 * LONG)
    assert claims.take("a")
    claims.close()
    assert not path.exists()


def test_a_late_process_does_not_take_over_what_was_just_taken_over(
    tmp_path: Path, pair: tuple[Claims, Claims]
) -> None:
    first, second = pair
    late = Claims(tmp_path, stale_seconds=LONG)
    assert first.take("a")
    grow_old(tmp_path, "a", 2 * LONG)
    stale = late._look("a")
    assert stale is not None
    assert second.take("a")
    look = late._look
    seen = iter([stale])
    late._look = lambda name: next(seen, None) or look(name)  # it looked before the other one took over
    assert not late.take("a")
    assert second.holds("a")
    assert list((tmp_path / CLAIMS_DIR).glob(".*")) == []


def test_a_mark_of_an_ended_claim_that_was_left_behind_stops_nobody_for_ever(tmp_path: Path) -> None:
    claims, other = Claims(tmp_path, stale_seconds=LONG), Claims(tmp_path, stale_seconds=LONG)
    claims.open()
    assert other._create("a")
    grow_old(tmp_path, "a", 2 * LONG)
    mark = tmp_path / CLAIMS_DIR / f".a.{content_of(tmp_path, 'a')['token']}.end"
    mark.touch()
    assert not claims.take("a")
    then = mark.stat().st_mtime - 2 * LONG
    os.utime(mark, (then, then))
    assert claims.take("a")
    claims.close()
    assert not (tmp_path / CLAIMS_DIR).exists()


def test_many_threads_take_over_stale_claims_one_each(tmp_path: Path) -> None:
    """Twelve processes' claims race for forty stale claims; each gets exactly one new holder."""
    old = Claims(tmp_path, stale_seconds=LONG)
    old.open()
    names = [f"job{number}" for number in range(40)]
    for name in names:
        assert old.take(name)
        grow_old(tmp_path, name, 2 * LONG)
    racers = [Claims(tmp_path, stale_seconds=LONG) for _ in range(12)]
    gate = threading.Barrier(len(racers))

    def race(claims: Claims) -> None:
        gate.wait()
        for name in names:
            claims.take(name)

    threads = [threading.Thread(target=race, args=(claims,)) for claims in racers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [name for claims in racers for name in claims._held]
    assert sorted(won) == sorted(names)
    assert all(claims.holds(name) for claims in racers for name in list(claims._held))
    old.close()


def _win(directory: str, number: int, connection: Connection) -> None:
    claims = Claims(Path(directory), stale_seconds=LONG)
    claims.open()
    connection.recv()
    connection.send([name for name in (f"job{index}" for index in range(number)) if claims.take(name)])
    connection.recv()
    claims.close()


@pytest.mark.slow
def test_processes_share_jobs_without_sharing_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(3)]
    processes = [context.Process(target=_win, args=(str(tmp_path), 60, there)) for _, there in pipes]
    for process in processes:
        process.start()
    for here, _ in pipes:
        here.send("go")
    won = [here.recv() for here, _ in pipes]
    assert sorted(name for names in won for name in names) == sorted(f"job{index}" for index in range(60))
    for here, _ in pipes:
        here.send("end")
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert not (tmp_path / CLAIMS_DIR).exists()


def test_alone_waits_its_turn(tmp_path: Path, pair: tuple[Claims, Claims]) -> None:
    first, second = pair
    order: list[str] = []

    def wait_for_it() -> None:
        with second.alone("manifest"):
            order.append("second")

    with first.alone("manifest"):
        thread = threading.Thread(target=wait_for_it)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
