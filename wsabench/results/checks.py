"""Whether a result set makes sense: its plan in itself, and each shard as what the plan says of its job.

Every refusal names the file, the row, counted from 0, and the column.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, get_args

import pyarrow as pa

from wsabench.errors import ResultSetError, SpecError, UnknownNameError
from wsabench.protocol import Protocol
from wsabench.results.manifest import AgentId, JobEntry, RecordedPlan
from wsabench.results.records import ACTION_DIGITS
from wsabench.results.tables import WEIGHT_PREFIX, written_name
from wsabench.seeding import evaluation_seed, start_order
from wsabench.types import EpisodeEnd
from wsabench.words import counted

_ENDS = get_args(EpisodeEnd)
_SLACK = 1e-6
"""Weights are computed in float32: they, and what is derived from them, may leave their range by this much."""
_FILE_NAME = re.compile(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]*\.parquet")
_HASH = re.compile(r"[0-9a-f]+")
_AGAIN = "Start the same run again, which plays this job again, or restore the file from a copy."

_seed = functools.lru_cache(maxsize=1 << 16)(evaluation_seed)


class ShardError(ResultSetError):
    """A shard that is damaged, or is not what the plan says of its job; its job can be played again."""

    def __init__(self, what: str) -> None:
        """Take what is wrong, a sentence without its full stop."""
        super().__init__(f"{what}. {_AGAIN}")
        self.what = what


def check_plan(plan: RecordedPlan, path: Path) -> None:
    """Check that a plan makes sense.

    Args:
        plan: The plan of a manifest.
        path: The manifest's file, for messages.

    Raises:
        ResultSetError: An agent, a job or a job's file is there twice or has nothing it belongs to, a file has no plain
            name, or an agent's view is no protocol.
    """
    for what, allowed in _faults(plan):
        raise ResultSetError(f"{path}: {what}. Allowed: {allowed}. Restore it from a copy, or run again elsewhere.")


def _faults(plan: RecordedPlan) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a plan, and what is allowed there."""
    agents = [entry.id for entry in plan.agents]
    if (twice := _first_double(agents)) is not None:
        yield f"agent {twice.describe()} is listed twice", "each agent once"
    for entry in plan.agents:
        try:
            plan.protocol_with(entry.view)
        except (SpecError, UnknownNameError, TypeError) as error:
            yield f"the view of {entry.id.describe()} is no protocol: {error}", "fields of the protocol"
    if (twice := _first_double((job.id, job.perturbation) for job in plan.jobs)) is not None:
        yield f"the job {twice[0].describe()}, {twice[1]} is listed twice", "each job once"
    if (file := _first_double(job.file for job in plan.jobs)) is not None:
        yield f"the file {file!r} is that of two jobs", "a file of its own for each job"
    known, cells = set(agents), {(game, name) for game in plan.games for name in plan.perturbations}
    for job in plan.jobs:
        what = f"the job {job.id.describe()}, {job.perturbation}"
        if job.id not in known:
            yield f"{what} is of an agent that is not listed", "jobs of the agents in plan.agents"
        if (job.game, job.perturbation) not in cells:
            yield f"{what} is of a cell that was not planned", "games of plan.games, names of plan.perturbations"
        if not _FILE_NAME.fullmatch(job.file):
            yield f"{what} has the file {job.file!r}", "names of files in the result set's own folders"


class ShardChecks:
    """Checks shards against one plan."""

    def __init__(self, plan: RecordedPlan) -> None:
        """Take the plan; `check_plan` has accepted it."""
        self._plan = plan
        self._agents = {entry.id: entry for entry in plan.agents}
        self._families: dict[str, str] = {}

    def episodes(self, path: Path, table: pa.Table, job: JobEntry) -> None:
        """Check a shard of episodes.

        Args:
            path: Its file, for messages.
            table: Its rows, with the columns of `EPISODE_SCHEMA`.
            job: What the plan says of it.

        Raises:
            ShardError: It is of another job or run, holds other episodes, or a value makes no sense.
        """
        rows = table.to_pydict()
        if set(rows["fingerprint"]) - {job.fingerprint}:
            raise ShardError(f"{path} was made by another run: its fingerprint is not that of the manifest")
        number = self._plan.episodes if job.episodes is None else job.episodes
        if table.num_rows != number:
            raise ShardError(f"{path} holds {counted(table.num_rows, 'episode')}; the manifest says {number}")
        _check_nulls(path, table)
        self._check_job(path, rows, job)
        self._check_family(path, rows, job)
        first = self._first_episode(job, rows)
        protocol = self._protocol(job.id)
        frames = 1 if "dynamics" in rows["family"][0] else protocol.frame_skip  # dynamics can shorten steps
        longest = -(-protocol.max_frames // frames)
        seed = self._plan.seed
        wanted: list[tuple[str, Callable[[int, Any], bool], str]] = [
            (
                "episode",
                lambda row, value: value == first + row,
                f"{first} to {first + number - 1}, each once, in order",
            ),
            (
                "episode_seed",
                lambda row, value: value == _seed(job.game, first + row, seed),
                f"seeds that follow from the run's seed {seed}, the game and the episode's number",
            ),
            ("return", lambda _, value: math.isfinite(value), "finite numbers"),
            ("length", lambda _, value: 1 <= value <= longest, f"1 to {longest} steps"),
            ("end", lambda _, value: value in _ENDS, ", ".join(_ENDS)),
            ("noops", *self._noops_rule(job, protocol)),
            ("action_hash", lambda _, value: value is None or _is_hash(value), "hexadecimal digits"),
        ]
        for column, is_valid, allowed in wanted:
            _check_column(path, rows, column, is_valid, allowed)

    def attention(self, path: Path, table: pa.Table, job: JobEntry) -> None:
        """Check a shard of attention, a table of `ATTENTION_SCHEMA`; arguments and errors are those of `episodes`."""
        rows = table.to_pydict()
        _check_nulls(path, table)
        self._check_job(path, rows, job)
        self._check_family(path, rows, job)
        entry = self._agents.get(job.id)
        encoders = rows["encoder"]
        if not encoders or (entry is not None and entry.encoders and tuple(encoders) != entry.encoders):
            known = ", ".join(entry.encoders) if entry is not None else "one row an encoder"
            raise ShardError(f"{path}, encoder: found {', '.join(encoders) or 'no row'}. Allowed: {known}")
        most = math.log(len(encoders))
        wanted: list[tuple[str, Callable[[int, Any], bool], str]] = [
            ("encoder", lambda row, value: encoders.index(value) == row, "each encoder once"),
            ("mean", lambda _, value: _is_between(value, 0, 1), "weights from 0 to 1"),
            ("sd", lambda _, value: _is_between(value, 0, 0.5), "standard deviations of weights, 0 to 0.5"),
            ("entropy", lambda _, value: _is_between(value, 0, most), f"0 to {most:.4g}, the log of their number"),
            ("num_steps", lambda _, value: value >= 0, "numbers of steps from 0"),
            ("context_static_share", lambda _, value: value is None or _is_between(value, 0, 1), "shares, or none"),
            (
                "context_variance_share",
                lambda _, value: value is None or _is_between(value, 0, math.inf),
                "finite numbers from 0, or none",
            ),
        ]
        for column, is_valid, allowed in wanted:
            _check_column(path, rows, column, is_valid, allowed)
        if not _is_between(total := math.fsum(rows["mean"]), 0, 1):
            raise ShardError(f"{path}, mean: found weights that sum to {total:.6g}. Allowed: at most 1")

    def steps(self, path: Path, table: pa.Table, job: JobEntry) -> None:
        """Check a shard of steps, a table of `steps_schema`; arguments and errors are those of `episodes`."""
        _check_nulls(path, table)
        names = [name for name in table.schema.names if name.startswith(WEIGHT_PREFIX)]
        rows = table.select(["agent", "train_seed", "game", "perturbation", "severity", "step", *names]).to_pydict()
        if table.num_rows:
            self._check_job(path, rows, job)
        for name in names:
            _check_column(path, rows, name, lambda _, value: _is_between(value, 0, 1), "weights from 0 to 1")

    def _protocol(self, identity: AgentId) -> Protocol:
        entry = self._agents.get(identity)
        return self._plan.protocol_with(entry.view if entry is not None else {})

    def _noops_rule(self, job: JobEntry, protocol: Protocol) -> tuple[Callable[[int, Any], bool], str]:
        """Return which numbers of no-ops a job's rows may have, and the same in words."""
        if not job.each_start_once:
            most = protocol.noop_max
            return (lambda _, value: value is None or 0 <= value <= most), f"0 to {most}"
        order = start_order(job.game, protocol.start_noops, self._plan.seed)
        allowed = f"each start once, in the order that follows from the run's seed {self._plan.seed} and the game"
        return (lambda row, value: (value,) == order[row : row + 1]), allowed

    def _first_episode(self, job: JobEntry, rows: Mapping[str, list[Any]]) -> int:
        """Return the number that the first episode has; where the manifest does not say, the one that it has."""
        if job.episodes is None or job.each_start_once:  # of which nothing is played later
            return 0
        if self._plan.precision is not None:
            return self._plan.precision.pilot_episodes
        return max(rows["episode"][0], 0)  # more episodes of jobs that were played before

    def _check_job(self, path: Path, rows: Mapping[str, list[Any]], job: JobEntry) -> None:
        """Check the columns that name the job."""
        wanted = {"agent": job.agent, "train_seed": job.train_seed, "game": job.game}
        for column, right in wanted.items():
            _check_column(path, rows, column, lambda _, value, right=right: value == right, f"{right!r}, the job's")
        for row, (name, severity) in enumerate(zip(rows["perturbation"], rows["severity"], strict=True)):
            if written_name(name, severity) != job.perturbation or not (severity is None or 1 <= severity <= 5):
                found = name if severity is None else f"{name}@{severity}"
                _refuse(path, row, "perturbation", found, f"{job.perturbation!r}, the job's")

    def _check_family(self, path: Path, rows: Mapping[str, list[Any]], job: JobEntry) -> None:
        """Check that a perturbation is of one family in all shards."""
        if rows["family"]:
            right = self._families.setdefault(job.perturbation, rows["family"][0])
            allowed = f"{right!r}, as in other rows of {job.perturbation}"
            _check_column(path, rows, "family", lambda _, value: value == right, allowed)


def _check_nulls(path: Path, table: pa.Table) -> None:
    """Refuse a missing value where there is none in the columns of the contract."""
    for name, column in zip(table.schema.names, table.columns, strict=True):
        if column.null_count and name not in _NULLABLE:
            row = column.to_pylist().index(None)
            _refuse(path, row, name, None, "a value")


_NULLABLE = ("severity", "noops", "action_hash", "context_static_share", "context_variance_share", "value")
"""Columns in which a value may be missing."""


def _check_column(
    path: Path, rows: Mapping[str, list[Any]], column: str, is_valid: Callable[[int, Any], bool], allowed: str
) -> None:
    """Check each value of a column; `is_valid` gets the row's number and the value."""
    for row, value in enumerate(rows[column]):
        if not is_valid(row, value):
            _refuse(path, row, column, value, allowed)


def _refuse(path: Path, row: int, column: str, found: object, allowed: str) -> NoReturn:
    raise ShardError(f"{path}, row {row}, {column}: found {found!r}. Allowed: {allowed}")


def _is_between(value: float, lowest: float, highest: float) -> bool:
    """Whether a number is finite and in a range, but for rounding."""
    return math.isfinite(value) and lowest - _SLACK <= value <= highest + _SLACK


def _is_hash(text: str) -> bool:
    return len(text) <= ACTION_DIGITS and _HASH.fullmatch(text) is not None


def _first_double(values: Iterable[Any]) -> Any:
    """Return the first value that occurs a second time, or None."""
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None
