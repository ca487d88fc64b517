"""One run of a queue, in a process of its own that does not outlive the queue's.

Called as `python -m wsabench.training.queue.child FILE ID OUT DEVICE PARENT`.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol as TypingProtocol

from wsabench.errors import WsabenchError
from wsabench.machine import cpu_facts, package_versions
from wsabench.progress import Reporter
from wsabench.resources import atomic_path, make_dir, state_dir
from wsabench.training.frames.collection import collect_frames
from wsabench.training.pretraining.pretrain import pretrain
from wsabench.training.queue.options import (
    agent_reference,
    collection,
    collection_options,
    shipped_encoders,
    training_options,
)
from wsabench.training.queue.places import Places, held
from wsabench.training.queue.progress import FileReporter, closed
from wsabench.training.queue.record import (
    RunRecord,
    Session,
    final_returns,
    hashed,
    hours_between,
    is_finished,
    now,
    read_record,
    trained_files,
    write_record,
)
from wsabench.training.queue.spec import Queue, QueueRun, RunKind, read_queue
from wsabench.training.run import train
from wsabench.training.trainer import CURVE_NAME

EXIT_FAILED, EXIT_INTERRUPTED = 2, 130
_PR_SET_PDEATHSIG = 1


class Work(TypingProtocol):
    """What a kind of run does."""

    def __call__(self, queue: Queue, run: QueueRun, places: Places, device: str, reporter: Reporter) -> list[Path]:
        """Do it, or go on with it, and return the files that it made."""
        ...


def collect(queue: Queue, run: QueueRun, places: Places, device: str, reporter: Reporter) -> list[Path]:
    """Collect frames."""
    wanted = collection(queue, run, places)
    folder = state_dir() / "frames" / wanted.folder_name()
    store = collect_frames(wanted, folder, workers=int(run.options.get("workers", 1)), reporter=reporter)
    return [path for path in store.path.iterdir() if path.is_file()]


def pretrain_encoders(queue: Queue, run: QueueRun, places: Places, device: str, reporter: Reporter) -> list[Path]:
    """Pre-train encoders on frames that are collected first where they are missing."""
    given = {key: run.options[key] for key in ("size", "steps", "workers") if run.options.get(key)}
    told = collection_options(queue, run, places)
    if told["expert"] is None:
        del told["expert"]
    result = pretrain(run.game, places.encoders(run.id), device=device, reporter=reporter, **told, **given)
    files = [*result.encoders.values(), *result.curves.values()]
    if run.options.get("with_shipped"):
        files += _copied(shipped_encoders(run.game), places.encoders(run.id), {path.name for path in files})
    return files


def _copied(sources: Sequence[Path], folder: Path, made: Collection[str]) -> list[Path]:
    """Copy files to a folder, but for those whose names it made itself, and return the copies."""
    copies = []
    for source in sources:
        if source.name not in made:
            copies.append(folder / source.name)
            with atomic_path(copies[-1]) as temporary:
                shutil.copyfile(source, temporary)
    return copies


def train_agent(queue: Queue, run: QueueRun, places: Places, device: str, reporter: Reporter) -> list[Path]:
    """Train an agent."""
    reference, folder = run.reference("encoders"), run.options.get("encoders")
    encoders = places.encoders(reference) if reference else None if folder is None else Path(folder)
    directory = train(
        agent_reference(queue, run),
        run.game,
        run.seed,
        str(run.options.get("preset", "compact")),
        steps=run.options.get("steps"),
        out=places.run(run.id),
        encoders=encoders,
        reporter=reporter,
        options=training_options(run, device),
    )
    return trained_files(directory)


WORK: Mapping[RunKind, Work] = {"frames": collect, "pretrain": pretrain_encoders, "train": train_agent}


def main(arguments: Sequence[str] | None = None, work: Mapping[RunKind, Work] = WORK) -> int:
    """Do one run and keep its record.

    Args:
        arguments: Queue file, id, the queue's folder, device, process id of the queue.
        work: What each kind does.

    Returns:
        0 finished; 2 failed, with the reason in the record; 130 interrupted.
    """
    file, run_id, out, device, parent = sys.argv[1:] if arguments is None else arguments
    die_with_parent(int(parent))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    queue, places = read_queue(Path(file)), Places(Path(out))
    os.environ["WSABENCH_HOME"] = str(make_dir(places.state))
    refusal = f"Another process works on the run {run_id!r} in {places.run(run_id)}. End it first."
    with held(places.run_lock(run_id), refusal):
        return _keep_record(queue, queue[run_id], places, device, work)


def die_with_parent(parent: int) -> None:
    """End this process at once when its parent ends in any way; a run goes on from its checkpoint later.

    Linux can do that; elsewhere the lock of a run keeps a second process off it.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before it could be watched
        raise SystemExit(EXIT_INTERRUPTED)


def _interrupt(number: int, frame: object) -> None:
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)  # both may come; the record is written once
    raise KeyboardInterrupt


def _keep_record(queue: Queue, run: QueueRun, places: Places, device: str, work: Mapping[RunKind, Work]) -> int:
    path, started = places.record(run.id), now()
    found = read_record(path)
    if is_finished(found, places):
        return 0
    record = closed(found, places) or RunRecord.of(run)
    record = replace(
        record,
        outcome="running",
        reason="",
        tier=run.tier,
        device=device,
        sessions=(*record.sessions, Session(started=started)),
        machine={"cpu": cpu_facts()["model"], "versions": package_versions()},
    )
    write_record(path, record)
    reporter = FileReporter(places.progress(run.id), run.kind)
    try:
        products = hashed(work[run.kind](queue, run, places, device, reporter), places.root)
    except KeyboardInterrupt:
        write_record(path, _ended(record, reporter, "interrupted"))
        return EXIT_INTERRUPTED
    except WsabenchError as error:
        write_record(path, replace(_ended(record, reporter, "failed"), reason=str(error)))
        sys.stderr.write(f"error: {error}\n")
        return EXIT_FAILED
    final = final_returns(places.run(run.id) / CURVE_NAME) if run.kind == "train" else {}
    write_record(path, replace(_ended(record, reporter, "finished"), products=products, final=final))
    return 0


def _ended(record: RunRecord, reporter: FileReporter, outcome: str) -> RunRecord:
    told = reporter.progress
    session = replace(
        record.sessions[-1],
        hours=hours_between(record.sessions[-1].started, now()),
        from_steps=told.from_steps,
        outcome=outcome,
    )
    return record.with_session(session, outcome=outcome, steps=told.steps)


if __name__ == "__main__":
    raise SystemExit(main())
