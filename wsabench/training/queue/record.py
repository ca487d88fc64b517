"""The record of a run: what was asked for, when it ran, what came out; one JSON file, replaced atomically."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from wsabench.agents import AGENT_FILE
from wsabench.errors import SpecError, StorageError
from wsabench.hashing import file_hash
from wsabench.resources import write_text
from wsabench.training.queue.places import Places
from wsabench.training.queue.spec import Queue, QueueRun
from wsabench.training.trainer import BEST_NAME, CURVE_NAME, EVALUATIONS_NAME

FORMAT = "wsabench-run-1"
Outcome = Literal["running", "finished", "failed", "interrupted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One sitting of a run."""

    started: str
    """UTC, ISO 8601."""
    hours: float = 0.0
    from_steps: int = 0
    """Steps that were there already; 0: it began anew."""
    outcome: Outcome = "running"
    is_lost: bool = False
    """Whether its work was lost, so that a later sitting began anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What is known of a run."""

    id: str
    kind: str
    game: str
    tier: str
    seed: int
    name: str
    """Agent under whose name it is handed over; empty for other kinds."""
    settings: Mapping[str, Any]
    outcome: Outcome
    reason: str = ""
    """Why it failed."""
    sessions: tuple[Session, ...] = ()
    steps: int = 0
    device: str = "cpu"
    final: Mapping[str, float] = field(default_factory=dict)
    """Of a trained agent: `return_unclipped`, `return_clipped` (means over the last 50 full games), `games`."""
    products: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of every file it made, by path below the queue's folder."""
    machine: Mapping[str, Any] = field(default_factory=dict)
    origin: str = ""
    """Where a result came from that this queue did not compute."""
    handed_over: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of every file that was handed over, by path below that folder."""

    @classmethod
    def of(cls, run: QueueRun, outcome: Outcome = "running") -> Self:
        """Return the record of a run that has not begun."""
        return cls(
            id=run.id,
            kind=run.kind,
            game=run.game,
            tier=run.tier,
            seed=run.seed,
            name=run.name,
            settings=run.settings,
            outcome=outcome,
        )

    @property
    def hours(self) -> float:
        """Hours over all sittings."""
        return sum(session.hours for session in self.sessions)

    @property
    def started(self) -> str:
        """When the first sitting began; empty before it."""
        return self.sessions[0].started if self.sessions else ""

    def with_session(self, session: Session, **changes: Any) -> Self:
        """Return it with its last sitting replaced, and other fields changed."""
        return replace(self, sessions=(*self.sessions[:-1], session), **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: object = "record") -> Self:
        """Build from JSON values.

        Raises:
            StorageError: They are not such a record.
        """
        told = dict(values)
        if told.pop("format", None) != FORMAT:
            raise StorageError(f"{where} is not a record of this version ({FORMAT}). Remove it to run it again.")
        try:
            sessions = tuple(Session(**one) for one in told.pop("sessions"))
            return cls(**told, sessions=sessions)
        except (KeyError, TypeError, AttributeError) as error:
            raise StorageError(f"{where} is damaged: {error}. Remove it to run it again.") from error


def read_record(path: Path) -> RunRecord | None:
    """Return a record; None where there is none.

    Raises:
        StorageError: It is damaged, or of another version.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} is damaged: {error}. Remove it to run it again.") from error
    return RunRecord.from_dict(values, path)


def write_record(path: Path, record: RunRecord) -> None:
    """Write a record.

    Raises:
        StorageError: It cannot be written.
    """
    write_text(path, json.dumps(record.to_dict(), indent=1, sort_keys=True) + "\n")


def require_same_settings(queue: Queue, run: QueueRun, record: RunRecord) -> None:
    """Refuse to mix results of other options.

    Raises:
        SpecError: The record was made with other options than the file has now.
    """
    found: dict[str, Any] = {"kind": record.kind, "game": record.game, **record.settings}
    wanted: dict[str, Any] = {"kind": run.kind, "game": run.game, **run.settings}
    for key in sorted(found.keys() | wanted.keys()):
        if found.get(key) != wanted.get(key):
            raise SpecError(
                f"{queue.where(run, key)}: is {wanted.get(key)!r}, but what lies in the queue's folder was begun with "
                f"{found.get(key)!r}. Restore it, give the run another id, or use another --out."
            )


def damage(record: RunRecord, root: Path) -> str:
    """Return what is wrong with the products of a finished run; empty where they are what was recorded."""
    for name, digest in record.products.items():
        path = root / name
        if not path.is_file():
            return f"{path} is missing"
        if file_hash(path) != digest:
            return f"{path} is not what was recorded"
    return "" if record.products else "its record names no products"


def is_finished(record: RunRecord | None, places: Places) -> bool:
    """Return whether a run is recorded as finished and everything it made is still there, to the byte."""
    return record is not None and record.outcome == "finished" and not damage(record, places.root)


def hashed(paths: Iterable[Path], root: Path) -> dict[str, str]:
    """Return the SHA-256 of files by their path below a folder."""
    return {path.relative_to(root).as_posix(): file_hash(path) for path in sorted(paths)}


def trained_files(directory: Path) -> list[Path]:
    """Return what a training run is known by: its agent, its curve, its encoders, and what evaluations left."""
    names = (AGENT_FILE, CURVE_NAME, EVALUATIONS_NAME, BEST_NAME)
    encoders = (directory / "encoders").glob("*")
    return [path for path in (*(directory / name for name in names), *encoders) if path.is_file()]


def final_returns(curve: Path) -> dict[str, float]:
    """Return the last row of a learning curve: mean returns over the last 50 full games, and how many games there were.

    Where no game ended there are no means.

    Raises:
        StorageError: The curve cannot be read, or has no such columns.
    """
    try:
        *_, last = csv.DictReader(curve.read_text(encoding="utf-8").splitlines())
        found = {
            "return_unclipped": float(last["return_unclipped_mean_50"]),
            "return_clipped": float(last["return_clipped_mean_50"]),
            "games": float(last["games"]),
        }
        return {name: value for name, value in found.items() if not math.isnan(value)}
    except OSError as error:
        raise StorageError(f"Cannot read {curve}: {error.strerror}.") from error
    except (KeyError, ValueError) as error:
        raise StorageError(f"{curve} is no learning curve: {error} is missing.") from error


def now() -> str:
    """Return the time, UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def hours_between(start: str, end: str) -> float:
    """Return the hours from one time to another; 0 where they run backwards."""
    seconds = (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    return max(0.0, seconds / 3600)
