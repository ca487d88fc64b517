"""Handing results over: finished agents, encoders and curves to a folder of baselines, and back from it."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wsabench.agents import AGENT_FILE, load_spec
from wsabench.agents.checkpoint import AgentMeta, read_checkpoint
from wsabench.agents.half import export_checkpoint
from wsabench.errors import CheckpointError, SpecError, StorageError
from wsabench.hashing import file_hash
from wsabench.resources import atomic_path, make_dir, write_text
from wsabench.training.export import thinned
from wsabench.training.queue.options import agent_reference, training_options
from wsabench.training.queue.places import Places, held
from wsabench.training.queue.progress import closed
from wsabench.training.queue.record import (
    RunRecord,
    Session,
    final_returns,
    hashed,
    is_finished,
    read_record,
    require_same_settings,
    trained_files,
    write_record,
)
from wsabench.training.queue.spec import Queue, QueueRun
from wsabench.training.queue.table import write_runs
from wsabench.training.run import plan_training
from wsabench.training.trainer import CHECKPOINT_NAME, CURVE_NAME

RECORDS_FORMAT = "wsabench-records-1"
RUNS_PAGE = "RUNS.md"
Tell = Callable[[str], None]


def records_path(folder: Path, queue: str) -> Path:
    """Return where the records of a queue of this name are handed over."""
    return folder / "records" / f"{queue}.json"


def read_records(path: Path) -> dict[str, RunRecord]:
    """Return the records that were handed over, by id; none where there is no such file.

    Raises:
        StorageError: It is damaged, or of another version.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} is damaged: {error}. Restore it.") from error
    if not isinstance(told, dict) or told.get("format") != RECORDS_FORMAT or not isinstance(told.get("runs"), list):
        raise StorageError(f"{path} holds no records of this version ({RECORDS_FORMAT}). Restore it.")
    records = [RunRecord.from_dict(one, path) for one in told["runs"]]
    return {record.id: record for record in records}


def write_records(path: Path, queue: str, records: Sequence[RunRecord]) -> None:
    """Write records of a queue of this name.

    Raises:
        StorageError: The file cannot be written.
    """
    make_dir(path.parent)
    told = {"format": RECORDS_FORMAT, "queue": queue, "runs": [record.to_dict() for record in records]}
    write_text(path, json.dumps(told, indent=1, sort_keys=True) + "\n")


def export_queue(queue: Queue, places: Places, folder: Path, tell: Tell = lambda text: None) -> dict[str, str]:
    """Copy what is finished to a folder of baselines, with the records of all runs and the rows of its `RUNS.md`.

    An agent becomes `GAME/NAME-seedN.safetensors` in half precision, its curve `GAME/NAME-seedN-curve.csv`; the
    encoders of a game go to `GAME/encoders/`, those that one agent alone reads to `GAME/encoders/NAME-seedN/`. A file
    that is there already, to the byte, is not written again. New encoders of a game wait until no agent there reads the
    earlier ones.

    Args:
        queue: The queue.
        places: Its folder.
        folder: The folder of baselines.
        tell: Gets a line for each file that is written, and for what waits.

    Returns:
        SHA-256 of every file that belongs there, by its path in `folder`.

    Raises:
        CheckpointError: An agent is damaged, or cannot be written in half precision.
        StorageError: A file cannot be read or written.
    """
    found = {run.id: closed(read_record(places.record(run.id)), places) for run in queue.runs}
    earlier = read_records(records_path(folder, queue.name))
    done = {run_id: one for run_id, one in found.items() if one is not None and is_finished(one, places)}
    waiting = _waiting_games(queue, done, folder)
    told: dict[str, str] = {}
    merged = {run_id: one for run_id, one in {**earlier, **found}.items() if one is not None}
    for run in queue.runs:
        if run.id not in done or run.kind == "frames":
            continue
        if run.game in waiting and (run.is_shipped_encoders or _reads_shipped(queue, run)):
            tell(f"{run.id} waits: {waiting[run.game]}")
            continue
        files = {}
        for name, write in _files(queue, run, places):
            files[name] = _place(folder / name, write, tell)
        told |= files
        merged[run.id] = dataclasses.replace(done[run.id], handed_over=files)
    path = records_path(folder, queue.name)
    write_records(path, queue.name, [merged[run.id] for run in queue.runs if run.id in merged])
    write_runs(queue, places, folder / RUNS_PAGE, merged)
    return told


def _waiting_games(queue: Queue, done: dict[str, RunRecord], folder: Path) -> dict[str, str]:
    """Return the games whose encoders must stay for now, with the reason: an agent there reads the earlier ones."""
    waiting = {}
    for run in queue.runs:
        if not run.is_shipped_encoders or run.id not in done:
            continue
        new = {path.name: digest for path, digest in _by_path(done[run.id])}
        there = folder / run.game / "encoders"
        if all(not (there / name).is_file() or file_hash(there / name) == digest for name, digest in new.items()):
            continue
        ready = {f"{one.name}-seed{one.seed}" for one in queue.runs if one.id in done and one.game == run.game}
        for path in sorted((folder / run.game).glob("*-seed*.safetensors")):
            if path.stem in ready or (there / path.stem).is_dir() or read_checkpoint(path).meta.spec.kind == "e2e":
                continue
            waiting[run.game] = f"{path} reads the encoders that are there and is not trained anew yet"
    return waiting


def _by_path(record: RunRecord) -> Iterator[tuple[Path, str]]:
    for name, digest in record.products.items():
        if name.endswith(".safetensors"):
            yield Path(name), digest


def _reads_shipped(queue: Queue, run: QueueRun) -> bool:
    reference = run.reference("encoders")
    return reference is not None and queue[reference].is_shipped_encoders


def _files(queue: Queue, run: QueueRun, places: Places) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Yield the files of a run by their name in the folder of baselines, and what writes each."""
    if run.kind == "pretrain":
        if run.is_shipped_encoders:
            for path in sorted(places.encoders(run.id).iterdir()):
                yield f"{run.game}/encoders/{path.name}", _copier(path)
        return
    stem = f"{run.game}/{run.name}-seed{run.seed}"
    own_encoders = [] if _reads_shipped(queue, run) else sorted(places.encoders(run.id).glob("*"))
    for path in own_encoders:
        yield f"{run.game}/encoders/{run.name}-seed{run.seed}/{path.name}", _copier(path)
    yield f"{stem}.safetensors", lambda target: export_checkpoint(places.agent(run.id), target, run.name)
    yield f"{stem}-curve.csv", _thinner(places.run(run.id) / CURVE_NAME)


def _copier(source: Path) -> Callable[[Path], None]:
    def copy(target: Path) -> None:
        shutil.copyfile(source, target)

    return copy


def _thinner(source: Path) -> Callable[[Path], None]:
    def write(target: Path) -> None:
        write_text(target, "\n".join(thinned(source.read_text(encoding="utf-8").splitlines())) + "\n")

    return write


def _place(target: Path, write: Callable[[Path], None], tell: Tell) -> str:
    """Write a file where another content or none is there; return its SHA-256."""
    make_dir(target.parent)
    with tempfile.TemporaryDirectory(prefix=".handover-", dir=target.parent) as folder:
        made = Path(folder) / target.name
        write(made)
        digest = file_hash(made)
        if not target.is_file() or file_hash(target) != digest:
            with atomic_path(target) as temporary:
                shutil.copyfile(made, temporary)
            tell(f"wrote {target}")
    return digest


def bring_back(queue: Queue, places: Places, folder: Path, tell: Tell = lambda text: None) -> list[str]:
    """Take what was handed over earlier as finished, so that it is not computed again.

    A run counts as finished if its record there was made with the same options and every file that it handed over is
    there, to the byte. Of a run that was under way, and whose folder is gone, the hours are kept as lost.

    Args:
        queue: The queue.
        places: Its folder.
        folder: The folder of baselines.
        tell: Gets a line for each run.

    Returns:
        The ids of the runs that are finished now and were not before.

    Raises:
        SpecError: A record was made with other options than the file has now.
        StorageError: A file cannot be read or written, or another process works on the queue.
    """
    brought = []
    with held(places.lock, f"A process works through the queue in {places.root}. Stop it first."):
        for run_id, record in read_records(records_path(folder, queue.name)).items():
            run = next((one for one in queue.runs if one.id == run_id), None)
            if run is None or read_record(places.record(run_id)) is not None:
                continue
            require_same_settings(queue, run, record)
            wrong = [name for name, digest in record.handed_over.items() if _differs(folder / name, digest)]
            if record.outcome == "finished" and record.handed_over and not wrong:
                _bring(run, record, places, folder)
                brought.append(run_id)
                tell(f"{run_id}: finished, brought back from {folder}")
            elif record.sessions and run.kind != "frames":
                lost = tuple(dataclasses.replace(session, is_lost=True) for session in record.sessions)
                kept = dataclasses.replace(
                    record, sessions=lost, outcome="interrupted", steps=0, products={}, final={}, handed_over={}
                )
                make_dir(places.run(run_id))
                write_record(places.record(run_id), kept)
                why = f"{folder / wrong[0]} is missing or another file" if wrong else "it was not finished"
                tell(f"{run_id}: begins anew: {why}")
    return brought


def _differs(path: Path, digest: str) -> bool:
    return not path.is_file() or file_hash(path) != digest


def _bring(run: QueueRun, record: RunRecord, places: Places, folder: Path) -> None:
    """Copy what a run handed over into its folder, and record it as finished."""
    target = make_dir(places.run(run.id))
    made = []
    for name in record.handed_over:
        path = Path(name)
        if path.parent.name == "encoders" or path.parent.parent.name == "encoders":
            place = make_dir(places.encoders(run.id)) / path.name
        else:
            place = target / (CURVE_NAME if path.suffix == ".csv" else AGENT_FILE)
        with atomic_path(place) as temporary:
            shutil.copyfile(folder / name, temporary)
        made.append(place)
    write_record(places.record(run.id), dataclasses.replace(record, products=hashed(made, places.root), handed_over={}))


def adopt(queue: Queue, places: Places, source: Path, origin: str = "trained by hand") -> str:
    """Take a finished run of an end-to-end agent that was trained without the queue as the run of the queue it equals.

    A queue at work notes it before it would begin that run.

    Args:
        queue: The queue.
        places: Its folder.
        source: The folder of a training run, or an agent file `NAME-seedN.safetensors` beside `NAME-seedN-curve.csv`.
        origin: Where it comes from, for the table of runs.

    Returns:
        The id of the run.

    Raises:
        CheckpointError: There is no such agent, or it is damaged.
        SpecError: No run of the queue has its game, agent, seed and hyper-parameters, or it is not finished.
        StorageError: A file cannot be read or written, or that run is under way.
    """
    agent = source / AGENT_FILE if source.is_dir() else source
    curve = source / CURVE_NAME if source.is_dir() else source.with_name(f"{source.stem}-curve.csv")
    meta = read_checkpoint(agent).meta
    reasons = []
    for run in queue.runs:
        if run.kind == "train" and (run.game, run.seed) == (meta.game, meta.train_seed):
            if not (reason := _difference(queue, run, meta)):
                return _adopt(run, places, agent, curve, meta, origin)
            reasons.append(f"{run.id}: {reason}")
    told = "; ".join(reasons) or f"none is on {meta.game} with seed {meta.train_seed}"
    raise SpecError(f"{agent} is no run of {queue.path}: {told}. Allowed: finished end-to-end agents of its runs.")


def _difference(queue: Queue, run: QueueRun, meta: AgentMeta) -> str:
    """Return in what an agent differs from what a run would train; empty where in nothing."""
    options = training_options(run, "cpu")
    preset = str(run.options.get("preset", "compact"))
    agent = agent_reference(queue, run)
    if load_spec(agent, preset).kind != "e2e" or meta.spec.kind != "e2e":
        return "not end-to-end"
    plan = plan_training(agent, run.game, run.seed, preset, run.options.get("steps"), options)
    if plan.spec != meta.spec:
        return "another architecture"
    randomisation = None if plan.randomisation is None else plan.randomisation.to_dict()
    wanted = {**plan.preset.to_dict(), "algorithm": plan.preset.algorithm, "randomisation": randomisation}
    for key, value in wanted.items():
        if meta.training.get(key, value) != value:
            if key == "randomisation":
                return "its games are played under other perturbations"
            return f"{key} is {meta.training[key]!r} there, {value!r} here"
    if meta.steps < plan.preset.num_updates * plan.preset.update_steps:
        return f"trained for {meta.steps:,} steps only"
    return ""


def _adopt(run: QueueRun, places: Places, agent: Path, curve: Path, meta: AgentMeta, origin: str) -> str:
    with held(places.run_lock(run.id), f"The queue works on {run.id!r} now. Stop it first, or let it finish the run."):
        if is_finished(read_record(places.record(run.id)), places):
            return run.id
        target = make_dir(places.run(run.id))
        if (target / CHECKPOINT_NAME).is_file():
            raise StorageError(f"{target} holds a run under way. Remove it first, or let the queue finish it.")
        for source, name in ((agent, AGENT_FILE), (curve, CURVE_NAME)):
            if not source.is_file():
                raise CheckpointError(f"{source} is missing. Give a run's folder, or an agent file beside its curve.")
            with atomic_path(target / name) as temporary:
                shutil.copyfile(source, temporary)
        rows = list(csv.DictReader(curve.read_text(encoding="utf-8").splitlines()))
        ended = datetime.fromtimestamp(curve.stat().st_mtime, UTC)
        hours = float(rows[-1]["wall_s"]) / 3600
        started = (ended - timedelta(hours=hours)).isoformat(timespec="seconds")
        record = dataclasses.replace(
            RunRecord.of(run, "finished"),
            sessions=(Session(started=started, hours=hours, outcome="finished"),),
            steps=meta.steps,
            final=final_returns(target / CURVE_NAME),
            products=hashed(trained_files(target), places.root),
            machine={"versions": meta.versions},
            origin=origin,
        )
        write_record(places.record(run.id), record)
    return run.id
