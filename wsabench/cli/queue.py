"""`wsabench train --queue`: work through a file of runs, or say where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wsabench.cli.terminal.console import write_json, write_line, write_table
from wsabench.errors import SpecError
from wsabench.words import counted

if TYPE_CHECKING:
    from wsabench.training.queue import Places, Queue, QueueStatus, RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueCall:
    """What was asked for on the command line."""

    file: Path
    out: Path | None = None
    parallel: int | None = None
    shard: str | None = None
    status: bool = False
    as_json: bool = False
    write_runs: Path | None = None
    export: Path | None = None
    bring_back: Path | None = None
    adopt: list[Path] = field(default_factory=list)
    origin: str | None = None
    executor: str = "local"
    address: str | None = None


def queue_command(call: QueueCall) -> None:
    """Do one thing with a queue: adopt, bring back, hand over, tell where it stands, or work through it.

    Raises:
        SpecError: Options do not go together, or the file is wrong.
        WorkerError: A run failed.
    """
    from wsabench.evaluation.cluster.crews import check_executor
    from wsabench.training import queue as queues

    _check_together(call)
    check_executor(call.executor, call.address, call.parallel)
    queue = queues.read_queue(call.file)
    places = queues.Places(call.out or queues.default_out(queue.name))
    if not call.status:
        queues.check_queue(queue)
        queues.check_records(queue, places)
    if call.adopt:
        for source in call.adopt:
            found = queues.adopt(queue, places, source, call.origin or "trained by hand")
            write_line(f"{found}: finished, taken from {source}")
    elif call.bring_back is not None:
        brought = queues.bring_back(queue, places, call.bring_back, write_line)
        write_line(f"Brought back: {counted(len(brought), 'run')}")
    elif call.export is not None:
        files = queues.export_queue(queue, places, call.export, write_line)
        write_line(f"Handed over to {call.export}: {counted(len(files), 'file')} in all")
    elif call.status:
        _show(queue, places, call)
    else:
        _work(queue, places, call)
        return
    if call.write_runs is not None:
        queues.write_runs(queue, places, call.write_runs)


def _check_together(call: QueueCall) -> None:
    asked = [bool(call.adopt), call.bring_back is not None, call.export is not None, call.status]
    if sum(asked) > 1:
        raise SpecError("Allowed: one of --adopt, --bring-back, --export and --status at once.")
    if call.as_json and not call.status:
        raise SpecError("--json is given without --status. Give both.")
    if call.origin is not None and not call.adopt:
        raise SpecError("--origin is given without --adopt. Give both.")


def _work(queue: Queue, places: Places, call: QueueCall) -> None:
    from wsabench.training import queue as queues

    page = call.write_runs
    options = queues.QueueOptions(
        parallel=call.parallel,
        shard=None if call.shard is None else queues.parse_shard(call.shard),
        tell=write_line,
        after_each=(lambda: None) if page is None else (lambda: queues.write_runs(queue, places, page)),
    )
    write_line(f"Queue {queue.name} in {places.root}")
    if call.executor == "ray":
        result = queues.run_queue_on_ray(queue, places.root, options, call.address)
    else:
        result = queues.run_queue(queue, places.root, options)
    if (error := queues.failure(result)) is not None:
        raise error
    write_line(f"Nothing is left: {counted(len(result.finished), 'finished run')}.")


def _show(queue: Queue, places: Places, call: QueueCall) -> None:
    from wsabench.training import queue as queues

    runs = queues.of_shard(queue, None if call.shard is None else queues.parse_shard(call.shard))
    status = queues.queue_status(queue, places, runs)
    if call.as_json:
        write_json(status.to_dict())
        return
    _write_status(status)


def _write_status(status: QueueStatus) -> None:
    who = "no process works on it" if status.pid is None else f"process {status.pid}, {status.parallel} at once"
    write_line(f"Queue {status.name} in {status.out}: {who}")
    rows = [_row(run) for run in status.runs]
    columns = ["run", "state", "done", "steps/s", "hours", "left", "return"]
    write_table("", columns, rows)
    write_line(", ".join(f"{count} {state}" for state, count in status.counts.items() if count))
    for run in status.runs:
        if run.reason:
            write_line(f"{run.id} failed: {run.reason}")
    write_line(_left(status))


def _row(run: RunStatus) -> list[object]:
    share = f"{100 * run.steps // run.total}%"
    return [run.id, run.state, share, run.steps_per_s, run.hours, run.hours_left, run.final_return]


def _left(status: QueueStatus) -> str:
    """Return the hours left as a sentence."""
    unknown = len(status.unknown)
    if not status.open:
        return "Nothing is left."
    if unknown == len(status.open):
        return f"Hours left: unknown, no run of their kinds has been measured yet ({counted(unknown, 'run')})."
    core = status.core_hours_left
    text = f"Hours left: about {core / status.parallel:.1f} ({core:.1f} core-hours, {status.parallel} at once)"
    return f"{text}, and {counted(unknown, 'run')} of kinds not measured yet." if unknown else f"{text}."
