"""The rows of a queue in a table of runs: a part of a Markdown file that is written anew, the rest stays."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from wsabench.errors import StorageError
from wsabench.resources import write_text
from wsabench.training.queue.places import Places
from wsabench.training.queue.record import RunRecord
from wsabench.training.queue.spec import Queue, QueueRun
from wsabench.training.queue.status import QueueStatus, RunStatus, queue_status

_KIND_TITLES = {"train": "Agents", "pretrain": "Encoders", "frames": "Frames"}


def markers(name: str) -> tuple[str, str]:
    """Return the lines between which the rows of a queue stand."""
    return f"<!-- queue {name}: begin, written by `wsabench train --queue` -->", f"<!-- queue {name}: end -->"


def write_runs(queue: Queue, places: Places, path: Path, records: Mapping[str, RunRecord] | None = None) -> None:
    """Write the rows of a queue into a Markdown file, between its two markers, or at the end where there are none.

    Args:
        queue: The queue.
        places: Its folder.
        path: The file; made where it is missing.
        records: Records by id that count where the folder has none; None: there are no others.

    Raises:
        StorageError: The file cannot be read or written, or has only one of the markers.
    """
    begin, end = markers(queue.name)
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else "# Runs\n"
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror}.") from error
    if (begin in text) != (end in text) or text.find(begin) > text.find(end):
        raise StorageError(
            f"{path} has only one of the lines {begin!r} and {end!r}, or in another order. Restore them."
        )
    part = f"{begin}\n\n{runs_text(queue, places, path.parent, records)}\n{end}"
    if begin in text:
        before, _, rest = text.partition(begin)
        text = before + part + rest.partition(end)[2]
    else:
        text = f"{text.rstrip()}\n\n## Queue {queue.name}\n\n{part}\n"
    write_text(path, text)


def runs_text(queue: Queue, places: Places, folder: Path, records: Mapping[str, RunRecord] | None = None) -> str:
    """Return the tables: tiers with their core-hours, agents, encoders, frames; in the order of the queue.

    Args:
        queue: The queue.
        places: Its folder.
        folder: Where the text will stand; curves that are there are linked, with records those that were handed over.
        records: As for `write_runs`.
    """
    from wsabench.training.queue.record import read_record

    status = queue_status(queue, places, records=records)
    known = {run.id: read_record(places.record(run.id)) or (records or {}).get(run.id) for run in queue.runs}
    parts = [_tier_table(status)]
    by_id = {one.id: one for one in status.runs}
    curves = None if records is None else {name for one in records.values() for name in one.handed_over}
    for kind, title in _KIND_TITLES.items():
        runs = [run for run in queue.runs if run.kind == kind]
        begun = [run for run in runs if known[run.id] is not None or by_id[run.id].state == "skipped"]
        if begun:
            parts.append(_run_table(title, [(run, by_id[run.id], known[run.id]) for run in begun], folder, curves))
    return "\n".join(parts)


def _tier_table(status: QueueStatus) -> str:
    rows = []
    for tier in dict.fromkeys(run.tier for run in status.runs):
        runs = [run for run in status.runs if run.tier == tier]
        still = [run for run in runs if run.state in ("running", "waiting", "interrupted")]
        left = f"{sum(run.hours_left or 0.0 for run in still):.1f}"
        if unknown := sum(run.hours_left is None for run in still):
            left = f"at least {left}; {unknown} of unknown speed"
        done = sum(run.state in ("finished", "unneeded") for run in runs)
        rows.append([tier or "-", len(runs), done, f"{sum(run.hours for run in runs):.1f}", left])
    return _markdown(["tier", "runs", "finished", "core-hours so far", "core-hours left"], rows)


def _run_table(
    title: str,
    rows: Sequence[tuple[QueueRun, RunStatus, RunRecord | None]],
    folder: Path,
    curves: Collection[str] | None,
) -> str:
    is_train = title == "Agents"
    head = ["run", *(["agent", "seed"] if is_train else ["seed"]), "steps", "core-hours"]
    head += ["return, unclipped", "return, clipped", "curve"] if is_train else []
    body = []
    for run, status, record in rows:
        cells = [f"`{run.id}`", *([run.name, run.seed] if is_train else [run.seed])]
        cells += [f"{status.steps:,}", f"{status.hours:.2f}"]
        if is_train:
            final = record.final if record is not None and record.outcome == "finished" else {}
            cells += [f"{final[key]:.1f}" if key in final else "" for key in ("return_unclipped", "return_clipped")]
            link = f"{run.game}/{run.name}-seed{run.seed}-curve.csv"
            is_its_own = curves is None or link in curves
            cells.append(f"[curve]({link})" if is_its_own and (folder / link).is_file() else "")
        body.append([*cells, _story(status, record)])
    return f"{title}:\n\n{_markdown([*head, 'how it went'], body)}"


def _story(status: RunStatus, record: RunRecord | None) -> str:
    """Return how a run went: its state, where it was interrupted and went on, why it failed."""
    words = [status.state]
    if record is None:
        return words[0]
    if record.origin:
        words.append(record.origin)
    sessions = record.sessions
    for before, session in itertools.pairwise(sessions):
        if before.is_lost:
            words.append(f"began again from 0 after {before.hours:.1f} hours that were lost")
        elif session.from_steps:
            words.append(f"interrupted, went on at {session.from_steps:,}")
        else:
            words.append(f"{before.outcome} after {before.hours:.1f} hours, began again from 0")
    if sessions and sessions[-1].is_lost:
        words.append("its work was lost")
    reason = " ".join(status.reason.split()).replace("|", "\\|")
    return "; ".join([*words, *([reason] if reason else [])])


def _markdown(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)
