"""What a queue has done, what it does, and how long it will take."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wsabench.machine import available_cores
from wsabench.training.queue.options import expected_steps
from wsabench.training.queue.places import Places, is_held
from wsabench.training.queue.progress import closed, read_progress
from wsabench.training.queue.record import RunRecord, damage, hours_between, read_record
from wsabench.training.queue.running import is_unneeded
from wsabench.training.queue.spec import Queue, QueueRun

STATES = ("finished", "running", "waiting", "interrupted", "failed", "skipped", "unneeded")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """Where a run stands."""

    id: str
    kind: str
    game: str
    tier: str
    state: str
    """One of `STATES`."""
    steps: int
    total: int
    hours: float
    """Over all sittings, the one under way included."""
    steps_per_s: float | None
    """Measured: of the sitting under way, or of a finished run; None where it is not known."""
    hours_left: float | None
    """Core-hours; from the rates of finished runs of its kind, else of those under way; None where neither is known."""
    final_return: float | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """Where a queue stands."""

    name: str
    out: str
    pid: int | None
    """The process that works through it; None where none does."""
    parallel: int
    runs: tuple[RunStatus, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many runs are in each state."""
        return {state: sum(run.state == state for run in self.runs) for state in STATES}

    @property
    def open(self) -> list[RunStatus]:
        """The runs that are still to be done."""
        return [run for run in self.runs if run.state in ("running", "waiting", "interrupted")]

    @property
    def core_hours_left(self) -> float:
        """Core-hours of the open runs whose rate is known."""
        return sum(run.hours_left or 0.0 for run in self.open)

    @property
    def unknown(self) -> list[str]:
        """The open runs whose rate is not known yet."""
        return [run.id for run in self.open if run.hours_left is None]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as values for JSON."""
        left = {"core_hours": self.core_hours_left, "hours": self.core_hours_left / self.parallel}
        return {
            "name": self.name,
            "out": self.out,
            "pid": self.pid,
            "parallel": self.parallel,
            "counts": self.counts,
            "left": {**left, "unknown": self.unknown},
            "runs": self.runs,
        }


def queue_status(
    queue: Queue,
    places: Places,
    runs: Sequence[QueueRun] | None = None,
    records: Mapping[str, RunRecord] | None = None,
) -> QueueStatus:
    """Return where a queue stands; nothing is changed.

    Args:
        queue: The queue.
        places: Its folder.
        runs: The runs to tell of, a shard for example; None: all.
        records: Records that count where the folder has none, of another shard for example.

    Raises:
        StorageError: A record is damaged.
    """
    found = {run.id: read_record(places.record(run.id)) for run in queue.runs}
    others = {run_id: one for run_id, one in (records or {}).items() if run_id in found and found[run_id] is None}
    states: dict[str, str] = {}
    for run in _ordered(queue):
        states[run.id] = _state(run, found[run.id], places, states)
        if run.id in others:
            states[run.id] = others[run.id].outcome
    for run in queue.runs:
        is_open = run.kind == "frames" and states[run.id] in ("waiting", "interrupted")
        if is_open and is_unneeded(run, queue, lambda one: states[one] == "finished"):
            states[run.id] = "unneeded"
    told = {run.id: closed(found[run.id], places) or others.get(run.id) for run in queue.runs}
    rates = _rates(queue, told, states, places)
    info = _info(places)
    shown = queue.runs if runs is None else runs
    return QueueStatus(
        name=queue.name,
        out=str(places.root),
        pid=info.get("pid"),
        parallel=info.get("parallel", available_cores()),
        runs=tuple(_status(queue, run, told[run.id], states[run.id], rates, places) for run in shown),
    )


def _ordered(queue: Queue) -> list[QueueRun]:
    """Return the runs, each after those that it depends on."""
    import graphlib

    order = graphlib.TopologicalSorter({run.id: run.after for run in queue.runs}).static_order()
    return [queue[run_id] for run_id in order]


def _state(run: QueueRun, record: RunRecord | None, places: Places, states: Mapping[str, str]) -> str:
    if is_held(places.run_lock(run.id)):
        return "running"
    if record is not None and record.outcome == "finished":
        return "failed" if damage(record, places.root) else "finished"
    if record is not None and record.outcome == "failed":
        return "failed"
    if any(states[one] in ("failed", "skipped") for one in run.after):
        return "skipped"
    has_begun = record is not None and any(not session.is_lost for session in record.sessions)
    return "interrupted" if has_begun else "waiting"


def _info(places: Places) -> dict[str, Any]:
    """Return what the process that works through the queue says of itself, or nothing where there is none."""
    if not is_held(places.lock):
        return {}
    try:
        return json.loads(places.info.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


RateKey = tuple[str, ...]


def rate_key(run: QueueRun) -> RateKey:
    """Return what runs of like speed have in common: kind, agent, size or preset, algorithm."""
    told = (run.options.get(key, "") for key in ("preset", "size", "algorithm"))
    return (run.kind, run.agent, *map(str, told))


def _rates(
    queue: Queue, records: Mapping[str, RunRecord | None], states: Mapping[str, str], places: Places
) -> dict[RateKey, float]:
    """Return steps per hour by what runs have in common: of finished runs, else of those under way."""
    finished: dict[RateKey, list[float]] = {}
    under_way: dict[RateKey, list[float]] = {}
    for run in queue.runs:
        record = records[run.id]
        if states[run.id] == "finished" and record is not None and record.hours > 0 and record.steps:
            finished.setdefault(rate_key(run), []).append(record.steps / record.hours)
        elif states[run.id] == "running" and (rate := _present_rate(run, places)) is not None:
            under_way.setdefault(rate_key(run), []).append(3600 * rate)
    # Mean hours per step, so that several runs together take what is said.
    return {key: len(many) / sum(1 / one for one in many) for key, many in {**under_way, **finished}.items()}


def _present_rate(run: QueueRun, places: Places) -> float | None:
    """Return steps per second of the sitting under way; None where it has done none yet."""
    told = read_progress(places.progress(run.id))
    if told is None or told.steps <= told.from_steps:
        return None
    seconds = 3600 * hours_between(told.started, told.updated)
    return (told.steps - told.from_steps) / seconds if seconds > 0 else None


def _status(
    queue: Queue,
    run: QueueRun,
    record: RunRecord | None,
    state: str,
    rates: Mapping[RateKey, float],
    places: Places,
) -> RunStatus:
    total, steps, hours = expected_steps(queue, run), 0, 0.0
    rate: float | None = None
    if record is not None:
        steps, hours = record.steps, record.hours
        if state == "finished" and hours > 0:
            rate = steps / hours / 3600
    if state == "running":
        rate = _present_rate(run, places)
    elif record is not None and record.sessions and record.sessions[-1].is_lost:
        steps = 0
    left = None
    if state in ("running", "waiting", "interrupted") and rate_key(run) in rates:
        left = max(0, total - steps) / rates[rate_key(run)]
    reason = record.reason if record is not None and state == "failed" else ""
    if state == "failed" and record is not None and record.outcome == "finished":
        reason = damage(record, places.root)
    return RunStatus(
        id=run.id,
        kind=run.kind,
        game=run.game,
        tier=run.tier,
        state=state,
        steps=steps,
        total=total,
        hours=hours,
        steps_per_s=rate,
        hours_left=left,
        final_return=record.final.get("return_unclipped") if record is not None and state == "finished" else None,
        reason=reason,
    )
